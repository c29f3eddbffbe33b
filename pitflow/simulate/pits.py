"""Pits: where they start, how they grow, and which pixel turns black when.

A pit's front is its radius over direction, about its first pixel. Each frame it advances mostly in
the direction of that moment's growth, which wanders about a direction of the pit's own. The rim is
a cover that corrodes through in places: there, only the holes of a random lace turn black.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import ndimage

from pitflow.simulate.config import SimulateConfig

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

N_DIRECTIONS = 90
"""Directions in which the front is followed."""

FIRST_RADIUS_PX = 2.5
"""Radius of a pit in its first frame."""

_LACE_PX = 1.4
_YOUNG_LACE = 0.3
_BETWEEN_PITS_PX = 70.0
_RAMP_FRAMES = 15.0
_QUIET = 0.06


@dataclass(frozen=True, slots=True)
class Pits:
    """All pits of a recording; n pits, t frames.

    Parameters
    ----------
    onset_frame, stop_frame:
        (n,) first frame, and frame from which the pit no longer grows (t: never).
    onset:
        (n, 2) x and y of the first pixel.
    direction_deg:
        (n, t + lag) growth direction; the growth in frame f follows ``direction_deg[:, f + lag]``,
        the departures in frame f follow ``direction_deg[:, f]``.
    front:
        (n, t, N_DIRECTIONS) radius of the front about the onset, px; 0 before the onset.
    activity:
        (n, t) strength of the pit's flow and ejection, 0 to 1.
    pixels:
        pit, frame, x, y of every pixel that turned pit (the table pit_pixels).
    """

    onset_frame: Ints
    stop_frame: Ints
    onset: Floats
    direction_deg: Floats
    front: Floats
    activity: Floats
    pixels: pd.DataFrame


def grow_pits(config: SimulateConfig, rng: np.random.Generator) -> Pits:
    """Place the pits and grow them through the recording."""
    n, frames = config.pits, config.frames
    onset = place_pits(config, rng)
    onset_frame = np.sort(_draw_onsets(config, rng))
    stop_frame = _draw_stops(config, onset_frame, rng)
    direction = wander(
        rng.uniform(0, 360, n),
        config.growth.wander_deg,
        config.growth.wander_frames,
        frames + config.lag,
        rng,
    )
    rate = config.growth.area_px_per_frame * rng.lognormal(0, 0.25, n)
    front = advance_front(
        direction[:, config.lag :], onset_frame, stop_frame, rate, config.growth.directedness
    )
    parts = [
        _black_pixels(
            pit,
            front[pit],
            onset[pit],
            int(onset_frame[pit]),
            # A pit that dies young has not been undermined.
            config.growth.lace * (1.0 if stop_frame[pit] >= frames else _YOUNG_LACE),
            rng,
        )
        for pit in range(n)
    ]
    pixels = _inside_and_once(parts, config.height, config.width)
    return Pits(
        onset_frame,
        stop_frame,
        onset,
        direction,
        front,
        _activity(onset_frame, stop_frame, frames),
        pixels,
    )


def place_pits(config: SimulateConfig, rng: np.random.Generator) -> Floats:
    """Return (n, 2) onsets on whole pixels, some of them in pairs, apart from each other."""
    size = np.array([config.width, config.height], dtype=float)
    margin = np.minimum(0.1 * size, 90.0)
    # Far enough apart that neighbours do not grow into one another.
    radius = FIRST_RADIUS_PX + np.sqrt(config.growth.area_px_per_frame * config.frames / np.pi)
    share = 0.5 * np.sqrt(size.prod() / max(config.pits, 1))
    apart = float(min(2 * radius + _BETWEEN_PITS_PX, share))
    points = np.empty((0, 2))
    for pit in range(config.pits):
        clustered = pit % 2 == 1 and rng.random() < 2 * config.growth.clustered_share
        for _ in range(200):
            if clustered:
                turn, step = rng.uniform(0, 2 * np.pi), apart * rng.uniform(1.0, 1.9)
                point = points[-1] + step * np.array([np.cos(turn), np.sin(turn)])
            else:
                point = rng.uniform(margin, size - 1 - margin)
            fits = bool(np.all((point >= margin) & (point <= size - 1 - margin)))
            if fits and (np.hypot(*(points - point).T) >= apart).all():
                break
            # A crowded frame has no room left at this distance.
            apart *= 0.99
        points = np.vstack([points, np.clip(point, margin, size - 1 - margin)])
    return np.round(points)


def wander(
    mean_deg: Floats, spread_deg: float, memory: float, steps: int, rng: np.random.Generator
) -> Floats:
    """Return (n, steps) directions that wander about their means (Ornstein-Uhlenbeck), deg.

    Parameters
    ----------
    spread_deg:
        Standard deviation about the mean.
    memory:
        Correlation time in steps.
    """
    keep = np.exp(-1.0 / memory)
    offset = np.empty((mean_deg.size, steps))
    state = rng.normal(0, 1, mean_deg.size)
    for step in range(steps):
        offset[:, step] = state
        state = keep * state + np.sqrt(1 - keep**2) * rng.normal(0, 1, mean_deg.size)
    return (mean_deg[:, None] + spread_deg * offset) % 360.0


def advance_front(
    direction_deg: Floats,
    onset_frame: Ints,
    stop_frame: Ints,
    area_rate: Floats,
    directedness: float,
) -> Floats:
    """Return the front's radius (n, t, N_DIRECTIONS).

    The advance is shared among directions as a von Mises density about ``direction_deg`` and scaled
    so that the enclosed area gains ``area_rate`` px^2 per frame.
    """
    n, frames = direction_deg.shape
    angles = np.arange(N_DIRECTIONS) * (2 * np.pi / N_DIRECTIONS)
    front = np.zeros((n, frames, N_DIRECTIONS))
    radius = np.full((n, N_DIRECTIONS), FIRST_RADIUS_PX)
    for frame in range(frames):
        grows = (frame > onset_frame) & (frame < stop_frame)
        toward = np.radians(direction_deg[:, frame])[:, None]
        lobe = np.exp(directedness * (np.cos(angles - toward) - 1)) + _QUIET
        gain = (radius * lobe).sum(axis=1) * (2 * np.pi / N_DIRECTIONS)
        radius = radius + lobe * (np.where(grows, area_rate, 0.0) / gain)[:, None]
        front[:, frame] = np.where((frame >= onset_frame)[:, None], radius, 0.0)
    return front


def front_radius(front: Floats, pit: Ints, frame: Ints, angle_rad: Floats) -> Floats:
    """Return the front's radius of a pit, in a frame, in a direction about the onset."""
    column = np.round(angle_rad * (N_DIRECTIONS / (2 * np.pi))).astype(np.int64) % N_DIRECTIONS
    result: Floats = front[pit, frame, column]
    return result


def _draw_onsets(config: SimulateConfig, rng: np.random.Generator) -> Ints:
    last = config.growth.onset_share * (config.frames - 1)
    onsets = np.floor(rng.uniform(0, last + 1, config.pits)).astype(np.int64)
    if config.pits:
        onsets[0] = 0
    return np.minimum(onsets, config.frames - 1)


def _draw_stops(config: SimulateConfig, onset_frame: Ints, rng: np.random.Generator) -> Ints:
    n, frames = config.pits, config.frames
    stops = np.full(n, frames, dtype=np.int64)
    chosen = rng.permutation(n)[: round(config.growth.metastable_share * n)]
    life = rng.uniform(0.25, 0.6, n) * (frames - onset_frame)
    stops[chosen] = (onset_frame + np.maximum(life, 1)).astype(np.int64)[chosen]
    return stops


def _activity(onset_frame: Ints, stop_frame: Ints, frames: int) -> Floats:
    frame = np.arange(frames)[None, :]
    since, after = frame - onset_frame[:, None], frame - stop_frame[:, None]
    rise = 1 - np.exp(-np.maximum(since, 0) / _RAMP_FRAMES)
    fall = np.exp(-np.maximum(after, 0) / _RAMP_FRAMES)
    return np.where(since >= 0, rise * fall, 0.0)


def _black_pixels(
    pit: int, front: Floats, onset: Floats, onset_frame: int, lace: float, rng: np.random.Generator
) -> pd.DataFrame:
    """Return when each pixel of one pit turns black."""
    final = front[-1]
    reach = int(np.ceil(final.max() * 1.25)) + 3
    side = np.arange(-reach, reach + 1)
    dx, dy = np.meshgrid(side, side)
    distance = np.hypot(dx, dy)
    angle = np.arctan2(dy, dx)
    column = np.round(angle * (N_DIRECTIONS / (2 * np.pi))).astype(np.int64) % N_DIRECTIONS
    ragged = _smooth_noise(distance.shape, max(2.5, 0.1 * reach), rng)
    effective = distance * (1 + 0.07 * ragged)
    # How far out a pixel lies between the onset (0) and the final front (1).
    depth = effective / final[column]
    # The core is open and nearly round; beyond it the metal is undermined, and only the holes of
    # its cover are black.
    size = float(np.sqrt(np.mean(final**2)))
    core = size * (1.1 - lace) * (1 + 0.15 * np.cos(angle - rng.uniform(0, 2 * np.pi)))
    beyond = effective - core
    covered = np.clip(beyond / max(size * lace, 1.0), 0, 1)
    holes = _lace_noise(distance, angle, float(final.max()), rng)
    bridge = 0.7 * np.exp(-((beyond / 2.0) ** 2))
    solid = (beyond <= 0) | (holes > 0.25 + 0.35 * covered + bridge)
    ever = (depth <= 1) & solid | (distance <= FIRST_RADIUS_PX)
    when = np.full(distance.shape, onset_frame, dtype=np.int64)
    for direction in range(N_DIRECTIONS):
        at = (column == direction) & ever & (distance > FIRST_RADIUS_PX)
        when[at] = np.searchsorted(front[:, direction], effective[at])
    when = np.maximum(when, onset_frame)
    ever &= when < front.shape[0]
    rows, columns = np.nonzero(ever)
    return pd.DataFrame(
        {
            "pit": np.full(rows.size, pit, dtype=np.int64),
            "frame": when[rows, columns],
            "x": side[columns] + int(onset[0]),
            "y": side[rows] + int(onset[1]),
        }
    )


def _smooth_noise(shape: tuple[int, ...], scale: float, rng: np.random.Generator) -> Floats:
    """Return noise of unit variance, correlated over ``scale`` px."""
    noise = ndimage.gaussian_filter(rng.normal(0, 1, shape), scale, mode="wrap")
    result: Floats = noise / max(float(noise.std()), 1e-12)
    return result


def _lace_noise(distance: Floats, angle: Floats, radius: float, rng: np.random.Generator) -> Floats:
    """Return noise of unit variance whose blobs are arcs around the pit, wider than deep."""
    rings, sectors = max(8, int(1.3 * radius)), 128
    polar = rng.normal(0, 1, (rings, sectors))
    arc_px = 2 * np.pi * 0.7 * radius / sectors
    polar = ndimage.gaussian_filter(
        polar, (_LACE_PX, 1.25 * _LACE_PX / max(arc_px, 0.1)), mode=("nearest", "wrap")
    )
    at = np.stack([distance, (angle % (2 * np.pi)) * (sectors / (2 * np.pi))])
    noise = ndimage.map_coordinates(polar, at, order=1, mode="grid-wrap")
    result: Floats = noise / max(float(polar.std()), 1e-12)
    return result


def _inside_and_once(parts: list[pd.DataFrame], height: int, width: int) -> pd.DataFrame:
    """Join the pits' pixels; where two meet, the first to arrive keeps the pixel."""
    if not parts:
        return pd.DataFrame(
            {name: np.empty(0, dtype=np.int64) for name in ("pit", "frame", "x", "y")}
        )
    pixels = pd.concat(parts, ignore_index=True)
    inside = pixels["x"].between(0, width - 1) & pixels["y"].between(0, height - 1)
    pixels = pixels[inside].sort_values(["frame", "pit", "y", "x"], kind="stable")
    return pixels.drop_duplicates(["x", "y"]).reset_index(drop=True)
