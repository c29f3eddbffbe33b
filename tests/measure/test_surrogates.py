import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from pitflow.measure.surrogates import (
    Series,
    direction_surrogates,
    learn_memory,
    p_over_lags,
    value_surrogates,
    variance_over_lags,
)


def wandering(n, rng, *, spread=0.9, memory=8.0):
    noise = gaussian_filter1d(rng.normal(0, 1, n + 200), memory)[100:-100]
    return spread * noise / noise.std()


def test_directions_keep_their_values_where_all_are_worth_the_same():
    rng = np.random.default_rng(0)
    series = Series(wandering(300, rng), np.ones(300))
    drawn = direction_surrogates(series, learn_memory([series]), 20, rng)
    np.testing.assert_allclose(
        np.sort(drawn.angle, axis=1), np.tile(np.sort(series.angle), (20, 1)), atol=1e-9
    )


def test_directions_keep_their_memory():
    rng = np.random.default_rng(1)
    many = [Series(wandering(300, rng), rng.uniform(0.2, 1, 300)) for _ in range(12)]
    memory = learn_memory(many)
    drawn = direction_surrogates(many[0], memory, 60, rng)
    reached = learn_memory([Series(angle, many[0].weight) for angle in drawn.angle])
    np.testing.assert_allclose(reached[:15], memory[:15], atol=0.08)


def test_memory_is_that_of_the_process():
    """A direction that wanders by s about its mean has that of its sine (and cosine)."""
    rng = np.random.default_rng(2)
    many = [Series(wandering(400, rng, spread=0.3), np.ones(400)) for _ in range(40)]
    lag = np.array([0, 4, 8, 16])
    # Two Gaussian windows in a row are one of sqrt(2) times the width.
    np.testing.assert_allclose(learn_memory(many)[lag], np.exp(-((lag / 16.0) ** 2)), atol=0.12)


def test_worthless_directions_do_not_shorten_the_memory():
    rng = np.random.default_rng(3)
    angle, weight = wandering(300, rng), np.ones(300)
    noisy = rng.random(300) < 0.3
    spoilt = np.where(noisy, rng.uniform(-np.pi, np.pi, 300), angle)
    weight[noisy] = 1e-3
    clean = learn_memory([Series(angle, np.ones(300))])
    np.testing.assert_allclose(learn_memory([Series(spoilt, weight)])[:10], clean[:10], atol=0.15)


def test_missing_frames_and_weights_stay():
    rng = np.random.default_rng(4)
    weight = np.where(rng.random(200) < 0.5, 0.0, rng.uniform(0.1, 1, 200))
    series = Series(np.where(weight > 0, wandering(200, rng), 0.0), weight)
    drawn = direction_surrogates(series, learn_memory([series]), 5, rng)
    np.testing.assert_array_equal(drawn.weight, np.tile(weight, (5, 1)))
    assert (drawn.angle[:, weight == 0] == 0).all()
    assert (drawn.angle[:, weight > 0] != 0).all()


def test_long_series_are_drawn_in_blocks(monkeypatch):
    rng = np.random.default_rng(6)
    series = Series(wandering(300, rng), np.ones(300))
    monkeypatch.setattr("pitflow.measure.surrogates._BLOCK_VALUES", 900)
    drawn = direction_surrogates(series, learn_memory([series]), 20, rng)
    assert drawn.angle.shape == (20, 300)
    assert np.unique(drawn.angle[:, 150]).size > 10


@pytest.mark.parametrize("known", [0, 5])
def test_too_short_a_series_is_left_as_it_is(known):
    weight = (np.arange(50) < known).astype(float)
    series = Series(weight * 0.3, weight)
    drawn = direction_surrogates(series, learn_memory([series]), 3, np.random.default_rng(0))
    np.testing.assert_array_equal(drawn.angle, np.tile(series.angle, (3, 1)))


def test_values_keep_values_and_memory():
    rng = np.random.default_rng(5)
    value = np.exp(wandering(600, rng))
    known = rng.random(600) < 0.95
    drawn = value_surrogates(value, known, 50, rng)
    np.testing.assert_allclose(
        np.sort(drawn[:, known], axis=1), np.tile(np.sort(value[known]), (50, 1))
    )
    assert (drawn[:, ~known] == 0).all()

    def memory(x):
        x = x[known] - x[known].mean()
        return float((x[5:] * x[:-5]).sum() / (x**2).sum())

    assert np.mean([memory(row) for row in drawn]) == pytest.approx(memory(value), abs=0.15)
    unlike = [abs(np.corrcoef(row[known], value[known])[0, 1]) for row in drawn]
    assert np.mean(unlike) < 0.35


def test_p_counts_the_draws_whose_largest_is_as_large():
    """Largest of four draws over three lags, each in its own deviation: 3, 2, 1 and 2."""
    deviation = np.array([0.1, 0.2, 0.4])
    drawn = deviation * np.array([[3.0, 1, 0], [0, -2, 1], [1, 0, -1], [0, 1, 2]])
    p = p_over_lags(deviation * np.array([-2.0, 2.5, 0.5]), drawn, deviation)
    np.testing.assert_allclose(p, [(1 + 3) / 5, (1 + 1) / 5, 1])


def test_variance_over_lags_is_about_zero_and_smooth():
    drawn = np.array([[1.0], [3.0]]) * np.ones(40)
    np.testing.assert_allclose(variance_over_lags(drawn), 5.0)
    step = np.ones((1, 80)) * np.where(np.arange(80) < 40, 1.0, 2.0)
    smooth = variance_over_lags(step)
    assert smooth[[0, -1]] == pytest.approx([1.0, 4.0])
    # A Gaussian of 5 lags: half way at the step, a sixth and five sixths 5 lags away.
    assert smooth[[34, 39, 40, 45]] == pytest.approx([1.41, 2.38, 2.62, 3.59], abs=0.03)
