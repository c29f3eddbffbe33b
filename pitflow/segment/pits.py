"""Pits: near-black regions of the steel that stay and grow.

Moving particles are gone from the blocks' backgrounds, so what is near-black there and stays so is
a pit, a static dark speck or a particle that has landed; those do not grow. Where dark pixels lie
is found from the backgrounds of the whole recording, when each turns dark from the frames of its
block, and by that growth is told from landing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import ndimage

from pitflow.config import PitConfig
from pitflow.frame import CLASS_BACKGROUND, Frame, Image
from pitflow.median import median_image
from pitflow.scene import Scene
from pitflow.schema import PIT_PIXELS, empty_table, validate_table
from pitflow.segment.classical.window import DOUBT, Window, change_point, windows
from pitflow.segment.landed import NOT_DARK, SATELLITE_SHARE, grown_pixels, has_core
from pitflow.segment.late import late_growth
from pitflow.segment.sudden import sudden_growth
from pitflow.translation import translated

Ints = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]
Frames = npt.NDArray[np.int64]
"""Numbers of frames."""
Turned = tuple[Ints, Frames]
"""Pixels of a map, and the frame in which each turned dark."""
OverBlocks = Callable[[Callable[[int], Turned], Sequence[int]], Iterable[Turned]]
FramesOf = Callable[[int], Iterable[Frame]]
"""Gives the sound frames of a block, in order."""

NEVER = NOT_DARK
"""Arrival of a pixel that has not become pit."""

TAIL_FRAMES = 9
"""Frames at the end that show what became pit after the middle of the last block."""

_NOT_YET = np.iinfo(np.uint16).max
_STEEL_SIDE = 96
_LINK_SHARE, _LINK_PX = 0.5, 6.0
"""Parts of a pit lie within this share of its radius, and this many px, of one another."""
_GROWN = 1.5
_LARGE = 6.0
_STEADY = 0.5
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


def one_by_one(function: Callable[[int], Turned], blocks: Sequence[int]) -> list[Turned]:
    """Call a function for one block after the other."""
    return [function(block) for block in blocks]


def find_pits(
    scene: Scene,
    config: PitConfig,
    tail: Sequence[Frame] = (),
    frames_of: FramesOf | None = None,
    over_blocks: OverBlocks = one_by_one,
) -> PitMap:
    """Find every pit of a recording.

    One pass over the backgrounds, and one over the frames of the blocks in which something turns
    dark, in memory that does not grow with their number.

    Parameters
    ----------
    scene:
        The recording's backgrounds.
    config:
        What counts as a pit.
    tail:
        The last good frames, about ``TAIL_FRAMES``. The last background shows the middle of the
        last block; with these, growth after it is not missed. What most of them do not show yet is
        pit if it looks like growth, see `late_growth`.
    frames_of:
        Gives the frames of a block. Without them growth is told by blocks only: a pit has to grow
        over three, or be large, and what lands beside a pit counts as the pit's.
    over_blocks:
        Calls a function for many blocks, as ``one_by_one`` does; ``Compute.collect`` does it in
        parallel.

    Returns
    -------
    PitMap
        Pits in the order of the blocks in which they appear.
    """
    limit = config.darkness * _steel(scene.first)
    since = np.full(scene.shape, _NOT_YET, np.uint16)
    for block in range(scene.n_blocks):
        _record(since, block, scene.background(block) < limit)
    last = [_as_reference(frame) for frame in tail if frame.quality == "ok"]
    end = median_image(last) if last else None
    # Of nine large images only those stay in memory that are looked at again.
    last = [*last[:1], *last[1:][-2:]]
    if end is not None:
        _record(since, scene.n_blocks, end < limit)
    judged = since != _NOT_YET
    at_start = (scene.first < limit) & (since == 0)
    dark, n_static = _without_static(since != _NOT_YET, at_start, config.min_area_px)
    since[~dark] = _NOT_YET
    regions = _regions(dark, config.min_area_px)
    arrival, sound = None, _sound(scene)
    if frames_of is not None and sound.size:
        row, column = np.nonzero(regions)
        none = np.zeros(row.size, np.intp)
        since_then = since[row, column].astype(np.intp)
        candidates = PitMap(scene.shape, row, column, none, since_then, limit[row, column], 1)
        arrival = np.full(scene.shape, NEVER, np.int64)
        arrival[row, column] = _arrival(candidates, scene, frames_of, over_blocks)
    sorted_out = _grouped(regions, since, arrival, sound, config.min_area_px)
    if frames_of is not None and arrival is not None:
        sorted_out = _with_sudden(sorted_out, regions, arrival, limit, scene, frames_of)
    late = late_growth(sorted_out.labels, judged, last, limit)
    since[late > 0] = scene.n_blocks
    labels = sorted_out.labels + late
    row, column = np.nonzero(labels)
    return PitMap(
        scene.shape,
        row,
        column,
        labels[row, column].astype(np.intp) - 1,
        since[row, column].astype(np.intp),
        limit[row, column],
        int(labels.max(initial=0)),
        end,
        n_static,
        None if arrival is None else sorted_out.not_before[row, column],
        sorted_out.n_landed,
        sorted_out.n_beside,
    )


def _arrival(
    candidates: PitMap, scene: Scene, frames_of: FramesOf, over_blocks: OverBlocks
) -> Frames:
    """Return (m,) the frame in which each pixel of a map turns dark, ``NEVER`` where none shows it.

    Every block is looked at by itself.
    """
    arrival = np.full(candidates.row.size, NEVER, np.int64)
    turns = np.unique(np.concatenate([candidates.since - 1, candidates.since]))
    blocks = [int(block) for block in turns if 0 <= block < scene.n_blocks]
    for pixels, frames in over_blocks(partial(turned_dark, candidates, scene, frames_of), blocks):
        np.minimum.at(arrival, pixels, frames)
    # Of a block whose frames are all lost the next one shows what came meanwhile.
    unseen = np.flatnonzero((arrival == NEVER) & (candidates.since < scene.n_blocks))
    sound = _sound(scene)
    block_of = np.array([scene.block_of(frame) for frame in sound.tolist()])
    after = np.searchsorted(block_of, candidates.since[unseen], side="right")
    arrival[unseen] = sound[np.minimum(after, sound.size - 1)]
    return arrival


def turned_dark(candidates: PitMap, scene: Scene, frames_of: FramesOf, block: int) -> Turned:
    """Return which pixels of a map turn dark in a block, and in which frame."""
    pixels = np.flatnonzero((candidates.since == block) | (candidates.since == block + 1))
    first = np.full(candidates.row.size, NEVER, np.int64)
    last = NEVER
    for window in windows(frames_of(block), scene):
        changing, turn = candidates.turning(window)
        numbers = np.array([frame.index for frame in window.frames[: window.n]] + [NEVER])
        turned = numbers[np.minimum(turn, window.n)]
        first[changing] = np.minimum(first[changing], turned)
        last = int(numbers[-2])
    # The background says that it is dark in this block, and no frame for sure: by its end it is.
    late = (candidates.since == block) & (first == NEVER)
    first[late] = last
    pixels = pixels[first[pixels] != NEVER]
    return pixels, first[pixels]


def _sound(scene: Scene) -> Frames:
    """Return (n,) the numbers of the frames that can be trusted."""
    table = scene.frames
    numbers: Frames = table.loc[table["quality"] == "ok", "frame"].to_numpy(np.int64)
    return numbers


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


def _record(since: npt.NDArray[np.uint16], block: int, dark: Mask) -> None:
    """Note the pixels that turn dark in this block, and forget those dark for one block only."""
    since[~dark & (since == block - 1)] = _NOT_YET
    since[dark & (since == _NOT_YET)] = block


def _as_reference(frame: Frame) -> npt.NDArray[np.float32]:
    """Return the image as the reference shows it: at its place, at its brightness."""
    moved = translated(frame.image, -frame.shift[0], -frame.shift[1]).astype(np.float32)
    level: npt.NDArray[np.float32] = moved * np.float32(1 / frame.gain)
    return level


def _steel(image: Image) -> npt.NDArray[np.float32]:
    """Return the brightness of bare steel: a smooth surface through the bright majority.

    A quadratic in x and y, fitted with Tukey weights so that pits and specks do not count.
    """
    height, width = image.shape
    size = (min(width, _STEEL_SIDE), min(height, _STEEL_SIDE))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float64).ravel()
    basis = _quadratic(size[1], size[0]).reshape(6, -1).T
    weight = (small >= np.median(small) / 2).astype(np.float64)
    coefficients = np.zeros(6)
    for _ in range(6):
        coefficients = np.linalg.lstsq(basis * weight[:, None], small * weight, rcond=None)[0]
        residual = small - basis @ coefficients
        spread = max(1.4826 * float(np.median(np.abs(residual[weight > 0]))), 1e-3)
        weight = np.clip(1 - (residual / (5 * spread)) ** 2, 0, None)
    coarse = (basis @ coefficients).reshape(size[1], size[0]).astype(np.float32)
    surface: npt.NDArray[np.float32] = cv2.resize(
        coarse, (width, height), interpolation=cv2.INTER_LINEAR
    )
    return surface


def _quadratic(height: int, width: int) -> npt.NDArray[np.float64]:
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y])


@dataclass(frozen=True, slots=True)
class _Sorted:
    """What the dark pixels are: (height, width) each, and what was left out."""

    labels: npt.NDArray[np.int32]
    not_before: Frames
    n_landed: int
    n_beside: int


def _regions(dark: Mask, min_area_px: float) -> npt.NDArray[np.int32]:
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


def _grouped(
    regions: npt.NDArray[np.int32],
    since: npt.NDArray[np.uint16],
    arrival: Frames | None,
    sound: Frames,
    min_area_px: float,
) -> _Sorted:
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
            start = _regions(dark_from <= sound[0], 0)
            growth = grown_pixels(dark_from, sound, start, min_area_px, _LARGE * min_area_px)
            not_before[box][inside] = growth.not_before[inside]
            inside = growth.pit
            n_parts, n_large = growth.n_landed, growth.n_large_landed
        local = _split_in_time(np.where(inside, since[box], _NOT_YET), min_area_px)
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
    return _Sorted(_in_order(labels, since), not_before, n_landed, n_beside)


def _with_sudden(
    told: _Sorted,
    regions: npt.NDArray[np.int32],
    arrival: Frames,
    limit: npt.NDArray[np.float32],
    scene: Scene,
    frames_of: FramesOf,
) -> _Sorted:
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


def _without_static(dark: Mask, at_start: Mask, min_area_px: float) -> tuple[Mask, int]:
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


def _split_in_time(since: npt.NDArray[np.uint16], min_area_px: float) -> npt.NDArray[np.int32]:
    """Return labels of the pits in one region of neighbouring parts, by following their growth.

    Block by block, new pixels go to the nearest pit within its reach, or start one. When two meet,
    the smaller is a satellite of the larger unless both have become pits of their own.
    """
    labels = np.zeros(since.shape, np.int32)
    count = 0
    for block in np.unique(since[since != _NOT_YET]):
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


def _reach(area: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return how far from a pit of an area its further parts may lie, px."""
    return _LINK_PX + _LINK_SHARE * np.sqrt(area / np.pi)


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
    first = np.full(n + 1, _NOT_YET, np.int64)
    inside = labels > 0
    np.minimum.at(first, labels[inside], since[inside])
    number = np.zeros(n + 1, np.int32)
    number[np.argsort(first[1:], kind="stable") + 1] = np.arange(1, n + 1)
    return number[labels]


def _box(stats: npt.NDArray[np.int32], margin: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    left, top, width, height = (int(value) for value in stats[:4])
    return (
        slice(max(top - margin, 0), min(top + height + margin, shape[0])),
        slice(max(left - margin, 0), min(left + width + margin, shape[1])),
    )
