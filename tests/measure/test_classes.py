import numpy as np
import pytest
from scipy import stats

from pitflow.measure.classes import learn_by_class


def test_a_spread_that_falls_with_the_key_is_learnt():
    rng = np.random.default_rng(0)
    key = np.exp(rng.uniform(-3, 0, 5000))
    value = np.abs(rng.normal(0, 0.1 / key))
    median = stats.halfnorm.median()
    learnt = learn_by_class(value, key, np.arange(5000), lambda own: float(np.median(own) / median))
    inside = (key > 0.07) & (key < 0.7)
    np.testing.assert_allclose(learnt[inside], 0.1 / key[inside], rtol=0.2)


def test_few_rows_make_one_class():
    value, key = np.arange(1.0, 21.0), np.full(20, 0.3)
    learnt = learn_by_class(value, key, np.arange(10), lambda own: float(np.median(own)))
    assert learnt == pytest.approx(np.full(20, 5.5))
