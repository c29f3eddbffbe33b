"""Comparing models on the same images: the columns of paper 000, Table II, and paired tests.

All take scores (images, models), higher is better; where a baseline is needed it is the first
model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from pitflow.holm import holm

Floats = npt.NDArray[np.float64]

_DRAWS = 10_000


def mean_ranks(scores: Floats) -> Floats:
    """Return each model's mean rank over the images, 1 the best; equal scores share their mean."""
    ranks: Floats = stats.rankdata(-_rounded(scores), axis=1).mean(axis=0)
    return ranks


def increases(scores: Floats) -> Floats:
    """Return each model's mean gain over the baseline."""
    gains: Floats = (scores - scores[:, :1]).mean(axis=0)
    return gains


def weighted_increases(scores: Floats) -> Floats:
    """Return each model's gain over the baseline, weighted by how badly the baseline does.

    An image's weight is its rank among the baseline's scores, the worst heaviest (n of n images,
    the best 1); equal scores share the mean rank.
    """
    weight = stats.rankdata(-_rounded(scores[:, 0]))
    gains: Floats = weight @ (scores - scores[:, :1]) / weight.sum()
    return gains


@dataclass(frozen=True, slots=True)
class Comparison:
    """A model against the baseline, over independent groups of images.

    Parameters
    ----------
    gain, low, high:
        Mean gain and its 95 % bootstrap interval.
    wilcoxon_p, permutation_p:
        Two-sided, of the signed ranks and of the mean under random signs; each corrected by Holm
        over the models that are compared.
    """

    model: str
    gain: float
    low: float
    high: float
    wilcoxon_p: float
    permutation_p: float


def compare_with_baseline(
    scores: Floats, models: Sequence[str], groups: Sequence[str], seed: int = 0
) -> list[Comparison]:
    """Test every other model against the first, on the mean gains of independent groups.

    Parameters
    ----------
    groups:
        One name per image; images of one group are not independent and count as one.
    """
    gains = _group_means(scores[:, 1:] - scores[:, :1], groups)
    n = len(gains)
    rng = np.random.default_rng(seed)
    drawn = gains[rng.integers(n, size=(_DRAWS, n))].mean(axis=1) if n else gains
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    signs = rng.choice([-1.0, 1.0], size=(_DRAWS, n))
    flipped = np.abs(signs @ gains / n)
    mean = gains.mean(axis=0)
    # The observed signs are one of all possible; a p of 0 cannot be known from draws.
    extreme = (flipped >= np.abs(mean) - 1e-12).sum(axis=0)
    permutation = (extreme + 1) / (_DRAWS + 1)
    wilcoxon = [_signed_rank(column) for column in gains.T]
    return [
        Comparison(model, *(float(value) for value in values))
        for model, *values in zip(
            models[1:], mean, low, high, holm(wilcoxon), holm(permutation), strict=True
        )
    ]


def _signed_rank(gains: Floats) -> float:
    gains = _rounded(gains)
    if not gains.any():
        return 1.0
    return float(stats.wilcoxon(gains, zero_method="zsplit").pvalue)


def _group_means(gains: Floats, groups: Sequence[str]) -> Floats:
    names, place = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.zeros((len(names), gains.shape[1]))
    np.add.at(sums, place, gains)
    means: Floats = sums / np.bincount(place)[:, None]
    return means


def _rounded(scores: Floats) -> Floats:
    """Return scores without differences that only rounding makes, so that ties are ties."""
    rounded: Floats = np.round(scores, 12)
    return rounded
