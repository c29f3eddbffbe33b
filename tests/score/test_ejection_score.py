"""Ejections and the lag against the truth, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pitflow.score.detection import Matches
from pitflow.score.ejections import score_ejections, true_particle_of
from pitflow.score.lag import score_lag

TRUE = pd.DataFrame({"particle": [0, 1, 2, 3], "pit": [0, 0, 1, 1], "angle_deg": [1.0, 90, 180, 9]})


def found(*rows: tuple[int, int, int, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["particle", "frame", "pit", "angle_deg"])


def test_a_track_is_of_the_particle_of_most_of_its_rows():
    true = pd.DataFrame({"particle": [0, 0, 6, 6, -1, 6]})
    tracks = pd.DataFrame({"particle": [0, 0, 0, 8, 9, -1]})
    rows = np.arange(6)
    assert true_particle_of(Matches(rows, rows, np.zeros(6)), true, tracks) == {0: 0, 8: 6}


def test_of_several_ejections_of_a_particle_the_earliest_counts():
    table = found((20, 9, 7, 50.0), (21, 4, 7, 357.0), (22, 5, 8, 100.0), (23, 1, 8, 0.0))
    score = score_ejections(TRUE, table, {20: 0, 21: 0, 22: 1, 23: -1}, {7: 0, 8: 1})
    assert (score["found"], score["missed"], score["invented"], score["n"]) == (2, 2, 2, 2)
    assert score["angle_error_median_deg"] == pytest.approx((4 + 10) / 2)
    assert score["angle_error_p90_deg"] == pytest.approx(9.4)
    # Pit 8 is true pit 1, and the second particle came from 0.
    assert score["source_pit_right"] == 0.5
    # The order in the table does not matter, nor is it changed.
    assert score_ejections(TRUE, table[::-1], {20: 0, 21: 0, 22: 1}, {7: 0, 8: 1}) == score
    assert table.columns.tolist() == ["particle", "frame", "pit", "angle_deg"]


def test_without_a_common_ejection_nothing_is_known_of_angles():
    score = score_ejections(TRUE, found((20, 9, 7, 50.0)), {}, {})
    assert (score["found"], score["missed"], score["invented"]) == (0, 4, 1)
    for name in ("angle_error_median_deg", "angle_error_p90_deg", "source_pit_right"):
        assert np.isnan(score[name])


def test_the_lag_is_that_of_the_clearest_pooled_correlation():
    lag = np.arange(-3, 4)
    r = np.array([0.0, 0.1, 0.2, 0.1, -0.6, 0.2, 0.1])
    p = np.where(lag == 1, 0.02, 0.5)
    pooled = pd.DataFrame({"pit": -1, "lag": lag, "r": r, "p": p})
    other = pooled.assign(pit=4, r=np.where(lag == -2, 0.9, 0.0), p=0.001)
    score = score_lag(pd.concat([other, pooled]), 3.0)
    assert score == {
        "true_frames": 3.0, "found_frames": 1.0, "error_frames": -2.0, "r": -0.6, "p": 0.02
    }  # fmt: skip
    none = score_lag(pooled.assign(r=np.nan, p=np.nan), 3.0)
    assert none["true_frames"] == 3.0
    assert np.isnan(none["found_frames"])
