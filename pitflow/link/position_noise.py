"""How well the position of a detection is known: the better, the more it stands out.

A sharp, dark particle is placed to a tenth of a pixel, a faint smudge to several. One number for
both would tear the tracks of smudges apart, and hand those of sharp particles to their neighbours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pitflow.link.looks import CLASSES, class_limits, strength
from pitflow.link.motion import MotionNoise, robust_variance, second_differences

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_LEAST_SEEN = 50


@dataclass(frozen=True, slots=True)
class PositionNoise:
    """Standard deviation of measured positions, in classes of how much a detection stands out.

    Parameters
    ----------
    limits:
        (k - 1,) limits of the k classes (log mass per area, `pitflow.link.looks.strength`).
    px:
        (k,) standard deviation per axis, px.
    """

    limits: Floats
    px: Floats

    @classmethod
    def even(cls, px: float) -> PositionNoise:
        """Return the same noise for whatever is seen."""
        return cls(np.zeros(0), np.array([px]))

    @classmethod
    def learned(
        cls, track: Ints, frame: Ints, positions: Floats, looks: Floats, noise: MotionNoise
    ) -> PositionNoise:
        """Learn the noise of each class from second differences along tracks.

        Those of neighbouring frames have the variance ``6 r + q / 2``
        (`pitflow.link.motion.estimate_noise`). No class is taken to be better than all together:
        what is placed best is often a part of something larger.

        Parameters
        ----------
        track, frame, positions, looks:
            (n,), (n,), (n, 2), (n, 2): linked detections, ordered by track, then frame.
        noise:
            Of all of them together.
        """
        standing_out = strength(looks)
        known = standing_out[np.isfinite(standing_out)]
        if len(known) < _LEAST_SEEN * CLASSES:
            return cls.even(noise.position_px)
        limits = class_limits(known)
        middle, difference = second_differences(track, frame, positions, 1)
        kind = np.searchsorted(limits, standing_out[middle])
        px = np.full(CLASSES, noise.position_px)
        for k in range(CLASSES):
            own = difference[kind == k]
            if len(own) >= _LEAST_SEEN:
                rest = max(robust_variance(own) - noise.acceleration_px**2 / 2, 0.0)
                px[k] = max(math.sqrt(rest / 6), noise.position_px)
        return cls(limits, px)

    def variance(self, looks: Floats) -> Floats:
        """Return (n,) the variance of positions per axis, px^2, of detections of some looks."""
        return self.px[np.searchsorted(self.limits, strength(looks))] ** 2
