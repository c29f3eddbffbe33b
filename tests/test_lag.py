import numpy as np
import pandas as pd

from pitflow.lag import find_lag


def table(r, **columns):
    lag = np.arange(len(r)) - len(r) // 2
    return pd.DataFrame({"pit": -1, "lag": lag, "r": r, "p": 0.01} | columns)


def test_the_largest_correlation_of_either_sign_is_the_answer():
    found = find_lag(table([0.1, -0.5, 0.3, 0.2, np.nan]))
    assert (found.lag, found.r, found.p, found.is_evidence) == (-1, -0.5, 0.01, True)


def test_a_large_correlation_of_few_pairs_is_not_the_clearest():
    r = [0.6, 0.1, 0.1, 0.5, 0.2]
    assert find_lag(table(r)).lag == -2
    assert find_lag(table(r, n_effective=[4.0, 30.0, 30.0, 30.0, 30.0])).lag == 1


def test_no_number_is_no_answer():
    assert find_lag(table([np.nan, np.nan, np.nan])) is None
    assert find_lag(table([0.2, 0.3, 0.1]), pit=4) is None
    assert np.isnan(find_lag(table([0.2, 0.3, 0.1]).drop(columns="p")).p)


def test_of_many_pits_one_is_clear_by_chance():
    found = find_lag(table([0.1, 0.5, 0.3], pit=2, q=[np.nan, 0.08, np.nan]), 2)
    assert (found.p, found.q, found.is_evidence) == (0.01, 0.08, False)
    assert find_lag(table([0.1, 0.5, 0.3])).q == 0.01
