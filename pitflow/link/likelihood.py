"""What a link is worth: the log odds that a detection continues a track rather than starts one.

A detection at z continues a track expected at m with covariance S with likelihood
``N(z; m, S)``, or with a small chance after a jump in any direction. Otherwise it is one of the
detections that continue nothing (new particles, false alarms), whose density at z is known from
the data. A link is made if it is more likely than that, so no distance has to be chosen.

Source: Blackman and Popoli, Design and Analysis of Modern Tracking Systems (1999), section 6.2
(track score as a log-likelihood ratio).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from pitflow.link.motion import Prediction

Floats = npt.NDArray[np.float64]

JUMPS = ((0.01, 1.0), (0.001, 4.0))
"""Steps that do not follow from the motion before: deflections, and the rarer, longer bursts.

Share of all steps, and standard deviation per axis in units of the usual speed.
"""

_NEIGHBOURS = 10
_MOST_EVENTS = 50_000


@dataclass(frozen=True, slots=True)
class Habits:
    """How tracks behave, as shares.

    Parameters
    ----------
    seen:
        Share of the frames of its life in which a particle is detected.
    ends:
        Share of tracks that end in a frame.
    real:
        Share of tracks seen once that are particles and go on.
    """

    seen: float = 0.9
    ends: float = 0.03
    real: float = 0.5

    def log_odds(self, prediction: Prediction) -> Floats:
        """Return (n,) the log odds that each track is seen in the frame predicted."""
        unseen = (1 - self.seen) * (1 - self.ends)
        hidden = (1 - self.ends) * unseen**prediction.missed
        # A track missed m times has ended in one of the frames since, or is there unseen.
        ended = self.ends * (1 - unseen ** (prediction.missed + 1)) / (1 - unseen)
        alive = hidden / (hidden + ended)
        chance = self.seen * alive * np.where(prediction.seen > 1, 1.0, self.real)
        odds: Floats = np.log(chance / (1 - chance))
        return odds


@dataclass(frozen=True, slots=True)
class LinkScore:
    """Log odds of links out of one frame's tracks.

    Parameters
    ----------
    mean_x, mean_y, ixx, ixy, iyy:
        Expected position and inverse covariance of each track.
    odds:
        Log odds that each track is seen.
    offset:
        The same, less the normalisation of its Gaussian.
    jumps:
        Of each kind of jump: its log share less the Gaussian's normalisation, and 1 / (2 J^2) for
        the standard deviation J per axis, px.
    """

    mean_x: list[float]
    mean_y: list[float]
    ixx: list[float]
    ixy: list[float]
    iyy: list[float]
    odds: list[float]
    offset: list[float]
    jumps: tuple[tuple[float, float], tuple[float, float]]

    @classmethod
    def of(cls, prediction: Prediction, habits: Habits, speed_px: float) -> LinkScore:
        """Prepare the scores of a frame; lists, since links are scored one by one.

        ``speed_px`` is the usual speed per axis, px/frame.
        """
        s = prediction.covariance
        determinant = s[:, 0, 0] * s[:, 1, 1] - s[:, 0, 1] ** 2
        odds = habits.log_odds(prediction)
        usual = 1 - sum(share for share, _ in JUMPS)
        offset = odds + math.log(usual) - 0.5 * np.log(4 * math.pi**2 * determinant)
        jump, far = (_jump(share, size * speed_px) for share, size in JUMPS)
        return cls(
            mean_x=prediction.mean[:, 0].tolist(),
            mean_y=prediction.mean[:, 1].tolist(),
            ixx=(s[:, 1, 1] / determinant).tolist(),
            ixy=(-s[:, 0, 1] / determinant).tolist(),
            iyy=(s[:, 0, 0] / determinant).tolist(),
            odds=odds.tolist(),
            offset=offset.tolist(),
            jumps=(jump, far),
        )

    def __call__(self, row: int, x: float, y: float) -> float:
        """Return the log odds of track ``row`` at (x, y), before the density of new detections."""
        # The innermost step of linking, so it is written out: a loop takes twice the time.
        dx, dy = x - self.mean_x[row], y - self.mean_y[row]
        xx, yy = dx * dx, dy * dy
        square, odds = xx + yy, self.odds[row]
        (share, scale), (far_share, far_scale) = self.jumps
        jump = odds + share - scale * square
        far = odds + far_share - far_scale * square
        mahalanobis = xx * self.ixx[row] + 2 * dx * dy * self.ixy[row] + yy * self.iyy[row]
        steady = self.offset[row] - 0.5 * mahalanobis
        top = max(jump, far, steady)
        exp = math.exp
        return top + math.log(exp(jump - top) + exp(far - top) + exp(steady - top))


def _jump(share: float, deviation_px: float) -> tuple[float, float]:
    return math.log(share / (2 * math.pi * deviation_px * deviation_px)), 0.5 / deviation_px**2


def log_density(events: Floats, positions: Floats, n_frames: int, share: float = 1.0) -> Floats:
    """Return the log density of events per px^2 and frame, from the nearest events.

    Parameters
    ----------
    events:
        (n, 2) positions of the events of all frames, px.
    positions:
        (m, 2) where the density is wanted.
    n_frames:
        Frames in which the events happened.
    share:
        Share of the events that count.

    Returns
    -------
    log_density:
        (m,); with fewer than two events a negligible density.

    Notes
    -----
    k-nearest-neighbour estimate ``(k - 1) / (pi d_k^2)`` with k = 10, unbiased for a uniform
    density.
    """
    thin = max(1, math.ceil(len(events) / _MOST_EVENTS))
    known = events[::thin]
    k = min(_NEIGHBOURS, len(known))
    if k < 2:
        return np.full(len(positions), math.log(1e-9))
    distance = cKDTree(known).query(positions, k=[k])[0][:, 0]
    area = math.pi * np.maximum(distance, 1.0) ** 2
    density: Floats = np.log(share * thin * (k - 1) / (area * max(n_frames, 1)))
    return density
