"""The data bar: the strip below a micrograph in which the microscope writes its settings."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pitflow.frame import Image

MAX_SHARE = 0.3
"""A bar is never higher than this share of the image."""

_ALIKE = 0.02
"""Greys that differ by less than this share of the range are the same."""

_BLANK = 0.5
"""Least share of a row of the bar that is its blank colour; the rest is writing."""

_MOSTLY_BLANK = 0.6
"""Least share over the whole bar."""

_WHOLLY_BLANK = 0.95
"""Least share in the emptiest row: a bar has one without writing."""

_STRAIGHT = 0.75
"""Least share of the columns in which the picture ends at the same row."""


def find_data_bar(image: Image) -> int:
    """Return the row at which the data bar begins; the image's height if it has none.

    A bar is of one colour but for the writing, reaches across the whole image, and begins at the
    same row in every column. Dark or saturated parts of a specimen are neither so uniform nor so
    straight.

    Parameters
    ----------
    image:
        (height, width) grey.
    """
    height, width = int(image.shape[0]), int(image.shape[1])
    least = max(4, round(0.01 * height))
    if height < 4 * least or width < 16:
        return height
    first = height - round(MAX_SHARE * height)
    lower = image[first:].astype(np.float32)
    span = float(image.max()) - float(image.min())
    if span == 0:
        return height
    blank = _blank_colour(lower[-least:])
    is_blank = np.abs(lower - blank) <= _ALIKE * span
    share = is_blank.mean(axis=1)
    # A line along the bar's upper edge, or a frame around it, is part of it.
    rows = np.flatnonzero(share < _BLANK)
    candidates = [int(row) + 1 for row in rows[::-1]]
    for start in candidates:
        if len(share) - start < least:
            continue
        if not _is_straight(is_blank, start):
            # Writing may fill a row; what lies above it may still be bar.
            continue
        if share[start:].mean() < _MOSTLY_BLANK or share[start:].max() < _WHOLLY_BLANK:
            return height
        return first + start - _frame(lower, start)
    return height


def _blank_colour(rows: npt.NDArray[np.float32]) -> float:
    values, counts = np.unique(rows, return_counts=True)
    return float(values[np.argmax(counts)])


def _is_straight(is_blank: npt.NDArray[np.bool_], start: int) -> bool:
    """Return whether most columns stop being blank within two rows above ``start``."""
    above = is_blank[max(start - 3, 0) : start]
    below = is_blank[start : start + 3]
    if len(above) == 0 or len(below) == 0:
        return False
    ends = below.mean(axis=0) > 0.5
    begins = ~above.all(axis=0)
    return float((ends & begins).mean()) >= _STRAIGHT


def _frame(lower: npt.NDArray[np.float32], start: int) -> int:
    """Return how many rows just above the bar are a uniform line that belongs to it."""
    rows = 0
    spread = float(lower.max() - lower.min())
    while rows < 3 and start - rows > 0:
        if float(np.ptp(lower[start - rows - 1])) > _ALIKE * spread:
            break
        rows += 1
    return rows
