"""Where a particle seen for the first time is headed: the velocities of others at its place.

Ejecta leave a pit radially and the lateral flow slows and bends them, much alike at one place. So
the velocity of a new particle is drawn from those of the tracks that passed nearby.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

Floats = npt.NDArray[np.float64]

_NEIGHBOURS = 12
_WIDTH_PX = 15.0
_BROAD_WEIGHT = 1.0


@dataclass(frozen=True, slots=True)
class VelocityPrior:
    """Mean and covariance of the velocity at any place.

    Parameters
    ----------
    spread_px:
        Standard deviation per axis where nothing is known, px/frame.
    places:
        (n, 2) positions at which velocities are known, px; n may be 0.
    velocities:
        (n, 2) px/frame.
    """

    spread_px: float
    places: Floats
    velocities: Floats
    _tree: cKDTree

    @classmethod
    def unknown(cls, spread_px: float) -> VelocityPrior:
        """Return the prior of somebody who has seen nothing move."""
        return cls.learned(spread_px, np.zeros((0, 2)), np.zeros((0, 2)))

    @classmethod
    def learned(cls, spread_px: float, places: Floats, velocities: Floats) -> VelocityPrior:
        """Return the prior that follows from velocities seen at places."""
        return cls(spread_px, places, velocities, cKDTree(places))

    def at(self, positions: Floats) -> tuple[Floats, Floats]:
        """Return the mean (n, 2) and covariance (n, 2, 2) of the velocity at (n, 2) positions.

        The nearest known velocities count with a Gaussian weight of their distance, and one more
        counts as unknown, so the prior widens where the known ones are few, far or unlike.
        """
        broad = np.eye(2) * self.spread_px**2
        n = len(positions)
        mean, covariance = np.zeros((n, 2)), np.broadcast_to(broad, (n, 2, 2)).copy()
        k = min(_NEIGHBOURS, len(self.places))
        if k == 0 or n == 0:
            return mean, covariance
        distance, index = self._tree.query(positions, k=np.arange(1, k + 1))
        weight = np.exp(-0.5 * (distance / _WIDTH_PX) ** 2)
        known = self.velocities[index]
        total = weight.sum(axis=1) + _BROAD_WEIGHT
        mean = np.einsum("nk,nkc->nc", weight, known) / total[:, None]
        apart = known - mean[:, None, :]
        scatter = np.einsum("nk,nkc,nkd->ncd", weight, apart, apart)
        scatter += _BROAD_WEIGHT * (broad + mean[:, :, None] * mean[:, None, :])
        return mean, scatter / total[:, None, None]
