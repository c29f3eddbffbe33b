"""One object with a mask of its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Limits:
    """Which detections count.

    Parameters
    ----------
    min_score:
        Least score.
    max_overlap:
        Of boxes (same class) that overlap by more IoU than this, the best stays.
    most:
        Largest number of instances in a tile; the best stay.
    """

    min_score: float = 0.05
    max_overlap: float = 0.7
    most: int = 1000


@dataclass(frozen=True, slots=True)
class Instance:
    """An object found in an image.

    Parameters
    ----------
    top, left:
        Row and column of the first pixel of ``mask`` in the image.
    mask:
        (height, width) of its bounding box.
    score:
        Confidence, 0 to 1.
    kind:
        Place of its class among the model's classes.
    """

    top: int
    left: int
    mask: Mask
    score: float
    kind: int = 0

    @property
    def bottom(self) -> int:
        """One past its last row."""
        return int(self.top + self.mask.shape[0])

    @property
    def right(self) -> int:
        """One past its last column."""
        return int(self.left + self.mask.shape[1])

    def part(self, top: int, left: int, bottom: int, right: int) -> Mask:
        """Return its mask over a rectangle of the image, False where it does not reach."""
        shown = np.zeros((bottom - top, right - left), dtype=bool)
        y0, y1 = max(top, self.top), min(bottom, self.bottom)
        x0, x1 = max(left, self.left), min(right, self.right)
        if y0 < y1 and x0 < x1:
            shown[y0 - top : y1 - top, x0 - left : x1 - left] = self.mask[
                y0 - self.top : y1 - self.top, x0 - self.left : x1 - self.left
            ]
        return shown


def trimmed(top: int, left: int, mask: Mask, score: float, kind: int = 0) -> Instance | None:
    """Return an instance whose mask is cut to its pixels; None if it has none."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if rows.size == 0:
        return None
    inside = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()
    return Instance(top + int(rows[0]), left + int(columns[0]), inside, score, kind)


def paint_labels(
    instances: Iterable[Instance], shape: tuple[int, int]
) -> tuple[npt.NDArray[np.uint16], list[Instance]]:
    """Return a label image and the instances in the order of their labels, from 1.

    Where instances overlap, the better one has the pixel. One of which the better ones leave less
    than half has no label.

    Raises
    ------
    ValueError
        If there are more than 65535.
    """
    labels = np.zeros(shape, dtype=np.uint16)
    kept: list[Instance] = []
    for instance in sorted(instances, key=lambda one: -one.score):
        window = labels[instance.top : instance.bottom, instance.left : instance.right]
        free = instance.mask & (window == 0)
        if 2 * np.count_nonzero(free) <= np.count_nonzero(instance.mask):
            continue
        kept.append(instance)
        if len(kept) > np.iinfo(np.uint16).max:
            raise ValueError("more than 65535 instances do not fit a label image")
        window[free] = len(kept)
    return labels, kept
