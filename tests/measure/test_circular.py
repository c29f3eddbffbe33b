import astropy.stats
import astropy.units as u
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import i0e, i1e

from pitflow.measure.circular import (
    bootstrap_direction,
    concentration,
    count_modes,
    direction_of,
    mean_vector,
    rao_moments,
    rao_spacing,
    rao_test,
    rayleigh_test,
    unbiased_square,
    watson_williams_test,
    wrap_angle,
    wrap_difference,
)

samples = st.lists(st.floats(0, 359.999), min_size=5, max_size=30)


def von_mises(kappa, n, seed, mean_deg=60.0):
    rng = np.random.default_rng(seed)
    return wrap_angle(np.degrees(rng.vonmises(np.radians(mean_deg), kappa, n)))


def test_direction_is_clockwise_on_the_screen():
    np.testing.assert_allclose(direction_of([1, 0, -1, 0], [0, 1, 0, -1]), [0, 90, 180, 270])
    assert np.isnan(direction_of(0, 0))


def test_mean_vector_agrees_with_astropy_and_scipy():
    angles = von_mises(1.5, 40, seed=1)
    direction, length = mean_vector(angles)
    assert direction == pytest.approx(astropy.stats.circmean(angles * u.deg).to_value(u.deg) % 360)
    assert direction == pytest.approx(stats.circmean(angles, high=360))
    assert length == pytest.approx(1 - astropy.stats.circvar(angles * u.deg).value)


def test_mean_vector_of_angles_that_cancel_has_no_direction():
    direction, length = mean_vector([0, 180])
    assert np.isnan(direction)
    assert length == 0
    assert np.isnan(mean_vector([])[1])


@settings(deadline=None)
@given(samples, st.floats(-720, 720))
def test_turning_all_angles_turns_the_mean_and_leaves_the_tests(angles, turn):
    direction, length = mean_vector(angles)
    turned_direction, turned_length = mean_vector(np.array(angles) + turn)
    assert turned_length == pytest.approx(length, abs=1e-9)
    if length > 1e-6:
        assert abs(wrap_difference(turned_direction - direction - turn)) < 1e-4
    turned = wrap_angle(np.array(angles) + turn)
    assert rao_spacing(turned) == pytest.approx(rao_spacing(angles), abs=1e-6)


def test_rayleigh_agrees_with_astropy_where_both_expand_well():
    # astropy's series is Fisher's; the two differ in higher orders of p only.
    for kappa in (0.3, 0.5, 0.7):
        angles = von_mises(kappa, 60, seed=3)
        theirs = astropy.stats.rayleightest(angles * u.deg).to_value(u.one)
        assert rayleigh_test(60, mean_vector(angles)[1]) == pytest.approx(theirs, rel=0.1)


def test_rayleigh_and_rao_hold_their_level():
    rng = np.random.default_rng(11)
    draws = rng.uniform(0, 360, (2000, 25))
    length = np.abs(np.exp(1j * np.radians(draws)).mean(axis=1))
    rejected = int((rayleigh_test(25, length) < 0.05).sum())
    assert stats.binomtest(rejected, 2000, 0.05).pvalue > 0.001
    by_rao = sum(rao_test(sample) < 0.05 for sample in draws[:400])
    assert stats.binomtest(by_rao, 400, 0.05).pvalue > 0.001


def test_repeating_every_angle_breaks_rayleigh():
    # Why tests run on one angle per particle, not on every position of every frame.
    rng = np.random.default_rng(5)
    draws = np.repeat(rng.uniform(0, 360, (300, 25)), 20, axis=1)
    length = np.abs(np.exp(1j * np.radians(draws)).mean(axis=1))
    assert (rayleigh_test(500, length) < 0.05).mean() > 0.5


def test_few_angles_have_no_p():
    assert np.isnan(rayleigh_test(3, 1.0))
    assert np.isnan(rao_test([1, 2, 3]))


def test_rao_sees_opposed_directions_that_rayleigh_misses():
    angles = np.concatenate([von_mises(30, 20, 1, 0.0), von_mises(30, 20, 2, 180.0)])
    assert rayleigh_test(40, mean_vector(angles)[1]) > 0.05
    assert rao_test(angles) < 0.001


def test_rao_moments_match_simulation_and_equal_gaps_give_zero():
    rng = np.random.default_rng(2)
    drawn = [rao_spacing(rng.uniform(0, 360, 12)) for _ in range(4000)]
    mean, deviation = rao_moments(12)
    assert np.mean(drawn) == pytest.approx(mean, abs=4 * deviation / np.sqrt(4000))
    assert np.std(drawn) == pytest.approx(deviation, rel=0.05)
    assert rao_spacing(np.arange(0, 360, 30)) == pytest.approx(0, abs=1e-9)


def test_rao_joins_its_normal_limit():
    angles = von_mises(0.25, 200, seed=8)
    more = np.append(angles, angles[0] + 1.0)
    assert rao_test(angles) == pytest.approx(rao_test(more), abs=0.05)


@pytest.mark.parametrize(("kappa", "n"), [(1.0, 40), (2.0, 40), (5.0, 60)])
def test_bootstrap_intervals_cover(kappa, n):
    rng = np.random.default_rng(int(10 * kappa) + n)
    truth = float(i1e(kappa) / i0e(kappa))
    direction = length = 0
    for k in range(250):
        interval = bootstrap_direction(
            von_mises(kappa, n, seed=1000 + k), confidence=0.95, resamples=300, rng=rng
        )
        length += interval.length_lo <= truth <= interval.length_hi
        width = wrap_angle(interval.direction_hi - interval.direction_lo)
        # Not finite: any direction is allowed.
        direction += not wrap_angle(60.0 - interval.direction_lo) > width
    assert direction / 250 > 0.9
    assert length / 250 > 0.89


def test_bootstrap_of_uniform_angles_reaches_down_to_no_direction():
    angles = np.random.default_rng(4).uniform(0, 360, 50)
    interval = bootstrap_direction(
        angles, confidence=0.95, resamples=500, rng=np.random.default_rng(0)
    )
    assert interval.length_lo == 0
    assert np.isnan(
        bootstrap_direction(
            [1, 2, 3], confidence=0.95, resamples=100, rng=np.random.default_rng(0)
        ).length_lo
    )


def test_the_interval_of_the_length_is_as_wide_as_lengths_scatter():
    """One that is too wide would hold the truth as well."""
    rng = np.random.default_rng(0)
    kappa, n = 1.0, 100
    lengths = np.abs(np.exp(1j * rng.vonmises(0.0, kappa, (2000, n))).mean(axis=1))
    ends = []
    for k in range(20):
        interval = bootstrap_direction(
            von_mises(kappa, n, seed=k), confidence=0.95, resamples=400, rng=rng
        )
        ends.append((interval.length_lo, interval.length_hi))
    lo, hi = np.mean(ends, axis=0)
    assert hi - lo == pytest.approx(2 * 1.96 * lengths.std(), rel=0.1)
    assert (lo + hi) / 2 == pytest.approx(i1e(kappa) / i0e(kappa), abs=0.5 * lengths.std())


@pytest.mark.parametrize("kappa", [0.0, 1.0])
def test_the_unbiased_square_is_that_of_the_law_in_the_mean(kappa):
    drawn = np.random.default_rng(2).vonmises(0.0, kappa, (4000, 10))
    square = unbiased_square(np.abs(np.exp(1j * drawn).mean(axis=1)), 10)
    error = 4 * square.std() / np.sqrt(4000)
    assert square.mean() == pytest.approx((i1e(kappa) / i0e(kappa)) ** 2, abs=error)


@pytest.mark.parametrize("n", [5, 10])
def test_interval_of_few_uniform_angles_allows_any_direction(n):
    rng = np.random.default_rng(n)
    told = 0
    for _ in range(100):
        interval = bootstrap_direction(
            rng.uniform(0, 360, n), confidence=0.95, resamples=200, rng=rng
        )
        told += np.isfinite([interval.direction_lo, interval.direction_hi]).any()
        assert interval.direction_lo != interval.direction_hi
    assert told <= 12


@pytest.mark.parametrize("n", [5, 8])
def test_interval_of_a_weak_direction_covers(n):
    rng = np.random.default_rng(n)
    missed = 0
    for k in range(100):
        interval = bootstrap_direction(
            von_mises(0.5, n, seed=k), confidence=0.95, resamples=200, rng=rng
        )
        width = wrap_angle(interval.direction_hi - interval.direction_lo)
        missed += wrap_angle(60.0 - interval.direction_lo) > width
    assert missed <= 10


@settings(deadline=None)
@given(st.floats(0.01, 100))
def test_concentration_inverts_the_bessel_ratio(kappa):
    assert concentration(i1e(kappa) / i0e(kappa)) == pytest.approx(kappa, rel=0.02, abs=1e-3)


def test_number_of_modes():
    def share(make, expected):
        return np.mean([count_modes(make(k)) == expected for k in range(12)])

    rng = np.random.default_rng(0)
    assert share(lambda k: rng.uniform(0, 360, 60), 0) >= 0.8
    assert share(lambda k: von_mises(2.0, 60, k), 1) >= 0.8
    two = [
        np.concatenate([von_mises(8, 40, k), von_mises(8, 40, k + 99, 200.0)]) for k in range(12)
    ]
    assert share(two.__getitem__, 2) >= 0.8
    on_background = np.concatenate([von_mises(20, 60, 5), rng.uniform(0, 360, 60)])
    assert count_modes(on_background) == 1
    assert count_modes([1.0, 2.0, 3.0, 2.5, 1.5, 2.2, 0.5]) == 0


@pytest.mark.parametrize(("n", "trials"), [(8, 300), (20, 100)])
def test_uniform_angles_have_no_direction(n, trials):
    rng = np.random.default_rng(n)
    found = [count_modes(rng.uniform(0, 360, n)) > 0 for _ in range(trials)]
    assert np.mean(found) <= 0.06


def test_one_direction_is_not_taken_for_several():
    found = [count_modes(von_mises(3.0, 20, seed)) for seed in range(100)]
    assert np.mean(np.array(found) >= 2) <= 0.06
    assert np.mean(np.array(found) == 1) >= 0.9


@pytest.mark.parametrize(("width", "n"), [(120.0, 40), (180.0, 100)])
def test_a_wide_flat_direction_is_not_taken_for_several(width, n):
    """By BIC alone a third of the first are, and nearly all of the second."""
    rng = np.random.default_rng(n)
    found = [count_modes(rng.uniform(0, width, n)) for _ in range(30)]
    assert np.mean(np.array(found) >= 2) <= 0.2
    assert min(found) == 1


def test_a_skewed_direction_is_not_taken_for_several():
    rng = np.random.default_rng(5)
    found = [count_modes(30.0 * rng.gamma(2.0, 1.0, 100)) for _ in range(30)]
    assert np.mean(np.array(found) >= 2) <= 0.1


def test_two_opposed_directions_are_two():
    found = [
        count_modes(np.concatenate([von_mises(4, 20, k), von_mises(4, 20, k + 99, 240.0)]))
        for k in range(40)
    ]
    assert np.mean(np.array(found) == 2) >= 0.75


@pytest.mark.parametrize(("apart", "n"), [(180.0, 24), (120.0, 40)])
def test_two_clear_directions_are_two(apart, n):
    found = [
        count_modes(
            np.concatenate([von_mises(8, n // 2, k), von_mises(8, n // 2, k + 99, 60.0 + apart)])
        )
        for k in range(40)
    ]
    assert np.mean(np.array(found) == 2) >= 0.9


def test_groups_with_other_directions_differ():
    near = [von_mises(4, 30, 1), von_mises(4, 30, 2)]
    far = [von_mises(4, 30, 1), von_mises(4, 30, 2, 110.0)]
    assert watson_williams_test(*near) > 0.01 > watson_williams_test(*far)
    assert np.isnan(watson_williams_test(near[0][:1], near[1]))


def test_watson_williams_is_exact_where_angles_are_few():
    """Of the 70 divisions of eight angles in fours, two put each cluster in a sample."""
    assert watson_williams_test(np.arange(4.0), np.arange(4.0) + 90.0) == pytest.approx(2 / 70)


def test_watson_williams_holds_its_level():
    rng = np.random.default_rng(3)
    p = [watson_williams_test(*rng.uniform(0, 360, (2, 15)), draws=99) for _ in range(300)]
    assert stats.binomtest(int((np.array(p) <= 0.05).sum()), 300, 0.05).pvalue > 0.001
