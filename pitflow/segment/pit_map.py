"""The pits of a recording, pixel by pixel: which, from when on, and how they look in a frame."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import ndimage

from pitflow.frame import CLASS_BACKGROUND, Frame
from pitflow.schema import PIT_PIXELS, empty_table, validate_table
from pitflow.segment.classical.window import DOUBT, Window, change_point
from pitflow.segment.landed import NOT_DARK

Ints = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]
Frames = npt.NDArray[np.int64]
"""Numbers of frames."""

NEVER = NOT_DARK
"""Arrival of a pixel that has not become pit."""

_RIM_PX = 2
_SPECK_AREA, _PAUSE_FRAMES = 30, 12
_SOON = 0.5
"""At the end of a block, where no frames are looked at ahead, one dark frame is enough: the map
knows that the pixel is pit soon after."""


@dataclass(frozen=True, slots=True)
class PitMap:
    """Every pixel that becomes pit, in reference geometry.

    Parameters
    ----------
    shape:
        (height, width) of the frames.
    row, column, pit:
        (m,) pixels and the pit each belongs to, from 0.
    since:
        (m,) first block whose background shows the pixel as pit; ``n_blocks`` where only the end
        of the recording does.
    limit:
        (m,) grey level below which the pixel is pit, at the reference's brightness.
    n_pits:
        Number of pits.
    end:
        (height, width) float32: the scene at the end of the recording, None if it is not known.
        The last background shows it as it was half a block before.
    n_static:
        Number of dark spots large enough for a pit that are none, for they were there from the
        start and have not grown.
    not_before:
        (m,) frame before which a pixel is dark but no pit: what had landed there is part of the pit
        from when the pit has grown around it. None: every pixel is pit once it is dark.
    n_landed:
        Number of dark spots large enough for a pit that are none, for they came at once, or one
        landing after another.
    n_beside:
        Number of dark parts beside pits that are none of them, for the same reason.
    """

    shape: tuple[int, int]
    row: Ints
    column: Ints
    pit: Ints
    since: Ints
    limit: npt.NDArray[np.float32]
    n_pits: int
    end: npt.NDArray[np.float32] | None = None
    n_static: int = 0
    not_before: Frames | None = None
    n_landed: int = 0
    n_beside: int = 0

    def state(self, window: Window) -> Mask:
        """Return (window.n, m): which pixels are pit in each of the window's own frames."""
        state = np.zeros((window.n, self.row.size), np.bool_)
        state[:, self.since < window.block] = True
        changing, arrival = self.turning(window)
        state[:, changing] = np.arange(window.n)[:, None] >= arrival
        if self.not_before is not None:
            numbers = np.array([frame.index for frame in window.frames[: window.n]])
            state &= numbers[:, None] >= self.not_before
        return state

    def turning(self, window: Window) -> tuple[Ints, Ints]:
        """Return which pixels turn dark in the window's block, and when.

        Returns
        -------
        (k,) indices of pixels of the map, and (k,) the frame of the window in which each turns
        dark, from 0; ``window.n`` or more: in none of its own.
        """
        block = window.block
        changing = np.flatnonzero((self.since == block) | (self.since == block + 1))
        if not changing.size:
            return changing, changing
        evidence = np.zeros((len(window.frames), changing.size), np.float32)
        for i, frame in enumerate(window.frames):
            if frame.quality == "ok":
                limit = self.limit[changing] * np.float32(frame.gain)
                seen = self._in_frame(frame, changing)[2]
                evidence[i] = np.where(self._shown_by(frame, changing) < limit, 1, -1) * seen
        ahead = len(window.frames) > window.n
        doubt = DOUBT if ahead else _SOON
        return changing, change_point(evidence, doubt=doubt, earlier_is_sure=True)

    def draw(self, state: Mask, frame: Frame, shape: tuple[int, int]) -> Mask:
        """Return the (height, width) mask of the pixels with ``state``, in the frame's geometry."""
        mask = np.zeros(shape, np.bool_)
        row, column, seen = self._in_frame(frame, np.flatnonzero(state))
        mask[row[seen], column[seen]] = True
        return mask

    def boxes(self, block: int, margin: int) -> list[tuple[slice, slice]]:
        """Return the box around each pit that exists by the next block, in reference geometry."""
        height, width = self.shape
        boxes = []
        for pit in range(self.n_pits):
            own = (self.pit == pit) & (self.since <= block + 1)
            if own.any():
                row, column = self.row[own], self.column[own]
                top, bottom = max(row.min() - margin, 0), min(row.max() + margin + 1, height)
                left, right = max(column.min() - margin, 0), min(column.max() + margin + 1, width)
                boxes.append((slice(int(top), int(bottom)), slice(int(left), int(right))))
        return boxes

    def sample(self, classes: npt.NDArray[np.uint8], frame: Frame) -> npt.NDArray[np.uint8]:
        """Return (m,) the frame's class at every pixel of the map; background out of view."""
        row, column, seen = self._in_frame(frame, np.arange(self.row.size))
        return np.where(seen, classes[row, column], np.uint8(CLASS_BACKGROUND))

    def _shown_by(self, frame: Frame, pixels: Ints) -> npt.NDArray[np.float32]:
        """Return the grey level of some pixels of the map in a frame.

        Between the frame's pixels: or, where a drift passes half a pixel, all pits seem to grow.
        """
        dx, dy = frame.shift
        at = [self.row[pixels] + dy, self.column[pixels] + dx]
        level: npt.NDArray[np.float32] = ndimage.map_coordinates(
            frame.image, at, np.float32, order=1, mode="nearest"
        )
        return level

    def _in_frame(self, frame: Frame, pixels: Ints) -> tuple[Ints, Ints, Mask]:
        return frame.pixels_at(self.row[pixels], self.column[pixels])


def no_pits(shape: tuple[int, int]) -> PitMap:
    """Return the map of a scene without pits, (height, width)."""
    none = np.empty(0, np.intp)
    return PitMap(shape, none, none, none, none, none.astype(np.float32), 0)


def with_rim(pit: Mask) -> Mask:
    """Return a pit mask with the blurred edge around it, which is pit and steel in one pixel."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _RIM_PX + 1, 2 * _RIM_PX + 1))
    grown: npt.NDArray[np.uint8] = cv2.dilate(pit.view(np.uint8), kernel)
    return grown.view(np.bool_)


def pit_pixels(pits: PitMap, arrival: npt.NDArray[np.int64]) -> pd.DataFrame:
    """Return the ``pit_pixels`` table; pits are numbered by onset.

    Parameters
    ----------
    arrival:
        (m,) first frame in which each pixel of the map is pit, ``NEVER`` for none.
    """
    arrival = _specks_swallowed(pits, arrival)
    seen = arrival != NEVER
    if not seen.any():
        return empty_table(PIT_PIXELS)
    onset = np.full(pits.n_pits, NEVER)
    np.minimum.at(onset, pits.pit[seen], arrival[seen])
    number = np.empty(pits.n_pits, np.intp)
    number[np.argsort(onset, kind="stable")] = np.arange(pits.n_pits)
    table = pd.DataFrame(
        {
            "pit": number[pits.pit[seen]],
            "frame": arrival[seen],
            "x": pits.column[seen],
            "y": pits.row[seen],
        }
    )
    return validate_table(table.sort_values(["pit", "frame", "y", "x"]), PIT_PIXELS)


def _specks_swallowed(pits: PitMap, arrival: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Let a dark speck that a pit has grown over become pit only when the pit reached it.

    Such a speck is small, was there first, and did not grow for a while.
    """
    arrival = arrival.copy()
    for pit in range(pits.n_pits):
        own = np.flatnonzero((pits.pit == pit) & (arrival != NEVER))
        times = np.sort(arrival[own])
        pauses = np.flatnonzero(np.diff(times) >= _PAUSE_FRAMES)
        pauses = pauses[pauses + 1 < _SPECK_AREA]
        if not pauses.size or own.size < 2 * _SPECK_AREA:
            continue
        late = arrival[own] > times[pauses[-1]]
        early, grown = own[~late], own[late]
        for pixel in early:
            apart = np.hypot(
                pits.row[grown] - pits.row[pixel], pits.column[grown] - pits.column[pixel]
            )
            arrival[pixel] = arrival[grown[np.argmin(apart)]]
    return arrival
