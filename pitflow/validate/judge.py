"""From trials to findings: shares with binomial intervals, medians with bootstrap intervals.

Error rates and coverage are judged to within binomial error, for a test or an interval that is
right comes out on either side of its target. What a measurement is to reach, the estimate must.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from pitflow.validate.claim import Finding

LEVEL = 0.05
LEVEL_TARGET = f"{100 * LEVEL:g} % within binomial error"
COVERAGE = (0.93, 0.97)
COVERAGE_TARGET = f"{100 * COVERAGE[0]:g} to {100 * COVERAGE[1]:g} %"
_RESAMPLES = 500


def binomial_interval(hits: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a share (Clopper and Pearson, Biometrika 26 (1934) 404)."""
    tail = (1.0 - confidence) / 2.0
    low = 0.0 if hits == 0 else float(beta.ppf(tail, hits, n - hits + 1))
    high = 1.0 if hits == n else float(beta.ppf(1.0 - tail, hits + 1, n - hits))
    return low, high


def judge_level(claim: str, p: npt.ArrayLike) -> Finding:
    """Find how often a test at 5 % rejects a true null hypothesis.

    It passes if 5 % lies within the binomial error of what was found, taken at 99 %: of
    twenty right tests, one would fall out of a 95 % interval.
    """
    known = np.asarray(p, dtype=np.float64)
    known = known[np.isfinite(known)]
    hits, n = int(np.count_nonzero(known <= LEVEL)), known.size
    low, high = binomial_interval(hits, n, 0.99)
    return _share(claim, LEVEL_TARGET, hits, n, passed=low <= LEVEL <= high)


def judge_at_most(claim: str, hits: npt.ArrayLike) -> Finding:
    """Find a share that should not be larger than 5 %, to within binomial error (99 %)."""
    seen = np.asarray(hits, dtype=bool)
    n_hits = int(np.count_nonzero(seen))
    low, _ = binomial_interval(n_hits, seen.size, 0.98)
    return _share(claim, f"<= {100 * LEVEL:g} %", n_hits, seen.size, passed=low <= LEVEL)


def judge_at_least(claim: str, hits: npt.ArrayLike, *, share: float) -> Finding:
    """Find a share that should be at least ``share``; the estimate itself must be."""
    seen = np.asarray(hits, dtype=bool)
    n_hits = int(np.count_nonzero(seen))
    passed = n_hits >= share * seen.size
    return _share(claim, f">= {100 * share:g} %", n_hits, seen.size, passed=passed)


def judge_coverage(claim: str, hits: npt.ArrayLike) -> Finding:
    """Find how often a 95 % interval holds the truth: in 93 to 97 %, to within binomial error."""
    least, most = COVERAGE
    seen = np.asarray(hits, dtype=bool)
    n_hits = int(np.count_nonzero(seen))
    low, high = binomial_interval(n_hits, seen.size)
    passed = low <= most and high >= least
    return _share(claim, COVERAGE_TARGET, n_hits, seen.size, passed=passed)


def judge_least_coverage(claim: str, hits: npt.ArrayLike) -> Finding:
    """Find the same of an interval that may hold the truth too often: in 93 % and more."""
    least = COVERAGE[0]
    seen = np.asarray(hits, dtype=bool)
    n_hits = int(np.count_nonzero(seen))
    _, high = binomial_interval(n_hits, seen.size)
    return _share(claim, f">= {100 * least:g} %", n_hits, seen.size, passed=high >= least)


def show_share(claim: str, hits: npt.ArrayLike) -> Finding:
    """Find a share of which nothing is asked."""
    seen = np.asarray(hits, dtype=bool)
    return _share(claim, "", int(np.count_nonzero(seen)), seen.size, passed=None)


def judge_median(
    claim: str, values: npt.ArrayLike, seeds: npt.ArrayLike, *, at_most: float, unit: str
) -> Finding:
    """Find a median that should be at most a value; its interval is from a bootstrap over seeds."""
    known, low, high = _bootstrapped(values, seeds)
    target = f"<= {at_most:g} {unit}"
    if not known.size:
        return _unknown(claim, target, unit)
    middle = float(np.median(known))
    return Finding(claim, target, middle, low, high, known.size, middle <= at_most, unit)


def judge_statistic(claim: str, values: npt.ArrayLike, *, at_least: float) -> Finding:
    """Find the mean over trials of a number (one per trial) that should be at least a value."""
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    target = f">= {at_least:g}"
    if not known.size:
        return _unknown(claim, target, "")
    mean = float(known.mean())
    half = 1.96 * float(known.std(ddof=1)) / np.sqrt(known.size) if known.size > 1 else np.nan
    return Finding(claim, target, mean, mean - half, mean + half, known.size, mean >= at_least, "")


def _share(claim: str, target: str, hits: int, n: int, *, passed: bool | None) -> Finding:
    if n == 0:
        return _unknown(claim, target, "%")
    return Finding(claim, target, hits / n, *binomial_interval(hits, n), n, passed)


def _unknown(claim: str, target: str, unit: str) -> Finding:
    """Find that no trial showed anything: the target is neither met nor missed."""
    return Finding(claim, target, np.nan, np.nan, np.nan, 0, None, unit)


def _bootstrapped(
    values: npt.ArrayLike, seeds: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], float, float]:
    """Return the finite values and the interval of their median; seeds are drawn, not values."""
    known, seed = np.asarray(values, dtype=np.float64), np.asarray(seeds)
    finite = np.isfinite(known)
    known, seed = known[finite], seed[finite]
    if not known.size:
        return known, np.nan, np.nan
    groups = [known[seed == one] for one in np.unique(seed)]
    rng = np.random.default_rng(0)
    medians = [
        float(
            np.median(
                np.concatenate([groups[k] for k in rng.integers(0, len(groups), len(groups))])
            )
        )
        for _ in range(_RESAMPLES)
    ]
    low, high = np.quantile(medians, (0.025, 0.975))
    return known, float(low), float(high)
