"""Frame numbers from positions on a grid: what is missing keeps its number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

_OFF_GRID = 0.3
"""A distance this far from a whole number of steps tells that there is no grid."""


@dataclass(frozen=True, slots=True)
class Numbering:
    """The frames' numbers in the recording.

    Parameters
    ----------
    numbers:
        (n,) increasing, the first is 0; a jump of more than one is a gap.
    step:
        Distance of neighbouring frames in units of the positions; None where the positions follow
        no grid, and the frames are numbered as they come.
    """

    numbers: Integers
    step: float | None


def number_frames(positions: Integers, nominal: float | None = None) -> Numbering:
    """Give frames numbers by their positions: time stamps, or counters in file names.

    Frames of a steady recording lie on a grid, so a distance of k steps means k - 1 lost frames.
    If distances are not near whole numbers of steps, or more frames would be missing than there
    are, the positions say nothing about lost frames.

    Parameters
    ----------
    positions:
        (n,) sorted.
    nominal:
        The step that the file states, tried before the median distance.
    """
    n = len(positions)
    in_order = np.arange(n, dtype=np.int64)
    distances = np.diff(positions)
    if n < 2 or (distances <= 0).any():
        return Numbering(in_order, None)
    for step in (nominal, float(np.median(distances))):
        if step is None or not step > 0:
            continue
        steps = distances / step
        whole = np.rint(steps)
        if (whole < 1).any() or (np.abs(steps - whole) > _OFF_GRID).any() or whole.sum() > 2 * n:
            continue
        numbers = np.concatenate([[0], np.cumsum(whole)]).astype(np.int64)
        return Numbering(numbers, float(positions[-1] - positions[0]) / float(numbers[-1]))
    return Numbering(in_order, None)
