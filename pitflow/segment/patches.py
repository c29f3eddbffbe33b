"""Small square patches over the few places of an image that are to be looked at.

halo         What is to be looked at is given as boxes. A patch answers for its core alone, and
+-------+    sees a halo around it; so one patch for two boxes far apart is more work than one
| +---+ |    for each, and one for a whole crowd is less. Boxes are split in two where the gap
| |core | |  between them is widest, as long as that is less work.
| +---+ |
+-------+    Unlike tiles (``pitflow.segment.tiles``), patches lie where they are wanted, not on
             a grid.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pitflow.segment.tiles import Axis, TilePlan

Ints = npt.NDArray[np.intp]

CORES_PX = (16, 32, 48, 64, 96, 128, 192, 256)
"""Sides of cores: few, for a processor's library makes code for every size that it meets."""
ALIGN_PX = 4
"""Cores start and end at multiples of this."""
_MANY = 16
_GOOD_ENOUGH = 1.15
"""A patch that is at most this much more work than any others could be is not split."""


@dataclass(frozen=True, slots=True)
class Boxes:
    """Parts of an image that are to be looked at, (n,) arrays in px, ends excluded."""

    top: Ints
    left: Ints
    bottom: Ints
    right: Ints

    @classmethod
    def around(
        cls, row: Ints, column: Ints, before: Ints | int, after: Ints | int, shape: tuple[int, int]
    ) -> Boxes:
        """Return boxes from ``before`` px before some pixels to ``after`` px after them.

        What lies beyond the border of an image of this (height, width) is cut off.
        """
        height, width = shape
        return cls(
            np.clip(row - before, 0, height - 1),
            np.clip(column - before, 0, width - 1),
            np.clip(row + after, 1, height),
            np.clip(column + after, 1, width),
        )

    def __len__(self) -> int:
        return len(self.top)

    @property
    def area_px(self) -> int:
        """Pixels of all of them together."""
        return int(((self.bottom - self.top) * (self.right - self.left)).sum())

    def hold(self, row: Ints, column: Ints) -> npt.NDArray[np.bool_]:
        """Return (n,) which of some pixels lie in any of them."""
        row, column = row[:, None], column[:, None]
        within = (row >= self.top) & (row < self.bottom)
        within &= (column >= self.left) & (column < self.right)
        held: npt.NDArray[np.bool_] = np.any(within, axis=1)
        return held

    def __add__(self, other: Boxes) -> Boxes:
        return Boxes(
            np.concatenate([self.top, other.top]),
            np.concatenate([self.left, other.left]),
            np.concatenate([self.bottom, other.bottom]),
            np.concatenate([self.right, other.right]),
        )


class Patch(NamedTuple):
    """A square of an image that is looked at for its core, px; it may reach beyond the border.

    All are multiples of ``ALIGN_PX``.
    """

    top: int
    left: int
    core: int


@dataclass(frozen=True)
class Patches:
    """The patches that cover some boxes of an image.

    Parameters
    ----------
    shape:
        (height, width) of the image in px.
    halo:
        What a patch sees around its core, px.
    items:
        The patches; each pixel of a box is in the core of at least one.
    """

    shape: tuple[int, int]
    halo: int
    items: tuple[Patch, ...]

    def __len__(self) -> int:
        return len(self.items)

    def __add__(self, other: Patches) -> Patches:
        """Return both together, of one image and with one halo."""
        return Patches(self.shape, self.halo, self.items + other.items)

    @property
    def work_px(self) -> int:
        """Pixels that are looked at, halos and overlaps included."""
        return sum((patch.core + 2 * self.halo) ** 2 for patch in self.items)

    @property
    def covered_px(self) -> int:
        """Pixels of the image for which any patch answers."""
        rows, columns = (
            np.minimum(ALIGN_PX, size - np.arange(0, size, ALIGN_PX)) for size in self.shape
        )
        return int(rows @ (self._answers > 0) @ columns)

    def hold(self, row: Ints, column: Ints) -> npt.NDArray[np.bool_]:
        """Return (n,) for which of some pixels any patch answers."""
        held: npt.NDArray[np.bool_] = self._answers[row // ALIGN_PX, column // ALIGN_PX] > 0
        return held

    def shared(self) -> tuple[Ints, Ints, npt.NDArray[np.float32]]:
        """Return row and column of pixels with several answers, and how many each has."""
        cells = np.argwhere(self._answers > 1)
        number = self._answers[cells[:, 0], cells[:, 1]]
        inner = np.arange(ALIGN_PX)
        row, column = np.broadcast_arrays(
            cells[:, 0, None, None] * ALIGN_PX + inner[:, None],
            cells[:, 1, None, None] * ALIGN_PX + inner,
        )
        inside = (row < self.shape[0]) & (column < self.shape[1])
        several = np.broadcast_to(number[:, None, None], row.shape)[inside].astype(np.float32)
        return row[inside], column[inside], several

    @cached_property
    def _answers(self) -> npt.NDArray[np.uint16]:
        """How many patches answer for each cell of ``ALIGN_PX`` x ``ALIGN_PX`` px.

        A sixteenth as many numbers as there are pixels; in cores none differs within a cell.
        """
        number = np.zeros([-(-size // ALIGN_PX) for size in self.shape], np.uint16)
        for patch in self.items:
            top, left, core = (length // ALIGN_PX for length in patch)
            number[max(top, 0) : top + core, max(left, 0) : left + core] += 1
        return number

    def plans(self) -> Iterator[tuple[TilePlan, list[tuple[int, int]]]]:
        """Yield the patches of each size as tiles of a plan: those on its diagonal.

        Every tile weighs 1 in all of its core; where cores overlap, answers are to be divided by
        their number.
        """
        for core in sorted({patch.core for patch in self.items}):
            of_size = [patch for patch in self.items if patch.core == core]
            rows = self._axis(self.shape[0], [patch.top for patch in of_size], core)
            columns = self._axis(self.shape[1], [patch.left for patch in of_size], core)
            yield TilePlan(rows, columns), [(k, k) for k in range(len(of_size))]

    def _axis(self, size: int, firsts: Sequence[int], core: int) -> Axis:
        side = core + 2 * self.halo
        weights = []
        for first in firsts:
            weight = np.zeros(side, np.float32)
            start = self.halo + max(-first, 0)
            weight[start : self.halo + min(core, size - first)] = 1.0
            weights.append(weight)
        return Axis(size, side, tuple(first - self.halo for first in firsts), tuple(weights))


def cover(
    boxes: Boxes,
    shape: tuple[int, int],
    *,
    halo: int,
    multiple: int = 1,
) -> Patches:
    """Return patches whose cores cover all boxes, with little to look at beside them.

    Parameters
    ----------
    boxes:
        Within the image; none larger than the largest core less ``ALIGN_PX``.
    shape:
        (height, width) of the image in px.
    halo:
        What a patch sees around its core, px.
    multiple:
        The sides of patches are multiples of this, and cores are enlarged to that.

    Raises
    ------
    ValueError
        If a box is larger than any core.
    """
    sides = sorted({-(-(core + 2 * halo) // multiple) * multiple for core in CORES_PX})
    if not len(boxes):
        return Patches(shape, halo, ())
    top, left = boxes.top // ALIGN_PX * ALIGN_PX, boxes.left // ALIGN_PX * ALIGN_PX
    largest = sides[-1] - 2 * halo
    widest = int(max((boxes.bottom - top).max(), (boxes.right - left).max()))
    if widest > largest:
        raise ValueError(f"a box of {widest} px is larger than any core: {largest} px")
    items = np.column_stack([top, left, boxes.bottom, boxes.right]).tolist()
    return Patches(shape, halo, tuple(_Cover(halo, sides).of(items)[1]))


@dataclass(frozen=True, slots=True)
class _Cover:
    """Lists instead of arrays: nearly all groups are of a few boxes."""

    halo: int
    sides: list[int]

    def of(self, boxes: list[list[int]]) -> tuple[int, list[Patch]]:
        """Return patches for boxes (top, left, bottom, right), and the pixels they look at."""
        top, left = min(box[0] for box in boxes), min(box[1] for box in boxes)
        height = max(box[2] for box in boxes) - top
        width = max(box[3] for box in boxes) - left
        wanted = max(height, width) + 2 * self.halo
        side = next((side for side in self.sides if side >= wanted), None)
        if side is None:
            return self._halves(boxes)
        core = side - 2 * self.halo
        spare_rows, spare_columns = (
            (core - extent) // 2 // ALIGN_PX * ALIGN_PX for extent in (height, width)
        )
        whole = side**2, [Patch(top - spare_rows, left - spare_columns, core)]
        if len(boxes) == 1 or side == self.sides[0] or side**2 <= self._least_work(boxes):
            return whole
        halves = self._halves(boxes)
        return halves if halves[0] < whole[0] else whole

    def _least_work(self, boxes: list[list[int]]) -> float:
        """Return about how much less than one patch no others could be."""
        best = (self.sides[-1] / (self.sides[-1] - 2 * self.halo)) ** 2
        area = sum((bottom - top) * (right - left) for top, left, bottom, right in boxes)
        return _GOOD_ENOUGH * best * area

    def _halves(self, boxes: list[list[int]]) -> tuple[int, list[Patch]]:
        # Of equal gaps that across the longer side, or a field would be cut into strips.
        ways = [_cut(boxes, axis) for axis in (0, 1)]
        _, _, *parts = max(ways, key=lambda way: way[:2])
        (work, some), (more_work, others) = (self.of(part) for part in parts)
        return work + more_work, some + others


def _cut(boxes: list[list[int]], axis: int) -> tuple[int, int, list[list[int]], list[list[int]]]:
    """Return the widest gap between middles along an axis, their extent, and the boxes cut there.

    Of equal gaps the one nearest to the middle, or an even field would be peeled row by row. Of
    many boxes neither side gets less than a quarter, so that the number of cuts in a row is small.
    """
    ordered = sorted(boxes, key=lambda box: box[axis] + box[axis + 2])
    middles = [box[axis] + box[axis + 2] for box in ordered]
    gaps = [after - before for before, after in itertools.pairwise(middles)]
    least = len(boxes) // 4 if len(boxes) > _MANY else 0
    allowed = range(least, len(gaps) - least)
    widest = max(gaps[k] for k in allowed)
    half = len(gaps) / 2
    at = min((k for k in allowed if gaps[k] == widest), key=lambda k: abs(k - half))
    return widest, middles[-1] - middles[0], ordered[: at + 1], ordered[at + 1 :]
