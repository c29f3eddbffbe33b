"""Closing gaps: pieces of one particle's track joined after all frames are linked.

A frame-by-frame linker knows the past only. Where a particle bursts forward, or stays unseen for
longer than the memory, it ends one track and starts another, and it must, for at that moment
nothing speaks for the far-off detection. Once all frames are linked much more is known: that one
piece ends and another starts there, that both move alike, and that they look alike.

Each end may be joined to one later start, or be an end; which, is decided for all of them at once,
as an assignment of the largest total log odds.

Source: Jaqaman et al., "Robust single-particle tracking in live-cell time-lapse sequences", Nature
Methods 5 (2008) 695-702 (frame-to-frame linking, then gap closing, both as assignments). The costs
here are log odds of two explicit hypotheses, with their rates learnt from the recording.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from pitflow.link.likelihood import log_density
from pitflow.link.looks import LookScore
from pitflow.link.motion import MotionNoise
from pitflow.link.subnets import choose_links
from pitflow.link.velocity_prior import VelocityPrior

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_STEPS = 4
"""Steps at an end whose median is the velocity there: a single odd step does not turn it."""
_LOOKS = 5
"""Detections at an end whose median is how the particle looks there."""
_LEAST_SEEN = 3
"""Of two pieces one must be this long, or there is no motion to go by."""
_TURN = 0.2
"""Standard deviation of a burst's direction about the motion before and after it, rad."""
_CHANGE = 0.25
"""Standard deviation of the change of velocity over a gap, as a share of the speed."""
_CROWD = 8.0
"""Starts of one frame in reach of an end, at most, in a place denser than nine tenths of others."""
_CHUNK = 20_000
_ROUNDS = 2
_LEARNING_STEPS = 6


@dataclass(frozen=True, slots=True)
class Evidence:
    """What tells that two pieces of track are one particle's.

    Parameters
    ----------
    variance:
        (n,) of each detection's position per axis, px^2.
    noise, prior, look_score:
        How velocities vary, the velocity of what was seen once, and how alike the detections of a
        particle look.
    frames, reach_px:
        Longest step from the end of a piece to the start of the next, in time and in space.
    """

    variance: Floats
    noise: MotionNoise
    prior: VelocityPrior
    look_score: LookScore
    frames: int
    reach_px: float


@dataclass(frozen=True, slots=True)
class _Edges:
    """One end of every piece of track: its last detections, or its first.

    ``row`` (n,) is the outermost detection, ``velocity`` (n, 2) px/frame and ``variance`` (n,) of
    it per axis; pieces of one detection have neither (NaN, infinite). ``looks`` (n, m) are the
    medians of the outermost `_LOOKS` detections.
    """

    row: Ints
    velocity: Floats
    variance: Floats
    looks: Floats


def close_gaps(
    track: Ints, frame: Ints, positions: Floats, looks: Floats, evidence: Evidence
) -> Ints:
    """Join pieces of tracks that are one particle's.

    Parameters
    ----------
    track, frame, positions:
        (n,), (n,), (n, 2): track of each detection (every detection has one, be it alone in it),
        ordered by frame; px.
    looks:
        (n, m) what a detection looks like (`pitflow.link.looks.describe`).
    evidence:
        Of these detections.

    Returns
    -------
    track:
        (n,) with one number for all pieces of a particle: that of the first.
    """
    for _ in range(_ROUNDS):
        joined = _close(track, frame, positions, looks, evidence)
        if joined is None:
            break
        track = joined
    return track


def _close(
    track: Ints, frame: Ints, positions: Floats, looks: Floats, given: Evidence
) -> Ints | None:
    """Return the tracks after one round, None if nothing was joined."""
    variance, noise, prior = given.variance, given.noise, given.prior
    order = np.lexsort((frame, track))
    number, first, count = np.unique(track[order], return_index=True, return_counts=True)
    ends = _edges(order, first + count - 1, count, -1, frame, positions, variance, noise, looks)
    starts = _edges(order, first, count, +1, frame, positions, variance, noise, looks)
    n_frames = int(frame[-1] - frame[0]) + 1 if len(frame) else 0
    new = starts.row[frame[starts.row] > frame[0]] if len(frame) else starts.row
    if n_frames < 2 or len(new) < 2:
        return None
    log_new = log_density(positions[new], positions[starts.row], n_frames)
    crowded = math.exp(float(np.quantile(log_new, 0.9)))
    reach = min(given.reach_px, math.sqrt(_CROWD / (math.pi * crowded)))
    prior_mean, prior_covariance = prior.at(positions[starts.row])

    found: list[tuple[Ints, Ints, Floats]] = []
    for i, j in _candidates(ends, starts, frame, positions, reach, given.frames):
        useful = (count[i] >= _LEAST_SEEN) | (count[j] >= _LEAST_SEEN)
        i, j = i[useful], j[useful]
        dt = (frame[starts.row[j]] - frame[ends.row[i]]).astype(float)
        away = positions[starts.row[j]] - positions[ends.row[i]]
        of_both = variance[ends.row[i]] + variance[starts.row[j]]
        laws = _log_laws(away, dt, i, j, ends, starts, of_both, noise, prior.spread_px, reach)
        evidence = (
            -np.log(dt)
            - math.log(sum(1 / k for k in range(1, given.frames + 1)))
            - log_new[j]
            # The very last is often seen with another particle; what was before it looks of then.
            + np.maximum(
                given.look_score(looks[ends.row[i]], looks[starts.row[j]]),
                given.look_score(ends.looks[i], starts.looks[j]),
            )
            + _log_alike(dt, i, j, ends, starts, noise, prior_mean, prior_covariance)
        )
        laws += evidence[:, None]
        possible = laws.max(axis=1) > 0
        found.append((i[possible], j[possible], laws[possible]))
    if not found:
        return None
    i, j = (np.concatenate([part[k] for part in found]) for k in (0, 1))
    if len(i) == 0:
        return None
    odds = _learn_odds(i, np.concatenate([part[2] for part in found]), len(number))
    better = np.flatnonzero(odds > 0)
    if len(better) == 0:
        return None
    chosen, _ = choose_links(
        np.unique(i[better], return_inverse=True)[1],
        np.unique(j[better], return_inverse=True)[1],
        odds[better],
    )
    return _join(track, number, i[better[chosen]], j[better[chosen]], frame[starts.row])


def _edges(
    order: Ints,
    edge: Ints,
    count: Ints,
    inward: int,
    frame: Ints,
    positions: Floats,
    measured: Floats,
    noise: MotionNoise,
    looks: Floats,
) -> _Edges:
    """Return the outermost detections, and the velocity and the looks there.

    Parameters
    ----------
    order:
        Detections by track, then frame.
    edge:
        Place in ``order`` of each piece's outermost detection.
    measured:
        Variance of each position per axis, px^2.
    inward:
        +1 at starts, -1 at ends.
    """
    steps = np.full((len(edge), _STEPS, 2), np.nan)
    for k in range(_STEPS):
        has = np.flatnonzero(count > k + 1)
        outer, inner = order[edge[has] + inward * k], order[edge[has] + inward * (k + 1)]
        steps[has, k] = (positions[outer] - positions[inner]) / (frame[outer] - frame[inner])[
            :, None
        ]
    velocity = np.full((len(edge), 2), np.nan)
    moving = count > 1
    velocity[moving] = np.nanmedian(steps[moving], axis=1)
    n = np.clip(count - 1, 0, _STEPS).astype(float)
    variance = np.full(len(edge), np.inf)
    r, q = measured[order[edge[moving]]], noise.acceleration_px**2
    variance[moving] = 2 * r / n[moving] + q * n[moving] / 3
    return _Edges(order[edge], velocity, variance, _typical(order, edge, count, inward, looks))


def _typical(order: Ints, edge: Ints, count: Ints, inward: int, looks: Floats) -> Floats:
    """Return (n, m) the median looks of each piece's outermost detections, NaN where unknown."""
    seen = np.full((len(edge), looks.shape[1], _LOOKS), np.nan)
    for k in range(_LOOKS):
        has = np.flatnonzero(count > k)
        seen[has, :, k] = looks[order[edge[has] + inward * k]]
    known = np.isfinite(seen).any(axis=2)
    typical = np.full(known.shape, np.nan)
    typical[known] = np.nanmedian(seen[known], axis=1)
    return typical


def _candidates(
    ends: _Edges, starts: _Edges, frame: Ints, positions: Floats, reach: float, frames: int
) -> Iterator[tuple[Ints, Ints]]:
    """Yield pairs of an end and a later start in reach, some ends at a time."""
    lift = 2 * reach + 1
    by_time = np.argsort(frame[ends.row], kind="stable")
    start_frame = frame[starts.row]
    start_order = np.argsort(start_frame, kind="stable")
    sorted_frame = start_frame[start_order]
    for begin in range(0, len(by_time), _CHUNK):
        some = by_time[begin : begin + _CHUNK]
        when = frame[ends.row[some]]
        a, b = np.searchsorted(sorted_frame, [when[0] + 1, when[-1] + frames + 1])
        near = start_order[a:b]
        if len(near) == 0:
            continue
        tree = cKDTree(
            np.column_stack([positions[starts.row[near]], (start_frame[near] - when[0]) * lift])
        )
        here = positions[ends.row[some]]
        for dt in range(1, frames + 1):
            shifted = cKDTree(np.column_stack([here, (when - when[0] + dt) * lift]))
            pairs = shifted.sparse_distance_matrix(tree, reach, output_type="ndarray")
            if len(pairs):
                # Sorted: a tree gives its pairs in an order of its own.
                i, j = pairs["i"].astype(np.int64), pairs["j"].astype(np.int64)
                tidy = np.lexsort((j, i))
                yield some[i[tidy]], near[j[tidy]]


def _log_laws(
    away: Floats,
    dt: Floats,
    i: Ints,
    j: Ints,
    ends: _Edges,
    starts: _Edges,
    of_both: Floats,
    noise: MotionNoise,
    spread_px: float,
    reach: float,
) -> Floats:
    """Return (n, 3) the log density of a step under three laws: steady, burst, any direction.

    *Steady*: the particle went on as before, unseen. *Burst*: it went faster than that, by a factor
    of which nothing is known (the logarithm of the distance is uniform up to ``reach``), in much
    the same direction. *Any direction*: a deflection. ``of_both`` is the sum of the variances of
    both positions.
    """
    # The velocity over the gap is the mean of both sides', each as far as it is known.
    wa, wb = 1 / ends.variance[i], 1 / starts.variance[j]
    total = wa + wb
    velocity = (
        wa[:, None] * np.nan_to_num(ends.velocity[i])
        + wb[:, None] * np.nan_to_num(starts.velocity[j])
    ) / total[:, None]
    variance = 1 / total
    q = noise.acceleration_px**2
    spread = of_both + dt**2 * variance + q * dt**3 / 3
    off = away - velocity * dt[:, None]
    steady = -np.log(2 * math.pi * spread) - 0.5 * (off**2).sum(axis=1) / spread

    speed = np.hypot(*velocity.T)
    heading = velocity / np.maximum(speed, 1e-9)[:, None]
    along = (away * heading).sum(axis=1)
    across = away[:, 0] * heading[:, 1] - away[:, 1] * heading[:, 0]
    least = np.maximum(speed * dt, 1.0)
    turn = _TURN**2 + variance / np.maximum(speed, 0.1) ** 2
    width = of_both + along**2 * turn
    with np.errstate(divide="ignore", invalid="ignore"):
        burst = (
            -np.log(np.maximum(along, 1e-9))
            - np.log(np.log(np.maximum(reach / least, 1.5)))
            - 0.5 * np.log(2 * math.pi * width)
            - 0.5 * across**2 / width
        )
    burst = np.where(along > least, burst, -np.inf)

    broad = (2 * spread_px) ** 2 * dt
    anywhere = -np.log(2 * math.pi * broad) - 0.5 * (away**2).sum(axis=1) / broad
    return np.column_stack([steady, burst, anywhere])


def _log_alike(
    dt: Floats,
    i: Ints,
    j: Ints,
    ends: _Edges,
    starts: _Edges,
    noise: MotionNoise,
    prior_mean: Floats,
    prior_covariance: Floats,
) -> Floats:
    """Return the log odds of the velocity after a gap given that before, against a new particle's.

    0 where one of them is not known.
    """
    known = np.isfinite(ends.variance[i]) & np.isfinite(starts.variance[j])
    odds = np.zeros(len(i))
    a, b = i[known], j[known]
    change = starts.velocity[b] - ends.velocity[a]
    speed2 = ((starts.velocity[b] + ends.velocity[a]) ** 2).sum(axis=1) / 4
    variance = (
        ends.variance[a]
        + starts.variance[b]
        + noise.acceleration_px**2 * dt[known]
        + _CHANGE**2 * speed2
    )
    same = -np.log(2 * math.pi * variance) - 0.5 * (change**2).sum(axis=1) / variance
    covariance = prior_covariance[b] + starts.variance[b][:, None, None] * np.eye(2)
    off = starts.velocity[b] - prior_mean[b]
    sxx, sxy, syy = covariance[:, 0, 0], covariance[:, 0, 1], covariance[:, 1, 1]
    determinant = sxx * syy - sxy**2
    square = (
        syy * off[:, 0] ** 2 - 2 * sxy * off[:, 0] * off[:, 1] + sxx * off[:, 1] ** 2
    ) / determinant
    other = -0.5 * np.log(4 * math.pi**2 * determinant) - 0.5 * square
    odds[known] = same - other
    return odds


def _learn_odds(end: Ints, log_laws: Floats, n_ends: int) -> Floats:
    """Return the log odds of each candidate, with the shares of the laws learnt from them all.

    A share of the ends are breaks, of which each law has its part; the rest are ends indeed.
    Expectation and maximisation over the ends, each of which goes on in one candidate at most.
    """
    shares = np.array([0.1, 0.05, 0.01])
    top = np.clip(log_laws, None, 300.0)
    likelihood = np.exp(top)
    for _ in range(_LEARNING_STEPS):
        weight = likelihood * shares
        total = np.bincount(end, weight.sum(axis=1), minlength=n_ends) + (1 - shares.sum())
        counts = (weight / total[end][:, None]).sum(axis=0)
        # Each law keeps a little, as if seen once: a recording without bursts may have one yet.
        shares = np.minimum((counts + 1.0) / (n_ends + 10.0), 0.3)
    odds: Floats = np.log((likelihood * shares).sum(axis=1)) - math.log(1 - shares.sum())
    return odds


def _join(track: Ints, number: Ints, before: Ints, after: Ints, start_frame: Ints) -> Ints:
    """Give the pieces that follow one another one number."""
    root = np.arange(len(number))
    order = np.argsort(start_frame[after], kind="stable")
    for a, b in zip(before[order].tolist(), after[order].tolist(), strict=True):
        root[b] = root[a]
    return number[root][np.searchsorted(number, track)]
