"""Landed particles among dark pixels, told from growing pits by when each pixel turned dark.

A pit dissolves the steel at its rim, so in a few frames it wins a thin layer; a particle that lands
darkens all its pixels within a few frames, however far they lie from what was dark before.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int32]

NOT_DARK = np.iinfo(np.int64).max
"""Arrival of a pixel that has not turned dark."""

AT_ONCE_FRAMES = 3
"""A particle's pixels turn dark within so many frames."""
_FRONT_PX = 0.5
"""How far the rim of a pit moves in a frame at most. At 15 Hz and 0.48 um per px this is 3.6 um/s,
or by Faraday's law 11 A/cm^2: about the highest current density measured in pits of steel."""
_EDGE_PX = 1.0
"""How far from where it was the edge is seen, as pixels are whole."""
_LEAST_GROWN = 0.5
"""Share of the smallest pit's area that what is to be a pit must have grown by."""


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
    min_area_px:
        Area of the smallest pit, px^2.
    large_px:
        What has this area at once is no particle, px^2.
    """
    labels, at_once, grown = _parts(arrival, seen)
    # The edge of what has landed is seen sooner or later by a pixel: one layer is no growth.
    layer = 2 * np.sqrt(np.pi * at_once)
    grows = (grown >= np.maximum(_LEAST_GROWN * min_area_px, layer)) | (at_once >= large_px)
    grows[0] = False
    body = grows[labels]
    pit, not_before = body.copy(), np.zeros(arrival.shape, np.int64)
    n, apart, stats, _ = cv2.connectedComponentsWithStats(
        ((labels > 0) & ~body).view(np.uint8), connectivity=8
    )
    n_landed = n_large_landed = 0
    for part in range(1, n):
        box = _around(stats[part], 1, arrival.shape)
        own = apart[box] == part
        taken = _taken_in(own, np.where(body[box], arrival[box], NOT_DARK))
        if taken == NOT_DARK:
            n_landed += 1
            n_large_landed += int(own.sum() >= min_area_px)
            continue
        pit[box] |= own
        not_before[box][own] = taken
    return Growth(pit, not_before, n_landed, n_large_landed)


def _taken_in(own: Mask, arrival: npt.NDArray[np.int64]) -> int:
    """Return the frame from which on the pit has half of what is around a landed part."""
    ring = (cv2.dilate(own.view(np.uint8), np.ones((3, 3), np.uint8)) > 0) & ~own
    around = np.sort(arrival[ring])
    return int(around[around.size // 2]) if around.size else NOT_DARK


def _parts(
    arrival: npt.NDArray[np.int64], seen: npt.NDArray[np.int64]
) -> tuple[Labels, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Follow the dark pixels in time: each patch of new ones is growth of a part, or a new part.

    Returns
    -------
    (height, width) labels of the parts, 0 where it is not dark; and of each label the area it came
    with at once and the area it has grown by since, px^2.
    """
    row, column = np.nonzero(arrival != NOT_DARK)
    rank = np.searchsorted(seen, arrival[row, column])
    order = np.argsort(rank, kind="stable")
    row, column, rank = row[order], column[order], rank[order]
    labels = np.zeros(arrival.shape, np.int32)
    at_once, grown = [0], [0]
    steps = np.unique(rank)
    first = np.searchsorted(rank, steps)
    last = np.searchsorted(rank, steps + AT_ONCE_FRAMES)
    for step, start, stop in zip(steps, first, last, strict=True):
        rows, columns = row[start:stop], column[start:stop]
        new = labels[rows, columns] == 0
        now = new & (rank[start:stop] == step)
        if not now.any():
            continue
        # Where frames are lost, the rim has moved on meanwhile.
        end = min(int(step) + AT_ONCE_FRAMES, seen.size) - 1
        lapse = seen[end] - seen[max(int(step) - 1, 0)]
        reach = _EDGE_PX + _FRONT_PX * max(float(lapse), AT_ONCE_FRAMES)
        for box, patch in _patches(rows, columns, new, now, int(np.ceil(reach)) + 1, labels.shape):
            _assign(labels[box], patch, reach, at_once, grown)
    return labels, np.array(at_once), np.array(grown)


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
    labels: Labels, patch: Mask, reach: float, at_once: list[int], grown: list[int]
) -> None:
    """Give a patch to the largest part that may have grown by it; the rest is a new part."""
    patch = patch & (labels == 0)
    distance = cv2.distanceTransform((labels == 0).view(np.uint8), cv2.DIST_L2, 5)
    beyond = patch & (distance > reach)
    came = patch
    if not beyond.any():
        came = beyond
    elif (labels > 0).any():
        far = cv2.distanceTransform((~beyond).view(np.uint8), cv2.DIST_L2, 5)
        came = patch & (far <= reach)
    growth = patch & ~came
    if growth.any():
        near = cv2.distanceTransform((~growth).view(np.uint8), cv2.DIST_L2, 5)
        others = np.unique(labels[(labels > 0) & (near <= reach)])
        if others.size:
            part = max(others.tolist(), key=lambda label: at_once[label] + grown[label])
            labels[growth] = part
            grown[part] += int(growth.sum())
        else:
            came = patch
    if came.any():
        labels[came] = len(at_once)
        at_once.append(int(came.sum()))
        grown.append(0)


def _around(
    stats: npt.NDArray[np.int32], margin: int, shape: tuple[int, ...]
) -> tuple[slice, slice]:
    left, top, width, height = (int(value) for value in stats[:4])
    return (
        slice(max(top - margin, 0), min(top + height + margin, shape[0])),
        slice(max(left - margin, 0), min(left + width + margin, shape[1])),
    )
