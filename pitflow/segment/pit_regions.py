"""Which dark pixels belong together, and which of them are pits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pitflow.scene import Scene
from pitflow.segment.landed import SATELLITE_SHARE, grown_pixels, has_core
from pitflow.segment.pit_map import NEVER, Frames, Mask
from pitflow.segment.sudden import FramesOf, sudden_growth

NOT_YET = np.iinfo(np.uint16).max
"""Block of a pixel that is not dark in any."""

_LINK_SHARE, _LINK_PX = 0.5, 6.0
"""Parts of a pit lie within this share of its radius, and this many px, of one another."""
_GROWN = 1.5
_LARGE = 6.0
_STEADY = 0.5


@dataclass(frozen=True, slots=True)
class Sorted:
    """What the dark pixels are: (height, width) each, and what was left out."""

    labels: npt.NDArray[np.int32]
    not_before: Frames
    n_landed: int
    n_beside: int


def without_static(dark: Mask, at_start: Mask, min_area_px: float) -> tuple[Mask, int]:
    """Drop what was there from the start and has not grown: specks, not pits.

    Returns what is left, and how many were dropped that are as large as a pit.
    """
    n, parts, stats, _ = cv2.connectedComponentsWithStats(dark.view(np.uint8), connectivity=8)
    area = stats[:, cv2.CC_STAT_AREA].astype(np.float64)
    early = np.bincount(parts[at_start], minlength=n)
    static = (area < _GROWN * early) & (area < _LARGE * min_area_px)
    static[0] = True
    kept: Mask = ~static[parts]
    return kept, int((static[1:] & (area[1:] >= min_area_px)).sum())


def regions_of(dark: Mask, min_area_px: float) -> npt.NDArray[np.int32]:
    """Return the dark pixels labelled by regions of parts that may belong together, from 1.

    Regions that have less area than the smallest pit are left out.
    """
    _, parts, stats, _ = cv2.connectedComponentsWithStats(dark.view(np.uint8), connectivity=8)
    # Parts that belong together overlap once each has grown by its reach.
    reach = _reach(stats[:, cv2.CC_STAT_AREA])
    near = np.zeros(dark.shape, np.uint8)
    for part in np.argsort(stats[1:, cv2.CC_STAT_AREA]) + 1:
        box = _box(stats[part], int(np.ceil(reach[part])) + 1, dark.shape)
        far = cv2.distanceTransform((parts[box] != part).view(np.uint8), cv2.DIST_L2, 3)
        near[box] |= far <= reach[part]
    _, regions = cv2.connectedComponents(near, connectivity=8)
    regions[~dark] = 0
    small = np.bincount(regions.ravel()) < min_area_px
    regions[small[regions]] = 0
    labels: npt.NDArray[np.int32] = regions
    return labels


def grouped(
    regions: npt.NDArray[np.int32],
    since: npt.NDArray[np.uint16],
    arrival: Frames | None,
    sound: Frames,
    min_area_px: float,
) -> Sorted:
    """Tell pits from what has landed, and label them from 1 in the order of their first block."""
    labels = np.zeros(since.shape, np.int32)
    not_before = np.zeros(since.shape, np.int64)
    count = n_landed = n_beside = 0
    for region, box in enumerate(ndimage.find_objects(regions), start=1):
        if box is None:
            continue
        inside = regions[box] == region
        n_parts = n_large = 0
        if arrival is not None:
            dark_from = np.where(inside, arrival[box], NEVER)
            start = regions_of(dark_from <= sound[0], 0)
            growth = grown_pixels(dark_from, sound, start, min_area_px, _LARGE * min_area_px)
            not_before[box][inside] = growth.not_before[inside]
            inside = growth.pit
            n_parts, n_large = growth.n_landed, growth.n_large_landed
        local = _split_in_time(np.where(inside, since[box], NOT_YET), min_area_px)
        n_before = count
        for pit in np.unique(local[local > 0]):
            here = local == pit
            grows = arrival is not None or _grows_by_blocks(since[box][here], min_area_px)
            if here.sum() < min_area_px:
                continue
            if grows and has_core(here, min_area_px):
                count += 1
                labels[box][here] = count
            else:
                n_large += 1
        if count > n_before:
            n_beside += n_parts
        else:
            n_landed += n_large
    return Sorted(_in_order(labels, since), not_before, n_landed, n_beside)


def with_sudden(
    told: Sorted,
    regions: npt.NDArray[np.int32],
    arrival: Frames,
    limit: npt.NDArray[np.float32],
    scene: Scene,
    frames_of: FramesOf,
) -> Sorted:
    """Give the pits what came beside them out of nothing."""
    pit = told.labels > 0
    if not pit.any():
        return told
    with_pit = np.isin(regions, np.unique(regions[pit]))
    left = with_pit & (regions > 0) & ~pit
    pit_from = np.where(pit, np.maximum(arrival, told.not_before), NEVER)
    grown, n_grown = sudden_growth(left, arrival, pit_from, limit, scene, frames_of)
    if not n_grown:
        return told
    labels = np.where(grown, _nearest_label(told.labels)[1], told.labels)
    return replace(told, labels=labels, n_beside=max(told.n_beside - n_grown, 0))


def _split_in_time(since: npt.NDArray[np.uint16], min_area_px: float) -> npt.NDArray[np.int32]:
    """Return labels of the pits in one region of neighbouring parts, by following their growth.

    Block by block, new pixels go to the nearest pit within its reach, or start one. When two meet,
    the smaller is a satellite of the larger unless both have become pits of their own.
    """
    labels = np.zeros(since.shape, np.int32)
    count = 0
    for block in np.unique(since[since != NOT_YET]):
        dark = since <= block
        _, parts, stats, _ = cv2.connectedComponentsWithStats(dark.view(np.uint8), connectivity=8)
        fresh = dark & (labels == 0)
        sizes = np.bincount(parts[fresh])
        # The largest first, so that what appears beside it at the same time can join it.
        for part in np.argsort(-sizes)[: np.count_nonzero(sizes)]:
            reach = _reach(np.bincount(labels.ravel()))
            # No further from any pixel of the part lies what is within reach of one of them.
            margin = int(np.ceil(reach.max() + np.hypot(*stats[part, 2:4])))
            box = _box(stats[part], margin, dark.shape)
            own, new = labels[box], fresh[box] & (parts[box] == part)
            if own.any():
                distance, nearest = _nearest_label(own)
                if (distance[new] <= reach[nearest[new]]).any():
                    own[new] = nearest[new]
                    continue
            count += 1
            own[new] = count
        labels = _satellites_joined(labels, parts, min_area_px)
    return _satellites_joined(labels, None, min_area_px)


def _satellites_joined(
    labels: npt.NDArray[np.int32], parts: npt.NDArray[np.int32] | None, min_area_px: float
) -> npt.NDArray[np.int32]:
    """Give each small pit to a far larger one that it touches (or, without ``parts``, is near)."""
    for label in np.argsort(np.bincount(labels.ravel())):
        area = np.bincount(labels.ravel())
        if label == 0 or label >= area.size or area[label] == 0:
            continue
        own = labels == label
        others = np.where(own, 0, labels)
        if not others.any():
            continue
        distance, nearest = _nearest_label(others)
        gap = np.where(own, distance, np.inf)
        other = int(nearest.ravel()[np.argmin(gap)])
        if parts is not None:
            touching = bool(np.isin(parts[own], parts[labels == other]).any())
        else:
            touching = bool(gap.min() <= _reach(area)[other])
        small = area[label] < max(SATELLITE_SHARE * area[other], min_area_px)
        if touching and small:
            labels[own] = other
    return labels


def _nearest_label(
    labels: npt.NDArray[np.int32],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """Return each pixel's distance to the nearest labelled pixel, and that label."""
    distance, source = cv2.distanceTransformWithLabels(
        (labels == 0).view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    label_of = np.zeros(int(source.max()) + 1, np.int32)
    label_of[source[labels > 0]] = labels[labels > 0]
    return distance, label_of[source]


def _grows_by_blocks(since: npt.NDArray[np.uint16], min_area_px: float) -> bool:
    """Pits grow: a dark spot that came at once and stayed as it is has landed there.

    A small one must also have grown in most blocks from its first to its last: specks that land on
    one another come at long intervals.
    """
    steps = np.unique(since).size
    steady = steps >= _STEADY * (int(since.max()) - int(since.min()) + 1)
    return (steps >= 3 and steady) or since.size >= _LARGE * min_area_px / min(steps, 3)


def _in_order(
    labels: npt.NDArray[np.int32], since: npt.NDArray[np.uint16]
) -> npt.NDArray[np.int32]:
    n = int(labels.max(initial=0))
    first = np.full(n + 1, NOT_YET, np.int64)
    inside = labels > 0
    np.minimum.at(first, labels[inside], since[inside])
    number = np.zeros(n + 1, np.int32)
    number[np.argsort(first[1:], kind="stable") + 1] = np.arange(1, n + 1)
    return number[labels]


def _reach(area: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return how far from a pit of an area its further parts may lie, px."""
    return _LINK_PX + _LINK_SHARE * np.sqrt(area / np.pi)


def _box(stats: npt.NDArray[np.int32], margin: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    left, top, width, height = (int(value) for value in stats[:4])
    return (
        slice(max(top - margin, 0), min(top + height + margin, shape[0])),
        slice(max(left - margin, 0), min(left + width + margin, shape[1])),
    )
