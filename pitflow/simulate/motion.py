"""How particles move: carried by the flow that spreads from every pit, until they land.

The flow of a pit is radial and slows down with distance. Flows add up, so near a pit its own flow
prevails, and where the domains of two pits meet they turn each other's particles aside (paper 002,
Fig. 7). Some particles are headed for a pit nearby; it draws them in with a short burst of speed
just before they stop at its rim (Fig. 9).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pitflow.simulate.config import MotionConfig, SimulateConfig
from pitflow.simulate.ejection import Departures
from pitflow.simulate.pits import Pits

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_BURST_FRAMES = 2
_FRAMES_AFTER_BURST = 4
_LONGEST_DRAWN_FLIGHT = 4.0
_DRAWN_WITHIN_DEG = 60.0
_DRAWN_WITHIN_PX = 300.0
_TURN_DEG = 6.0
_SLOWING_FRAMES = 10.0
_CRUISE = 0.45


@dataclass(frozen=True, slots=True)
class Flight:
    """What happened to n particles.

    Parameters
    ----------
    steps:
        One row per particle and frame while it moves in view: frame, index (of the departure), x,
        y, vx, vy (px/frame, to the next frame), trend (its speed without burst and jitter) and
        bursting.
    flight_frames:
        (n,) frames from departure to landing, also of those that leave the view first.
    landed:
        frame, index, x, y of every particle that came to rest in view.
    """

    steps: pd.DataFrame
    flight_frames: Floats
    landed: pd.DataFrame


def flow_velocity(
    position: Floats, centre: Floats, strength: Floats, motion: MotionConfig
) -> Floats:
    """Return the flow (n, 2) at positions (n, 2), px/frame.

    Each pit adds ``strength * speed / (1 + r / slow_down) * exp(-r / reach)`` away from its centre.
    """
    away = position[:, None, :] - centre[None, :, :]
    r = np.hypot(away[..., 0], away[..., 1])
    speed = motion.speed_px * np.exp(-r / motion.reach_px) / (1 + r / motion.slow_down_px)
    weight = strength[None, :] * speed / np.maximum(r, 1e-6)
    flow: Floats = np.einsum("np,npc->nc", weight, away)
    return flow


def fly(
    config: SimulateConfig,
    pits: Pits,
    centre: Floats,
    starts: Departures,
    rng: np.random.Generator,
) -> Flight:
    """Carry every particle from its departure to its landing or out of view."""
    motion, n = config.motion, starts.pit.size
    planned = np.maximum(2.0, np.round(rng.gamma(6.0, motion.flight_frames / 6.0, n)))
    pace = rng.lognormal(0.0, motion.speed_spread, n)
    target = _targets(motion, pits, centre, starts, rng)
    log = _Log()
    _carry(config, pits, centre, starts, np.flatnonzero(target < 0), planned, pace, log, rng)
    rim = _rim_radius(pits, config)
    for index in np.flatnonzero(target >= 0):
        planned[index] = _draw_in(
            config,
            starts,
            int(index),
            centre[target[index]],
            rim[target[index]],
            pace[index],
            log,
            rng,
        )
    return Flight(log.steps(), planned, log.landed())


class _Log:
    """Collects steps and landings; tables only at the end."""

    def __init__(self) -> None:
        self._steps: list[tuple[npt.NDArray[Any], ...]] = []
        self._landed: list[tuple[int, int, float, float]] = []

    def step(
        self,
        frame: int,
        index: Ints,
        position: Floats,
        velocity: Floats,
        trend: Floats,
        bursting: npt.NDArray[np.bool_],
    ) -> None:
        """Note where the particles ``index`` are in ``frame`` and how they move on."""
        speed = np.hypot(trend[:, 0], trend[:, 1])
        frames = np.full(index.size, frame, dtype=np.int64)
        self._steps.append((frames, index, *position.T, *velocity.T, speed, bursting))

    def land(self, frame: int, index: int, position: Floats) -> None:
        """Note that a particle has come to rest."""
        self._landed.append((frame, index, float(position[0]), float(position[1])))

    def steps(self) -> pd.DataFrame:
        """Return the steps by frame, then particle."""
        names = ("frame", "index", "x", "y", "vx", "vy", "trend", "bursting")
        empty = [np.empty(0, dtype=t) for t in (np.int64, np.int64, *5 * (float,), bool)]
        columns = [np.concatenate(parts) for parts in zip(empty, *self._steps, strict=True)]
        table = pd.DataFrame(dict(zip(names, columns, strict=True)))
        return table.sort_values(["frame", "index"], kind="stable").reset_index(drop=True)

    def landed(self) -> pd.DataFrame:
        """Return the landings by frame, then particle."""
        table = pd.DataFrame(self._landed, columns=["frame", "index", "x", "y"])
        return table.sort_values(["frame", "index"], kind="stable").reset_index(drop=True)


def _carry(
    config: SimulateConfig,
    pits: Pits,
    centre: Floats,
    starts: Departures,
    chosen: Ints,
    planned: Floats,
    pace: Floats,
    log: _Log,
    rng: np.random.Generator,
) -> None:
    """Carry the ``chosen`` particles with the flow until they land."""
    motion = config.motion
    position = starts.position.copy()
    turn = np.radians(starts.angle_deg)
    own = np.where(starts.pit < 0, rng.uniform(0.2, 0.6, pace.size) * motion.speed_px, 0.0)
    drift = own[:, None] * np.column_stack([np.cos(turn), np.sin(turn)])
    stray = rng.random(pace.size) < motion.stray_burst_share
    burst = np.where(stray, np.floor(rng.uniform(0.3, 0.9, pace.size) * planned), -np.inf)
    waiting = chosen[np.argsort(starts.frame[chosen], kind="stable")]
    born = np.searchsorted(starts.frame[waiting], np.arange(config.frames + 1))
    active = np.empty(0, dtype=np.int64)
    for frame in range(config.frames):
        active = np.concatenate([active, waiting[born[frame] : born[frame + 1]]])
        active = active[_in_view(position[active], config)]
        age = frame - starts.frame[active]
        rests = age >= planned[active]
        for index in active[rests]:
            log.land(frame, int(index), position[index])
        active, age = active[~rests], age[~rests]
        flow = flow_velocity(position[active], centre, pits.activity[:, frame], motion)
        trend = pace[active, None] * (flow + drift[active])
        bursting = (age >= burst[active]) & (age < burst[active] + _BURST_FRAMES)
        velocity = np.where(bursting[:, None], motion.burst_factor, 1.0) * trend
        velocity = velocity + rng.normal(0.0, motion.jitter_px, velocity.shape)
        log.step(frame, active, position[active], velocity, trend, bursting)
        position[active] += velocity


def _draw_in(
    config: SimulateConfig,
    starts: Departures,
    index: int,
    goal: Floats,
    rim: Floats,
    pace: float,
    log: _Log,
    rng: np.random.Generator,
) -> float:
    """Fly one particle to the rim of the pit at ``goal``, with a burst shortly before.

    Parameters
    ----------
    rim:
        (t,) radius of that pit in each frame.

    Returns
    -------
    float
        Frames from departure to landing.
    """
    motion = config.motion
    first, last = int(starts.frame[index]), _LONGEST_DRAWN_FLIGHT * motion.flight_frames
    position = starts.position[index].copy()
    heading = float(np.radians(starts.angle_deg[index]))
    burst = np.inf
    for age, frame in enumerate(range(first, config.frames)):
        if not _in_view(position, config):
            break
        to = goal - position
        gap = float(np.hypot(*to)) - rim[frame]
        if age >= 2 and (gap <= 1.0 or age >= last):
            log.land(frame, index, position)
            return float(age)
        slowing = max(_CRUISE, float(np.exp(-age / _SLOWING_FRAMES)))
        speed = pace * motion.speed_px * slowing
        if gap <= speed * (motion.burst_factor * _BURST_FRAMES + _FRAMES_AFTER_BURST):
            burst = min(burst, age)
        turn = (float(np.arctan2(to[1], to[0])) - heading + np.pi) % (2 * np.pi) - np.pi
        # Near the pit it turns faster, or it would circle it.
        most = np.radians(_TURN_DEG) * max(1.0, 60.0 / max(gap, 5.0))
        heading += float(np.clip(turn, -most, most)) if age else 0.0
        bursting = burst <= age < burst + _BURST_FRAMES
        trend = speed * np.array([np.cos(heading), np.sin(heading)])
        velocity = trend * (motion.burst_factor if bursting else 1.0)
        velocity = velocity + rng.normal(0.0, motion.jitter_px, 2)
        log.step(
            frame,
            np.array([index]),
            position[None],
            velocity[None],
            trend[None],
            np.array([bursting]),
        )
        position = position + velocity
    # Still under way when it leaves the view or the recording ends.
    return last


def _targets(
    motion: MotionConfig,
    pits: Pits,
    centre: Floats,
    starts: Departures,
    rng: np.random.Generator,
) -> Ints:
    """Return which pit draws each particle in (-1 none): a near one that it heads for."""
    target = np.full(starts.pit.size, -1, dtype=np.int64)
    lot = rng.random(starts.pit.size)
    if len(centre) < 2 or not starts.pit.size:
        return target
    source = starts.pit
    to = centre[None, :, :] - starts.position[:, None, :]
    distance = np.hypot(to[..., 0], to[..., 1])
    off = np.degrees(np.arctan2(to[..., 1], to[..., 0])) - starts.angle_deg[:, None]
    off = np.abs((off + 180.0) % 360.0 - 180.0)
    open_now = pits.onset_frame[None, :] <= starts.frame[:, None]
    eligible = (distance < _DRAWN_WITHIN_PX) & (off < _DRAWN_WITHIN_DEG) & open_now
    eligible &= np.arange(len(centre))[None, :] != source[:, None]
    eligible &= (source >= 0)[:, None]
    nearest = np.argmin(np.where(eligible, distance, np.inf), axis=1)
    chosen = eligible.any(axis=1) & (lot < motion.burst_share)
    target[chosen] = nearest[chosen]
    return target


def _rim_radius(pits: Pits, config: SimulateConfig) -> Floats:
    """Return (pits, t) the radius of the circle with each pit's area."""
    area = np.zeros((config.pits, config.frames))
    np.add.at(area, (pits.pixels["pit"].to_numpy(), pits.pixels["frame"].to_numpy()), 1.0)
    result: Floats = np.sqrt(np.cumsum(area, axis=1) / np.pi)
    return result


def _in_view(position: Floats, config: SimulateConfig) -> npt.NDArray[np.bool_]:
    """Return whether positions (..., 2) fall on a pixel."""
    size = np.array([config.width, config.height])
    return np.asarray(((position > -0.5) & (position < size - 0.5)).all(axis=-1))
