"""Detections laid out as tracks, and local lines along them, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from small_worlds import still_frames

from pitflow.clock import Clock
from pitflow.measure.tracks import local_line, lookup_frame, sort_tracks

PARTICLES = pd.DataFrame(
    {
        "particle": [7, -1, 0, 7, 0, 7],
        "frame": [4, 4, 2, 3, 9, 6],
        "x": [40.0, 99.0, 20.0, 30.0, 90.0, 60.0],
        "y": [4.0, 9.0, 2.0, 3.0, 9.0, 6.0],
    }
)


def laid_out(chosen=None, clock=None):
    return sort_tracks(PARTICLES, still_frames(10, shift=(1.0, -2.0)), chosen, clock)


def test_detections_lie_by_track_and_frame_without_the_drift():
    tracks = laid_out()
    assert tracks.row.tolist() == [2, 4, 3, 0, 5]
    assert tracks.frame.tolist() == [2, 9, 3, 4, 6]
    np.testing.assert_allclose(tracks.x, [18, 81, 27, 36, 54])
    np.testing.assert_allclose(tracks.y, [6, 27, 9, 12, 18])
    assert (tracks.particle.tolist(), tracks.start.tolist()) == ([0, 7], [0, 2])
    assert (tracks.count.tolist(), tracks.track.tolist()) == ([2, 3], [0, 0, 1, 1, 1])
    assert tracks.moment.tolist() == tracks.frame.tolist()


def test_only_the_chosen_count():
    tracks = laid_out(np.array([True, True, False, True, True, False]))
    assert tracks.row.tolist() == [4, 3, 0]
    assert tracks.count.tolist() == [1, 2]


def test_neighbours_and_heads_end_with_their_track():
    tracks = laid_out()
    index, exists = tracks.neighbours(1)
    assert exists.tolist() == [True, False, True, True, False]
    assert index[exists].tolist() == [1, 3, 4]
    index, exists = tracks.neighbours(-2)
    assert (np.flatnonzero(exists).tolist(), index[4]) == ([4], 2)
    index, exists = tracks.head(3)
    assert exists.tolist() == [[True, True, False], [True, True, True]]
    assert index.tolist() == [[0, 1, 0], [2, 3, 4]]
    median = tracks.median(np.array([1.0, np.nan, 5.0, 9.0, 6.0]))
    np.testing.assert_array_equal(median, [1, 1, 6, 6, 6])


def test_frames_may_be_in_any_order_but_not_lack_one():
    frames = still_frames(5).sample(frac=1, random_state=0)
    np.testing.assert_allclose(lookup_frame(frames, "time_s", np.array([4, 0, 2])) * 15, [4, 0, 2])
    for lacking in (np.array([1, 5]), np.array([-1])):
        with pytest.raises(ValueError, match="does not hold"):
            lookup_frame(frames, "time_s", lacking)
    with pytest.raises(ValueError, match="does not hold"):
        lookup_frame(frames.head(0), "time_s", np.array([1]))
    assert lookup_frame(frames.head(0), "time_s", np.empty(0, np.int64)).size == 0


def uneven_track(n=9):
    """One track whose frames are not even in time."""
    moment = np.cumsum(1.0 + 0.2 * np.sin(np.arange(30.0)))
    particles = pd.DataFrame({"particle": 0, "frame": 3 * np.arange(n), "x": 0.0, "y": 0.0})
    return sort_tracks(particles, still_frames(30), clock=Clock(np.arange(30.0), moment))


def test_a_local_line_is_the_weighted_least_squares_line():
    """Against polynomial fits with tricube weights, of two values at once."""
    tracks, half = uneven_track(), 2
    rng = np.random.default_rng(0)
    values, weights = rng.normal(size=(2, 9)), rng.uniform(0.2, 1.0, 9)
    weights[4] = 0.0
    slope, level = local_line(tracks, values, half, weights)
    for at in range(9):
        near = np.arange(max(at - half, 0), min(at + half + 1, 9))
        t = tracks.moment[near] - tracks.moment[at]
        kernel = np.maximum(1 - np.abs(t / (half + 1)) ** 3, 0.02) * weights[near]
        for row in (0, 1):
            fit = np.polyfit(t[kernel > 0], values[row, near][kernel > 0], 1,
                             w=np.sqrt(kernel[kernel > 0]))  # fmt: skip
            np.testing.assert_allclose([slope[row, at], level[row, at]], fit, atol=1e-9)


def test_where_one_value_counts_the_level_is_that_value():
    tracks = uneven_track()
    weights = np.zeros(9)
    weights[3] = 0.5
    slope, level = local_line(tracks, np.arange(9.0), 2, weights)
    assert np.isnan(slope).all()
    np.testing.assert_allclose(level, [np.nan, *[3.0] * 5, np.nan, np.nan, np.nan])


def test_no_line_holds_steps_of_two_parts():
    """A step of 1 each frame up to the fifth detection, and of 10 from there on."""
    particles = pd.DataFrame({"particle": 0, "frame": range(9), "x": 0.0, "y": 0.0})
    tracks = sort_tracks(particles, still_frames(9))
    values = np.array([0.0, 1, 2, 3, 4, 14, 24, 34, 44])
    # The step to the sixth detection is the first of the second part.
    slope, _ = local_line(tracks, values, 2, np.ones(9), (np.arange(9) >= 5).astype(np.int64))
    np.testing.assert_allclose(slope, [1, 1, 1, 1, 1, 10, 10, 10, 10])
