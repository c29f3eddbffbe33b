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
from pitflow.simulate.bodies import Bodies, draw_bodies
from pitflow.simulate.camera import Light, light_and_stage
from pitflow.simulate.config import SimulateConfig
from pitflow.simulate.ejection import Departures, arrivals_from_outside, departures
from pitflow.simulate.motion import fly
from pitflow.simulate.pits import Pits, grow_pits
from pitflow.simulate.truth import (
    constants,
    correlation_table,
    ejections_table,
    frames_table,
    growth_table,
    outliers_table,
    particles_table,
    pits_table,
)

Floats = npt.NDArray[np.float64]

_STREAMS = (
    "pits",
    "ejection",
    "outside",
    "motion",
    "bodies",
    "heights",
    "camera",
    "texture",
    "noise",
    "current",
)


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
    bodies = draw_bodies(config.optics, seen.size, stream(seed, "bodies"))
    heights = stream(seed, "heights")
    particles = particles_table(config, flight, starts, number, bodies, centre, heights)
    rested = number[flight.landed["index"].to_numpy(dtype=np.int64)]
    landed = flight.landed.assign(particle=rested)[["particle", "frame", "x", "y"]]
    ejections = ejections_table(starts, seen, particles)
    tables = {
        "frames": frames_table(config, light, particles),
        "particles": particles,
        "pits": pits_table(config, pits, centre, ejections),
        "growth": growth_table(pits),
        "ejections": ejections,
        "correlation": correlation_table(config),
        "outliers": outliers_table(config, particles, centre),
        "pit_pixels": pits.pixels,
    }
    # Only the tables' own columns go out: the trend has served the outliers.
    tables = {
        name: schema.validate_table(data, schema.TABLES[name])[schema.TABLES[name].names]
        for name, data in tables.items()
    }
    return World(config, seed, tables, constants(config, seed), bodies, landed, light, pits)


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
