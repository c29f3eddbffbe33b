"""Transients of the current found, with their charge, and nothing else taken for one."""

from __future__ import annotations

import numpy as np
import pytest
from currents import FPS, frames, samples
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter

from pitflow.config import CurrentConfig
from pitflow.measure.current_baseline import running_baseline
from pitflow.measure.transients import find_transients


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


def test_transients_that_never_leave_the_current_alone_are_counted():
    rng = np.random.default_rng(6)
    t = np.arange(0, 120, 0.05)
    regular = np.arange(5.0, 115.0)
    random = 5.0 + np.cumsum(rng.exponential(2.0, 50))
    for onsets, least in ((regular, 0.98), (random, 0.75)):
        decays = np.exp(-np.clip(t - onsets[:, None], 0, None)) * (t >= onsets[:, None])
        current = 1e-7 + 1e-9 * rng.normal(size=t.size) + 5e-8 * decays.sum(axis=0)
        found = find_transients(samples(t, current), frames(1800), config=CurrentConfig())
        near = np.abs(onsets[:, None] - found["onset_s"].to_numpy()).min(axis=1) < 0.15
        assert near.mean() >= least
        assert len(found) <= onsets.size


@pytest.mark.parametrize("step", [-2e-7, 2e-7])
def test_a_step_that_the_potential_does_not_tell_is_no_transient(step):
    t = np.arange(0, 60, 0.05)
    noise = 1e-9 * np.random.default_rng(0).normal(size=t.size)
    stepped = samples(t, 5e-7 + step * (t > 27.31) + noise)
    assert find_transients(stepped, frames(900), config=CurrentConfig()).empty


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
    # A value that is held for some samples jumps up and down.
    kinds += [np.repeat(fresh[0], held)[: t.size] + 1e-3 * fresh[1] for held in (2, 3)]
    for noise in (*kinds, fresh[0] + 0.5 * np.arange(t.size), fresh[0] + 100.0 * (t > 40)):
        found = find_transients(samples(t, 1e-9 * noise), frames(1800), config=CurrentConfig())
        assert len(found) <= 1
