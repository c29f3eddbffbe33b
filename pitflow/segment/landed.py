"""Landed particles among dark pixels, told from growing pits by when each pixel turned dark.

A pit dissolves the steel at its rim, so in a few frames it wins a thin layer; a particle that lands
darkens all its pixels within a few frames, however far they lie from what was dark before.

A young pit that is there in the first frame looks like one of the many static dark specks. What
tells is when growth begins: a pit that was there grows on from its first frames, so what comes at
its rim in these, however much it is, began with it, and it is pit from the first frame. Where
growth begins later beside a speck, the two are apart: the pit takes the speck in when it has grown
around it, and keeps its own onset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int32]
Frames = npt.NDArray[np.int64]
"""Numbers of frames."""

NOT_DARK = np.iinfo(np.int64).max
"""Arrival of a pixel that has not turned dark."""

AT_ONCE_FRAMES = 3
"""A particle's pixels turn dark within so many frames."""
_FRONT_PX = 0.5
"""How far the rim of a pit moves in a frame at most. At 15 Hz and 0.48 um per px this is 3.6 um/s,
or by Faraday's law 11 A/cm^2 for steel. A rim that is faster is pit once the pit lies around it."""
_EDGE_PX = 1.0
"""How far from where it was the edge is seen, as pixels are whole."""
_PAUSE_FRAMES = 5
"""What grows wins a pixel at least so often, or else grows slowly."""
_LASTING_FRAMES = 10
"""Growth without a pause lasts at least so long, three times as long as landing."""
FEW_PX = 2
"""What is new at one place and no more than this is no particle that has landed."""
_MOST = 0.9
"""Share of what has come to a pit that must have grown without a pause, or by a few pixels."""
_LEAST_GROWN = 0.5
"""Share of the smallest pit's area by which a pit must have grown."""
_ACTIVE = 2 / 3
"""Share of the time of its growth that a satellite of a pit grows without a pause."""
_ACTIVE_FRAMES = 15
"""That time at least."""
_LEAST_SATELLITE = 0.25
"""Share of the smallest pit's area by which a satellite must have grown."""
SATELLITE_SHARE = 0.3
"""Satellites are smaller than this share of their pit."""
_TAILS = 0.05
"""Share of its pixels before and after that time: the edge flickers."""
_CORE_SHARE = 0.8
_COVER_PX = 8
"""As near to a pit, holes in its cover open at once; what lands there is soon taken in."""


@dataclass(frozen=True, slots=True)
class Growth:
    """What has grown among dark pixels, (height, width) each.

    Parameters
    ----------
    pit:
        Which pixels are pit in the end: what has grown, and what it has taken in.
    not_before:
        int64: the frame before which a pixel is no pit although it is dark; 0 where it is one as
        soon as it is dark.
    n_landed:
        Number of parts that came at once, did not grow, and were not taken in.
    n_large_landed:
        Number of those that have the area of a pit.
    """

    pit: Mask
    not_before: npt.NDArray[np.int64]
    n_landed: int
    n_large_landed: int


def grown_pixels(
    arrival: npt.NDArray[np.int64],
    seen: npt.NDArray[np.int64],
    start: Labels,
    min_area_px: float,
    large_px: float,
) -> Growth:
    """Tell what has grown from what has landed.

    Parameters
    ----------
    arrival:
        (height, width) frame in which each pixel turned dark, ``NOT_DARK`` for none.
    seen:
        (n,) numbers of the frames looked at, rising.
    start:
        (height, width) labels, from 1, of what was dark in the first frame: how it came was not
        seen, so pieces that lie together, as under a cover, are one part. 0: what was not dark.
    min_area_px:
        Area of the smallest pit, px^2.
    large_px:
        What has this area at once is no particle, px^2.
    """
    labels, at_once, single = _parts(arrival, seen, start, min_area_px)
    rank = np.searchsorted(seen, arrival)
    grows, gradual, doubtful = np.zeros((3, int(labels.max(initial=0)) + 1), np.bool_)
    for part, box in enumerate(ndimage.find_objects(labels), start=1):
        own = labels[box] == part
        won = own & ~at_once[box]
        history = _History(int((own & at_once[box]).sum()), rank[box][won], single[box][won])
        grows[part] = history.is_satellite(min_area_px) or (
            (history.at_once >= large_px or history.is_pit(min_area_px))
            and has_core(ndimage.binary_fill_holes(own), min_area_px)
        )
        gradual[part] = history.is_gradual
        doubtful[part] = history.at_once <= history.rank.size
    grows |= doubtful & _is_lacy(np.bincount(labels.ravel()), grows, doubtful & ~grows)
    body, gradual = grows[labels], gradual[labels]
    pit, not_before = body.copy(), np.zeros(arrival.shape, np.int64)
    n, apart, stats, _ = cv2.connectedComponentsWithStats(
        ((labels > 0) & ~body).view(np.uint8), connectivity=8
    )
    n_landed = n_large_landed = 0
    for part in range(1, n):
        box = _around(stats[part], _COVER_PX + 1, arrival.shape)
        own = apart[box] == part
        of_pit = np.where(body[box], arrival[box], NOT_DARK)
        if _is_under_cover(own, arrival[box], of_pit):
            pit[box] |= own
            continue
        taken = _taken_in(own, of_pit)
        if taken == NOT_DARK:
            n_landed += 1
            n_large_landed += int(own.sum() >= min_area_px)
            continue
        pit[box] |= own
        not_before[box][own & ~gradual[box]] = taken
    return Growth(pit, not_before, n_landed, n_large_landed)


def _is_lacy(area: npt.NDArray[np.intp], grows: Mask, doubtful: Mask) -> bool:
    """Tell whether small parts that came bit by bit are holes in a pit's cover, or heaps.

    A pit whose satellites have surely grown has a lacy cover; heaps are many where much lands. So
    what is in doubt is taken for the one while it has no more area than what is sure.
    """
    sure = area[grows]
    if not sure.size:
        return False
    satellites = sure[sure < SATELLITE_SHARE * sure.max()].sum()
    return bool(area[doubtful].sum() <= satellites)


@dataclass(frozen=True, slots=True)
class _History:
    """How one part has come.

    Parameters
    ----------
    at_once:
        Area that it began with, px^2.
    rank:
        (m,) when it won each further pixel, in frames that are not lost.
    single:
        (m,) whether that came with no more than a few others.
    """

    at_once: int
    rank: npt.NDArray[np.intp]
    single: Mask

    @property
    def _edge(self) -> float:
        """The outline of what came at once, px: its pixels are seen to be dark sooner or later."""
        return 2 * float(np.sqrt(np.pi * self.at_once))

    @property
    def _steady(self) -> int:
        """Area won by growth, not by one landing after another, px^2.

        A pit wins pixels for long without a pause, or, where it is slow, one here and one there.
        """
        order = np.argsort(self.rank, kind="stable")
        rank, single = self.rank[order], self.single[order]
        runs = np.split(np.arange(rank.size), np.flatnonzero(np.diff(rank) > _PAUSE_FRAMES) + 1)
        lasts = [run.size and rank[run[-1]] - rank[run[0]] + 1 >= _LASTING_FRAMES for run in runs]
        return sum(
            run.size if long else int(single[run].sum())
            for run, long in zip(runs, lasts, strict=True)
        )

    def is_pit(self, min_area_px: float) -> bool:
        """Tell whether it grows as a pit does that stands alone."""
        steady = self._steady
        return (
            self.at_once + self.rank.size >= min_area_px
            and steady >= max(_LEAST_GROWN * min_area_px, self._edge)
            and steady >= _MOST * self.rank.size
        )

    def is_satellite(self, min_area_px: float) -> bool:
        """Tell whether it grows as a hole in a pit's cover does.

        It is small, but grows on and on, while between landings there are pauses.
        """
        if self.rank.size < max(_LEAST_SATELLITE * min_area_px, self._edge):
            return False
        left_out = int(_TAILS * self.rank.size)
        rank = np.sort(self.rank)[left_out : self.rank.size - left_out]
        apart = np.diff(rank)
        lasts = int(rank[-1] - rank[0]) + 1
        active = int(apart[apart <= _PAUSE_FRAMES].sum()) + 1
        return lasts >= _ACTIVE_FRAMES and active >= _ACTIVE * lasts

    @property
    def is_gradual(self) -> bool:
        """Tell whether it is rather part of a pit that takes it in than a particle."""
        return self.rank.size >= self.at_once and self._steady >= _MOST * self.rank.size


def rim_reach(frames: float) -> float:
    """Return how far from what was dark a pit's rim may be seen after so many frames, px."""
    return _EDGE_PX + _FRONT_PX * frames


def has_core(pit: Mask, min_area_px: float) -> bool:
    """Tell whether a disc nearly as large as the smallest pit fits in.

    Specks that land side by side grow together over time as a pit does, but stay thin.
    """
    padded = np.pad(pit, 1).view(np.uint8)
    core = float(cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE).max())
    return core >= _CORE_SHARE * float(np.sqrt(min_area_px / np.pi))


def _is_under_cover(own: Mask, arrival: Frames, of_pit: Frames) -> bool:
    """Tell whether the pit was within ``_COVER_PX`` of a part when that came."""
    there = of_pit <= np.median(arrival[own])
    return bool(there.any() and _distance(there)[own].min() <= _COVER_PX)


def _taken_in(own: Mask, arrival: npt.NDArray[np.int64]) -> int:
    """Return the frame from which on the pit has half of what is around a landed part."""
    ring = (cv2.dilate(own.view(np.uint8), np.ones((3, 3), np.uint8)) > 0) & ~own
    around = np.sort(arrival[ring])
    return int(around[around.size // 2]) if around.size else NOT_DARK


def _parts(
    arrival: npt.NDArray[np.int64],
    seen: npt.NDArray[np.int64],
    start: Labels,
    min_area_px: float,
) -> tuple[Labels, Mask, Mask]:
    """Follow the dark pixels in time: each patch of new ones is growth of a part, or a new part.

    A new part that comes in the first frames, at the rim of one that was there before them and is
    smaller than the smallest pit, began with it: both are one part.

    Returns
    -------
    (height, width) labels of the parts, 0 where it is not dark; which pixels are those that a part
    began with; and which were won by themselves or with few others.
    """
    row, column = np.nonzero(arrival != NOT_DARK)
    rank = np.searchsorted(seen, arrival[row, column])
    order = np.argsort(rank, kind="stable")
    row, column, rank = row[order], column[order], rank[order]
    labels = start.copy()
    at_once, single = start > 0, np.zeros(arrival.shape, np.bool_)
    area: list[int] = np.bincount(start.ravel()).tolist()
    n_start = len(area)
    steps = np.unique(rank)
    first = np.searchsorted(rank, steps)
    last = np.searchsorted(rank, steps + AT_ONCE_FRAMES)
    for step, begin, stop in zip(steps, first, last, strict=True):
        rows, columns = row[begin:stop], column[begin:stop]
        new = labels[rows, columns] == 0
        now = new & (rank[begin:stop] == step)
        if not now.any():
            continue
        # Where frames are lost, the rim has moved on meanwhile.
        end = min(int(step) + AT_ONCE_FRAMES, seen.size) - 1
        lapse = seen[end] - seen[max(int(step) - 1, 0)]
        reach = rim_reach(max(float(lapse), AT_ONCE_FRAMES))
        first_frames = step <= _PAUSE_FRAMES
        young = [n for n in range(1, n_start) if first_frames and area[n] < min_area_px]
        for box, patch in _patches(rows, columns, new, now, int(np.ceil(reach)) + 1, labels.shape):
            if patch.sum() <= FEW_PX:
                single[box] |= patch
            _assign(labels[box], at_once[box], patch, reach, area, young)
    return labels, at_once, single


def _patches(
    row: npt.NDArray[np.intp],
    column: npt.NDArray[np.intp],
    new: Mask,
    now: Mask,
    margin: int,
    shape: tuple[int, ...],
) -> list[tuple[tuple[slice, slice], Mask]]:
    """Return the connected patches of new pixels that begin now, each in a box of its own."""
    top, left = int(row[new].min()), int(column[new].min())
    image = np.zeros((int(row[new].max()) - top + 1, int(column[new].max()) - left + 1), np.uint8)
    image[row[new] - top, column[new] - left] = 1
    _, parts, stats, _ = cv2.connectedComponentsWithStats(image, connectivity=8)
    patches = []
    for part in np.unique(parts[row[now] - top, column[now] - left]):
        where = stats[part].copy()
        where[:2] += (left, top)
        box = _around(where, margin, shape)
        patch = np.zeros((box[0].stop - box[0].start, box[1].stop - box[1].start), np.bool_)
        inside = parts == part
        at = np.nonzero(inside)
        patch[at[0] + top - box[0].start, at[1] + left - box[1].start] = True
        patches.append((box, patch))
    return patches


def _assign(
    labels: Labels, at_once: Mask, patch: Mask, reach: float, area: list[int], young: list[int]
) -> None:
    """Give a patch to the largest part that may have grown by it; the rest is a new part.

    Or that rest began with one of the ``young`` parts, if it is at its rim.
    """
    patch = patch & (labels == 0)
    depth = _distance(labels > 0) if (labels > 0).any() else np.full(labels.shape, np.inf)
    came = _beyond(patch, depth, reach)
    growth = patch & ~came
    near = _largest(_near(labels, growth, reach), area)
    if near:
        labels[growth] = near
        area[near] += int(growth.sum())
    else:
        came = patch
    if not came.any():
        return
    part = _largest(_near(labels, came, reach) & set(young), area)
    if not part:
        part = len(area)
        area.append(0)
    labels[came] = part
    at_once[came] = True
    area[part] += int(came.sum())


def _near(labels: Labels, patch: Mask, reach: float) -> set[int]:
    """Return the parts that lie within ``reach`` of a patch, px."""
    if not patch.any():
        return set()
    found: list[int] = np.unique(labels[(labels > 0) & (_distance(patch) <= reach)]).tolist()
    return set(found)


def _largest(parts: set[int], area: list[int]) -> int:
    """Return the part that has most area, the first of equals; 0 if there is none."""
    return max(sorted(parts), key=area.__getitem__, default=0)


def _beyond(patch: Mask, depth: npt.NDArray[Any], reach: float) -> Mask:
    """Return what of a patch is deeper than ``reach``, px, with what is as near as that to it."""
    beyond = patch & (depth > reach)
    if not beyond.any():
        return beyond
    clump: Mask = patch & (_distance(beyond) <= reach)
    return clump


def _distance(mask: Mask) -> npt.NDArray[np.float32]:
    """Return the distance of every pixel from a mask, px."""
    distance: npt.NDArray[np.float32] = cv2.distanceTransform(
        (~mask).view(np.uint8), cv2.DIST_L2, 5
    )
    return distance


def _around(
    stats: npt.NDArray[np.int32], margin: int, shape: tuple[int, ...]
) -> tuple[slice, slice]:
    left, top, width, height = (int(value) for value in stats[:4])
    return (
        slice(max(top - margin, 0), min(top + height + margin, shape[0])),
        slice(max(left - margin, 0), min(left + width + margin, shape[1])),
    )
