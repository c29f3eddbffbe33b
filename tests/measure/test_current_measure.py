"""Current aligned, and lags planted between it and ejections."""

from __future__ import annotations

from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from currents import FPS, frames, samples

from pitflow.config import CorrelationConfig
from pitflow.measure.current import align_current
from pitflow.measure.current_correlation import correlate_current, estimate_offset

QUICK = CorrelationConfig(surrogates=200, max_lag=40)


def bursts(n, rng, width=4.0):
    """A series of sharp rises that decay, at random times."""
    t = np.arange(n)
    total = np.zeros(n)
    for at in rng.choice(n, n // 25, replace=False):
        total += np.where(t >= at, np.exp(-(t - at) / width), 0.0)
    return total


def test_samples_are_averaged_joined_and_never_continued():
    fast = align_current(samples(np.arange(0, 2, 0.01), np.arange(0, 2, 0.01)), frames(60))
    inside = fast["time_s"] < 1.96
    np.testing.assert_allclose(fast["current_a"][inside][1:], fast["time_s"][inside][1:], atol=6e-3)
    assert fast["current_a"][fast["time_s"] > 2.1].isna().all()
    slow = align_current(samples(np.arange(0.5, 4.0), np.arange(0.5, 4.0)), frames(60))
    known = slow["time_s"].between(0.5, 3.5)
    np.testing.assert_allclose(slow["current_a"][known], slow["time_s"][known], atol=1 / FPS)
    assert slow["current_a"][slow["time_s"] < 0.45].isna().all()
    paused = align_current(samples([0, 0.1, 0.2, 0.3, 3.0, 3.1], np.ones(6)), frames(60))
    assert paused["current_a"][paused["time_s"].between(0.5, 2.9)].isna().all()


@pytest.mark.parametrize("lag", [-8, 0, 12])
def test_a_planted_lag_is_found(lag):
    rng = np.random.default_rng(4)
    burst = bursts(700, rng)
    table = align_current(samples(np.arange(700) / FPS, 1e-7 + 1e-7 * burst), frames(700))
    counts = rng.poisson(0.1 + 1.5 * np.roll(burst, lag)).astype(float)
    found = correlate_current(table, {"ejections": counts}, config=QUICK, seed=1)
    best = found.loc[found["r"].idxmax()]
    assert abs(best["lag"] - lag) <= 1
    assert best["p"] <= 0.01


def test_unrelated_series_and_common_drift_are_no_evidence():
    hits = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        drift = np.linspace(0, 3, 400)
        value = 1e-7 * (bursts(400, rng) + drift)
        table = align_current(samples(np.arange(400) / FPS, value), frames(400))
        counts = rng.poisson(0.3 + 0.3 * drift).astype(float)
        found = correlate_current(table, {"ejections": counts}, config=QUICK, seed=seed)
        hits += found["p"].min() <= 0.05
    # 5 % of 40 is 2; 7 or more would come by chance once in 300.
    assert hits <= 6


def test_the_stretch_in_which_both_vary_most_does_not_decide():
    rng = np.random.default_rng(2)
    alike, current, other = (bursts(600, rng) for _ in range(3))
    late = np.arange(600) >= 450
    table = align_current(
        samples(np.arange(600) / FPS, 1e-7 * np.where(late, 10 * current, alike)), frames(600)
    )
    growth = np.where(late, 10 * other, alike)
    found = correlate_current(table, {"growth": growth}, config=QUICK, seed=0)
    best = found.loc[found["r"].idxmax()]
    assert best["lag"] == 0
    assert best["r"] > 0.5


def test_an_offset_of_the_clocks_is_suggested_at_a_hundredth_only(monkeypatch):
    for p, suggested in ((0.005, True), (0.03, False)):
        table = pd.DataFrame({"lag": [4], "r": 0.5, "p": p})
        known = Mock(return_value=table)
        monkeypatch.setattr("pitflow.measure.current_correlation.correlate_current", known)
        found = estimate_offset(frames(9), np.ones(9), fps=FPS, offset_s=0.0, config=QUICK, seed=0)
        assert (found is not None) == suggested


def test_a_lag_is_found_while_current_and_ejections_fall():
    hits = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        burst, fall = bursts(400, rng), 25 * np.exp(-np.arange(400) / 200)
        table = align_current(samples(np.arange(400) / FPS, 1e-7 * (burst + fall)), frames(400))
        counts = rng.poisson(0.1 + 1.5 * np.roll(burst, 7) + 0.3 * fall).astype(float)
        found = correlate_current(table, {"ejections": counts}, config=QUICK, seed=1)
        best = found.loc[found["r"].idxmax()]
        hits += abs(best["lag"] - 7) <= 1 and best["p"] <= 0.05
    assert hits >= 6


def test_the_clock_offset_is_recovered_and_only_suggested():
    rng = np.random.default_rng(3)
    rate = bursts(900, rng)
    time = np.arange(900) / FPS
    growth = 20 * rate + rng.normal(0, 2, 900)
    table = align_current(samples(time - 1.6, 1e-7 * rate), frames(900))
    found = estimate_offset(table, growth, fps=FPS, offset_s=0.4, config=QUICK, seed=0)
    assert found is not None
    assert found.shift_s == pytest.approx(1.6, abs=1.5 / FPS)
    assert found.offset_s == pytest.approx(2.0, abs=1.5 / FPS)
    noise = rng.normal(0, 1, 900)
    assert estimate_offset(table, noise, fps=FPS, offset_s=0.0, config=QUICK, seed=0) is None


def test_each_quantity_has_pauses_of_its_own():
    time = np.arange(0, 4, 0.05)
    current = np.where((time > 1.0) & (time < 3.0), np.nan, time)
    table = align_current(samples(time, current, potential=time), frames(60))
    np.testing.assert_allclose(table["potential_v"][1:], table["time_s"][1:], atol=0.06)
    assert table["current_a"][table["time_s"].between(1.1, 2.9)].isna().all()
    assert table["current_a"][~table["time_s"].between(0.9, 3.1)].notna().all()


def test_too_little_gives_a_table_without_rows():
    table = align_current(samples(np.arange(8) / FPS, np.arange(8.0)), frames(8))
    assert correlate_current(table, {"ejections": np.ones(8)}, config=QUICK, seed=0).empty
    flat = align_current(samples(np.arange(100) / FPS, np.ones(100)), frames(100))
    assert correlate_current(flat, {"ejections": np.ones(100)}, config=QUICK, seed=0).empty
