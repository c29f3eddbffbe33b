"""What a rim tells of its pit in a frame, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from small_worlds import disc_pit

from pitflow.measure.rim import trace_rims

STRIP = pd.DataFrame({"pit": 4, "frame": [10, 11, 13, 13], "x": [50, 51, 52, 53], "y": [20] * 4})
"""A pixel in frame 10, one to the right of it in 11, two more in 13."""


def test_centre_and_radius_are_those_of_the_pixels_so_far():
    (rim,) = trace_rims(STRIP)
    assert (rim.pit, rim.onset) == (4, 10)
    x, y = rim.centre(np.array([3, 10, 11, 12, 13, 99]))
    np.testing.assert_allclose(x, [50, 50, 50.5, 50.5, 51.5, 51.5])
    np.testing.assert_allclose(y, 20)
    np.testing.assert_allclose(np.pi * rim.radius**2, [1, 2, 2, 4])
    fixed = rim.about(1.0, 2.0)
    np.testing.assert_allclose(fixed.centre(np.array([10, 13])), [[1, 1], [2, 2]])


def test_a_pixel_is_pit_from_its_frame_on_and_the_first_at_any_time():
    (rim,) = trace_rims(STRIP)
    places = np.array([50.4, 51.0, 53.4, 53.6, -9.0, 900.0])
    for frame, inside in ((3, 1), (10, 1), (11, 2), (13, 3)):
        found = rim.contains(places, np.full(6, 20.3), np.full(6, frame))
        assert found.tolist() == [True] * inside + [False] * (6 - inside)
    assert not rim.contains(np.full(2, 50.0), np.array([18.0, -400.0]), np.full(2, 13)).any()


def test_the_way_back_ends_half_a_pixel_before_the_first_of_the_pit():
    (rim,) = trace_rims(disc_pit(0, 100, 100, 10, grows_until=5))
    one = np.ones(4)
    back = rim.distance_along(
        np.array([130.0, 111.0, 130.0, 104.0]), 100 * one, one, 0 * one,
        np.full(4, 50), np.array([40.0, 40.0, 19.0, 40.0]),
    )  # fmt: skip
    # 20 px back to the last pixel, at 110; 1 px; further than one looks; 7 px on to the first out.
    np.testing.assert_allclose(back, [19.5, 0.5, np.nan, -6.5])
    nothing = np.empty(0)
    none = rim.distance_along(nothing, nothing, nothing, nothing, nothing.astype(int), nothing)
    assert none.size == 0


def test_a_cover_is_as_wide_as_its_holes_make_it():
    whole = disc_pit(0, 100, 100, 30)
    (rim,) = trace_rims(whole)
    assert rim.cover == pytest.approx(0.0, abs=0.5)
    perforated = whole[(whole["x"] + whole["y"]) % 2 == 0]
    (rim,) = trace_rims(perforated)
    assert rim.cover == pytest.approx(30 * (1 - np.sqrt(0.5)), abs=0.7)


def test_rims_come_in_order_of_pits():
    pits = pd.concat([disc_pit(5, 40, 40, 4), disc_pit(2, 90, 40, 4)])
    assert [rim.pit for rim in trace_rims(pits)] == [2, 5]
