"""A small analytic run: discs that grow steadily, particles that leave on straight lines.

Truth: pit ``k`` of ``n`` sits on a circle about the frame's middle, starts at frame ``2 k`` and
has the radius ``3 + 0.1 (frame - onset)`` px. Its particles leave in the mean direction
``60 k + 30`` degrees and move at 2 px per frame. The pooled correlation peaks at lag 10.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from pitflow.config import Config, ReportConfig, dump_config
from pitflow.report.data import ReportData
from pitflow.schema import TABLES, empty_table, validate_table

FPS, UM, SPEED = 15.0, 0.48, 2.0
LIFE = 40


def steel(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Bright texture with oblique scratches and static specks."""
    image = 168 + 10 * cv2.GaussianBlur(rng.normal(size=shape).astype(np.float32), (0, 0), 1.2)
    for _ in range(shape[0] // 8):
        x, y = rng.uniform(0, shape[1]), rng.uniform(0, shape[0])
        length = rng.uniform(0.1, 0.6) * shape[0]
        end = (int(x + 0.8 * length), int(y + 0.6 * length))
        cv2.line(image, (int(x), int(y)), end, float(rng.uniform(130, 200)), 1, cv2.LINE_AA)
    for _ in range(shape[0] // 6):
        centre = (int(rng.uniform(0, shape[1])), int(rng.uniform(0, shape[0])))
        cv2.circle(image, centre, int(rng.integers(1, 4)), float(rng.uniform(60, 120)), -1)
    return cv2.GaussianBlur(image, (0, 0), 0.7)


def make_run(
    *,
    n_pits: int = 3,
    n_frames: int = 60,
    shape: tuple[int, int] = (240, 320),
    per_pit: int = 20,
    radius_rate: float = 0.1,
    calibrated: bool = False,
    **more: Any,
) -> ReportData:
    rng = np.random.default_rng(7)
    height, width = shape
    around = 2 * np.pi * np.arange(n_pits) / max(n_pits, 1)
    px, py = (
        np.round(width / 2 + 0.3 * width * np.cos(around)),
        np.round(height / 2 + 0.3 * height * np.sin(around)),
    )
    frame = np.arange(n_frames)
    shift_x = np.round(0.02 * frame)
    quality = np.full(n_frames, "ok", dtype=object)
    if n_frames > 30:
        quality[[21, 22]], quality[25] = "gap", "damaged"

    pixels, growth = [], []
    for pit in range(n_pits):
        last = 3 + radius_rate * (n_frames - 1 - 2 * pit)
        reach = int(last) + 1
        yy, xx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        distance = np.hypot(xx, yy)
        inside = distance <= last
        birth = 2 * pit + np.ceil(np.maximum(distance[inside] - 3, 0) / radius_rate).astype(int)
        pixels.append(
            pd.DataFrame(
                {"pit": pit, "frame": birth, "x": xx[inside] + int(px[pit]),
                 "y": yy[inside] + int(py[pit])}
            )
        )  # fmt: skip
        counts = np.bincount(birth, minlength=n_frames)[2 * pit :]
        growth.append(
            pd.DataFrame(
                {"pit": pit, "frame": frame[2 * pit :], "area_px": np.cumsum(counts),
                 "new_px": counts, "angle_deg": 60.0 * pit}
            )
        )  # fmt: skip

    rows, departures = [], []
    track = 0
    for pit in range(n_pits):
        for _ in range(per_pit):
            start = int(rng.integers(2 * pit + 2, max(n_frames - 10, 2 * pit + 3)))
            angle = np.radians(60 * pit + 30 + rng.normal(0, 25))
            rim = 3 + radius_rate * (start - 2 * pit)
            age = np.arange(min(LIFE, n_frames - start))
            out = rim + 2 + SPEED * age
            x, y = px[pit] + out * np.cos(angle), py[pit] + out * np.sin(angle)
            seen = (x > 2) & (x < width - 3) & (y > 2) & (y < height - 3)
            seen &= np.isin(quality[start + age], ["ok"])
            age, out, x, y = age[seen], out[seen], x[seen], y[seen]
            if age.size < 3:
                continue
            blur = 1 + 3 * np.sin(np.pi * (age + 1) / (LIFE + 2))
            speed = np.full(age.size, SPEED) + rng.normal(0, 0.05, age.size)
            outlier = np.zeros(age.size, bool)
            if track % 7 == 0 and age.size > 12:
                speed[10], outlier[10] = 3 * SPEED, True
            turn = np.degrees(angle) % 360
            rows.append(
                pd.DataFrame(
                    {"frame": start + age, "x": x, "y": y, "particle": track, "blur_px": blur,
                     "diameter_px": 4 + 2 * blur, "contrast": 0.8 / (1 + blur**2),
                     "pit": pit, "angle_deg": turn, "distance_px": out, "speed_px": speed,
                     "speed_um_s": speed * UM * FPS, "is_outlier": outlier,
                     "vx_um_s": SPEED * UM * FPS * np.cos(angle),
                     "vy_um_s": SPEED * UM * FPS * np.sin(angle),
                     "z_um": 20 * (blur - 1) if calibrated else np.nan,
                     "z_err_um": 2.0 if calibrated else np.nan}
                )
            )  # fmt: skip
            departures.append(
                {"particle": track, "pit": pit, "frame": start, "x": px[pit] + rim * np.cos(angle),
                 "y": py[pit] + rim * np.sin(angle), "angle_deg": turn,
                 "speed_um_s": SPEED * UM * FPS * rng.uniform(0.8, 1.3), "angle_err_deg": 2.0}
            )  # fmt: skip
            track += 1

    tables = {name: empty_table(table) for name, table in TABLES.items()}
    particles = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()
    if rows:
        particles["time_s"] = particles["frame"] / FPS
        stray = particles.iloc[:: max(len(particles) // 30, 1)].copy()
        stray["x"], stray["y"] = rng.uniform(3, width - 3, len(stray)), 5.0
        stray[["particle", "pit"]] = -1
        stray["is_outlier"] = False
        stray[["angle_deg", "distance_px", "speed_px", "speed_um_s", "vx_um_s", "vy_um_s"]] = np.nan
        tables["particles"] = _filled("particles", pd.concat([particles, stray]))
        tables["ejections"] = _filled("ejections", pd.DataFrame(departures))
        events = particles[particles["is_outlier"]]
        tables["outliers"] = _filled(
            "outliers",
            events[["particle", "frame", "x", "y", "speed_px"]].assign(
                score=8.0 + 0.1 * np.arange(len(events)),
                nearest_pit=(events["pit"] + 1) % n_pits if n_pits > 1 else -1,
                distance_px=55.0,
            ),
        )
        cell = width / 12
        binned = particles.assign(
            cx=particles["x"] // cell, cy=particles["y"] // cell, n=1
        ).groupby(["cx", "cy"], as_index=False)
        flow = binned.agg(
            vx_um_s=("vx_um_s", "mean"), vy_um_s=("vy_um_s", "mean"), n=("n", "sum"),
            domain=("pit", "first"),
        )  # fmt: skip
        flow["x"], flow["y"] = (flow["cx"] + 0.5) * cell, (flow["cy"] + 0.5) * cell
        tables["flow"] = _filled("flow", flow)

    detected = np.bincount(tables["particles"]["frame"].astype(int), minlength=n_frames)
    tables["frames"] = _filled(
        "frames",
        pd.DataFrame(
            {"frame": frame, "time_s": frame / FPS, "quality": quality,
             "gain": 1 + 0.02 * np.sin(frame / 9), "n_particles": detected[:n_frames],
             "shift_x_px": shift_x, "shift_y_px": -shift_x}
        ),
    )  # fmt: skip
    if n_pits:
        tables["pit_pixels"] = _filled("pit_pixels", pd.concat(pixels))
        tables["growth"] = _filled("growth", pd.concat(growth))
        n_ejected = tables["ejections"].groupby("pit").size().reindex(range(n_pits), fill_value=0)
        area = tables["growth"].groupby("pit")["area_px"].last()
        mean = 60.0 * np.arange(n_pits) % 360 + 30
        has = (n_ejected > 0).to_numpy()
        tables["pits"] = _filled(
            "pits",
            pd.DataFrame(
                {"pit": range(n_pits), "x": px, "y": py, "onset_frame": 2 * np.arange(n_pits),
                 "onset_x": px, "onset_y": py, "area_px": area, "area_um2": area * UM**2,
                 "is_stable": np.arange(n_pits) % 2 == 0, "n_ejected": n_ejected,
                 "mean_angle_deg": np.where(has, mean, np.nan),
                 "mean_angle_lo_deg": np.where(has, (mean - 12) % 360, np.nan),
                 "mean_angle_hi_deg": np.where(has, (mean + 12) % 360, np.nan),
                 "resultant_length": np.where(has, 0.9 - 0.08 * np.arange(n_pits), np.nan),
                 "resultant_length_lo": 0.3, "resultant_length_hi": 0.95,
                 "rayleigh_p": np.where(has, 10.0 ** -(1 + np.arange(n_pits) % 4), np.nan),
                 "rayleigh_q": np.where(has, 2 * 10.0 ** -(1 + np.arange(n_pits) % 4), np.nan),
                 "n_modes": 1}
            ),
        )  # fmt: skip
    if rows and n_pits:
        tables["correlation"] = _filled("correlation", _correlation(n_pits))
        tables |= _current(n_frames)

    background = steel(shape, rng)
    still = tables["particles"]
    drift = shift_x[still["frame"].to_numpy(dtype=int)]
    tables["particles"] = still.assign(x=still["x"] + drift, y=still["y"] - drift)

    def pits_at(index: int) -> np.ndarray:
        mask = np.zeros(shape, bool)
        now = tables["pit_pixels"]
        now = now[now["frame"] <= index]
        x = np.clip(now["x"] + int(shift_x[index]), 0, width - 1)
        y = np.clip(now["y"] - int(shift_x[index]), 0, height - 1)
        mask[y, x] = True
        return mask

    def particles_at(index: int) -> list[tuple[int, int, float, float]]:
        own = still[(still["frame"] == index) & (still["particle"] >= 0)]
        return [
            (round(x + shift_x[index]), round(y - shift_x[index]), blur, contrast)
            for x, y, blur, contrast in own[["x", "y", "blur_px", "contrast"]].to_numpy()
        ]

    def frame_at(index: int) -> np.ndarray:
        step = np.float32([[1, 0, shift_x[index]], [0, 1, -shift_x[index]]])
        size = (width, height)
        image = cv2.warpAffine(background, step, size, borderMode=cv2.BORDER_REFLECT)
        dark = np.zeros(shape, np.float32)
        for x, y, blur, contrast in particles_at(index):
            reach = int(4 * blur) + 3
            x0, x1 = max(x - reach, 0), min(x + reach + 1, width)
            y0, y1 = max(y - reach, 0), min(y + reach + 1, height)
            yy, xx = np.mgrid[y0:y1, x0:x1]
            squared = (xx - x) ** 2 + (yy - y) ** 2
            dark[y0:y1, x0:x1] += contrast * np.exp(-squared / (2 * (1 + blur**2)))
        image = image * (1 - np.clip(dark, 0, 0.9))
        soft = cv2.GaussianBlur(pits_at(index).astype(np.float32), (0, 0), 1.5)
        image = image * (1 - 0.85 * soft) * (1 + 0.02 * np.sin(index / 9))
        return np.clip(image, 0, 255).astype(np.uint8)

    def mask_at(index: int) -> np.ndarray:
        classes = np.zeros(shape, np.uint8)
        for x, y, blur, _ in particles_at(index):
            cv2.circle(classes, (x, y), int(2 + blur), 1, -1)
        classes[pits_at(index)] = 2
        return classes

    return ReportData(
        **{
            "name": "steel 30 mM.avi",
            "tables": tables,
            "shape": shape,
            "fps": FPS,
            "um_per_px": UM,
            "n_frames": n_frames,
            "frame_at": frame_at,
            "mask_at": mask_at,
            "background_at": lambda index: background,
            "provenance": {
                "input": "data/steel 30 mM.avi",
                "config": dump_config(Config()),
                "versions": {"pitflow": "0.1", "numpy": np.__version__},
                "timings": {"acquire": 3.2, "segment": 12.0},
                "warnings": ["frames 21 and 22 are lost"],
                "notes": [],
            },
            "config": ReportConfig(),
        }
        | more
    )  # type: ignore[arg-type]


def _correlation(n_pits: int) -> pd.DataFrame:
    lag = np.arange(-30, 31)
    parts = []
    for pit in range(-1, n_pits):
        peak = 0.3 * np.exp(-((lag - 10) ** 2) / 18) + 0.04 * np.sin(0.8 * (lag - 10) + 1.57)
        p = 0.002 if pit == -1 else 0.01 + 0.2 * pit
        parts.append(
            pd.DataFrame({"pit": pit, "lag": lag, "r": peak, "r_lo": -0.12, "r_hi": 0.12, "p": p})
        )
    return pd.concat(parts)


def _current(n_frames: int) -> dict[str, pd.DataFrame]:
    """One transient of 0.4 uA and 0.2 uC at 1 s; ejections follow the current by 5 frames."""
    time = np.arange(n_frames) / FPS
    current = 1e-6 + 4e-7 * np.exp(-np.abs(time - 1.0) / 0.25)
    lag = np.arange(-20, 21)
    bands = {"lag": lag, "r_lo": -0.2, "r_hi": 0.2}
    return {
        "current": _filled(
            "current",
            pd.DataFrame(
                {"frame": np.arange(n_frames), "time_s": time, "current_a": current,
                 "potential_v": 0.3 + 0.01 * time, "n_samples": 3,
                 "ejections_per_s": FPS * (np.arange(n_frames) % 4 == 0),
                 "growth_um2_s": np.where(np.arange(n_frames) == 25, np.nan, 2.0)}
            ),
        ),
        "transients": _filled(
            "transients",
            pd.DataFrame(
                {"transient": [0], "onset_frame": 10, "peak_frame": 15, "onset_s": 0.7,
                 "peak_s": 1.0, "end_s": 1.6, "rise_s": 0.3, "decay_s": 0.6, "peak_a": 4e-7,
                 "charge_c": 2e-7}
            ),
        ),
        "current_correlation": _filled(
            "current_correlation",
            pd.concat(
                [
                    pd.DataFrame(
                        bands
                        | {"series": series, "r": 0.6 * np.exp(-((lag - at) ** 2) / 30), "p": p}
                    )
                    for series, at, p in (("ejections", 5, 0.004), ("growth", 0, 0.3))
                ]
            ),
        ),
    }  # fmt: skip


def _filled(name: str, data: pd.DataFrame) -> pd.DataFrame:
    """Add the missing float columns as NaN and validate."""
    for column in TABLES[name]:
        if column.name not in data:
            data[column.name] = np.nan
    return validate_table(data.reset_index(drop=True), TABLES[name])


@pytest.fixture(scope="session")
def run() -> ReportData:
    """Three pits, 60 frames of 240 x 320, about 60 particles, uncalibrated."""
    return make_run()


@pytest.fixture(scope="session")
def empty_run() -> ReportData:
    """Twelve frames in which nothing happens."""
    return make_run(n_pits=0, n_frames=12)


@pytest.fixture(scope="session")
def make() -> Callable[..., ReportData]:
    """Make a run with other parameters."""
    return make_run
