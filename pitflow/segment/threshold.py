"""From which probability on something is predicted: the F1 over thresholds, added up over images.

A curve holds what a threshold needs and no images, so curves of many images are kept, added up over
any of them, and the threshold for one part of the data is found from all the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

from pitflow.segment.centres import find_centres

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]

BINS = 200
GATE_PX = 5.0
"""A found centre further than this from a true one is none (the ISBI challenge's gate)."""

_FAINTEST = 0.05
_DEFAULT = 0.5
_AS_GOOD = 0.01
"""F1 that differ by this share are equally good."""


@dataclass(frozen=True, slots=True)
class Curve:
    """What is predicted at each threshold of 0 to 1 in steps of 1 / ``BINS``.

    Parameters
    ----------
    hits, predicted:
        (BINS,) how much of the truth, and how much at all, scores in each step.
    truth:
        How much there is to find.
    """

    hits: npt.NDArray[np.float64]
    predicted: npt.NDArray[np.float64]
    truth: float

    def __add__(self, other: Curve) -> Curve:
        return Curve(
            self.hits + other.hits, self.predicted + other.predicted, self.truth + other.truth
        )

    def f1(self) -> npt.NDArray[np.float64]:
        """Return the F1 at each threshold, (BINS,); 0 where there is nothing to find."""
        hits, predicted = (np.cumsum(part[::-1])[::-1] for part in (self.hits, self.predicted))
        return 2 * hits / np.maximum(predicted + self.truth, 1)

    def best(self) -> tuple[float, float]:
        """Return a threshold with as good as the best F1, and its F1.

        Around the best one the curve is flat, and which step is highest is chance; the middle of
        those that are nearly as good is where other data are likely to agree. Without any truth
        there is nothing to choose by: 0.5 and 0.
        """
        if self.truth == 0:
            return _DEFAULT, 0.0
        f1 = self.f1()
        best = int(np.argmax(f1[1:])) + 1
        worse = np.flatnonzero(f1 < (1 - _AS_GOOD) * f1[best])
        first = int(worse[worse < best].max(initial=0)) + 1
        last = int(worse[worse > best].min(initial=BINS)) - 1
        step = (first + last) // 2
        return step / BINS, float(f1[step])


def nothing() -> Curve:
    """Return the curve of no images."""
    return Curve(np.zeros(BINS), np.zeros(BINS), 0.0)


def pixel_curve(probability: Floats, truth: Mask, known: Mask) -> Curve:
    """Return the curve of the pixels of a class; unknown pixels count nowhere."""
    edges = np.linspace(0, 1, BINS + 1)
    hits = np.histogram(probability[known & truth], edges)[0].astype(np.float64)
    predicted = np.histogram(probability[known], edges)[0].astype(np.float64)
    return Curve(hits, predicted, float(hits.sum()))


def centre_curve(probability: Floats, truth: Mask, known: Mask) -> Curve:
    """Return the curve of objects, found by their centres.

    The connected parts of ``truth`` are the objects. A maximum is a hit if it is the best within
    reach of a true centre that no better one took.
    """
    found = find_centres(probability, _FAINTEST)
    counted = known[found.row, found.column]
    row, column, score = found.row[counted], found.column[counted], found.score[counted]
    labels, n = ndimage.label(truth, np.ones((3, 3)))
    middles = np.reshape(ndimage.center_of_mass(truth, labels, np.arange(1, n + 1)), (-1, 2))
    hit = np.zeros(score.size, dtype=bool)
    if n and score.size:
        reach = cKDTree(middles).query_ball_point(np.column_stack([row, column]), GATE_PX)
        free = np.ones(n, dtype=bool)
        for place, near in enumerate(reach):
            left = [k for k in near if free[k]]
            if left:
                away = np.hypot(*(middles[left] - (row[place], column[place])).T)
                free[left[int(np.argmin(away))]] = False
                hit[place] = True
    edges = np.linspace(0, 1, BINS + 1)
    return Curve(
        np.histogram(score[hit], edges)[0].astype(np.float64),
        np.histogram(score, edges)[0].astype(np.float64),
        float(n),
    )
