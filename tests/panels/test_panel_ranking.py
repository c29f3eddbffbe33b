"""The columns of Table II and the paired tests, against cases done by hand and by scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pitflow.domains.panels.ranking import (
    compare_with_baseline,
    increases,
    mean_ranks,
    weighted_increases,
)

SCORES = np.array([[0.9, 0.8, 0.9], [0.5, 0.7, 0.6], [0.2, 0.5, 0.1]])


def test_ranks_share_ties() -> None:
    assert mean_ranks(SCORES) == pytest.approx(
        [(1.5 + 3 + 2) / 3, (3 + 1 + 1) / 3, (1.5 + 2 + 3) / 3]
    )


def test_increases_are_mean_gains_and_hard_images_weigh_more() -> None:
    assert increases(SCORES) == pytest.approx([0, 0.4 / 3, 0])
    # The baseline's best image weighs 1, its worst 3.
    assert weighted_increases(SCORES) == pytest.approx(
        [0, (-0.1 * 1 + 0.2 * 2 + 0.3 * 3) / 6, (0 + 0.1 * 2 - 0.1 * 3) / 6]
    )
    tied = np.array([[0.5, 0.6], [0.5, 0.8]])
    assert weighted_increases(tied) == pytest.approx([0, 0.2])


def test_a_real_gain_is_told_and_chance_is_not() -> None:
    rng = np.random.default_rng(0)
    base = rng.uniform(0.3, 0.9, 80)
    better, same = base + rng.normal(0.02, 0.03, 80), base + rng.normal(0, 0.03, 80)
    scores = np.column_stack([base, better, same])
    found = compare_with_baseline(scores, ["unet", "better", "same"], [str(n) for n in range(80)])
    assert [c.model for c in found] == ["better", "same"]
    gains = better - base
    expected = 2 * stats.wilcoxon(gains, zero_method="zsplit").pvalue
    assert found[0].wilcoxon_p == pytest.approx(expected)
    assert found[0].permutation_p < 0.001
    half = 1.96 * gains.std(ddof=1) / np.sqrt(80)
    assert (found[0].low, found[0].high) == pytest.approx(
        (gains.mean() - half, gains.mean() + half), abs=0.15 * half
    )
    assert found[1].permutation_p > 0.1


def test_copies_do_not_count_twice() -> None:
    rng = np.random.default_rng(1)
    base = rng.uniform(0.3, 0.9, 10)
    scores = np.column_stack([base, base + rng.normal(0.01, 0.02, 10)])
    once = compare_with_baseline(scores, ["a", "b"], [str(n) for n in range(10)])
    copied = compare_with_baseline(
        np.tile(scores, (5, 1)), ["a", "b"], [str(n) for n in range(10)] * 5
    )
    assert copied == once


def test_equal_models_differ_by_chance_alone() -> None:
    scores = np.full((6, 2), 0.5)
    (found,) = compare_with_baseline(scores, ["a", "b"], list("abcdef"))
    assert (found.gain, found.wilcoxon_p, found.permutation_p) == (0, 1, 1)
