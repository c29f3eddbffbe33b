"""Pits are found: near-black regions of the steel that stay and grow.

Moving particles are gone from the blocks' backgrounds, so what is near-black there and stays so is
a pit, a static dark speck or a particle that has landed; those do not grow. Where dark pixels lie
is found from the backgrounds of the whole recording, when each turns dark from the frames of its
block, and by that growth is told from landing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt

from pitflow.config import PitConfig
from pitflow.frame import Frame, Image
from pitflow.median import median_image
from pitflow.scene import Scene
from pitflow.segment.classical.bubbles import Steel
from pitflow.segment.classical.window import windows
from pitflow.segment.late import late_growth
from pitflow.segment.pit_map import NEVER, Frames, Ints, Mask, PitMap
from pitflow.segment.pit_regions import NOT_YET, grouped, regions_of, with_sudden, without_static
from pitflow.segment.sudden import FramesOf
from pitflow.translation import translated

Turned = tuple[Ints, Frames]
"""Pixels of a map, and the frame in which each turned dark."""
OverBlocks = Callable[[Callable[[int], Turned], Sequence[int]], Iterable[Turned]]

TAIL_FRAMES = 9
"""Frames at the end that show what became pit after the middle of the last block."""

_STEEL_SIDE = 96


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
    since = np.full(scene.shape, NOT_YET, np.uint16)
    last = [_as_reference(frame) for frame in tail if frame.quality == "ok"]
    end = median_image(last) if last else None
    # Of nine large images only those stay in memory that are looked at again.
    last = [*last[:1], *last[1:][-2:]]
    for block in range(scene.n_blocks):
        image = scene.background(block)
        near = [scene.background(i) for i in (block - 1, block + 1) if 0 <= i < scene.n_blocks]
        later = near[-1] if block + 1 < scene.n_blocks else end
        _record(since, block, *_dark(image, near, limit, later))
    if end is not None:
        near = [scene.background(scene.n_blocks - 1)]
        _record(since, scene.n_blocks, *_dark(end, near, limit, None))
    judged = since != NOT_YET
    at_start = (scene.first < limit) & (since == 0)
    dark, n_static = without_static(judged, at_start, config.min_area_px)
    since[~dark] = NOT_YET
    regions = regions_of(dark, config.min_area_px)
    arrival, sound = None, _sound(scene)
    if frames_of is not None and sound.size:
        row, column = np.nonzero(regions)
        none = np.zeros(row.size, np.intp)
        since_then = since[row, column].astype(np.intp)
        candidates = PitMap(scene.shape, row, column, none, since_then, limit[row, column], 1)
        arrival = np.full(scene.shape, NEVER, np.int64)
        arrival[row, column] = _arrival(candidates, scene, frames_of, over_blocks)
    sorted_out = grouped(regions, since, arrival, sound, config.min_area_px)
    if frames_of is not None and arrival is not None:
        sorted_out = with_sudden(sorted_out, regions, arrival, limit, scene, frames_of)
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
    pixels = np.flatnonzero(first != NEVER)
    return pixels, first[pixels]


def _sound(scene: Scene) -> Frames:
    """Return (n,) the numbers of the frames that can be trusted."""
    table = scene.frames
    numbers: Frames = table.loc[table["quality"] == "ok", "frame"].to_numpy(np.int64)
    return numbers


def _dark(
    image: Image, near: Sequence[Image], limit: npt.NDArray[np.float32], later: Image | None
) -> tuple[Mask, Mask]:
    """Return which pixels of a background are dark, but for rims of bubbles, and which they cover.

    Parameters
    ----------
    image:
        The background.
    near:
        Those before and after it.
    limit:
        Grey level below which a pixel is dark.
    later:
        What there is after it; None: not known.
    """
    steel = Steel([image, *near])
    always = steel.image < limit
    bubbles = steel.bubbles(Frame(0, image), always)
    dark = image < limit
    if later is not None:
        bubbles = bubbles.that_do_not_stay_and_grow(dark & ~always, (later < limit) & ~always)
    bubbles.clear_rims(dark)
    covered = np.zeros(image.shape, np.uint8)
    bubbles.draw(covered, 1)
    return dark, covered.view(np.bool_)


def _record(since: npt.NDArray[np.uint16], block: int, dark: Mask, covered: Mask) -> None:
    """Note the pixels that turn dark in this block, and forget those dark for one block only."""
    since[~dark & ~covered & (since == block - 1)] = NOT_YET
    since[dark & (since == NOT_YET)] = block


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
