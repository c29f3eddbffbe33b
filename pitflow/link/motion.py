"""The motion of tracks, and the trackpy predictor made of it.

Each live track carries a Kalman filter with a nearly constant velocity: between frames the
velocity changes by a random amount, positions are seen with noise. It says where the track will
be *and how surely*, so the same step in pixels is likely for one track and absurd for another.

Source: Bar-Shalom, Li and Kirubarajan, Estimation with Applications to Tracking and Navigation
(2001), sections 5.2 (filter) and 6.3.2 (piecewise constant white acceleration).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pitflow.link.velocity_prior import VelocityPrior

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_JUMP_CHI2 = 16.0
_LEAST_NOISE_PX = 0.05


@dataclass(frozen=True, slots=True)
class MotionNoise:
    """How well positions are seen and how steadily particles move.

    Parameters
    ----------
    position_px:
        Standard deviation of a measured position per axis, px.
    acceleration_px:
        Standard deviation of the change of velocity from frame to frame per axis, px/frame.
    """

    position_px: float
    acceleration_px: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """Where each live track is expected in a frame.

    Parameters
    ----------
    row:
        Track number to row of the arrays.
    mean, covariance:
        (n, 2) and (n, 2, 2): position at which the track will be measured, px and px^2.
    missed:
        (n,) frames in which the track was looked for and not seen, since it was last seen.
    seen:
        (n,) detections in the track so far.
    """

    row: dict[int, int]
    mean: Floats
    covariance: Floats
    missed: Ints
    seen: Ints


class MotionModel:
    """Filters for all live tracks; one missed in more than ``memory`` frames is forgotten.

    Parameters
    ----------
    noise:
        How well positions are seen and how steadily particles move.
    prior:
        The velocity of a track seen once.
    memory:
        Frames a track may be missed.
    """

    def __init__(self, noise: MotionNoise, prior: VelocityPrior, memory: int) -> None:
        self._noise = noise
        self._q = noise.acceleration_px**2
        self._prior = prior
        self._memory = memory
        self._id = np.zeros(0, np.int64)
        self._frame = np.zeros(0, np.int64)
        self._seen = np.zeros(0, np.int64)
        self._missed = np.zeros(0, np.int64)
        self._state = np.zeros((0, 4))
        self._covariance = np.zeros((0, 4, 4))
        # Variance of a measured position: of each track that of its last, since looks last.
        self._r = np.zeros(0)
        self.prediction = self._predict(0, self._id)

    def predict(self, frame: int, particles: Sequence[Any]) -> Floats:
        """Return (n, 2) expected positions: the signature of a trackpy predictor."""
        ids = np.fromiter((p.track.id for p in particles), np.int64, len(particles))
        self.prediction = self._predict(frame, ids)
        return self.prediction.mean

    def observe(
        self, frame: int, ids: Ints, positions: Floats, variance: Floats | None = None
    ) -> None:
        """Take in the positions (n, 2) of the tracks ``ids`` seen in a frame.

        ``variance`` (n,) is that of each position per axis, px^2; default: that of the noise.
        """
        if variance is None:
            variance = np.full(len(ids), self._noise.position_px**2)
        place = self._find(ids)
        old = place >= 0
        self._missed += 1
        self._missed[place[old]] = 0
        kept = self._missed <= self._memory
        self._update(frame, place[old], positions[old], variance[old])
        mean, covariance = self._prior.at(positions[~old])
        n = int((~old).sum())
        state = np.concatenate([positions[~old], mean], axis=1)
        start = np.zeros((n, 4, 4))
        start[:, [0, 1], [0, 1]] = variance[~old, None]
        start[:, 2:, 2:] = covariance
        self._id = np.concatenate([self._id[kept], ids[~old]])
        order = np.argsort(self._id)
        self._id = self._id[order]
        self._frame = np.concatenate([self._frame[kept], np.full(n, frame)])[order]
        self._seen = np.concatenate([self._seen[kept], np.ones(n, np.int64)])[order]
        self._missed = np.concatenate([self._missed[kept], np.zeros(n, np.int64)])[order]
        self._state = np.concatenate([self._state[kept], state])[order]
        self._covariance = np.concatenate([self._covariance[kept], start])[order]
        self._r = np.concatenate([self._r[kept], variance[~old]])[order]

    def _find(self, ids: Ints) -> Ints:
        if len(self._id) == 0:
            return np.full(len(ids), -1)
        place = np.minimum(np.searchsorted(self._id, ids), len(self._id) - 1)
        return np.where(self._id[place] == ids, place, -1)

    def _advance(self, place: Ints, frame: int) -> tuple[Floats, Floats]:
        dt = (frame - self._frame[place]).astype(float)
        state, p = self._state[place].copy(), self._covariance[place].copy()
        step = dt[:, None, None]
        state[:, :2] += dt[:, None] * state[:, 2:]
        cross, velocity = p[:, :2, 2:], p[:, 2:, 2:]
        p[:, :2, :2] += step * (cross + cross.transpose(0, 2, 1)) + step**2 * velocity
        p[:, :2, 2:] = cross + step * velocity
        # dt independent changes of velocity, each in the middle of its frame
        axis = np.arange(2)
        p[:, axis, axis] += (self._q * dt * (4 * dt**2 - 1) / 12)[:, None]
        p[:, axis, axis + 2] += (self._q * dt**2 / 2)[:, None]
        p[:, axis + 2, axis + 2] += (self._q * dt)[:, None]
        p[:, 2:, :2] = p[:, :2, 2:].transpose(0, 2, 1)
        return state, p

    def _predict(self, frame: int, ids: Ints) -> Prediction:
        place = self._find(ids)
        state, p = self._advance(place, frame)
        return Prediction(
            row=dict(zip(ids.tolist(), range(len(ids)), strict=True)),
            mean=state[:, :2],
            covariance=p[:, :2, :2] + self._r[place, None, None] * np.eye(2),
            missed=self._missed[place],
            seen=self._seen[place],
        )

    def _update(self, frame: int, place: Ints, positions: Floats, variance: Floats) -> None:
        state, p = self._advance(place, frame)
        inverse = np.linalg.inv(p[:, :2, :2] + variance[:, None, None] * np.eye(2))
        off = positions - state[:, :2]
        gain = p[:, :, :2] @ inverse
        updated = state + np.einsum("nij,nj->ni", gain, off)
        covariance = p - gain @ p[:, :2, :]
        covariance = (covariance + covariance.transpose(0, 2, 1)) / 2  # rounding errors grow else
        # A jump (a burst, a deflection) breaks the model: trust the position, and let the
        # velocity be as uncertain as the jump was large.
        jump = np.einsum("ni,nij,nj->n", off, inverse, off) > _JUMP_CHI2
        updated[jump, :2], updated[jump, 2:] = positions[jump], state[jump, 2:]
        covariance[jump] = 0.0
        for axis in (0, 1):
            covariance[jump, axis, axis] = variance[jump]
            covariance[jump, axis + 2, axis + 2] = (
                p[jump, axis + 2, axis + 2] + (off[jump] ** 2).sum(axis=1) / 2
            )
        self._state[place] = updated
        self._covariance[place] = covariance
        self._frame[place] = frame
        self._seen[place] += 1
        self._r[place] = variance


def estimate_noise(
    track: Ints, frame: Ints, positions: Floats, fallback: MotionNoise
) -> MotionNoise:
    """Estimate the noise from tracks, by second differences over one frame and over three.

    With position noise r and velocity changes q (both variances), ``x(t+h) - 2 x(t) + x(t-h)`` of
    the measured positions has the variance ``6 r + q h (4 h^2 - 1) / 6``: one frame shows the
    noise, three the motion. Variances are robust (median absolute deviation), since links go wrong.

    Parameters
    ----------
    track, frame, positions:
        (n,), (n,), (n, 2): linked detections, ordered by track, then frame.
    fallback:
        Returned when there are fewer than 50 such differences.
    """
    short, long = (second_differences(track, frame, positions, h)[1] for h in (1, 3))
    if min(len(short), len(long)) < 50:
        return fallback
    near, far = robust_variance(short), robust_variance(long)
    q = max((far - near) / 17.0, 0.0)
    r = max((near - q / 2) / 6, 0.0)
    return MotionNoise(
        position_px=max(math.sqrt(r), _LEAST_NOISE_PX),
        acceleration_px=max(math.sqrt(q), _LEAST_NOISE_PX),
    )


def robust_variance(differences: Floats) -> float:
    """Return the variance of a normal law with the median absolute deviation of the differences."""
    return (1.4826 * float(np.median(np.abs(differences)))) ** 2


def second_differences(track: Ints, frame: Ints, positions: Floats, h: int) -> tuple[Ints, Floats]:
    """Return the rows seen ``h`` frames before and after too, and ``x(t-h) - 2 x(t) + x(t+h)``.

    (m,) and (m, 2) px, of detections ordered by track, then frame.
    """
    span = int(frame.max() - frame.min()) + 2 * h + 1 if len(frame) else 1
    key = track * span + (frame - frame.min() if len(frame) else frame)
    before, after = (np.searchsorted(key, key + shift) for shift in (-h, h))
    inside = after < len(key)
    ok = np.flatnonzero(inside)
    ok = ok[(key[before[ok]] == key[ok] - h) & (key[after[ok]] == key[ok] + h)]
    difference: Floats = positions[before[ok]] - 2 * positions[ok] + positions[after[ok]]
    return ok, difference
