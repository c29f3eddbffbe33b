"""Tests of a trend, against other programs' and by counting."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pitflow.measure.trend import jonckheere_test, mann_whitney_test, spearman_test


def test_jonckheere_agrees_with_kendall_and_the_textbook():
    # Where every group holds one value, S is that of Kendall's tau.
    rng = np.random.default_rng(0)
    y = rng.normal(size=12)
    z, p = jonckheere_test([np.array([value]) for value in y])
    n = y.size
    s = stats.kendalltau(np.arange(n), y).statistic * n * (n - 1) / 2
    assert z == pytest.approx(s / np.sqrt(n * (n - 1) * (2 * n + 5) / 18))
    assert p == pytest.approx(stats.kendalltau(np.arange(n), y).pvalue, abs=0.02)
    # Hollander and Wolfe, example 6.2: J = 79 of mean 54; the variance is 150.29 with ties.
    groups = [
        [40, 35, 38, 43, 44, 41],
        [38, 40, 47, 44, 40, 42],
        [48, 40, 45, 43, 46, 44],
    ]
    z, p = jonckheere_test([np.array(group, dtype=float) for group in groups])
    assert z == pytest.approx(25 / np.sqrt(150.29), abs=1e-3)
    assert jonckheere_test([np.ones(4), np.ones(4)]) == (0.0, 1.0)


def test_jonckheere_is_exact_where_values_are_few():
    """Of the 30 divisions of five values into 2, 2 and 1, one rises throughout and one falls."""
    _, p = jonckheere_test([np.array([1.0, 2.0]), np.array([3.0, 4.0]), np.array([5.0])])
    assert p == pytest.approx(2 / 30)
    y = np.random.default_rng(2).normal(size=6)
    for groups in (np.split(y, 6), np.split(y, [3])):
        kendall = stats.kendalltau(np.arange(6), y).pvalue
        exact = kendall if len(groups) == 6 else stats.mannwhitneyu(*groups).pvalue
        assert jonckheere_test(groups)[1] == pytest.approx(exact)


def test_jonckheere_joins_its_normal_limit():
    rng = np.random.default_rng(3)
    groups = [rng.normal(0.1 * level, 1, 66).round(1) for level in range(3)]
    z, p = jonckheere_test(groups)
    assert p == pytest.approx(2 * stats.norm.sf(abs(z)), abs=0.015)


def test_spearman_is_exact_where_values_are_few():
    """Of the 24 orders of four values, one rises throughout and one falls."""
    assert spearman_test(np.arange(4.0), np.arange(4.0))[1] == pytest.approx(2 / 24)


def test_spearman_agrees_with_scipy():
    rng = np.random.default_rng(1)
    x = np.repeat([5.0, 10.0, 30.0, 100.0], 4)
    y = 0.02 * x + rng.normal(size=16)
    rho, p = spearman_test(x, y)
    exact = stats.spearmanr(x, y)
    assert rho == pytest.approx(exact.statistic)
    assert p == pytest.approx(exact.pvalue, abs=0.02)
    assert np.isnan(spearman_test(x, np.ones(16))[0])


def test_two_groups_of_few_tied_values_have_the_exact_p():
    # Of the six ways to share out four values, two are as far apart as these.
    assert mann_whitney_test(np.array([11.0, 14.0]), np.array([6.9, 6.9])) == (4.0, 1 / 3)
    a, b = np.array([1.0, 2, 2, 3, 4, 5]), np.array([3.0, 4, 6, 7, 7, 8])
    u, p = mann_whitney_test(a, b)
    exact = stats.permutation_test(
        (a, b), lambda x, y: stats.mannwhitneyu(x, y).statistic, permutation_type="independent"
    )
    assert u == stats.mannwhitneyu(a, b).statistic
    assert p == pytest.approx(exact.pvalue, abs=0.005)


def test_two_groups_without_ties_and_large_ones_are_as_scipy_has_them():
    rng = np.random.default_rng(0)
    for a, b in ((rng.random(4), rng.random(5)), (rng.integers(0, 5, 20), rng.integers(1, 6, 30))):
        expected = stats.mannwhitneyu(a, b)
        assert mann_whitney_test(a, b) == (expected.statistic, expected.pvalue)
