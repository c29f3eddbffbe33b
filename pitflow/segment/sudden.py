"""Dark parts beside pits that come out of nothing in one frame: growth, not landed particles.

A particle keeps its darkness as it moves and comes into focus, so what lands was dark nearby in the
frames before. Measured in rendered recordings: of the darkness around a landed particle at least 40
per cent was there a frame earlier, and of that around a hole that opens in a pit's cover 3 per
cent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from pitflow.frame import Frame
from pitflow.scene import Scene
from pitflow.segment.landed import FEW_PX, NOT_DARK

Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int32]
Frames = npt.NDArray[np.int64]
Limit = npt.NDArray[np.floating]
FramesOf = Callable[[int], Iterable[Frame]]

_NEARBY_PX = 14
"""A particle was this near in the frame before it landed, px."""
_EARLIER, _BEFORE, _AFTER = range(-12, -5), (-2, -1), (1, 2, 3)
"""Frames, counted from that in which a part comes: those that show what lies there without it,
those in which a particle would be near, and those in which it has come."""
_FEWEST = 3
"""So many frames at least tell what lies there."""
_AT_ONCE = 0.5
"""Share of its pixels that turn dark in one frame."""
_WAS_NEAR, _IS_THERE = 0.1, 0.8
"""Share of the darkness that may be there a frame or two before, and that must be at once."""
_NOISE = 0.02
"""Darkness of less than this share of a pit's limit is noise."""
_RIM = np.ones((7, 7), np.uint8)


@dataclass(slots=True)
class _Part:
    """A dark part that may be sudden.

    Parameters
    ----------
    number:
        Its label.
    frame:
        That in which it comes.
    row, column:
        (h,) and (w,) what is around it.
    counts:
        (h, w) which pixels tell: those away from the pit, whose rim moves.
    floor:
        Grey levels that are noise.
    """

    number: int
    frame: int
    row: npt.NDArray[np.intp]
    column: npt.NDArray[np.intp]
    counts: Mask
    floor: float
    seen: dict[int, npt.NDArray[np.float32]] = field(default_factory=dict)

    def look(self, frame: Frame) -> None:
        """Keep what a frame shows, if it is one of those that tell."""
        offset = frame.index - self.frame
        if offset not in _EARLIER and not _BEFORE[0] <= offset <= _AFTER[-1]:
            return
        row, column = np.meshgrid(self.row, self.column, indexing="ij")
        row, column, seen = frame.pixels_at(row, column)
        if frame.quality == "ok" and seen.all():
            level = frame.image[row, column].astype(np.float32) * np.float32(1 / frame.gain)
            self.seen[offset] = cv2.blur(level, (3, 3))

    def is_sudden(self) -> bool:
        """Tell whether it came out of nothing."""
        earlier = [self.seen[offset] for offset in _EARLIER if offset in self.seen]
        if len(earlier) < _FEWEST or not all(k in self.seen for k in (*_BEFORE, 0, *_AFTER)):
            return False
        without = np.median(earlier, axis=0)

        def darkness(offset: int) -> float:
            darker = without - self.seen[offset] - self.floor
            return float(np.maximum(darker, 0)[self.counts].sum())

        after = float(np.median([darkness(offset) for offset in _AFTER]))
        before = max(darkness(offset) for offset in _BEFORE)
        return before <= _WAS_NEAR * after and darkness(0) >= _IS_THERE * after


def sudden_growth(
    left: Mask, arrival: Frames, pit_from: Frames, limit: Limit, scene: Scene, frames_of: FramesOf
) -> tuple[Mask, int]:
    """Return which of the dark pixels left beside pits came out of nothing, and in how many parts.

    Parameters
    ----------
    left:
        (height, width) what is dark beside pits, and was taken for landed.
    arrival, pit_from:
        (height, width) frame in which each pixel turned dark, and is pit; ``NOT_DARK`` for none.
    limit:
        (height, width) grey level below which a pixel is dark.
    scene, frames_of:
        The recording. Only blocks in which such a part comes at once are looked at.
    """
    _, labels, stats, _ = cv2.connectedComponentsWithStats(left.view(np.uint8), connectivity=8)
    parts = [
        part
        for number in np.flatnonzero(stats[1:, cv2.CC_STAT_AREA] > FEW_PX) + 1
        if (part := _candidate(int(number), labels, stats[number], arrival, pit_from, limit))
    ]
    wanted = {
        min(max(scene.block_of(part.frame + offset), 0), scene.n_blocks - 1)
        for part in parts
        for offset in (_EARLIER[0], _AFTER[-1])
    }
    for block in sorted(wanted):
        for frame in frames_of(block):
            for part in parts:
                part.look(frame)
    numbers = [part.number for part in parts if part.is_sudden()]
    grown: Mask = np.isin(labels, numbers) & left
    return grown, len(numbers)


def _candidate(
    number: int,
    labels: Labels,
    stats: npt.NDArray[np.int32],
    arrival: Frames,
    pit_from: Frames,
    limit: Limit,
) -> _Part | None:
    """Return a part of which enough turns dark in one frame, None of another."""
    left, top, width, height = (int(value) for value in stats[:4])
    row = np.arange(max(top - _NEARBY_PX, 0), min(top + height + _NEARBY_PX, labels.shape[0]))
    column = np.arange(max(left - _NEARBY_PX, 0), min(left + width + _NEARBY_PX, labels.shape[1]))
    box = (slice(row[0], row[-1] + 1), slice(column[0], column[-1] + 1))
    own = labels[box] == number
    frames, count = np.unique(arrival[box][own], return_counts=True)
    frame = int(frames[np.argmax(count)])
    if frame == NOT_DARK or count.max() < _AT_ONCE * own.sum():
        return None
    pit = (pit_from[box] <= frame + _AFTER[-1]).view(np.uint8)
    counts = (cv2.dilate(pit, _RIM) == 0) | own
    return _Part(number, frame, row, column, counts, _NOISE * float(np.median(limit[box][own])))
