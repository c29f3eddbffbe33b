"""Current aligned, its transients, and lags planted between it and ejections."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter

from pitflow.config import CorrelationConfig, CurrentConfig
from pitflow.measure.current import (
    align_current,
    correlate_current,
    ejection_rate,
    estimate_offset,
    find_transients,
    growth_rate,
    running_baseline,
)

FPS = 15.0
QUICK = CorrelationConfig(surrogates=200, max_lag=40)


def frames(n, quality="ok"):
    return pd.DataFrame({"frame": np.arange(n), "time_s": np.arange(n) / FPS, "quality": quality})


def samples(time, current, potential=0.3):
    return pd.DataFrame(
        {
            "time_s": time,
            "current_a": current,
            "current_density_a_cm2": np.nan,
            "potential_v": potential,
        }
    )


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


def test_a_baseline_follows_a_slope_and_ignores_bursts():
    t = np.arange(0, 60, 0.02)
    slope = 1e-6 + 2e-8 * t
    burst = np.where((t > 30) & (t < 32), 5e-6, 0.0)
    np.testing.assert_allclose(running_baseline(t, slope + burst, 10.0), slope, atol=6e-8)


def test_transients_are_found_with_their_charge():
    rng = np.random.default_rng(2)
    t = np.arange(0, 40, 0.02)
    current = 1e-7 + 1e-9 * t + rng.normal(0, 1e-9, t.size)
    for onset, height in ((6.0, 1e-7), (15.0, 4e-8), (29.0, 2e-7)):
        since = t - onset
        rise = np.clip(since / 0.4, 0, 1)
        decay = np.where(since > 0.4, np.exp(-(since - 0.4) / 0.3), 1.0)
        current = current + np.where(since > 0, height * rise * decay, 0.0)
    found = find_transients(samples(t, current), frames(600), config=CurrentConfig(area_cm2=2.0))
    assert len(found) == 3
    np.testing.assert_allclose(found["onset_s"], [6, 15, 29], atol=0.1)
    np.testing.assert_allclose(found["peak_s"], [6.4, 15.4, 29.4], atol=0.1)
    np.testing.assert_allclose(found["peak_a"], [1e-7, 4e-8, 2e-7], rtol=0.1)
    # A ramp of 0.4 s and an exponential of 0.3 s.
    np.testing.assert_allclose(found["charge_c"], 0.5 * found["peak_a"], rtol=0.12)
    np.testing.assert_allclose(found["charge_c_cm2"], found["charge_c"] / 2)
    assert (found["peak_frame"] == np.rint(found["peak_s"] * FPS)).all()
    quiet = 1e-7 + rng.normal(0, 1e-9, t.size)
    assert len(find_transients(samples(t, quiet), frames(600), config=CurrentConfig())) == 0


@pytest.mark.parametrize(("decay", "every"), [(1.0, 10 / 3), (2.0, 5.0)])
def test_transients_are_found_where_they_fill_most_of_the_time(decay, every):
    rng = np.random.default_rng(0)
    t = np.arange(0, 120, 0.05)
    onsets = np.arange(5, 115, every)
    since = t - onsets[:, None]
    decays = np.where(since >= 0, np.exp(-np.clip(since, 0, None) / decay), 0.0).sum(axis=0)
    current = 1e-7 + 1e-9 * rng.normal(size=t.size) + 5e-8 * decays
    found = find_transients(samples(t, current), frames(1800), config=CurrentConfig())
    assert abs(len(found) - onsets.size) <= 1
    assert found["peak_a"].median() == pytest.approx(5e-8, rel=0.2)


@pytest.mark.parametrize("rise", [-1e-9, 1e-9, 5e-9, 5e-8])
def test_transients_are_found_above_a_current_that_rises_or_falls(rise):
    rng = np.random.default_rng(1)
    t = np.arange(0, 120, 0.05)
    onsets = np.arange(5, 115, 5.0)
    since = t - onsets[:, None]
    decays = np.where(since >= 0, np.exp(-np.clip(since, 0, None) / 0.8), 0.0).sum(axis=0)
    current = rise * t + 1e-9 * rng.normal(size=t.size) + 5e-8 * decays
    found = find_transients(samples(t, current), frames(1800), config=CurrentConfig())
    assert len(found) == onsets.size
    assert found["peak_a"].median() == pytest.approx(5e-8, rel=0.1)
    assert found["charge_c"].median() == pytest.approx(4e-8, rel=0.25)


def test_a_step_hides_no_more_than_what_is_near():
    rng = np.random.default_rng(1)
    t = np.arange(-2, 58, 1 / 45)
    onsets = np.arange(2.1, 54.0, 3.9)
    since = t - onsets[:, None]
    decays = np.where(since >= 0, np.exp(-np.clip(since, 0, None) / 0.6), 0.0).sum(axis=0)
    current = 2e-9 * (t > 28.0) + 2e-11 * rng.normal(size=t.size) + 1e-9 * decays
    found = find_transients(samples(t, current), frames(900), config=CurrentConfig())
    far = onsets[np.abs(onsets - 28.0) > 2.0]
    seen = [float((found["onset_s"] - onset).abs().min()) for onset in far]
    assert max(seen) < 0.2


@pytest.mark.parametrize("apart", [0.6, 1.2])
def test_transients_that_run_into_each_other_are_told_apart(apart):
    rng = np.random.default_rng(3)
    t = np.arange(0, 120, 0.05)
    onsets = np.concatenate([at + apart * np.arange(3) for at in range(10, 110, 15)])
    since = t - onsets[:, None]
    decays = np.where(since >= 0, np.exp(-np.clip(since, 0, None)), 0.0).sum(axis=0)
    current = 1e-7 + 1e-9 * rng.normal(size=t.size) + 5e-8 * decays
    found = find_transients(samples(t, current), frames(1800), config=CurrentConfig())
    np.testing.assert_allclose(found["onset_s"], onsets, atol=0.15)
    assert found["charge_c"].sum() == pytest.approx(5e-8 * onsets.size, rel=0.2)


@pytest.mark.parametrize("step_s", [-3.0, 10.0])
def test_what_follows_a_step_of_the_potential_is_no_transient(step_s):
    rng = np.random.default_rng(4)
    t = np.arange(-2, 62, 1 / 30)
    since = np.clip(t - step_s, 0, None)
    background = 1e-8 + np.where(t >= step_s, 1e-6 * (since + 0.1) ** -0.8, 0.0)
    background += 1e-9 * rng.normal(size=t.size)
    stepped = samples(t, background, potential=np.where(t >= step_s, 0.3, -0.1))
    assert find_transients(stepped, frames(900), config=CurrentConfig()).empty
    onsets = np.arange(5.0, 55.0, 8.0)
    decays = np.exp(-np.clip(t - onsets[:, None], 0, None)) * (t >= onsets[:, None])
    stepped["current_a"] += 1e-7 * decays.sum(axis=0)
    found = find_transients(stepped, frames(900), config=CurrentConfig())
    np.testing.assert_allclose(found["onset_s"], onsets, atol=0.1)
    assert found["peak_a"].median() == pytest.approx(1e-7, rel=0.1)


def test_a_potential_that_goes_back_by_itself_is_no_step():
    rng = np.random.default_rng(5)
    t = np.arange(0, 60, 0.05)
    onsets = np.arange(5.0, 55.0, 10.0)
    decays = np.exp(-np.clip(t - onsets[:, None], 0, None) / 1.5) * (t >= onsets[:, None])
    free = samples(
        t,
        1e-9 * rng.normal(size=t.size) + 1e-7 * decays.sum(axis=0),
        potential=0.1 - 0.05 * decays.sum(axis=0),
    )
    found = find_transients(free, frames(900), config=CurrentConfig())
    np.testing.assert_allclose(found["onset_s"], onsets, atol=0.3)


def test_noise_that_persists_makes_few_transients():
    rng = np.random.default_rng(0)
    t = np.arange(0, 120, 0.05)
    fresh = rng.normal(size=(3, t.size))
    kinds = [fresh[0], gaussian_filter1d(fresh[1], 4), lfilter([1], [1, -0.95], fresh[2])]
    for noise in (*kinds, fresh[0] + 0.5 * np.arange(t.size), fresh[0] + 100.0 * (t > 40)):
        found = find_transients(samples(t, 1e-9 * noise), frames(1800), config=CurrentConfig())
        assert len(found) <= 1


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
        monkeypatch.setattr("pitflow.measure.current.correlate_current", lambda *_, **__: table)  # noqa: B023
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


def test_rates_spread_what_is_seen_after_lost_frames_over_them():
    quality = ["ok", "ok", "gap", "damaged", "ok", "ok", "duplicate"]
    lost = frames(7).assign(quality=quality)
    rate = ejection_rate(pd.DataFrame({"frame": [1, 1, 3, 4, 6]}), lost, fps=FPS)
    np.testing.assert_allclose(rate, [0, 30, 10, 10, 10, 15, np.nan])
    grown = pd.DataFrame({"pit": 0, "frame": range(1, 6), "new_px": [50.0, 0.0, 0.0, 6.0, 3.0]})
    longer = frames(11).assign(quality=[*quality[:6], *5 * ["ok"]])
    rate = growth_rate(grown, longer, fps=FPS, um_per_px=0.5)
    # In the last four what becomes pit is not yet known.
    expected = np.array([0, 0, 2, 2, 2, 3, 0, *4 * [np.nan]]) * FPS / 4
    np.testing.assert_allclose(rate, expected)
    assert np.isnan(ejection_rate(grown, frames(7, "gap"), fps=FPS)).all()


def test_frames_delivered_twice_leave_the_rate_per_second_as_it_is():
    twice = frames(40).assign(quality=["ok", "duplicate"] * 20, time_s=np.arange(40) / (2 * FPS))
    once = pd.DataFrame({"pit": 0, "frame": np.arange(20), "new_px": 3.0 + np.arange(20) % 5})
    rate = growth_rate(once, frames(20), fps=FPS, um_per_px=1.0)
    doubled = growth_rate(once.assign(frame=2 * once["frame"]), twice, fps=2 * FPS, um_per_px=1.0)
    np.testing.assert_allclose(doubled[2::2], rate[1:])
    np.testing.assert_allclose(doubled[1:-9:2], rate[1:16])


def test_too_little_gives_a_table_without_rows():
    table = align_current(samples(np.arange(8) / FPS, np.arange(8.0)), frames(8))
    assert correlate_current(table, {"ejections": np.ones(8)}, config=QUICK, seed=0).empty
    flat = align_current(samples(np.arange(100) / FPS, np.ones(100)), frames(100))
    assert correlate_current(flat, {"ejections": np.ones(100)}, config=QUICK, seed=0).empty
