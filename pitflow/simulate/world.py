"""The simulated world: everything that happens, and its truth in the tables' own columns.

Nothing is rendered here, so thousands of worlds are quick to make. Positions are in the geometry of
the first frame: the stage drift, which moves a frame's content by ``frames.shift_x_px`` and
``shift_y_px``, is not in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pitflow import schema
from pitflow.simulate.camera import Light, light_and_stage
from pitflow.simulate.config import SimulateConfig
from pitflow.simulate.ejection import Departures, arrivals_from_outside, departures
from pitflow.simulate.motion import Flight, fly
from pitflow.simulate.optics import N_FOOTPRINTS, blur_px, looks
from pitflow.simulate.pits import Pits, grow_pits

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_STREAMS = ("pits", "ejection", "outside", "motion", "bodies", "camera", "texture", "noise")


@dataclass(frozen=True, slots=True)
class Bodies:
    """What each particle is, by its number.

    Parameters
    ----------
    footprint:
        (n,) outline in the library of footprints.
    radius_px, opacity, rotation_deg, mass:
        (n,) radius of the circle of its area, darkening where it covers the steel, turn of its
        outline, and opacity times area (px^2).
    """

    footprint: Ints
    radius_px: Floats
    opacity: Floats
    rotation_deg: Floats
    mass: Floats


@dataclass(frozen=True, slots=True)
class World:
    """A simulated recording before rendering.

    Parameters
    ----------
    config, seed:
        What it was made from.
    tables:
        The truth by table name: frames, particles (only while they move), pits, growth, ejections,
        correlation (the planted lag), outliers, pit_pixels.
    truth:
        The constants behind them, ready for JSON.
    bodies:
        Looks of each particle.
    landed:
        particle, frame, x, y of those that came to rest, from where on they are static specks.
    light:
        Brightness and stage position in each frame.
    pits:
        Fronts and activity of the pits.
    """

    config: SimulateConfig
    seed: int
    tables: dict[str, pd.DataFrame]
    truth: dict[str, Any]
    bodies: Bodies
    landed: pd.DataFrame
    light: Light
    pits: Pits


def stream(seed: int, name: str) -> np.random.Generator:
    """Return the random stream of one part, so that no part's draws depend on another's."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_STREAMS.index(name),)))


def simulate_world(config: SimulateConfig, seed: int) -> World:
    """Let everything happen, without rendering; the same for the same configuration and seed."""
    pits = grow_pits(config, stream(seed, "pits"))
    centre = _centres(pits)
    ejected = departures(config, pits, centre, stream(seed, "ejection"))
    outside = arrivals_from_outside(config, stream(seed, "outside"))
    starts = _merge(ejected, outside)
    flight = fly(config, pits, centre, starts, stream(seed, "motion"))
    light = light_and_stage(config, stream(seed, "camera"))

    # Particles are numbered in order of first appearance, those never in view are left out.
    seen = flight.steps["index"].drop_duplicates().to_numpy(dtype=np.int64)
    number = np.full(starts.pit.size, -1, dtype=np.int64)
    number[seen] = np.arange(seen.size)
    bodies = _bodies(config, seen.size, stream(seed, "bodies"))
    apex = stream(seed, "bodies").spawn(1)[0]
    particles = _particles(config, flight, starts, number, bodies, centre, apex)
    landed = flight.landed.assign(particle=number[flight.landed["index"].to_numpy(dtype=np.int64)])
    landed = landed[landed["particle"] >= 0][["particle", "frame", "x", "y"]].reset_index(drop=True)
    ejections = _ejections(config, starts, seen, particles)
    tables = {
        "frames": _frames(config, light, particles),
        "particles": particles,
        "pits": _pits(config, pits, centre, ejections),
        "growth": _growth(pits),
        "ejections": ejections,
        "correlation": _correlation(config),
        "outliers": _outliers(config, particles, centre),
        "pit_pixels": pits.pixels,
    }
    # Columns that only the truth can fill (trend) go no further than here.
    tables = {
        name: schema.validate_table(data, schema.TABLES[name])[schema.TABLES[name].names]
        for name, data in tables.items()
    }
    return World(config, seed, tables, _truth(config, seed), bodies, landed, light, pits)


def _truth(config: SimulateConfig, seed: int) -> dict[str, Any]:
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
        "geometry": "first frame (stage drift removed); frames.shift_*_px leads to a frame's own",
        "config": config.model_dump(mode="json"),
    }


def _centres(pits: Pits) -> Floats:
    """Return (n, 2) the mean position of each pit's pixels."""
    centre = pits.onset.astype(float).copy()
    means = pits.pixels.groupby("pit")[["x", "y"]].mean()
    centre[means.index.to_numpy(dtype=np.int64)] = means.to_numpy()
    return centre


def _merge(first: Departures, second: Departures) -> Departures:
    frame = np.concatenate([first.frame, second.frame])
    order = np.argsort(frame, kind="stable")
    return Departures(
        np.concatenate([first.pit, second.pit])[order],
        frame[order],
        np.concatenate([first.position, second.position])[order],
        np.concatenate([first.angle_deg, second.angle_deg])[order],
    )


def _bodies(config: SimulateConfig, n: int, rng: np.random.Generator) -> Bodies:
    optics = config.optics
    radius = optics.radius_px * np.exp(
        np.clip(rng.normal(0, 1, n), -2.2, 2.2) * optics.radius_spread
    )
    opacity = rng.uniform(*optics.opacity, n)
    return Bodies(
        footprint=rng.integers(0, N_FOOTPRINTS, n),
        radius_px=radius,
        opacity=opacity,
        rotation_deg=rng.uniform(0, 360, n),
        mass=opacity * np.pi * radius**2,
    )


def _height(config: SimulateConfig, n: int, share: Floats, index: Ints, rng: Any) -> Floats:
    """Return the height at a share (0 departure, 1 landing) of each flight, um.

    A parabola that is highest soon after the departure: particles start high and blurred and land
    sharp (paper 002, Fig. 8).
    """
    top = config.motion.height_um * rng.gamma(2.0, 0.5, n)
    apex = rng.uniform(0.0, 0.25, n)
    result: Floats = top[index] * (1 - ((share - apex[index]) / (1 - apex[index])) ** 2)
    return result


def _particles(
    config: SimulateConfig,
    flight: Flight,
    starts: Departures,
    number: Ints,
    bodies: Bodies,
    centre: Floats,
    rng: np.random.Generator,
) -> pd.DataFrame:
    steps = flight.steps
    index = steps["index"].to_numpy(dtype=np.int64)
    particle = number[index]
    frame = steps["frame"].to_numpy(dtype=np.int64)
    x, y = steps["x"].to_numpy(), steps["y"].to_numpy()
    share = np.clip((frame - starts.frame[index]) / flight.flight_frames[index], 0.0, 1.0)
    z = _height(config, bodies.mass.size, share, particle, rng)
    sigma = blur_px(z, config.optics.sigma0_px, config.optics.k_px_per_um)
    look = looks(
        bodies.footprint[particle],
        bodies.radius_px[particle],
        bodies.opacity[particle],
        bodies.rotation_deg[particle],
        sigma,
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


def _ejections(
    config: SimulateConfig, starts: Departures, seen: Ints, particles: pd.DataFrame
) -> pd.DataFrame:
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


def _pits(
    config: SimulateConfig, pits: Pits, centre: Floats, ejections: pd.DataFrame
) -> pd.DataFrame:
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


def _growth(pits: Pits) -> pd.DataFrame:
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


def _correlation(config: SimulateConfig) -> pd.DataFrame:
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


def _outliers(config: SimulateConfig, particles: pd.DataFrame, centre: Floats) -> pd.DataFrame:
    """Return one row per frame of a burst, with the nearest pit other than the source."""
    bursts = particles[particles["is_outlier"]]
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


def _frames(config: SimulateConfig, light: Light, particles: pd.DataFrame) -> pd.DataFrame:
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
