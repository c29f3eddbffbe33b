"""Recordings whose frame rate varies: speeds and rates follow the time stamps."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from small_worlds import as_detections, disc_pit, still_frames

from pitflow.clock import Clock
from pitflow.config import MeasureConfig
from pitflow.measure.compare import RunTables
from pitflow.measure.growth import UNSETTLED_FRAMES
from pitflow.measure.measure import measure_all
from pitflow.measure.rates import growth_rate

FPS = 15.0


@pytest.fixture(scope="module")
def uneven():
    """100 frames at 15 Hz, then 100 at 4 to 15 Hz."""
    apart = np.random.default_rng(3).uniform(1 / 15, 1 / 4, 199)
    apart[:99] = 1 / FPS
    return still_frames(200).assign(time_s=np.concatenate([[0.0], np.cumsum(apart)]))


def test_an_even_rate_is_the_number_of_the_frame():
    clock = Clock.of(still_frames(9), FPS)
    assert clock.is_even
    np.testing.assert_array_equal(clock.moment_of([0, 3, 900]), [0, 3, 900])
    np.testing.assert_array_equal(clock.frame_at([-2.5, 7.25]), [-2.5, 7.25])


def test_moments_and_frames_are_each_others_inverse(uneven):
    clock = Clock.of(uneven, FPS)
    assert not clock.is_even
    frame = np.array([0.0, 42.5, 99.0, 150.25, 199.0])
    moment = clock.moment_of(frame)
    np.testing.assert_allclose(moment[:3], frame[:3])
    assert moment[4] == pytest.approx(FPS * uneven["time_s"].iloc[-1])
    np.testing.assert_allclose(clock.frame_at(moment), frame)


def test_speeds_departures_and_flights_are_those_of_the_time_stamps(uneven):
    """Particles leave a pit at 30 px/s, some while frames are even, some while they are not."""
    time = uneven["time_s"].to_numpy()
    rows = []
    for particle in range(40):
        first, angle = 10 + 4 * particle, 0.3 + 2.4 * particle
        frames = np.arange(first, min(first + 30, 200))
        left_s = time[first] - 0.02
        away = 12.0 + 30.0 * (time[frames] - left_s)
        rows += [
            (particle, frame, 300 + r * np.cos(angle), 300 + r * np.sin(angle))
            for frame, r in zip(frames, away, strict=True)
        ]
    particle, frame, x, y = (np.array(column) for column in zip(*rows, strict=True))
    detections = as_detections(
        uneven.head(0)[["frame"]]
        .reindex(range(len(rows)))
        .assign(frame=frame, particle=particle, x=x, y=y)
    )
    tables = measure_all(
        detections,
        disc_pit(0, 300, 300, 12, grows_until=150),
        uneven,
        config=MeasureConfig(growth={"geometry": "disc"}),
        um_per_px=0.5,
        fps=FPS,
        shape=(600, 600),
        seed=0,
    )
    linked = tables["particles"]
    np.testing.assert_allclose(linked["speed_um_s"].dropna(), 15.0, rtol=0.02)
    assert len(tables["ejections"]) == 40
    np.testing.assert_allclose(tables["ejections"]["speed_um_s"], 15.0, rtol=0.05)
    # The pit is as wide as where they begin only in the end.
    late = tables["ejections"][tables["ejections"]["particle"] >= 24]
    assert np.abs(late["frame"] - (10 + 4 * late["particle"])).max() <= 1
    assert not linked["is_outlier"].any()
    # The current is charge over time.
    growth = tables["growth"]
    seconds = time[growth["frame"]]
    charge = np.sum(
        (growth["current_a"].to_numpy()[1:] + growth["current_a"].to_numpy()[:-1])
        / 2
        * np.diff(seconds)
    )
    even = measure_all(
        detections.head(0),
        disc_pit(0, 300, 300, 12, grows_until=150),
        still_frames(200),
        config=MeasureConfig(growth={"geometry": "disc"}),
        um_per_px=0.5,
        fps=FPS,
        shape=(600, 600),
        seed=0,
    )["growth"]
    assert charge == pytest.approx(np.trapezoid(even["current_a"], dx=1 / FPS), rel=0.1)


def test_rates_are_per_second_of_the_time_stamps(uneven):
    growth = pd.DataFrame({"pit": 0, "frame": np.arange(200), "new_px": 6.0})
    rate = growth_rate(growth, uneven, fps=FPS, um_per_px=1.0)
    apart = np.diff(uneven["time_s"])
    settled = slice(1, 200 - UNSETTLED_FRAMES)
    np.testing.assert_allclose(rate[settled], (6.0 / apart)[: 199 - UNSETTLED_FRAMES])


def test_a_compared_run_lasts_as_long_as_its_time_stamps_say(uneven):
    run = RunTables("one", "a", 1.0, FPS, 1.0, 1.0, 200, {"frames": uneven})
    assert run.duration_s == pytest.approx(uneven["time_s"].iloc[-1] + 1 / FPS)
    even = RunTables("one", "a", 1.0, FPS, 1.0, 1.0, 200, {})
    assert even.duration_s == pytest.approx(200 / FPS)
