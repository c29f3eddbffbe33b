from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pitflow.segment.objects import Objects, empty_detections, measure
from pitflow.segment.protocol import DETECTION_COLUMNS


def elliptic(wide, narrow, angle_deg, peak=0.4, level=0.3, x=30.3, y=24.8):
    """An elliptic Gaussian cut at ``level`` of its peak."""
    rows, columns = np.mgrid[:50, :60]
    angle = np.radians(angle_deg)
    along = (columns - x) * np.cos(angle) + (rows - y) * np.sin(angle)
    across = (rows - y) * np.cos(angle) - (columns - x) * np.sin(angle)
    image = peak * np.exp(-0.5 * ((along / wide) ** 2 + (across / narrow) ** 2))
    row, column = np.nonzero(image >= level * peak)
    gy, gx = np.gradient(image)
    return Objects(
        n=1,
        owner=np.zeros(row.size, np.intp),
        row=row,
        column=column,
        darkening=image[row, column].astype(np.float32),
        slope=np.hypot(gx, gy)[row, column].astype(np.float32),
        score=np.array([0.8]),
        level=level,
        smoothing_px=np.zeros(1),
    )


@pytest.mark.parametrize("angle", [0.5, 30, 90, 135, 179])
def test_an_elliptic_gaussian_is_measured_through_its_cut(angle):
    row = measure(3, elliptic(5.0, 2.5, angle)).iloc[0]
    assert row["frame"] == 3
    assert (row["x"], row["y"]) == pytest.approx((30.3, 24.8), abs=0.06)
    turned = (row["orientation_deg"] - angle + 90) % 180 - 90
    assert turned == pytest.approx(0, abs=2)
    assert row["eccentricity"] == pytest.approx(np.sqrt(1 - 0.25), abs=0.02)
    assert row["contrast"] == pytest.approx(0.4, rel=0.03)
    assert row["mass"] == pytest.approx(2 * np.pi * 0.4 * 5 * 2.5, rel=0.04)
    assert row["blur_px"] == pytest.approx(np.sqrt((25 + 6.25) / 2), rel=0.04)


@pytest.mark.parametrize(("snr", "share"), [(400.0, 0.0), (5.0, 0.94), (15.0, 0.6)])
def test_the_fainter_an_object_the_more_counts_where_else_it_was_seen(snr, share):
    objects = elliptic(4.0, 4.0, 0)
    seen = replace(objects, snr=np.array([snr]), seen_at=np.array([[32.3, 23.8]]))
    row = measure(0, seen).iloc[0]
    assert row["x"] == pytest.approx(30.3 + 2 * share, abs=0.08)
    assert row["y"] == pytest.approx(24.8 - share, abs=0.08)
    nowhere = replace(objects, snr=np.array([snr]), seen_at=np.full((1, 2), np.nan))
    assert measure(0, nowhere).equals(measure(0, objects))


def test_sharpness_is_the_steepest_slope_over_the_peak():
    row = measure(0, elliptic(3.0, 3.0, 0)).iloc[0]
    # The steepest slope of a Gaussian is at one sigma: peak / (sigma sqrt e).
    assert row["sharpness"] == pytest.approx(1 / (3 * np.sqrt(np.e)), rel=0.06)


def test_diameter_is_that_of_the_circle_of_the_same_area():
    row = measure(0, elliptic(3.0, 3.0, 0)).iloc[0]
    assert np.pi * row["diameter_px"] ** 2 / 4 == pytest.approx(row["area_px"])


def test_what_is_not_darker_is_left_out():
    bright = elliptic(3.0, 3.0, 0, peak=-0.2)
    rows = np.arange(5, dtype=np.intp)
    none = Objects(
        1,
        rows * 0,
        rows,
        rows,
        -np.ones(5, np.float32),
        np.ones(5, np.float32),
        np.array([0.5]),
        0.3,
        np.zeros(1),
    )
    assert bright.row.size > 0
    assert measure(0, none).empty


def test_a_single_pixel_has_finite_measures():
    one = np.zeros(1, np.intp)
    objects = Objects(
        1,
        one,
        one + 7,
        one + 9,
        np.ones(1, np.float32) / 3,
        np.ones(1, np.float32),
        np.array([0.5]),
        0.3,
        np.zeros(1),
    )
    row = measure(0, objects).iloc[0]
    assert (row["x"], row["y"]) == (9, 7)
    assert np.isfinite(row.to_numpy()).all()


def test_no_objects_no_rows():
    nothing = np.empty(0, np.intp)
    empty = np.empty(0, np.float32)
    objects = Objects(0, nothing, nothing, nothing, empty, empty, np.empty(0), 0.3, np.empty(0))
    assert measure(0, objects).equals(empty_detections())
    assert tuple(empty_detections().columns) == DETECTION_COLUMNS
