"""Early motion: how each track starts, as decelerating straight motion, all tracks at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pitflow.measure.tracks import Floats, Ints, Tracks

_GAMMAS = np.array([0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.18])
_MIN_POINTS, _MAX_POINTS = 4, 48
_PRIOR_POINTS = 8.0
"""How many residuals the noise common to all tracks counts for beside a track's own."""


@dataclass(frozen=True)
class EarlyMotion:
    """Straight motion that slows at a common relative rate, fitted to the start of every track.

    ``tau`` frames before the first detection it was at ``p0 + v0 (1 - exp(gamma tau)) / gamma``.

    Parameters
    ----------
    frame:
        (n,) first frame.
    x, y, vx, vy:
        Position (px) and velocity (px/frame) at that frame.
    later_speed:
        (n,) speed at that frame, along the same direction, as the later detections alone tell it.
    gamma:
        Relative deceleration per frame, common to all tracks.
    middle:
        (n,) weighted mean of the motion's time-like coordinate ``phi``: there position and
        velocity are estimated independently of one another.
    middle_err_px, velocity_err:
        (n,) standard errors, per coordinate, of the position there and of the velocity.
    """

    frame: Ints
    x: Floats
    y: Floats
    vx: Floats
    vy: Floats
    later_speed: Floats
    gamma: float
    middle: Floats
    middle_err_px: Floats
    velocity_err: Floats

    @property
    def speed(self) -> Floats:
        """(n,) speed at the first detection, px/frame."""
        return np.asarray(np.hypot(self.vx, self.vy))

    @property
    def is_moving(self) -> npt.NDArray[np.bool_]:
        """(n,) whether the velocity is beyond three standard errors of its own."""
        return self.speed > 3.0 * self.velocity_err

    def frames_before(self, distance: Floats, index: Ints) -> Floats:
        """Return how many frames before its first detection a track was ``distance`` px back."""
        speed = np.maximum(self.speed[index], 1e-6)
        if self.gamma == 0.0:
            return np.asarray(distance / speed)
        back = np.maximum(self.gamma * distance / speed, -0.95)
        return np.asarray(np.log1p(back) / self.gamma)


def fit_early_motion(
    tracks: Tracks, *, length_px: float, reach_px: float, alike: Ints | None = None
) -> EarlyMotion:
    """Fit the start of every track, up to ``length_px`` from its first detection.

    Least squares with bisquare weights, so that a wrong link or a misplaced detection does not
    turn the direction. The first detection tells the direction, but no ``later_speed`` where there
    are enough others: of a particle that comes out from under the cover of its pit only the outer
    part is seen, too far out.

    The deceleration is the one under which tracks together are likeliest: a single track's start is
    too short to tell its own. It is learnt over ``reach_px``, the distance over which it may be
    extrapolated.

    Parameters
    ----------
    alike:
        The tracks that tell the deceleration; None: all of them.
    """
    index, exists = tracks.head(_MAX_POINTS)
    t = np.where(exists, tracks.moment[index] - tracks.moment[index[:, :1]], 0.0)
    x, y = tracks.x[index], tracks.y[index]
    travelled = np.hypot(x - x[:, :1], y - y[:, :1])
    used = _first_px(travelled, exists, length_px)
    chosen = slice(None) if alike is None else alike
    gamma = _common_deceleration(
        t[chosen],
        x[chosen],
        y[chosen],
        _without_first(_first_px(travelled, exists, reach_px))[chosen],
    )
    phi = _phi(t, gamma)
    weights = used
    for _ in range(4):
        fit = _line(phi, x, y, weights)
        distance = np.hypot(*_residuals(phi, x, y, fit))
        noise = _noise(distance, used, weights)
        scaled = distance / (4.685 * np.sqrt(2.0) * noise[:, None])
        weights = used * np.clip(1.0 - scaled**2, 0.0, None) ** 2
        # A fit needs points to stand on: keep all of those that would lose too many.
        poor = (weights > 0).sum(axis=1) < np.minimum(used.sum(axis=1), 3)
        weights[poor] = used[poor]
    fit = _line(phi, x, y, weights)
    total, middle, spread, (ax, bx), (ay, by) = fit
    _, _, _, (_, later_vx), (_, later_vy) = _line(phi, x, y, _without_first(weights))
    faster = (later_vx * bx + later_vy * by) / np.maximum(bx**2 + by**2, 1e-12)
    return EarlyMotion(
        frame=tracks.frame[tracks.start],
        x=ax,
        y=ay,
        vx=bx,
        vy=by,
        later_speed=faster * np.hypot(bx, by),
        gamma=gamma,
        middle=middle,
        middle_err_px=noise / np.sqrt(np.maximum(total, 1.0)),
        velocity_err=noise / np.sqrt(np.maximum(spread, 1e-12)),
    )


def _first_px(travelled: Floats, exists: npt.NDArray[np.bool_], length_px: float) -> Floats:
    """Return 1 for the detections before a track first leaves ``length_px``, and its first four."""
    staying = np.cumsum(travelled > length_px, axis=1) == 0
    staying |= np.arange(travelled.shape[1]) < _MIN_POINTS
    return np.asarray((exists & staying).astype(np.float64))


def _without_first(weights: Floats) -> Floats:
    """Return the weights without that of the first detection, where enough others have one."""
    others = weights.copy()
    others[(weights > 0).sum(axis=1) > _MIN_POINTS, 0] = 0.0
    return others


_Fit = tuple[Floats, Floats, Floats, tuple[Floats, Floats], tuple[Floats, Floats]]


def _phi(t: Floats, gamma: float) -> Floats:
    return t if gamma == 0.0 else np.asarray(-np.expm1(-gamma * t) / gamma)


def _line(phi: Floats, x: Floats, y: Floats, weights: Floats) -> _Fit:
    """Weighted straight line of x and y over phi, per row: sums, then intercepts and slopes."""
    total = weights.sum(axis=1)
    safe = np.maximum(total, 1e-12)
    middle = (weights * phi).sum(axis=1) / safe
    centred = phi - middle[:, None]
    spread = (weights * centred**2).sum(axis=1)
    lines = []
    for value in (x, y):
        mean = (weights * value).sum(axis=1) / safe
        slope = (weights * centred * value).sum(axis=1) / np.maximum(spread, 1e-12)
        lines.append((mean - slope * middle, slope))
    return total, middle, spread, lines[0], lines[1]


def _residuals(phi: Floats, x: Floats, y: Floats, fit: _Fit) -> tuple[Floats, Floats]:
    (ax, bx), (ay, by) = fit[3], fit[4]
    return (
        x - ax[:, None] - bx[:, None] * phi,
        y - ay[:, None] - by[:, None] * phi,
    )


def _noise(distance: Floats, used: Floats, weights: Floats) -> Floats:
    """Return the deviation per coordinate, each track's drawn towards that of all tracks."""
    freedom = np.maximum(2.0 * (used.sum(axis=1) - 2.0), 0.0)
    squares = ((weights > 0) * distance**2).sum(axis=1)
    enough = freedom >= 4
    common = np.median(squares[enough] / freedom[enough]) if enough.any() else 0.25
    common = max(float(common), 1e-4)
    return np.asarray(np.sqrt((_PRIOR_POINTS * common + squares) / (_PRIOR_POINTS + freedom)))


def _common_deceleration(t: Floats, x: Floats, y: Floats, used: Floats) -> float:
    """Return the relative deceleration under which the tracks' starts are likeliest together."""
    points = used.sum(axis=1)
    travel = (used * np.hypot(x - x[:, :1], y - y[:, :1])).max(axis=1, initial=0.0)
    tell = np.flatnonzero((points >= 8) & (travel > 5.0))[:4000]
    if tell.size < 5:
        return 0.0
    t, x, y, used, points = t[tell], x[tell], y[tell], used[tell], points[tell]
    costs = []
    for gamma in _GAMMAS:
        phi = _phi(t, float(gamma))
        dx, dy = _residuals(phi, x, y, _line(phi, x, y, used))
        squares = (used * (dx**2 + dy**2)).sum(axis=1)
        costs.append(float(np.sum(points * np.log(squares + 1e-6))))
    best = int(np.argmin(costs))
    if best in (0, len(costs) - 1):
        return float(_GAMMAS[best])
    curve = np.polyfit(_GAMMAS[best - 1 : best + 2], costs[best - 1 : best + 2], 2)
    return float(-curve[1] / (2.0 * curve[0]))
