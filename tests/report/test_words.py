"""Numbers in words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pitflow.lag import find_lag
from pitflow.report.current_answer import clearest_lags
from pitflow.report.lag import in_words
from pitflow.report.words import (
    angle,
    angle_interval,
    count,
    listing,
    moment,
    p_value,
    sentence,
    significant,
)


def test_counts_and_lists():
    assert [count(n, "pit") for n in (0, 1, 1204)] == ["no pits", "1 pit", "1,204 pits"]
    assert [listing(list(text)) for text in ("", "a", "ab", "abc")] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]


def test_remarks_become_sentences():
    remarks = ("4 frames are lost", "the light flickers.")
    assert [sentence(text) for text in remarks] == ["4 frames are lost.", "The light flickers."]


def test_a_time_is_told_as_people_write_it():
    assert moment("2026-11-28T17:37:12+01:00") == "28 November 2026, 16:37 UTC"
    assert moment("") == ""


def test_rounding():
    assert [significant(v) for v in (0.0, 0.0123, 1.26, 12.6, 1260.4)] == [
        "0", "0.012", "1.3", "13", "1,260",
    ]  # fmt: skip
    assert significant(float("nan")) == "–"
    assert significant(-0.184) == "−0.18"


def test_p_values():
    assert [p_value(p) for p in (0.2, 0.034, 0.0004, float("nan"))] == [
        "p = 0.20", "p = 0.034", "p < 0.001", "p –",
    ]  # fmt: skip


def test_angles_stay_below_360():
    assert angle(359.7) == "0°"
    assert angle_interval(10, 350.2, 29.8) == "10° (350° to 30°)"
    assert angle_interval(10, float("nan"), float("nan")) == "10° (any direction)"
    assert angle_interval(float("nan"), float("nan"), float("nan")) == "–"


def correlation(lag: int, r: float, p: float) -> pd.DataFrame:
    return pd.DataFrame({"pit": -1, "lag": [lag - 1, lag, lag + 1], "r": [r / 2, r, r / 3], "p": p})


@pytest.mark.parametrize(
    ("lag", "r", "p", "expected"),
    [
        (10, 0.3, 0.002, "Ejection follows growth by 10 frames (0.67 s); r = 0.30, p = 0.002."),
        (
            1,
            -0.3,
            0.02,
            "Ejection follows growth by 1 frame (0.07 s), in opposite directions;",
        ),
        (-3, 0.4, 0.01, "Growth follows ejection by 3 frames (0.20 s); r = 0.40"),
        (0, 0.4, 0.01, "Ejection and growth go together without a delay (r = 0.40"),
        (10, 0.1, 0.4, "There is no evidence that the direction of ejection follows"),
        (10, 0.1, float("nan"), "The clearest correlation, at a lag of 10, could not be tested"),
    ],
)
def test_the_lag_in_words(lag, r, p, expected):
    answer = find_lag(correlation(lag, r, p), -1)
    assert in_words(answer, 15.0).startswith(expected)


def test_no_correlation_in_words():
    assert find_lag(correlation(1, 0.1, 0.1), 3) is None
    assert "could not be compared" in in_words(None, 15.0)


def test_the_current_is_answered_at_its_clearest_lag():
    """At long lags few pairs make large correlations."""
    table = pd.DataFrame(
        {
            "series": "growth",
            "lag": [-40, 0, 3],
            "r": [0.6, 0.1, 0.4],
            "p": [0.3, 0.9, 0.01],
            "n_effective": [8.0, 90.0, 90.0],
        }
    )
    (answer,) = clearest_lags(table)
    assert (answer.lag, answer.r, answer.is_evidence) == (3, 0.4, True)
    assert clearest_lags(table.assign(r=np.nan)) == []
