"""Where a network need not look: where nothing is darker than it was before.

The scale-space response of the darkening, at a threshold so low that noise passes it too, proposes
places, and so do the particles of the frame before; the surroundings of pits are proposed whole.
What is too faint for one frame is often there in those around it, not far away, where noise is not:
so the frames before and after count too. The rest of the frame, nearly all of it, cannot hold a
particle that a network would see. How far that is so is measured in squares that are searched in
turn, whatever they show.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.spatial import cKDTree

from pitflow.segment.classical.blobs import Seeds
from pitflow.segment.patches import Boxes

Ints = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

FAINTEST = 3.5
"""Of what is fainter than this, in noise sigmas, there is too much to be looked for again."""
_WAY_PX = 4.0
"""As near as this a blob is looked for in the frames around: what is too faint for one frame is
mostly blurred, which is far from its pit, and slow."""
_MOST_NEAR = 4
"""Of so many of the nearest there the clearest counts."""

_FEW = 100
"""Of fewer particles no share is given."""
_REACH_PX = 3.0
"""An answer is wanted this far around a proposed place, and further at wider scales."""
_MORE_PX = 8.0
"""At these, so much more around it is shown: what is wide and faint is told by its surroundings."""
_AGAIN_PX = 8
"""A particle of the frame before is looked for as near as this to its old place."""
_CELL_PX = 4
_SQUARE_PX, _GOLDEN = 256, 0.618
"""Squares that are looked at in turn, and the share of them that lies between one and the next."""
_BLOCK = 4
"""What lies near a pit is proposed in blocks of so many cells, for fewer of them."""


@dataclass(frozen=True, slots=True)
class Search:
    """How a frame was searched.

    Parameters
    ----------
    share:
        Share of the frame that the gate proposed.
    checked:
        Share of the frame that was searched whatever it shows.
    found, lost:
        Particles found in that, and those of them outside of what the gate proposed. None if it is
        nothing.
    """

    share: float
    checked: float = 0.0
    found: int | None = None
    lost: int | None = None


@dataclass(frozen=True, slots=True)
class GateLoss:
    """What the gate of a run saved, and what it cost.

    Parameters
    ----------
    share:
        Share of the frames that it proposed.
    frames_checked:
        How many frames the places make up that were searched whatever they showed.
    found, lost:
        Particles found in those, and those of them outside of what it proposed.
    frames:
        How many there are.
    """

    share: float
    frames_checked: float
    found: int
    lost: int
    frames: int

    @property
    def lost_share(self) -> float:
        """Share of the particles that the gate loses; NaN where none were found."""
        return self.lost / self.found if self.found else math.nan

    def __str__(self) -> str:
        everywhere = self.frames_checked >= self.frames
        text = (
            "the network looked everywhere; its gate (only where something is darker than before) "
            f"would let it look at {100 * self.share:.1f} %"
            if everywhere
            else "the network looked only where something is darker than before (the gate), at "
            f"{100 * self.share:.1f} % of each frame"
        )
        if not self.found:
            return text
        if self.found < _FEW:
            lost = f"{self.lost} of {self.found}"
        else:
            lost = f"{100 * self.lost_share:.1f} % of {self.found}"
        if everywhere:
            return f"{text} of each frame and lose {lost} particles"
        return f"{text}; of parts searched whatever they showed, {lost} particles lay elsewhere"


def gate_loss(searches: Sequence[Search]) -> GateLoss:
    """Return what the gate saved and lost over some frames, at least one."""
    return GateLoss(
        sum(search.share for search in searches) / len(searches),
        sum(search.checked for search in searches),
        sum(search.found or 0 for search in searches),
        sum(search.lost or 0 for search in searches),
        len(searches),
    )


@dataclass(frozen=True, slots=True)
class Places:
    """Some pixels of a frame, (n,) each."""

    row: Ints
    column: Ints

    @classmethod
    def none(cls) -> Places:
        """Return no place."""
        return cls(np.empty(0, np.intp), np.empty(0, np.intp))

    @classmethod
    def of(cls, particles: pd.DataFrame) -> Places:
        """Return where the particles of one frame are, by their ``x`` and ``y``."""
        row, column = (
            np.rint(particles[name].to_numpy(np.float64)).astype(np.intp) for name in ("y", "x")
        )
        return cls(row, column)


def clearness(blobs: Seeds, around: Sequence[Seeds]) -> npt.NDArray[np.float64]:
    """Return how clear each blob is in some frames together, in noise sigmas.

    The root of the sum of squares of its own signal to noise and of the greatest near it in each of
    the frames around it.

    Parameters
    ----------
    blobs, around:
        Those of a frame and of the frames around it, from ``FAINTEST`` on.
    """
    squares = blobs.snr**2
    here = np.column_stack(blobs.pixels())
    for others in around:
        if not blobs.snr.size or not others.snr.size:
            continue
        _, near = cKDTree(np.column_stack(others.pixels())).query(
            here, _MOST_NEAR, distance_upper_bound=_WAY_PX
        )
        # Where there are fewer than that, the place of none is one past the last.
        squares = squares + np.append(others.snr, 0.0)[near].max(axis=1) ** 2
    together: npt.NDArray[np.float64] = np.sqrt(squares)
    return together


def propose(seeds: Seeds, pit: Mask, rim_px: float, before: Places) -> Boxes:
    """Return where a particle can be.

    Parameters
    ----------
    seeds:
        Blobs that are clear enough.
    pit:
        (height, width) mask of the pits.
    rim_px:
        Everything as near as this to a pit is proposed.
    before:
        Particles in the frame before. Where no blob has taken the place of one, it is looked for
        around its old place, for a faint one is no blob in each frame.
    """
    shape = pit.shape[0], pit.shape[1]
    step = 2**seeds.level
    found = Places(*seeds.pixels())
    reach = np.rint(_REACH_PX * np.sqrt(step) + _MORE_PX * (seeds.level > 0)).astype(np.intp)
    blobs = Boxes.around(found.row, found.column, reach, reach + 1, shape)
    lost = _without(before, found)
    again = Boxes.around(lost.row, lost.column, _AGAIN_PX, _AGAIN_PX + 1, shape)
    row, column = _blocks_near(pit, rim_px)
    return blobs + again + Boxes.around(row, column, 0, _BLOCK * _CELL_PX, shape)


def in_turn(shape: tuple[int, ...], frame: int, every: int) -> Boxes:
    """Return the squares of a (height, width) image that are looked at in a frame in any case.

    In ``every`` frames each of them has one turn, and those of few frames lie all over the image.
    """
    tops, lefts = (np.arange(0, size, _SQUARE_PX) for size in shape)
    n = tops.size * lefts.size
    step = next(step for step in range(max(round(_GOLDEN * n), 1), n + 1) if math.gcd(step, n) == 1)
    turn = np.arange(n) * every // n
    due = np.flatnonzero(turn == frame % every) * step % n
    row, column = np.divmod(due, lefts.size)
    return Boxes.around(tops[row], lefts[column], 0, _SQUARE_PX, (shape[0], shape[1]))


def _without(places: Places, others: Places) -> Places:
    """Return the places that have none of the others near them."""
    if not places.row.size or not others.row.size:
        return places
    tree = cKDTree(np.column_stack([others.row, others.column]))
    alone = tree.query(np.column_stack([places.row, places.column]))[0] > _AGAIN_PX
    return Places(places.row[alone], places.column[alone])


def _blocks_near(pit: Mask, distance_px: float) -> tuple[Ints, Ints]:
    """Return the first pixels of the blocks of a coarse grid that lie near a pit."""
    cells = _coarser(pit, _CELL_PX)
    # Cells of which some pixels are as near to one another.
    reach = int(np.ceil(distance_px / _CELL_PX))
    away = np.maximum(np.abs(np.arange(-reach, reach + 1)) - 1, 0) * _CELL_PX
    near = cv2.dilate(cells, (np.hypot(away[:, None], away) <= distance_px).astype(np.uint8))
    row, column = np.nonzero(_coarser(near, _BLOCK))
    return row * _BLOCK * _CELL_PX, column * _BLOCK * _CELL_PX


def _coarser(marked: Mask | npt.NDArray[np.uint8], step: int) -> npt.NDArray[np.uint8]:
    """Return 1 for each square of ``step`` x ``step`` pixels in which any is marked."""
    height, width = marked.shape
    row, column = np.divmod(np.flatnonzero(marked), width)
    squares = np.zeros((-(-height // step), -(-width // step)), np.uint8)
    squares[row // step, column // step] = 1
    return squares
