"""Where a network need not look: where nothing is darker than it was before.

The scale-space response of the darkening, at a threshold so low that noise passes it too, proposes
places; the surroundings of pits are proposed whole. The rest of the frame, nearly all of it, cannot
hold a particle that a network would see. That this is so is measured on frames that are searched
everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pitflow.segment.classical.blobs import Seeds
from pitflow.segment.tiles import TilePlan

Ints = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

_REACH_PX = 3.0
"""An answer is wanted this far around a proposed place, and further at wider scales."""
_CELL_PX = 8


@dataclass(frozen=True, slots=True)
class Search:
    """How a frame was searched.

    Parameters
    ----------
    tiles, proposed:
        Number of tiles in the frame, and of those that the gate proposed.
    found, lost:
        Where the frame was searched everywhere: particles found, and those of them outside of the
        proposed tiles. None elsewhere.
    """

    tiles: int
    proposed: int
    found: int | None = None
    lost: int | None = None


@dataclass(frozen=True, slots=True)
class GateLoss:
    """What the gate of a run saved, and what it cost.

    Parameters
    ----------
    share:
        Share of the tiles that it proposed.
    full_frames:
        Frames that were searched everywhere.
    found, lost:
        Particles found in those, and those of them outside of the proposed tiles.
    """

    share: float
    full_frames: int
    found: int
    lost: int

    @property
    def lost_share(self) -> float:
        """Share of the particles that the gate loses; NaN where none were found."""
        return self.lost / self.found if self.found else math.nan

    def __str__(self) -> str:
        text = f"the gate let the network look at {100 * self.share:.0f} % of the tiles"
        if not self.found:
            return text
        frames = "1 frame" if self.full_frames == 1 else f"{self.full_frames} frames"
        return (
            f"{text}; on {frames} searched everywhere, {100 * self.lost_share:.1f} % of "
            f"{self.found} particles lay elsewhere"
        )


def gate_loss(searches: Sequence[Search]) -> GateLoss:
    """Return what the gate saved and lost over some frames, at least one."""
    full = [search for search in searches if search.found is not None]
    return GateLoss(
        sum(search.proposed for search in searches) / sum(search.tiles for search in searches),
        len(full),
        sum(search.found or 0 for search in full),
        sum(search.lost or 0 for search in full),
    )


def propose(plan: TilePlan, seeds: Seeds, pit: Mask, rim_px: float) -> list[tuple[int, int]]:
    """Return the tiles in which a particle can be.

    Parameters
    ----------
    plan:
        The tiles of the frame.
    seeds:
        Blobs at a low threshold.
    pit:
        (height, width) mask of the pits.
    rim_px:
        Everything as near as this to a pit is proposed.
    """
    chosen: set[tuple[int, int]] = set()
    for level in np.unique(seeds.level):
        here, step = seeds.level == level, 2 ** int(level)
        reach = round(_REACH_PX * step**0.5)
        chosen |= set(plan.around(seeds.row[here] * step, seeds.column[here] * step, reach))
    row, column = _cells_near(pit, rim_px)
    chosen |= set(plan.around(row, column, _CELL_PX // 2))
    return sorted(chosen)


def outside(plan: TilePlan, proposed: list[tuple[int, int]], row: Ints, column: Ints) -> int:
    """Return how many of some pixels lie in no proposed tile."""
    inside = np.zeros((len(plan.rows.starts), len(plan.columns.starts)), np.bool_)
    for tile in proposed:
        inside[tile] = True
    above, below = plan.rows.counting(row, row)
    left, right = plan.columns.counting(column, column)
    boxes = zip(above, below, left, right, strict=True)
    return sum(not inside[a : b + 1, c : d + 1].any() for a, b, c, d in boxes)


def _cells_near(pit: Mask, distance_px: float) -> tuple[Ints, Ints]:
    """Return the middles of the cells of a coarse grid that lie near a pit."""
    height, width = pit.shape
    row, column = np.divmod(np.flatnonzero(pit), width)
    cells = np.zeros((-(-height // _CELL_PX), -(-width // _CELL_PX)), np.uint8)
    cells[row // _CELL_PX, column // _CELL_PX] = 1
    side = 2 * int(np.ceil(distance_px / _CELL_PX)) + 1
    near = cv2.dilate(cells, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    row, column = np.nonzero(near)
    middle = _CELL_PX // 2
    return (
        np.minimum(row * _CELL_PX + middle, height - 1),
        np.minimum(column * _CELL_PX + middle, width - 1),
    )
