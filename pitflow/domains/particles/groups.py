"""Splitting pictures without a leak: what shares pixels stays together.

Labelled tiles are named ``<video>_<time fraction>_<tile index>``. They are 200 px wide and start
every 100 px, 21 to a row, so tile i lies at row i // 21 and column i % 21 and overlaps its
neighbours. Tiles of one frame that hang together by overlap form one group.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from pitflow.errors import UserError

TILES_PER_ROW = 21
TILE_PX, TILE_STEP_PX = 200, 100
_REACH = 2
"""Tiles nearer than this many places in both directions overlap."""

_NAME = re.compile(r"^(?P<frame>.+_[0-9.]+)_(?P<tile>\d+)(?:\.0*)?$")


def overlap_groups(names: Sequence[str]) -> list[str]:
    """Return the group of each tile by its name (without suffix).

    The group is named by the video and time fraction and its first tile. A name of another form
    stands for itself.
    """
    groups = list(names)
    frames: dict[str, dict[int, list[int]]] = {}
    for position, name in enumerate(names):
        if parts := _NAME.match(name):
            tiles = frames.setdefault(parts["frame"], {})
            tiles.setdefault(int(parts["tile"]), []).append(position)
    for frame, tiles in frames.items():
        left = set(tiles)
        while left:
            first = min(left)
            for tile in _connected(first, left):
                left.discard(tile)
                for position in tiles[tile]:
                    groups[position] = f"{frame} from tile {first}"
    return groups


def tile_offset(first: str, second: str, *, same_time: bool = True) -> tuple[int, int] | None:
    """Return (rows, columns) in px from one tile to another that overlaps it; None if it does not.

    Tiles of different videos never overlap; those of different times of a video show the same place
    of the steel, and overlap only without ``same_time``.
    """
    one, other = _NAME.match(first), _NAME.match(second)
    if one is None or other is None:
        return None
    frames = [one["frame"], other["frame"]]
    if not same_time:
        frames = [frame.rsplit("_", 1)[0] for frame in frames]
    if frames[0] != frames[1]:
        return None
    (row, column), (other_row, other_column) = (
        divmod(int(parts["tile"]), TILES_PER_ROW) for parts in (one, other)
    )
    down, right = other_row - row, other_column - column
    if abs(down) >= _REACH or abs(right) >= _REACH:
        return None
    return down * TILE_STEP_PX, right * TILE_STEP_PX


def split(
    groups: Sequence[str], weights: Sequence[float], share: float, seed: int
) -> tuple[list[int], list[int]]:
    """Split items into two sides by whole groups; returns their positions.

    The second side gets about ``share`` of the total weight: groups are taken in random order while
    they fit.

    Raises
    ------
    UserError
        If all items are of one group, which cannot be split.
    """
    names = sorted(set(groups))
    if len(names) < 2:
        raise UserError(
            "all pictures share pixels or a recording: none can be kept aside to validate on",
            hint="add pictures of another frame or recording",
        )
    total = dict.fromkeys(names, 0.0)
    for group, weight in zip(groups, weights, strict=True):
        total[group] += weight
    wanted = share * sum(total.values())
    order = [names[index] for index in np.random.default_rng(seed).permutation(len(names))]
    aside: set[str] = set()
    held = 0.0
    for name in order:
        if held + total[name] <= wanted:
            aside.add(name)
            held += total[name]
    if held == 0:
        # Nothing that holds truth fits. The lightest of several that do is nearest to the share; a
        # single one is needed for training.
        holding = sorted((name for name in names if total[name] > 0), key=total.__getitem__)
        aside = {holding[0]} if len(holding) > 1 else {n for n in names if n not in holding[:1]}
        aside = aside if len(aside) < len(names) else {order[0]}
    first = [index for index, group in enumerate(groups) if group not in aside]
    second = [index for index, group in enumerate(groups) if group in aside]
    return first, second


def folds(groups: Sequence[str], weights: Sequence[float], n: int) -> list[list[int]]:
    """Return ``n`` folds of positions, whole groups each, of about the same weight.

    Raises
    ------
    UserError
        If there are fewer groups than folds.
    """
    total: dict[str, float] = {}
    for group, weight in zip(groups, weights, strict=True):
        total[group] = total.get(group, 0.0) + weight
    if len(total) < n:
        raise UserError(f"{len(total)} groups of pictures do not make {n} folds")
    load = [(0.0, 0, fold) for fold in range(n)]
    chosen: dict[str, int] = {}
    for name in sorted(total, key=lambda name: (-total[name], name)):
        weight, count, fold = min(load)
        load[load.index((weight, count, fold))] = (weight + total[name], count + 1, fold)
        chosen[name] = fold
    return [
        [index for index, group in enumerate(groups) if chosen[group] == fold] for fold in range(n)
    ]


def _connected(first: int, tiles: set[int]) -> set[int]:
    reached, front = {first}, [first]
    while front:
        row, column = divmod(front.pop(), TILES_PER_ROW)
        near = {
            tile
            for tile in tiles - reached
            if abs(tile // TILES_PER_ROW - row) < _REACH
            and abs(tile % TILES_PER_ROW - column) < _REACH
        }
        reached |= near
        front += near
    return reached
