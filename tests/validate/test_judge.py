import numpy as np
import pytest
from scipy.stats import binomtest

from pitflow.validate.judge import (
    binomial_interval,
    judge_at_least,
    judge_at_most,
    judge_coverage,
    judge_least_coverage,
    judge_level,
    judge_median,
    judge_statistic,
    show_share,
)


@pytest.mark.parametrize(("hits", "n"), [(0, 20), (3, 60), (20, 20), (47, 1000)])
def test_the_interval_is_clopper_and_pearsons(hits, n):
    expected = binomtest(hits, n).proportion_ci(0.95, method="exact")
    np.testing.assert_allclose(binomial_interval(hits, n), expected, atol=1e-9)


def p_values(rejected, n):
    return np.where(np.arange(n) < rejected, 0.01, 0.5)


@pytest.mark.parametrize(("rejected", "passed"), [(50, True), (65, True), (20, False), (90, False)])
def test_a_level_passes_within_binomial_error_on_either_side(rejected, passed):
    found = judge_level("a test", p_values(rejected, 1000))
    assert found.passed is passed
    assert found.measured == rejected / 1000
    assert found.low < found.measured < found.high


def test_tests_that_gave_no_p_do_not_count():
    found = judge_level("a test", [np.nan, 0.01, 0.5, np.nan])
    assert (found.n, found.measured) == (2, 0.5)


def test_a_conservative_test_is_not_blamed():
    assert judge_at_most("a test", p_values(10, 1000) < 0.05).passed
    assert not judge_at_most("a test", p_values(100, 1000) < 0.05).passed


@pytest.mark.parametrize(
    ("held", "n", "passed"),
    [
        (910, 1000, False),
        (930, 1000, True),
        (970, 1000, True),
        (985, 1000, False),
        # 98.3 %, but of so few it may be 95.
        (173, 176, True),
    ],
)
def test_coverage_is_asked_on_both_sides(held, n, passed):
    assert judge_coverage("an interval", np.arange(n) < held).passed is passed


def test_shares_without_a_target_neither_pass_nor_fail():
    found = show_share("shown", [True, False])
    assert (found.passed, found.target, found.measured) == (None, "", 0.5)


@pytest.mark.parametrize(
    ("held", "n", "passed"),
    [
        # 90 %, but of so few it may be 93.
        (18, 20, True),
        (900, 1000, False),
        # Too often is right where any direction is allowed.
        (1000, 1000, True),
    ],
)
def test_least_coverage_is_asked_to_within_binomial_error(held, n, passed):
    assert judge_least_coverage("an interval", np.arange(n) < held).passed is passed


def test_what_a_measurement_is_to_reach_the_estimate_must():
    assert judge_at_least("a share", np.arange(20) < 18, share=0.9).passed
    assert not judge_at_least("a share", np.arange(20) < 17, share=0.9).passed


@pytest.mark.parametrize(
    "found",
    [
        judge_level("a test", [np.nan]),
        judge_at_most("a share", []),
        judge_at_least("a share", [], share=0.5),
        judge_coverage("an interval", []),
        judge_least_coverage("an interval", []),
        judge_median("an error", [], [], at_most=2.0, unit="deg"),
        judge_statistic("a correlation", [np.nan], at_least=0.9),
    ],
    ids=lambda found: found.target,
)
def test_a_target_without_data_is_neither_met_nor_missed(found):
    assert found.lacks_data
    assert (found.passed, found.n) == (None, 0)
    assert np.isnan([found.measured, found.low, found.high]).all()
    assert not show_share("shown", []).lacks_data


def test_the_interval_of_a_median_is_over_seeds_not_over_values():
    # Two seeds that disagree: however many values each has, the median is hardly known.
    values = np.concatenate([np.full(1000, 1.0), np.full(1000, 3.0)])
    found = judge_median("an error", values, np.repeat([0, 1], 1000), at_most=2.0, unit="deg")
    assert (found.low, found.high) == (1.0, 3.0)
