"""Particles out of probability maps: one per maximum of the map of centres, and its pixels.

A network with a class ``centre`` marks a small disc in the middle of each particle. Particles that
touch are one region of particle pixels, but two discs; so the discs are counted, and each pixel of
a particle belongs to the nearest of them in its region.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from pitflow.segment.surroundings import windows_around

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

_SIGMA_PX = 1.0
APART_PX = 3
"""Two maxima nearer than this are one: discs are this wide."""
_DISC_PX = 3
"""The middle of a particle is sought in what is marked as near as this to a maximum: the radius of
the widest disc that a network learns."""
_OWN_SHARE = 0.05
"""What is less than this share of the threshold is no maximum, whatever lies around."""


@dataclass(frozen=True, slots=True)
class Centres:
    """Maxima of a map of centres.

    Parameters
    ----------
    row, column:
        (n,) pixel of each maximum.
    score:
        (n,) smoothed probability there, relative to that of a perfect disc of the least size; 0 to
        1.
    place:
        (n, 2) x and y of the middle of the probability around the maximum, px.
    """

    row: Ints
    column: Ints
    score: Floats
    place: Floats

    def __getitem__(self, chosen: Mask) -> Centres:
        return Centres(
            self.row[chosen], self.column[chosen], self.score[chosen], self.place[chosen]
        )


def find_centres(probability: Floats, threshold: float) -> Centres:
    """Return the maxima of a (height, width) map of the class ``centre``.

    The map is smoothed, so that the evidence of the whole disc counts and a lone pixel does not.

    Parameters
    ----------
    threshold:
        Least score.
    """
    width = probability.shape[1]
    # Nearly all of the map is next to 0, and no maximum of anything.
    row, column = np.divmod(np.flatnonzero(probability > _OWN_SHARE * threshold), width)
    value = _smoothed(probability, row, column) / np.float32(_least_disc())
    highest = (value >= threshold) & _is_maximum(value, row, column, width)
    row, column, value = row[highest], column[highest], value[highest]
    score = np.minimum(value, 1)
    order = np.argsort(-score, kind="stable")
    row, column, score = row[order], column[order], score[order]
    # Equal neighbours (a saturated plateau) are one maximum: the first stands for it.
    kept = np.ones(row.size, dtype=bool)
    pairs = cKDTree(np.column_stack([row, column])).query_pairs(APART_PX - 0.5) if row.size else ()
    for first, second in sorted(pairs):
        if kept[first]:
            kept[second] = False
    row, column = row[kept], column[kept]
    return Centres(row, column, score[kept], _middles(probability, row, column))


def _smoothed(probability: Floats, row: Ints, column: Ints) -> Floats:
    """Return what the smoothed map is at some pixels; beyond its border it is mirrored."""
    reach = round(4 * _SIGMA_PX)
    weights = cv2.getGaussianKernel(2 * reach + 1, _SIGMA_PX, cv2.CV_32F)[:, 0]
    windows = windows_around(probability, row, column, reach, "mirrored")
    smoothed: Floats = np.einsum("nij,i,j->n", windows, weights, weights)
    return smoothed


def _is_maximum(value: Floats, row: Ints, column: Ints, width: int) -> Mask:
    """Return which of some pixels of a map, in the order of its rows, none beside them exceeds.

    Pixels that are not among them are 0.
    """
    # One column more than there are: the last pixel of a row is not beside the first of the next.
    key = row * (width + 1) + column
    highest = value >= 0
    for down, right in itertools.product((-1, 0, 1), repeat=2):
        beside = key + (down * (width + 1) + right)
        at = np.minimum(np.searchsorted(key, beside), key.size - 1)
        highest &= (key[at] != beside) | (value >= value[at])
    return highest


def _middles(probability: Floats, row: Ints, column: Ints) -> Floats:
    """Return (n, 2) x and y of the centroids of the map within a disc around some pixels."""
    steps = np.arange(-_DISC_PX, _DISC_PX + 1)
    disc = np.hypot(steps[:, None], steps) <= _DISC_PX + 0.5
    weight = windows_around(probability, row, column, _DISC_PX, "mirrored") * disc
    total = weight.sum(axis=(1, 2))
    x = column + np.einsum("nij,j->n", weight, steps) / total
    y = row + np.einsum("nij,i->n", weight, steps) / total
    return np.column_stack([x, y]).astype(np.float32)


@cache
def _least_disc() -> float:
    """Return the maximum of a perfect disc of 3 x 3 px, smoothed."""
    disc = np.zeros((15, 15), np.float32)
    disc[6:9, 6:9] = 1
    return float(cv2.GaussianBlur(disc, (0, 0), _SIGMA_PX).max())
