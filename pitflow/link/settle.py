"""Particles that have landed: from then on they are specks on the steel, not moving particles."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pitflow.config import LinkConfig


def drop_settled(particles: pd.DataFrame, config: LinkConfig) -> pd.DataFrame:
    """Remove the rows of particles at rest.

    A track is at rest from the frame after the last one in which it was further than ``rest_px``
    from where it ends (the median of its last ``rest_frames`` frames). Rest of ``rest_frames`` or
    more is removed, a shorter one may be a slow passage and stays. So a track that slows down to
    less than about ``rest_px / rest_frames`` per frame for good has landed, and a false alarm on
    the static texture, which never moves, goes altogether. What is left of a track and is shorter
    than ``min_length`` is unlinked.

    Parameters
    ----------
    particles:
        Linked detections with ``particle``, ``frame``, ``x``, ``y``.
    config:
        ``rest_px``, ``rest_frames`` and ``min_length``; ``rest_px = 0`` keeps everything.

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
    return left


def _renumber(particle: np.ndarray, min_length: int) -> np.ndarray:
    numbers, inverse, length = np.unique(particle, return_inverse=True, return_counts=True)
    kept = (numbers >= 0) & (length >= min_length)
    return np.where(kept, np.cumsum(kept) - 1, -1)[inverse]
