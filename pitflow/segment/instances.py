"""A tiled network over whole images: instances out, each once, however many tiles it crosses.

    +-------- tile a --------+
    |                 +------|--------- tile b ---------+
    |        (   pit  |  )   |                          |
    +-----------------|------+                          |
                      +---------------------------------+

Tiles overlap. Two instances of neighbouring tiles are the same object if, where both tiles look,
their masks agree; so one that is larger than the overlap, or than a tile, is put together from its
parts. Where tiles look at the same pixel, the one that sees more around it decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from pitflow.segment import tiles
from pitflow.segment.devices import CPU, Execution
from pitflow.segment.instance import Instance, Limits, trimmed
from pitflow.segment.networks import fold_batch_norm
from pitflow.segment.networks.packed import placed

Floats = npt.NDArray[np.float32]
Channels = Callable[[npt.NDArray[Any]], Floats]
"""Makes (channels, height, width), 0 for the commonest grey, of a part of an image."""

SAME = 0.5
"""Least IoU, where two tiles both look, of the masks of one object."""

BATCH = {"cpu": 1, "mps": 2, "cuda": 8}
"""Tiles at a time, by kind of device."""

_WHOLE = 0.9
"""An object seen whole covers at least this share of any piece of it."""

_BORDER_PX = 2
"""A mask that ends nearer than this to the border of its tile was cut off by it."""


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A part of an image: rows top to bottom, columns left to right, ends excluded."""

    top: int
    left: int
    bottom: int
    right: int

    def common(self, other: Rectangle) -> Rectangle | None:
        """Return what both cover."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        bottom, right = min(self.bottom, other.bottom), min(self.right, other.right)
        return Rectangle(top, left, bottom, right) if top < bottom and left < right else None


@dataclass(frozen=True, slots=True)
class Seen:
    """An instance, in the image's coordinates, and the tile that saw it."""

    instance: Instance
    tile: Rectangle


class InstancePredictor:
    """Find the instances in images of any size.

    Parameters
    ----------
    network:
        One of ``pitflow.segment.networks`` that finds instances; a copy of it is used, without what
        only training needs.
    tile:
        Side of a tile in px, as large as the images it was trained on.
    overlap:
        Least overlap of tiles, px. Objects smaller than this are seen whole by some tile.
    execution:
        Device and precision.
    limits:
        Which detections count.
    """

    def __init__(
        self,
        network: nn.Module,
        tile: int,
        *,
        overlap: int,
        execution: Execution = CPU,
        limits: Limits = Limits(),  # noqa: B008 (frozen)
    ) -> None:
        self.multiple = int(network.multiple)
        self.tile, self.overlap, self.limits = tile, overlap, limits
        if network.single_precision:
            execution = replace(execution, dtype=torch.float32)
        self.execution = execution
        self._network: Any = placed(fold_batch_norm(network.without_auxiliary()), execution)

    def predict(
        self,
        image: npt.NDArray[Any],
        channels: Channels,
        advance: Callable[[int], None] = lambda _: None,
    ) -> list[Instance]:
        """Return the instances in an image, best first.

        Memory beyond the image itself is that of a few tiles and of the masks that were found.

        Parameters
        ----------
        image:
            (height, width) or (height, width, colours).
        channels:
            Makes the network's input of a tile's part of the image. Beyond the image's border the
            input is 0.
        advance:
            Called with the number of tiles done.
        """
        height, width = image.shape[:2]
        plan = tiles.plan_tiles(
            (height, width), self.tile, overlap=self.overlap, multiple=self.multiple
        )
        rectangles = [_covered(plan, tile) for tile in plan]
        step = BATCH[self.execution.device.type]
        seen: list[Seen] = []
        for start in range(0, len(rectangles), step):
            some = rectangles[start : start + step]
            for rectangle, found in zip(
                some, self._look(image, channels, some, plan.tile_shape), strict=True
            ):
                seen += _placed(found, rectangle)
            advance(len(some))
        return sorted(merge(seen, (height, width)), key=lambda one: -one.score)

    def _look(
        self,
        image: npt.NDArray[Any],
        channels: Channels,
        rectangles: Sequence[Rectangle],
        tile: tuple[int, int],
    ) -> list[list[Instance]]:
        inputs = []
        for part in rectangles:
            made = channels(image[part.top : part.bottom, part.left : part.right])
            beyond = [(0, side - size) for side, size in zip(tile, made.shape[1:], strict=True)]
            inputs.append(np.pad(made, [(0, 0), *beyond]))
        batch = torch.from_numpy(np.stack(inputs)).to(
            self.execution.device, self.execution.dtype, memory_format=torch.channels_last
        )
        with torch.inference_mode():
            found: list[list[Instance]] = self._network.detect(batch, self.limits)
        return found


def merge(seen: Sequence[Seen], shape: tuple[int, int]) -> list[Instance]:
    """Return every object once, from what overlapping tiles saw of an image of (height, width)."""
    leader = list(range(len(seen)))

    def lead(index: int) -> int:
        while leader[index] != index:
            leader[index] = leader[leader[index]]
            index = leader[index]
        return index

    for one, other in _candidates(seen):
        if _same(seen[one], seen[other], shape):
            leader[lead(one)] = lead(other)
    groups: dict[int, list[Seen]] = {}
    for index, member in enumerate(seen):
        groups.setdefault(lead(index), []).append(member)
    joined = (_joined(group, shape) for group in groups.values())
    return [instance for instance in joined if instance is not None]


def _covered(plan: tiles.TilePlan, tile: tuple[int, int]) -> Rectangle:
    height, width = plan.shape
    top, left = plan.rows.starts[tile[0]], plan.columns.starts[tile[1]]
    bottom, right = top + plan.tile_shape[0], left + plan.tile_shape[1]
    return Rectangle(top, left, min(bottom, height), min(right, width))


def _placed(found: Iterable[Instance], tile: Rectangle) -> Iterable[Seen]:
    """Move instances of a tile to their place in the image, and cut off what lies beyond it."""
    height, width = tile.bottom - tile.top, tile.right - tile.left
    for one in found:
        # Where the image is smaller than the tile, something may be found beyond it.
        inside = one.mask[: max(height - one.top, 0), : max(width - one.left, 0)]
        placed = trimmed(tile.top + one.top, tile.left + one.left, inside, one.score, one.kind)
        if placed is not None:
            yield Seen(placed, tile)


def _candidates(seen: Sequence[Seen]) -> Iterable[tuple[int, int]]:
    """Yield pairs of instances of one class and different tiles whose boxes overlap."""
    by_tile: dict[Rectangle, list[int]] = {}
    for index, member in enumerate(seen):
        by_tile.setdefault(member.tile, []).append(index)
    parts = list(by_tile.items())
    boxes = np.array(
        [(m.instance.top, m.instance.left, m.instance.bottom, m.instance.right) for m in seen]
    ).reshape(-1, 4)
    kinds = np.array([member.instance.kind for member in seen])
    for place, (tile, members) in enumerate(parts):
        for other_tile, others in parts[place + 1 :]:
            if tile.common(other_tile) is None:
                continue
            a, b = boxes[members][:, None], boxes[others][None]
            overlap = (np.maximum(a, b)[..., :2] < np.minimum(a, b)[..., 2:]).all(axis=-1)
            overlap &= kinds[members][:, None] == kinds[others][None]
            for i, j in np.argwhere(overlap):
                yield members[i], others[j]


def _same(one: Seen, other: Seen, shape: tuple[int, int]) -> bool:
    """Return whether two tiles saw the same object.

    Also of one object are a piece that its tile cut off and what covers most of that piece.
    """
    common = one.tile.common(other.tile)
    if common is None:
        return False
    a, b = (
        member.instance.part(common.top, common.left, common.bottom, common.right)
        for member in (one, other)
    )
    both = int(np.count_nonzero(a & b))
    if both > SAME * np.count_nonzero(a | b):
        return True
    return any(
        both > SAME * np.count_nonzero(member.instance.mask) and _is_cut(member, shape)
        for member in (one, other)
    )


def _is_cut(member: Seen, shape: tuple[int, int]) -> bool:
    one, tile = member.instance, member.tile
    return (
        (tile.top > 0 and one.top < tile.top + _BORDER_PX)
        or (tile.left > 0 and one.left < tile.left + _BORDER_PX)
        or (tile.bottom < shape[0] and one.bottom > tile.bottom - _BORDER_PX)
        or (tile.right < shape[1] and one.right > tile.right - _BORDER_PX)
    )


def _joined(group: Sequence[Seen], shape: tuple[int, int]) -> Instance | None:
    """Return one instance of what several tiles saw of it."""
    best = max(group, key=lambda member: member.instance.score).instance
    group = _seen_whole(group, shape) or group
    if len(group) == 1:
        return replace(group[0].instance, score=best.score)
    top = min(member.instance.top for member in group)
    left = min(member.instance.left for member in group)
    bottom = max(member.instance.bottom for member in group)
    right = max(member.instance.right for member in group)
    votes = np.zeros((bottom - top, right - left), dtype=np.float32)
    total = np.zeros_like(votes)
    for tile in dict.fromkeys(member.tile for member in group):
        mask = np.zeros(votes.shape, dtype=bool)
        for member in group:
            if member.tile == tile:
                mask |= member.instance.part(top, left, bottom, right)
        rows = _depth(tile.top, tile.bottom, top, bottom, shape[0])
        columns = _depth(tile.left, tile.right, left, right, shape[1])
        weight = np.minimum(rows[:, None], columns[None, :])
        votes += weight * mask
        total += weight
    joined = trimmed(top, left, votes > 0.5 * total, best.score, best.kind)
    return joined if joined is None else replace(joined, score=best.score)


def _seen_whole(group: Sequence[Seen], shape: tuple[int, int]) -> list[Seen]:
    """Return the members that no tile cut off, if they cover every one that was (nearly)."""
    whole = [member for member in group if not _is_cut(member, shape)]
    if not whole:
        return []
    for member in group:
        one = member.instance
        covered = np.zeros(one.mask.shape, dtype=bool)
        for other in whole:
            covered |= other.instance.part(one.top, one.left, one.bottom, one.right)
        if np.count_nonzero(covered & one.mask) < _WHOLE * np.count_nonzero(one.mask):
            return []
    return whole


def _depth(start: int, stop: int, first: int, last: int, size: int) -> Floats:
    """Return how deep inside a tile (start to stop) each row from ``first`` to ``last`` lies.

    0 outside of the tile; the border of the image hides nothing and does not count.
    """
    rows = np.arange(first, last)
    before = rows - start + 1 if start > 0 else np.full_like(rows, size)
    behind = stop - rows if stop < size else np.full_like(rows, size)
    depth = np.where((rows >= start) & (rows < stop), np.minimum(before, behind), 0)
    return depth.astype(np.float32)
