"""Splitting pictures without a leak: what shares pixels stays together.

Labelled tiles are named ``<video>_<time fraction>_<tile index>``. They are 200 px wide and start
every 100 px, 21 to a row, so tile i lies at row i // 21 and column i % 21 and overlaps its
neighbours. Tiles of one frame that hang together by overlap form one group.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

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


def tile_offset(first: str, second: str) -> tuple[int, int] | None:
    """Return (rows, columns) in px from one tile to another that overlaps it; None if it does not.

    Tiles of different videos never overlap; those of different times of a video show the same place
    of the steel, and do.
    """
    one, other = _NAME.match(first), _NAME.match(second)
    if one is None or other is None:
        return None
    videos = [tile["frame"].rsplit("_", 1)[0] for tile in (one, other)]
    if videos[0] != videos[1]:
        return None
    (row, column), (other_row, other_column) = (
        divmod(int(parts["tile"]), TILES_PER_ROW) for parts in (one, other)
    )
    down, right = other_row - row, other_column - column
    if abs(down) >= _REACH or abs(right) >= _REACH:
        return None
    return down * TILE_STEP_PX, right * TILE_STEP_PX


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
