"""What becomes pit in the last frames of a recording, too late to be seen to stay.

A growing rim wins a thin layer; what is thicker is growth if it is as dark as the pit that it
touches, and has not moved there: a particle that arrives was dark nearby in the frame before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pitflow.segment.landed import AT_ONCE_FRAMES, FEW_PX, rim_reach

Mask = npt.NDArray[np.bool_]
Float = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]

_AS_DARK = 0.25
"""As dark as a pit: no further from its grey level than this share of the way to the limit."""
_STANDS = 0.5
"""What stands was dark in the frame before at this share of its pixels."""
_MOVED_PX = 12
"""How far a particle that is as dark as a pit, and so in focus, moves in a frame at most, px."""
_3X3 = np.ones((3, 3), np.uint8)


def late_growth(
    labels: Labels, judged: Mask, last: Sequence[Float], limit: npt.NDArray[np.floating]
) -> Labels:
    """Return the pit that each further pixel belongs to at the end, (height, width), 0: none.

    Parameters
    ----------
    labels:
        (height, width) pits, from 1.
    judged:
        (height, width) what is known to be dark for longer, pit or not.
    last:
        Images (height, width) at the reference's place and brightness: one from before, in which
        what is new was not dark, and the last two at least.
    limit:
        (height, width) grey level below which a pixel is as dark as a pit.
    """
    late = np.zeros_like(labels)
    if len(last) < AT_ONCE_FRAMES:
        return late
    pit = labels > 0
    new = (last[-1] < limit) & ~judged & ~pit & ~(last[0] < limit)
    touched = cv2.dilate(labels.astype(np.float32), _3X3).astype(np.int32)
    n, parts, stats, _ = cv2.connectedComponentsWithStats(new.view(np.uint8), connectivity=8)
    for part in range(1, n):
        box = _around(stats[part], labels.shape)
        own = parts[box] == part
        at = touched[box][own]
        if not at.any():
            continue
        around = _Surroundings(own, pit[box], last[-1][box], last[-2][box], limit[box])
        late[box][around.grown(_level(labels, int(at.max()), last[-1]))] = at.max()
    return late


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """A part that touches a pit in the last frame, (height, width) of the box around it each.

    Parameters
    ----------
    own, pit:
        The part, and the pits.
    now, before:
        Grey levels in the last frame and in the one before.
    limit:
        That below which a pixel is dark.
    """

    own: Mask
    pit: Mask
    now: Float
    before: Float
    limit: npt.NDArray[np.floating]

    def grown(self, level: float) -> Mask:
        """Return which pixels of the part are pit, for a pit of this grey level."""
        stands = self.own & (self.before < self.limit)
        is_dark = self.now - level <= _AS_DARK * (self.limit - level)
        if (is_dark & self.own).any() and (
            stands.sum() >= _STANDS * self.own.sum() or not self._has_moved
        ):
            return self.own
        depth = cv2.distanceTransform((~self.pit).view(np.uint8), cv2.DIST_L2, 5)
        thin: Mask = stands & (depth <= rim_reach(AT_ONCE_FRAMES))
        return thin

    @property
    def _has_moved(self) -> bool:
        """Whether something dark nearby has left its place since the frame before."""
        left = (self.before < self.limit) & ~(self.now < self.limit) & ~self.pit
        _, _, stats, _ = cv2.connectedComponentsWithStats(left.view(np.uint8), connectivity=8)
        return bool((stats[1:, cv2.CC_STAT_AREA] > FEW_PX).any())


def _level(labels: Labels, pit: int, image: Float) -> float:
    return float(np.median(image[labels == pit]))


def _around(stats: npt.NDArray[np.int32], shape: tuple[int, ...]) -> tuple[slice, slice]:
    left, top, width, height = (int(value) for value in stats[:4])
    return (
        slice(max(top - _MOVED_PX, 0), min(top + height + _MOVED_PX, shape[0])),
        slice(max(left - _MOVED_PX, 0), min(left + width + _MOVED_PX, shape[1])),
    )
