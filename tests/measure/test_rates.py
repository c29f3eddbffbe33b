"""Ejections and growth per second, of the frames that tell."""

from __future__ import annotations

import numpy as np
import pandas as pd
from currents import FPS, frames

from pitflow.measure.rates import ejection_rate, growth_rate


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


def test_what_is_seen_in_no_time_belongs_to_the_time_that_follows():
    stamped = frames(6).assign(time_s=np.array([0, 1, 1, 2, 3, 4]) / FPS)
    rate = ejection_rate(pd.DataFrame({"frame": [1, 2, 2, 3, 5]}), stamped, fps=FPS)
    np.testing.assert_allclose(rate, np.array([0, 1, 3, 3, 0, 1]) * FPS)
