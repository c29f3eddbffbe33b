"""Covering an image with overlapping tiles, and putting it together again.

    tile     |<-halo->|<-ramp->|<----- 1 ----->|<-ramp->|<-halo->|
    weight       0      0 -> 1                   1 -> 0      0

A network sees a whole tile; its answer counts with the weight drawn above. In the halo the
receptive field reaches past the tile, so the answer there is dropped; over the ramp neighbouring
tiles pass over into each other. The weights of all tiles sum to 1 at every pixel of the image.
Beyond the image's border the tiles are filled by reflection, so no pixel is ever lost.

What is blended are probabilities; a decision (threshold, class) is taken once, on the blend.

The functions index only with slices, so they work alike on numpy arrays and torch tensors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = Any
"""A numpy array or a torch tensor whose last two axes are rows and columns."""


Beyond = Literal["mirrored", "nothing"]
"""What a network sees beyond the border of an image: the image mirrored, or nothing (0)."""

Pixels = slice | npt.NDArray[np.int64]
"""Pixels along one side of an image: a run of them, or any."""


@dataclass(frozen=True, slots=True)
class Axis:
    """How one side of an image is covered.

    Parameters
    ----------
    size:
        Pixels of the image along this side.
    tile:
        Pixels of a tile along this side.
    starts:
        First pixel of each tile, in the image's coordinates; the first is negative by the halo.
    weights:
        One (tile,) float32 array per tile; at every pixel of the image they sum to 1, but for
        patches (``pitflow.segment.patches``), which do not cover all of it and may overlap.
    """

    size: int
    tile: int
    starts: tuple[int, ...]
    weights: tuple[npt.NDArray[np.float32], ...]

    @property
    def source(self) -> npt.NDArray[np.int64]:
        """Which pixel of the image fills each pixel of the padded one (by reflection)."""
        return _reflected(self.starts[0], self.starts[-1] + self.tile, self.size)

    def inside(self, index: int) -> npt.NDArray[np.bool_]:
        """Return which of a tile's (tile,) pixels the image holds; the others are beyond it."""
        return _inside(self.starts[index], self.tile, self.size)

    def pixels(self, index: int) -> Pixels:
        """Return which pixels of the image a tile sees, as a slice where none is reflected."""
        start = self.starts[index]
        if start >= 0 and start + self.tile <= self.size:
            return slice(start, start + self.tile)
        return _reflected(start, start + self.tile, self.size)

    def span(self, index: int) -> tuple[slice, slice]:
        """Return where a tile's answer counts: as a slice of the image, and of the tile."""
        counts = np.flatnonzero(self.weights[index])
        first, last = int(counts[0]), int(counts[-1]) + 1
        start = self.starts[index]
        return slice(start + first, start + last), slice(first, last)


@dataclass(frozen=True, slots=True)
class TilePlan:
    """A grid of tiles over an image: every row of ``rows`` with every column of ``columns``."""

    rows: Axis
    columns: Axis

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the image in px."""
        return self.rows.size, self.columns.size

    @property
    def tile_shape(self) -> tuple[int, int]:
        """(height, width) of a tile in px."""
        return self.rows.tile, self.columns.tile

    def __len__(self) -> int:
        return len(self.rows.starts) * len(self.columns.starts)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield every tile as (row, column) of the grid, row by row."""
        for row in range(len(self.rows.starts)):
            for column in range(len(self.columns.starts)):
                yield row, column


def plan_axis(size: int, tile: int, halo: int, overlap: int, align: int) -> Axis:
    """Cover ``size`` pixels with tiles; see ``plan_tiles`` for the parameters.

    Raises
    ------
    ValueError
        If a tile is too small for its halo and overlap.
    """
    halo = -(-halo // align) * align
    core = tile - 2 * halo
    step = (core - overlap) // align * align
    if size < 1 or overlap < 0 or step < 1:
        raise ValueError(
            f"tiles of {tile} px with a halo of {halo} px and {overlap} px of overlap, aligned to "
            f"{align} px, cannot cover {size} px: a tile must be larger than "
            "2 halo + overlap + align"
        )
    n = 1 + max(0, -(-(size - core) // step))
    ramp = core - step if n > 1 else 0
    rise = np.minimum(1.0, (np.arange(core) + 1.0) / (ramp + 1.0))
    window = np.zeros(tile)
    window[halo : halo + core] = np.minimum(rise, rise[::-1])
    starts = tuple(index * step - halo for index in range(n))
    total = np.zeros((n - 1) * step + tile)
    for index in range(n):
        total[index * step : index * step + tile] += window
    weights = []
    for index, start in enumerate(starts):
        here = slice(index * step, index * step + tile)
        weight = np.divide(window, total[here], out=np.zeros(tile), where=window > 0)
        weight[~_inside(start, tile, size)] = 0.0
        weights.append(weight.astype(np.float32))
    return Axis(size, tile, starts, tuple(weights))


def _reflected(start: int, stop: int, size: int) -> npt.NDArray[np.int64]:
    """Return which pixel of an image of ``size`` px stands at each place, by reflection."""
    where = np.arange(start, stop)
    if size == 1:
        return np.zeros_like(where)
    period = 2 * (size - 1)
    folded = where % period
    return np.minimum(folded, period - folded)


def _inside(start: int, tile: int, size: int) -> npt.NDArray[np.bool_]:
    """Return which of a tile's pixels lie in an image of ``size`` px."""
    pixel = np.arange(start, start + tile)
    held: npt.NDArray[np.bool_] = (pixel >= 0) & (pixel < size)
    return held


@lru_cache(maxsize=32)
def plan_tiles(
    shape: tuple[int, int],
    tile: int,
    *,
    halo: int = 0,
    overlap: int = 0,
    multiple: int = 1,
    align: int | None = None,
    even: bool = False,
) -> TilePlan:
    """Cover an image with square tiles; along a side shorter than a tile, tiles shrink to it.

    Parameters
    ----------
    shape:
        (height, width) of the image in px; any size from 1 x 1 up.
    tile:
        Side of a tile in px, a multiple of ``multiple``.
    halo:
        Reach of the network's receptive field in px: this margin of a tile's answer is dropped. It
        is rounded up to ``align``.
    overlap:
        Least width in px over which neighbouring tiles pass over into each other.
    multiple:
        Sides the network accepts are multiples of this, its total downsampling.
    align:
        Tiles start at multiples of this, so that a network which downsamples sees the same grid in
        every tile as in the whole image. Default: ``multiple``.
    even:
        Along sides longer than a tile, too, tiles shrink to what as many of them need: less is
        looked at beyond the border.

    Raises
    ------
    ValueError
        If the tile is not a multiple of ``multiple``, or leaves nothing between its halos.
    """
    if tile % multiple:
        raise ValueError(f"a tile of {tile} px is not a multiple of {multiple} px")
    align = multiple if align is None else align
    reach = 2 * (-(-halo // align) * align)
    sides = [min(tile, -(-(size + reach) // multiple) * multiple) for size in shape]
    axes = [
        # A shrunken side is covered by one tile, which passes over into nothing.
        plan_axis(size, side, halo, overlap if side == tile else 0, align)
        for size, side in zip(shape, sides, strict=True)
    ]
    if even:
        axes = [
            _shrunken(axis, halo, overlap, multiple, align) if len(axis.starts) > 1 else axis
            for axis in axes
        ]
    return TilePlan(*axes)


def _shrunken(axis: Axis, halo: int, overlap: int, multiple: int, align: int) -> Axis:
    """Return as many tiles along a side as there are, no larger than they must be."""
    n, halo = len(axis.starts), -(-halo // align) * align
    # n steps and an overlap cover the side; steps are of whole aligns, tiles of whole multiples.
    step = -(-(axis.size - overlap) // (n * align)) * align
    tile = -(-(step + overlap + 2 * halo) // multiple) * multiple
    return plan_axis(axis.size, min(tile, axis.tile), halo, overlap, align)


def extract(padded: Array, plan: TilePlan, tile: tuple[int, int]) -> Array:
    """Return one tile (..., tile height, tile width) of a padded image, as a view."""
    top = plan.rows.starts[tile[0]] - plan.rows.starts[0]
    left = plan.columns.starts[tile[1]] - plan.columns.starts[0]
    height, width = plan.tile_shape
    return padded[..., top : top + height, left : left + width]


def weighted(
    plan: TilePlan, tile: tuple[int, int], answer: Array, row_weight: Array, column_weight: Array
) -> tuple[tuple[Any, ...], Array]:
    """Return where in the image a tile's answer counts, and the answer there times its weight.

    Their sum over all tiles is the blend; a tile that is left out counts as an answer of 0.
    ``row_weight`` and ``column_weight`` are the plan's weights of this tile as arrays of the same
    kind as ``answer``.
    """
    rows, rows_in = plan.rows.span(tile[0])
    columns, columns_in = plan.columns.span(tile[1])
    weight = row_weight[rows_in, None] * column_weight[None, columns_in]
    return (..., rows, columns), answer[..., rows_in, columns_in] * weight
