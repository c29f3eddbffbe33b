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
Mask = npt.NDArray[np.bool_]

_SHORT_REST = 3
"""Detections that make a rest, of a particle that was too fast before to be seen there thrice."""
_SURE = 0.9
"""Score from which three in four detections are particles, of those that came too late to be
followed; measured on simulated recordings. Of all that are in no track it is one in three."""
_MORE = 2
"""So many times the usual number came late: at least half of them would have been followed."""


def drop_settled(particles: pd.DataFrame, config: LinkConfig) -> pd.DataFrame:
    """Remove the rows of what is not seen to move.

    - *At rest.* A track is at rest from the frame after the last one in which it was further than
      ``rest_px`` from where it ends (the median of its last ``rest_frames`` frames). Rest of
      ``rest_frames`` or more is removed, a shorter one may be a slow passage and stays. So a track
      that slows down to less than about ``rest_px / rest_frames`` per frame for good has landed.
      So has one that stops short: that stays where, at the speed it had, it would have gone on by
      ``least_move_px``. What is seen there then is the trace of the landed particle.
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
    if len(linked) and config.rest_px > 0:
        order = linked[np.lexsort((frame[linked], particle[linked]))]
        _, track = np.unique(particle[order], return_inverse=True)
        resting[order] = _at_rest(track, frame[order], xy[order], config)
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


def came_too_late(particles: pd.DataFrame, last_frame: int, config: LinkConfig) -> Mask:
    """Return which detections are in no track because the recording ends too soon for one.

    Parameters
    ----------
    particles:
        Linked detections with ``particle``, ``frame``, ``score``.
    last_frame:
        The last one in which anything can be seen.
    config:
        ``min_length``, frames that a track needs.

    Returns
    -------
    mask:
        (n,) bool: of the detections of the last ``min_length - 1`` frames those in no track of
        which the segmenter is sure. None where there are not twice as many to a frame as before:
        they then are what is in no track at any time.
    """
    n_late = config.min_length - 1
    since = last_frame - n_late
    frame = particles["frame"].to_numpy()
    sure = (particles["particle"].to_numpy() < 0) & (particles["score"].to_numpy() >= _SURE)
    late: Mask = sure & (frame > since)
    n_before = since - frame.min(initial=since) + 1
    usual = np.count_nonzero(sure & ~late) / n_before
    is_more = np.count_nonzero(late) >= _MORE * usual * n_late
    return late & np.bool_(is_more)


def _at_rest(track: Ints, frame: Ints, xy: Floats, config: LinkConfig) -> Mask:
    """Return which detections, ordered by track and frame, are of a particle that has landed."""
    resting = np.zeros(len(track), bool)
    last = np.append(np.flatnonzero(np.diff(track)), len(track) - 1)
    first = np.append(0, last[:-1] + 1)
    short = [_SHORT_REST] if config.least_move_px > 0 else []
    for tail_frames in (config.rest_frames, *short):
        tail = frame > frame[last][track] - tail_frames
        end = pd.DataFrame(xy[tail]).groupby(track[tail]).median().to_numpy()
        away = np.hypot(*(xy - end[track]).T) > config.rest_px
        # The row after the last one that was away, of each track.
        quiet = first.copy()
        np.maximum.at(quiet, track[away], np.flatnonzero(away) + 1)
        rests = np.flatnonzero(quiet <= last)
        since = quiet[rests]
        n = frame[last[rests]] - frame[since] + 1
        landed = n >= config.rest_frames
        if tail_frames < config.rest_frames:
            speed = _speed_before(first[rests], since, frame, xy)
            landed = (n >= _SHORT_REST) & (n * speed >= config.least_move_px)
        rests, since = rests[landed], since[landed]
        resting |= np.arange(len(track)) >= _spread(rests, since, len(last))[track]
    return resting


def _spread(tracks: Ints, rows: Ints, n: int) -> Ints:
    """Return (n,) the row given for each of some tracks, beyond all rows for the others."""
    out = np.full(n, np.iinfo(np.int64).max)
    out[tracks] = rows
    return out


def _speed_before(first: Ints, row: Ints, frame: Ints, xy: Floats) -> Floats:
    """Return the speed over the four steps that end before ``row``, px/frame; 0 without two."""
    after = row - 1
    before = np.maximum(after - 4, first)
    known = after - before >= 2
    speed = np.zeros(len(row))
    a, b = before[known], after[known]
    speed[known] = np.hypot(*(xy[b] - xy[a]).T) / (frame[b] - frame[a])
    return speed


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
