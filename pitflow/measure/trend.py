"""Tests of groups and of trends by permutation: few values have no normal limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_DRAWS = 9999
_MOST_ENUMERATED = 7
"""Most values of which every order is looked at: 5040 orders."""
_FEW = 8
"""Of so many values in either group the ranks have no normal limit yet."""
_MOST_DRAWN = 200
"""Most values of which orders are drawn for the Jonckheere-Terpstra test."""


def mann_whitney_test(a: Floats, b: Floats, *, seed: int = 0) -> tuple[float, float]:
    """Return U of the first group and the two-sided p of the Mann-Whitney test of two groups.

    p is exact where one of the groups has up to 8 values; with ties it is by permutation then, over
    all orders of up to 7 values and 9999 drawn ones of more: the normal limit may be below the
    smallest p that there can be. Else it is that of the normal limit.
    """
    pooled = np.concatenate([a, b])
    found = stats.mannwhitneyu(a, b, alternative="two-sided", method="auto")
    if min(a.size, b.size) > _FEW or np.unique(pooled).size == pooled.size:
        return float(found.statistic), float(found.pvalue)
    ranks = stats.rankdata(pooled)

    def departure(orders: Ints) -> Floats:
        away: Floats = ranks[orders[:, : a.size]].sum(axis=1) - a.size * ranks.mean()
        return away

    return float(found.statistic), _permutation_p(pooled.size, departure, seed)


def jonckheere_test(groups: Sequence[Floats], *, seed: int = 0) -> tuple[float, float]:
    """Return z and the two-sided p of the Jonckheere-Terpstra test of a trend over ordered groups.

    z has the variance for ties. p is by permutation, over all orders of up to 7 values and 9999
    drawn ones of more; beyond 200 values it is that of the normal limit.

    References
    ----------
    Jonckheere, Biometrika 41 (1954) 133; Hollander, Wolfe and Chicken, Nonparametric Statistical
    Methods (2014), section 6.2.
    """
    filled = [np.asarray(group, dtype=np.float64) for group in groups if len(group)]
    if len(filled) < 2:
        return np.nan, np.nan
    pooled = np.concatenate(filled)
    order = np.argsort(pooled, kind="stable")
    sizes = np.array([group.size for group in filled], dtype=np.float64)
    label = np.repeat(np.arange(sizes.size), sizes.astype(np.int64))[order]
    ties = np.flatnonzero(np.append(True, np.diff(pooled[order]) > 0))
    mean = (pooled.size**2 - (sizes**2).sum()) / 4.0
    variance = _variance_of_wins(sizes, np.diff(np.append(ties, pooled.size)).astype(np.float64))
    if variance <= 0:
        return 0.0, 1.0
    z = float(_wins(label[None, :], ties)[0] - mean) / np.sqrt(variance)
    if pooled.size > _MOST_DRAWN:
        return z, float(2.0 * stats.norm.sf(abs(z)))
    return z, _permutation_p(pooled.size, lambda orders: _wins(label[orders], ties) - mean, seed)


def _wins(label: Ints, ties: Ints) -> Floats:
    """Return in how many pairs of values of two groups the later group has the higher one.

    Parameters
    ----------
    label:
        (draws, values) groups, 0 the first, of values in ascending order.
    ties:
        Where each value that is unlike the one before starts. Equal values count half.
    """
    wins = np.zeros(len(label))
    for group in range(1, int(label.max()) + 1):
        own = np.add.reduceat(label == group, ties, axis=1, dtype=np.float64)
        lower = np.add.reduceat(label < group, ties, axis=1, dtype=np.float64)
        wins += (own * (np.cumsum(lower, axis=1) - lower / 2.0)).sum(axis=1)
    return wins


def _variance_of_wins(sizes: Floats, ties: Floats) -> float:
    """Return the variance of `_wins` over all orders, by sizes of groups and of ties."""
    n = float(sizes.sum())

    def cubic(size: Floats | float) -> float:
        return float(np.sum(size * (np.asarray(size) - 1) * (2 * np.asarray(size) + 5)))

    def pairs(size: Floats) -> float:
        return float(np.sum(size * (size - 1)))

    def triples(size: Floats) -> float:
        return float(np.sum(size * (size - 1) * (size - 2)))

    variance = (cubic(n) - cubic(sizes) - cubic(ties)) / 72.0
    if n > 2:
        variance += triples(sizes) * triples(ties) / (36.0 * n * (n - 1) * (n - 2))
    return variance + pairs(sizes) * pairs(ties) / (8.0 * n * (n - 1))


def spearman_test(x: Floats, y: Floats, *, seed: int = 0) -> tuple[float, float]:
    """Return Spearman's rho and its two-sided p by permutation.

    Over all orders of up to 7 values, and 9999 drawn ones of more.
    """
    a, b = stats.rankdata(x), stats.rankdata(y)
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt((a**2).sum() * (b**2).sum())
    if a.size < 3 or scale == 0:
        return np.nan, np.nan
    rho = float(a @ b / scale)
    return rho, _permutation_p(a.size, lambda orders: b[orders] @ a / scale, seed)


def _permutation_p(n: int, departure: Callable[[Ints], Floats], seed: int) -> float:
    """Return the share of orders of n values whose departure is as large as that of the first.

    All orders of few values, else drawn ones beside the one seen.
    """
    if n <= _MOST_ENUMERATED:
        orders = np.array(list(permutations(range(n))), dtype=np.int64)
    else:
        orders = np.tile(np.arange(n), (1 + _DRAWS, 1))
        orders[1:] = np.random.default_rng(seed).permuted(orders[1:], axis=1)
    size = np.abs(departure(orders))
    return float(np.mean(size >= size[0] - 1e-9))
