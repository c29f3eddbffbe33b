"""The truth about a world, in the columns of the tables that a run measures."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pitflow import schema
from pitflow.simulate.bodies import Bodies
from pitflow.simulate.camera import Light
from pitflow.simulate.config import SimulateConfig
from pitflow.simulate.ejection import Departures
from pitflow.simulate.motion import Flight
from pitflow.simulate.optics import blur_px, lens, looks
from pitflow.simulate.pits import Pits

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def constants(config: SimulateConfig, seed: int) -> dict[str, Any]:
    """Return what a scorer needs to know beside the tables (``lag_frames`` and the like)."""
    follows_growth = config.law == "growth" and config.preference > 0
    return {
        "seed": seed,
        "shape": [config.height, config.width],
        "n_frames": config.frames,
        "fps": config.fps,
        "um_per_px": config.um_per_px,
        "law": config.law,
        "lag_frames": config.lag if follows_growth else None,
        "preference_kappa": config.preference,
        "sigma0_px": config.optics.sigma0_px,
        "k_px_per_um": config.optics.k_px_per_um,
        "noise_levels_of_256": config.noise,
        "geometry": "particles: where their frame shows them; all else: first frame, drift removed",
        "config": config.model_dump(mode="json"),
    }


def _height(
    mean_um: float, n: int, share: Floats, particle: Ints, rng: np.random.Generator
) -> Floats:
    """Return the height of ``particle`` (of n) at a share of its flight (1: landing), um.

    A parabola that is highest soon after the departure: particles start high and blurred and land
    sharp (paper 002, Fig. 8).
    """
    top = mean_um * rng.gamma(2.0, 0.5, n)
    apex = rng.uniform(0.0, 0.25, n)
    result: Floats = top[particle] * (1 - ((share - apex[particle]) / (1 - apex[particle])) ** 2)
    return result


def particles_table(
    config: SimulateConfig,
    flight: Flight,
    starts: Departures,
    number: Ints,
    bodies: Bodies,
    centre: Floats,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Return a row per particle and frame while it moves, and its speed without bursts (trend).

    Parameters
    ----------
    number:
        Number of the particle of each departure, -1 if it is never in view.
    centre:
        (pits, 2) centre of each final pit.
    rng:
        Draws the heights of the flights.
    """
    steps = flight.steps
    index = steps["index"].to_numpy(dtype=np.int64)
    particle = number[index]
    frame = steps["frame"].to_numpy(dtype=np.int64)
    x, y = steps["x"].to_numpy(), steps["y"].to_numpy()
    share = np.clip((frame - starts.frame[index]) / flight.flight_frames[index], 0.0, 1.0)
    z = _height(config.motion.height_um, bodies.mass.size, share, particle, rng)
    sigma = blur_px(z, config.optics.sigma0_px, config.optics.k_px_per_um)
    look = looks(
        bodies.footprint[particle],
        bodies.radius_px[particle],
        bodies.opacity[particle],
        bodies.rotation_deg[particle],
        sigma,
        lens(config.optics),
    )
    pit = starts.pit[index]
    away = np.full((pit.size, 2), np.nan)
    away[pit >= 0] = np.column_stack([x, y])[pit >= 0] - centre[pit[pit >= 0]]
    vx, vy = steps["vx"].to_numpy(), steps["vy"].to_numpy()
    to_um_s = config.um_per_px * config.fps
    speed = np.hypot(vx, vy)
    return pd.DataFrame(
        {
            "frame": frame,
            "time_s": frame / config.fps,
            "x": x,
            "y": y,
            "particle": particle,
            "area_px": look.area_px,
            "diameter_px": 2 * np.sqrt(look.area_px / np.pi),
            "eccentricity": look.eccentricity,
            "orientation_deg": look.orientation_deg,
            "contrast": look.contrast,
            "mass": bodies.mass[particle],
            "sharpness": look.sharpness,
            "score": 1.0,
            "pit": pit,
            "angle_deg": np.degrees(np.arctan2(away[:, 1], away[:, 0])) % 360.0,
            "distance_px": np.hypot(away[:, 0], away[:, 1]),
            "vx_um_s": vx * to_um_s,
            "vy_um_s": vy * to_um_s,
            "speed_px": speed,
            "speed_um_s": speed * to_um_s,
            "blur_px": sigma,
            "z_um": z,
            "z_err_um": 0.0,
            "is_outlier": steps["bursting"].to_numpy(dtype=bool),
            "trend": steps["trend"].to_numpy(),
        }
    )


def ejections_table(starts: Departures, seen: Ints, particles: pd.DataFrame) -> pd.DataFrame:
    """Return the departure of every particle that left a pit.

    Parameters
    ----------
    seen:
        The departures that came into view, in order of the particles' numbers.
    """
    first = particles.drop_duplicates("particle").sort_values("particle", kind="stable")
    table = pd.DataFrame(
        {
            "particle": first["particle"].to_numpy(),
            "pit": starts.pit[seen],
            "frame": starts.frame[seen],
            "x": starts.position[seen, 0],
            "y": starts.position[seen, 1],
            "angle_deg": starts.angle_deg[seen],
            "speed_um_s": first["speed_um_s"].to_numpy(),
            "angle_err_deg": 0.0,
        }
    )
    return table[table["pit"] >= 0].reset_index(drop=True)


def pits_table(
    config: SimulateConfig, pits: Pits, centre: Floats, ejections: pd.DataFrame
) -> pd.DataFrame:
    """Return the pits, and what their true departures amount to."""
    pit = np.arange(config.pits)
    area = pits.pixels["pit"].value_counts().reindex(pit, fill_value=0).to_numpy(dtype=float)
    turn = np.radians(ejections["angle_deg"].to_numpy())
    resultant = np.zeros(config.pits, dtype=complex)
    np.add.at(resultant, ejections["pit"].to_numpy(dtype=np.int64), np.exp(1j * turn))
    n_ejected = ejections["pit"].value_counts().reindex(pit, fill_value=0).to_numpy()
    mean = np.where(n_ejected > 0, np.degrees(np.angle(resultant)) % 360.0, np.nan)
    length = np.where(n_ejected > 0, np.abs(resultant) / np.maximum(n_ejected, 1), np.nan)
    preferred = 1 if config.law == "vonmises" and config.preference > 0 else 0
    return pd.DataFrame(
        {
            "pit": pit,
            "x": centre[:, 0],
            "y": centre[:, 1],
            "onset_frame": pits.onset_frame,
            "onset_x": pits.onset[:, 0],
            "onset_y": pits.onset[:, 1],
            "area_px": area,
            "area_um2": area * config.um_per_px**2,
            "is_stable": pits.stop_frame >= config.frames,
            "n_ejected": n_ejected,
            "mean_angle_deg": mean,
            "resultant_length": length,
            # Tests and intervals are the measurement's business: the truth has none.
            "rayleigh_p": np.nan,
            "rayleigh_q": np.nan,
            # Under the growth law the preferred direction wanders: no number of modes is planted.
            "n_modes": -1 if config.law == "growth" else preferred,
            "mean_angle_lo_deg": np.nan,
            "mean_angle_hi_deg": np.nan,
            "resultant_length_lo": np.nan,
            "resultant_length_hi": np.nan,
        }
    )


def growth_table(pits: Pits) -> pd.DataFrame:
    """Return the growth of every pit in every frame from its onset on."""
    n, frames = pits.activity.shape
    pixels = pits.pixels
    pit, frame = pixels["pit"].to_numpy(), pixels["frame"].to_numpy()
    new = np.zeros((n, frames))
    np.add.at(new, (pit, frame), 1.0)
    away = pixels[["x", "y"]].to_numpy(dtype=float) - pits.onset[pit]
    distance = np.hypot(away[:, 0], away[:, 1])
    # The very first pixel has no direction from itself.
    unit = np.divide(
        away[:, 0] + 1j * away[:, 1],
        distance,
        where=distance > 0,
        out=np.zeros(distance.size, dtype=complex),
    )
    total = np.zeros((n, frames), dtype=complex)
    np.add.at(total, (pit, frame), unit)
    angle = np.where(np.abs(total) > 1e-9, np.degrees(np.angle(total)) % 360.0, np.nan)
    since = np.arange(frames)[None, :] >= pits.onset_frame[:, None]
    rows, columns = np.nonzero(since)
    return pd.DataFrame(
        {
            "pit": rows,
            "frame": columns,
            "area_px": np.cumsum(new, axis=1)[since],
            "new_px": new[since],
            "angle_deg": angle[since],
        }
    )


def correlation_table(config: SimulateConfig) -> pd.DataFrame:
    """Return the planted lag per pit and pooled; no row where none was planted."""
    if config.law != "growth" or config.preference == 0:
        return schema.empty_table(schema.CORRELATION)
    pit = np.arange(-1, config.pits)
    unknown = np.full(pit.size, np.nan)
    return pd.DataFrame(
        {
            "pit": pit,
            "lag": config.lag,
            "r": unknown,
            "r_lo": unknown,
            "r_hi": unknown,
            "p": unknown,
        }
    )


def outliers_table(config: SimulateConfig, particles: pd.DataFrame, centre: Floats) -> pd.DataFrame:
    """Return one row per frame of a burst, with the nearest pit other than the source."""
    # Where the last frame is, what would be seen in the next one is not seen at all.
    seen = particles["frame"] < config.frames - 1
    bursts = particles[particles["is_outlier"] & seen]
    x, y, source = (bursts[name].to_numpy() for name in ("x", "y", "pit"))
    distance = np.hypot(x[:, None] - centre[:, 0], y[:, None] - centre[:, 1])
    distance = np.where(np.arange(len(centre)) == source[:, None], np.inf, distance)
    known = np.isfinite(distance).any(axis=1)
    nearest = np.full(x.size, -1, dtype=np.int64)
    gap = np.full(x.size, np.nan)
    if known.any():
        nearest[known] = np.argmin(distance[known], axis=1)
        gap[known] = distance[known].min(axis=1)
    speed = bursts["speed_px"].to_numpy()
    trend = bursts["trend"].to_numpy()
    return pd.DataFrame(
        {
            "particle": bursts["particle"].to_numpy(),
            "frame": bursts["frame"].to_numpy(),
            "x": x,
            "y": y,
            "speed_px": speed,
            "score": (speed - trend) / max(config.motion.jitter_px, 1e-3),
            "nearest_pit": nearest,
            "distance_px": gap,
        }
    )


def frames_table(config: SimulateConfig, light: Light, particles: pd.DataFrame) -> pd.DataFrame:
    """Return the frames with their true brightness and shift; all of them are sound."""
    frame = np.arange(config.frames)
    count = particles["frame"].value_counts().reindex(frame, fill_value=0).to_numpy()
    return pd.DataFrame(
        {
            "frame": frame,
            "time_s": frame / config.fps,
            "quality": "ok",
            "gain": light.gain,
            "n_particles": count,
            "shift_x_px": light.shift[:, 0],
            "shift_y_px": light.shift[:, 1],
        }
    )


def as_seen(particles: pd.DataFrame, frames: pd.DataFrame) -> pd.DataFrame:
    """Return the particles where their frames show them, stage drift included, as a run does."""
    shift = frames.set_index("frame")[["shift_x_px", "shift_y_px"]].loc[particles["frame"]]
    return particles.assign(
        x=particles["x"] + shift["shift_x_px"].to_numpy(),
        y=particles["y"] + shift["shift_y_px"].to_numpy(),
    )
