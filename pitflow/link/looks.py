"""How alike two detections look: the same particle, or two of the many.

Darkness summed over a particle (mass) stays the same whatever its height, and its size changes
slowly. How well either is measured depends on how much the particle stands out, so the spread of
their differences is learnt in classes of that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LOOKS = ("mass", "diameter_px")
"""What is compared."""

CLASSES = 6
"""Classes of how much a detection stands out."""
_LEAST_PAIRS = 50
_LEAST_NOISE = 0.05
"""No mass or size is taken to be known better than this, as a share: both change along a flight."""
_STRANGE_SIGMAS = 5.0
_STRANGE_LIMITS = (0.02, 0.2)


def describe(detections: pd.DataFrame) -> Floats:
    """Return (n, 2) the logarithms of the quantities of `LOOKS`, NaN where not known or not > 0.

    Parameters
    ----------
    detections:
        Any table.
    """
    columns = [
        detections[name].to_numpy(np.float64)
        if name in detections
        else np.full(len(detections), np.nan)
        for name in LOOKS
    ]
    values = np.column_stack(columns)
    return np.log(np.where(values > 0, values, np.nan))


@dataclass(frozen=True, slots=True)
class LookScore:
    """Log odds that two detections are of one particle, by their looks.

    Parameters
    ----------
    limits:
        (k - 1,) limits of the k classes in how much a detection stands out (log mass per area).
    noise:
        (k, 2) variance of the looks of one detection about its particle's, by class.
    spread:
        (2,) variance of the difference between two particles.
    strange:
        Share of a particle's detections that look like any other's: overlaps, halos, rims.
        1: nothing is known, and every score is 0.
    """

    limits: Floats
    noise: Floats
    spread: Floats
    strange: float

    @classmethod
    def unknown(cls) -> LookScore:
        """Return the score of somebody who has seen nothing: always 0."""
        return cls(np.zeros(0), np.ones((1, 2)), np.ones(2), 1.0)

    @classmethod
    def learned(cls, track: Ints, frame: Ints, looks: Floats) -> LookScore:
        """Learn how looks differ along tracks and between them, by medians.

        Parameters
        ----------
        track, frame:
            (n,) of each detection, in any order.
        looks:
            (n, 2), see `describe`.
        """
        order = np.lexsort((frame, track))
        order = order[np.isfinite(looks[order]).all(axis=1)]
        known = looks[order]
        same = np.flatnonzero(np.diff(track[order]) == 0)
        half = len(known) // 2
        if min(len(same), half) < _LEAST_PAIRS * CLASSES:
            return cls.unknown()
        along = known[same + 1] - known[same]
        standing_out = strength(known)[same]
        limits = class_limits(standing_out)
        kind = np.searchsorted(limits, standing_out)
        # Where many stand out by exactly as much, classes are empty.
        own = np.array(
            [_variance(along[kind == k] if k in kind else along) for k in range(CLASSES)]
        )
        # Detections far apart in the ordered table are as good as drawn at random.
        spread = _variance(known[:half] - known[half : 2 * half])
        strange = np.mean((along**2 > _STRANGE_SIGMAS**2 * own[kind]).any(axis=1))
        return cls(limits, own / 2, spread, float(np.clip(strange, *_STRANGE_LIMITS)))

    def __call__(self, a: Floats, b: Floats) -> Floats:
        """Return the log odds for detections that look like ``a`` and ``b``, (n, 2).

        0 where a look is not known.
        """
        if self.strange >= 1.0:
            return np.zeros(len(a))
        own = np.minimum(self._noise_of(a) + self._noise_of(b), self.spread)
        ratio = 0.5 * (np.log(self.spread / own) - (b - a) ** 2 * (1 / own - 1 / self.spread)).sum(
            axis=1
        )
        known = np.isfinite(ratio)
        odds = np.zeros(len(a))
        odds[known] = np.logaddexp(math.log1p(-self.strange) + ratio[known], math.log(self.strange))
        return odds

    def pairwise(self, looks: Floats) -> Callable[[int, int], float]:
        """Return the score of two rows of ``looks`` (n, 2), for links scored one by one."""
        if self.strange >= 1.0:
            return lambda a, b: 0.0
        mass, size = looks.T.tolist()
        mass_noise, size_noise = self._noise_of(looks).T.tolist()
        mass_spread, size_spread = self.spread.tolist()
        usual, strange = 1 - self.strange, self.strange
        exp, log, sqrt = math.exp, math.log, math.sqrt

        def score(a: int, b: int) -> float:
            m = min(mass_noise[a] + mass_noise[b], mass_spread)
            s = min(size_noise[a] + size_noise[b], size_spread)
            off = (mass[b] - mass[a]) ** 2 * (1 / m - 1 / mass_spread) + (
                size[b] - size[a]
            ) ** 2 * (1 / s - 1 / size_spread)
            if off != off:
                return 0.0
            return log(usual * sqrt(mass_spread / m * size_spread / s) * exp(-0.5 * off) + strange)

        return score

    def _noise_of(self, looks: Floats) -> Floats:
        noise: Floats = self.noise[np.searchsorted(self.limits, strength(looks))]
        return noise


def class_limits(standing_out: Floats) -> Floats:
    """Return the limits between classes, as many in each, of how much detections stand out."""
    limits: Floats = np.quantile(standing_out, np.arange(1, CLASSES) / CLASSES)
    return limits


def strength(looks: Floats) -> Floats:
    """Return the log of mass per area; NaN where unknown, which counts as the strongest class."""
    log_contrast: Floats = looks[:, 0] - 2 * looks[:, 1]
    return log_contrast


def _variance(differences: Floats) -> Floats:
    """Return the robust variance of (n, 2) differences, per column."""
    deviation = 1.4826 * np.median(np.abs(differences), axis=0)
    variance: Floats = np.maximum(deviation, _LEAST_NOISE) ** 2
    return variance
