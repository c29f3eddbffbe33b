"""What does not move: landed particles, flicker of the texture, detections seen once.

In one frame a settled speck and a moving particle look alike; only time tells them apart. On
simulated recordings with rendered steel most detections outside any track are false alarms at the
rims of growing pits, and nearly all true ones are in a track.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from pitflow.config import LinkConfig

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def drop_settled(particles: pd.DataFrame, config: LinkConfig) -> pd.DataFrame:
    """Remove the rows of what is not seen to move.

    - *At rest.* A track is at rest from the frame after the last one in which it was further than
      ``rest_px`` from where it ends (the median of its last ``rest_frames`` frames). Rest of
      ``rest_frames`` or more is removed, a shorter one may be a slow passage and stays. So a track
      that slows down to less than about ``rest_px / rest_frames`` per frame for good has landed.
    - *Never away.* What is then left of a track must get further than ``least_move_px`` from its
      first place, which is about a particle's own size: less is flicker of the texture or a rim.
    - *In no track.* Detections that are linked to fewer than ``min_length``, unless
      ``keep_unlinked``.

    Parameters
    ----------
    particles:
        Linked detections with ``particle``, ``frame``, ``x``, ``y``.
    config:
        The limits above; 0 px switches a test off.

    Returns
    -------
    pandas.DataFrame
        The rows that are left, in their order, with a fresh index and tracks numbered without
        holes.
    """
    particle = particles["particle"].to_numpy(np.int64)
    frame = particles["frame"].to_numpy(np.int64)
    xy = particles[["x", "y"]].to_numpy(np.float64)
    linked = np.flatnonzero(particle >= 0)
    resting = np.zeros(len(particles), bool)
    if len(linked):
        order = linked[np.lexsort((frame[linked], particle[linked]))]
        _, track = np.unique(particle[order], return_inverse=True)
        last = np.append(np.flatnonzero(np.diff(track)), len(track) - 1)
        end_frame = frame[order][last][track]
        tail = frame[order] > end_frame - config.rest_frames
        end = pd.DataFrame(xy[order][tail]).groupby(track[tail]).median().to_numpy()
        away = np.hypot(*(xy[order] - end[track]).T) > config.rest_px
        moved_until = np.full(len(last), np.iinfo(np.int64).min)
        np.maximum.at(moved_until, track[away], frame[order][away])
        quiet = frame[order] > moved_until[track]
        quiet_from = np.full(len(last), np.iinfo(np.int64).max)
        np.minimum.at(quiet_from, track[quiet], frame[order][quiet])
        long_enough = frame[order][last] - quiet_from + 1 >= config.rest_frames
        resting[order] = quiet & long_enough[track] & (config.rest_px > 0)
    left = particles[~resting].reset_index(drop=True)
    left["particle"] = _renumber(left["particle"].to_numpy(np.int64), config.min_length)
    moving = left["particle"].to_numpy(np.int64) >= 0
    flicker = moving & (_reach(left) < config.least_move_px)
    keep = moving & ~flicker
    if config.keep_unlinked:
        keep |= ~moving
    left = left[keep].reset_index(drop=True)
    left["particle"] = _renumber(left["particle"].to_numpy(np.int64), 1)
    return left


def _reach(particles: pd.DataFrame) -> Floats:
    """Return, for each row, how far its track ever gets from its first place, px."""
    first = particles.sort_values("frame", kind="stable").groupby("particle")[["x", "y"]].first()
    start = first.loc[particles["particle"]].to_numpy(np.float64)
    away = np.hypot(*(particles[["x", "y"]].to_numpy(np.float64) - start).T)
    return (
        pd.Series(away).groupby(particles["particle"].to_numpy()).transform("max").to_numpy(float)
    )


def _renumber(particle: Ints, min_length: int) -> Ints:
    numbers, inverse, length = np.unique(particle, return_inverse=True, return_counts=True)
    kept = (numbers >= 0) & (length >= min_length)
    number: Ints = np.where(kept, np.cumsum(kept) - 1, -1)[inverse]
    return number
