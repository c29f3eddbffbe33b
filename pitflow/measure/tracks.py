"""Linked detections laid out as tracks, for work on all tracks at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from pitflow.clock import Clock

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Tracks:
    """All linked detections, sorted by track and then by frame.

    Parameters
    ----------
    row:
        Position of each detection in the particles table.
    frame, x, y:
        (n,) frame and position in reference geometry (stage drift removed), px.
    start, count:
        (n_tracks,) first detection of each track and its number of detections.
    particle:
        (n_tracks,) track numbers.
    clock:
        When the frames were taken.
    """

    row: Ints
    frame: Ints
    x: Floats
    y: Floats
    start: Ints
    count: Ints
    particle: Ints
    clock: Clock

    @cached_property
    def moment(self) -> Floats:
        """(n,) when each detection was made, in frames of the nominal rate."""
        return self.clock.moment_of(self.frame)

    @property
    def n_tracks(self) -> int:
        """Number of tracks."""
        return self.start.size

    @cached_property
    def track(self) -> Ints:
        """(n,) index of each detection's track."""
        return np.repeat(np.arange(self.n_tracks), self.count)

    def median(self, values: Floats) -> Floats:
        """Return (n,) the median of its track's values for each detection; NaN do not count."""
        medians = pd.Series(values).groupby(self.track).transform("median")
        return medians.to_numpy(dtype=np.float64)

    def neighbours(self, offset: int) -> tuple[Ints, npt.NDArray[np.bool_]]:
        """Return the detection ``offset`` further on in the same track, and which exist."""
        index = np.arange(self.frame.size) + offset
        inside = (index >= 0) & (index < self.frame.size)
        index = np.clip(index, 0, max(self.frame.size - 1, 0))
        return index, inside & (self.track[index] == self.track)

    def head(self, length: int) -> tuple[Ints, npt.NDArray[np.bool_]]:
        """Return (n_tracks, length) indices of each track's first detections, and which exist."""
        steps = np.arange(length)
        exists = steps[None, :] < self.count[:, None]
        return np.where(exists, self.start[:, None] + steps, self.start[:, None]), exists


def sort_tracks(
    particles: pd.DataFrame,
    frames: pd.DataFrame,
    chosen: npt.NDArray[np.bool_] | None = None,
    clock: Clock | None = None,
) -> Tracks:
    """Lay out the linked detections as tracks in reference geometry.

    Parameters
    ----------
    particles:
        ``frame``, ``x``, ``y`` in the frame's own geometry and ``particle`` (-1: not linked).
    frames:
        ``frame``, ``shift_x_px``, ``shift_y_px``.
    chosen:
        (n,) detections that count; None: all.
    clock:
        When the frames were taken; None: at an even rate.
    """
    x, y = reference_position(particles, frames)
    number = particles["particle"].to_numpy(dtype=np.int64)
    frame = particles["frame"].to_numpy(dtype=np.int64)
    row = np.lexsort((frame, number))
    row = row[number[row] >= 0] if chosen is None else row[(number[row] >= 0) & chosen[row]]
    particle, start, count = np.unique(number[row], return_index=True, return_counts=True)
    return Tracks(
        row=row,
        frame=frame[row],
        x=x[row],
        y=y[row],
        start=start.astype(np.int64),
        count=count.astype(np.int64),
        particle=particle,
        clock=clock or Clock.even(),
    )


def reference_position(particles: pd.DataFrame, frames: pd.DataFrame) -> tuple[Floats, Floats]:
    """Return the detections' x and y with the stage drift removed, px."""
    frame = particles["frame"].to_numpy(dtype=np.int64)
    return (
        particles["x"].to_numpy(dtype=np.float64) - lookup_frame(frames, "shift_x_px", frame),
        particles["y"].to_numpy(dtype=np.float64) - lookup_frame(frames, "shift_y_px", frame),
    )


def lookup_frame(frames: pd.DataFrame, column: str, frame: Ints) -> Floats:
    """Return a column of the frames table at the given frames.

    Raises
    ------
    ValueError
        If a frame is not in the table.
    """
    if frame.size == 0:
        return np.empty(0)
    known = frames["frame"].to_numpy(dtype=np.int64)
    order = np.argsort(known)
    place = np.searchsorted(known, frame, sorter=order)
    found = order[np.minimum(place, known.size - 1)] if known.size else np.empty(0, dtype=np.int64)
    if known.size == 0 or not np.array_equal(known[found], frame):
        raise ValueError("particles lie in frames that the frames table does not hold")
    return np.asarray(frames[column].to_numpy(dtype=np.float64)[found])


def local_line(
    tracks: Tracks, values: Floats, half_width: int, weights: Floats, part: Ints | None = None
) -> tuple[Floats, Floats]:
    """Return slope per frame and level of a local line around each detection.

    The kernel is tricube over time; detections with weight 0 do not count.

    Parameters
    ----------
    values:
        (..., n): of several values per detection each has a line of its own.
    part:
        (n,) the part of its track that the step to each detection is of: no line holds steps of
        two. A detection between two parts has the line of the earlier. None: there are no parts.
    """
    n = tracks.frame.size
    total, t1, t2 = np.zeros((3, n))
    v0, v1 = np.zeros((2, *values.shape))
    for offset in range(-half_width, half_width + 1):
        index, valid = tracks.neighbours(offset)
        if part is not None:
            # The steps from an earlier detection begin with the one after it.
            valid &= part[np.minimum(index + (offset < 0), n - 1)] == part
        t = tracks.moment[index] - tracks.moment
        kernel = np.clip(1.0 - (np.abs(t) / (half_width + 1.0)) ** 3, 0.02, None)
        w = np.where(valid, kernel * weights[index], 0.0)
        value = np.where(w > 0, values[..., index], 0.0)
        total += w
        t1 += w * t
        t2 += w * (t * t)
        v0 += w * value
        v1 += w * (t * value)
    determinant = total * t2 - t1 * t1
    solvable = determinant > 1e-9 * np.maximum(total, 1e-12) ** 2
    safe = np.where(solvable, determinant, 1.0)
    slope = np.where(solvable, (total * v1 - t1 * v0) / safe, np.nan)
    level = np.where(solvable, (t2 * v0 - t1 * v1) / safe, v0 / np.where(total > 0, total, np.nan))
    return slope, level
