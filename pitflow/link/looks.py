"""How alike two detections look: the same particle, or two of the many."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LOOKS = ("mass", "diameter_px")
"""What is compared: darkness, which focus leaves alone, and size, which changes slowly."""

_STRANGE = 0.1
"""Share of a particle's detections that look like any other's: overlaps, halos, rims."""
_LEAST_PAIRS = 50


def describe(detections: pd.DataFrame) -> Floats:
    """Return (n, m) the logarithms of the quantities of `LOOKS` that the table has, NaN if not > 0.

    Parameters
    ----------
    detections:
        Any table.
    """
    columns = [detections[name].to_numpy(np.float64) for name in LOOKS if name in detections]
    values = np.column_stack(columns) if columns else np.zeros((len(detections), 0))
    return np.log(np.where(values > 0, values, np.nan))


@dataclass(frozen=True, slots=True)
class LookScore:
    """Log odds that two detections are of one particle, by their looks.

    Parameters
    ----------
    looks:
        (n, m) of each detection.
    own, other:
        (m,) standard deviation of the difference within a track, and between tracks.
    """

    looks: Floats
    own: Floats
    other: Floats

    @classmethod
    def learned(cls, track: Ints, frame: Ints, looks: Floats) -> LookScore:
        """Learn how looks differ along tracks and between them, by medians.

        Quantities that do not tell particles apart, or of which too little is known, are left out.
        """
        order = np.lexsort((frame, track))
        same = np.diff(track[order]) == 0
        along = np.diff(looks[order], axis=0)[same]
        # Detections far apart in the ordered table are as good as drawn at random.
        half = len(order) // 2
        between = looks[order[:half]] - looks[order[half : 2 * half]]
        kept, own, other = [], [], []
        for k in range(looks.shape[1]):
            near, far = (part[np.isfinite(part[:, k]), k] for part in (along, between))
            if min(len(near), len(far)) < _LEAST_PAIRS:
                continue
            a, b = (max(1.4826 * float(np.median(np.abs(part))), 1e-3) for part in (near, far))
            if a < b:
                kept.append(k)
                own.append(a)
                other.append(b)
        return cls(looks[:, kept], np.array(own), np.array(other))

    def __call__(self, a: Ints, b: Ints) -> Floats:
        """Return the log odds for the detections ``a`` and ``b``, (n,) rows; 0 where unknown."""
        difference = self.looks[b] - self.looks[a]
        known = np.isfinite(difference)
        ratio = np.where(
            known,
            np.log(self.other / self.own)
            - 0.5 * np.nan_to_num(difference) ** 2 * (1 / self.own**2 - 1 / self.other**2),
            0.0,
        ).sum(axis=1)
        odds: Floats = np.logaddexp(math.log1p(-_STRANGE) + ratio, math.log(_STRANGE))
        return np.where(known.any(axis=1), odds, 0.0)
