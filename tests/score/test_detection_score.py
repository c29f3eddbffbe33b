from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pitflow.score import detection


def rows(*points: tuple[int, float, float, float]) -> pd.DataFrame:
    return pd.DataFrame(list(points), columns=["frame", "x", "y", "contrast"]).astype(
        {"frame": "int64"}
    )


def test_counts_and_scores():
    """Three true, two of them found, one detection invented: R = 2/3, P = 2/3."""
    true = rows((0, 10, 10, 0.2), (0, 50, 50, 0.2), (1, 10, 10, 0.2))
    found = rows((0, 11, 10, 0.2), (1, 10, 12, 0.2), (1, 80, 80, 0.2))
    matches = detection.match_particles(true, found, 5.0)
    counts = detection.count_matches(matches, np.ones(3, bool), np.ones(3, bool))
    assert (counts.found, counts.missed, counts.invented) == (2, 1, 1)
    assert counts.recall == counts.precision == counts.f1 == pytest.approx(2 / 3)
    error = detection.position_error(matches, true, found)
    assert error["rmse_px"] == pytest.approx(np.sqrt((1 + 4) / 2))
    assert error["median_px"] == pytest.approx(1.5)
    assert (error["bias_x_px"], error["bias_y_px"]) == pytest.approx((0.5, 1.0))


def test_bins():
    """
    A match counts in the bin of its true contrast, an invention in that of its measured one.

        true  0.05 (found, measured 0.08)   0.10 (missed)
        found 0.02 (invented)
    """
    true = rows((0, 10, 10, 0.05), (0, 50, 50, 0.10))
    found = rows((0, 10, 10, 0.08), (0, 90, 90, 0.02))
    counts = detection.count_by_bin(
        detection.match_particles(true, found, 5.0),
        true["contrast"],
        found["contrast"],
        detection.CONTRAST_BINS,
    )
    as_tuple = {name: (c.found, c.missed, c.invented) for name, c in counts.items()}
    assert as_tuple == {
        "<0.035": (0, 0, 1),
        "0.035-0.07": (1, 0, 0),
        "0.07-0.15": (0, 1, 0),
        ">=0.15": (0, 0, 0),
        ">=0.07": (0, 1, 0),
    }
    assert np.isnan(counts[">=0.15"].f1)


def test_rim_distance_follows_growth():
    """A pit of radius 10 in frame 5 and 20 in frame 15; it does not exist in frame 4."""
    pits = pd.DataFrame({"pit": [0], "x": [100.0], "y": [100.0], "onset_frame": [5]})
    pits["area_px"] = np.pi * 400
    growth = pd.DataFrame({"pit": 0, "frame": [5, 15], "area_px": np.pi * np.array([100, 400])})
    particles = rows((4, 150, 100, 0), (5, 150, 100, 0), (15, 150, 100, 0), (15, 100, 105, 0))
    distance = detection.rim_distance(particles, pits, growth)
    assert distance == pytest.approx([np.inf, 40, 30, -15])
    final = detection.rim_distance(particles, pits, pd.DataFrame())
    assert final == pytest.approx([np.inf, 30, 30, -15])
