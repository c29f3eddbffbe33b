"""Tracks go on with what was glimpsed: back towards their pit, and in their gaps."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pitflow.link import PitTimes, take_up_glimpses

NOWHERE = np.empty(0, np.int64)
NO_PITS = PitTimes(NOWHERE, NOWHERE, NOWHERE)


def seen(particle: int, frames: range, *, y: float = 50.0, step: float = 3.0) -> pd.DataFrame:
    """A particle that moves by ``step`` px per frame to the right, at x = 0 in frame 0."""
    frame = np.array(frames, np.int64)
    return pd.DataFrame(
        {"frame": frame, "x": step * frame, "y": y, "score": 0.9, "particle": particle}
    )


def glimpse(*places: tuple[int, float, float]) -> pd.DataFrame:
    """Frame, x and y each."""
    frame, x, y = zip(*places, strict=True)
    return pd.DataFrame({"frame": np.array(frame, np.int64), "x": x, "y": y, "score": 0.01})


def frames_of(particles: pd.DataFrame, particle: int = 0) -> list[int]:
    return particles.loc[particles["particle"] == particle, "frame"].tolist()


def test_a_track_is_followed_back_to_where_it_was_glimpsed():
    """
    pit  . . . o o o o o o      glimpsed, then seen
         x                      glimpsed elsewhere
    """
    glimpses = glimpse((9, 28, 51), (8, 24, 49), (7, 21, 50), (8, 24, 70), (9, 60, 50))
    joined = take_up_glimpses(seen(0, range(10, 20)), glimpses, NO_PITS, reach_px=4)
    assert frames_of(joined) == list(range(7, 20))
    assert joined["frame"].is_monotonic_increasing
    assert joined.index.tolist() == list(range(13))
    taken = joined[joined["score"] < 0.5]
    assert taken["x"].tolist() == [21, 24, 28]
    assert joined["is_glimpse"].tolist() == (joined["score"] < 0.5).tolist()


def test_nothing_is_taken_up_beyond_the_reach():
    glimpses = glimpse((9, 27, 53))
    track = seen(0, range(10, 20))
    assert len(take_up_glimpses(track, glimpses, NO_PITS, reach_px=2.9)) == 10
    assert len(take_up_glimpses(track, glimpses, NO_PITS, reach_px=3.1)) == 11


def test_gaps_are_filled_with_what_was_glimpsed_in_them_alone():
    track = seen(0, range(20)).drop(index=[5, 6, 7])
    # Of the last two one is too far, and the other in a frame in which the particle is seen.
    glimpses = glimpse((6, 19, 51), (7, 21, 60), (10, 28.5, 50))
    joined = take_up_glimpses(track, glimpses, NO_PITS, reach_px=4)
    assert frames_of(joined) == [*range(5), 6, *range(8, 20)]


def test_in_a_gap_it_is_looked_for_on_the_line_across() -> None:
    """From (12, 50) in frame 4 to (24, 58) in frame 8: a quarter, half and three quarters of it."""
    track = seen(0, range(20)).drop(index=[5, 6, 7])
    track.loc[track["frame"] >= 8, "y"] = 58.0
    glimpses = glimpse((5, 15.2, 52), (6, 18, 54.2), (7, 20.8, 56))
    joined = take_up_glimpses(track, glimpses, NO_PITS, reach_px=0.3)
    assert frames_of(joined) == list(range(20))


def test_two_frames_without_a_glimpse_are_bridged_and_three_are_not():
    track = seen(0, range(10, 20))
    assert 7 in frames_of(take_up_glimpses(track, glimpse((7, 21, 50)), NO_PITS, reach_px=4))
    assert 6 not in frames_of(take_up_glimpses(track, glimpse((6, 18, 50)), NO_PITS, reach_px=4))


def test_misses_count_from_the_last_glimpse() -> None:
    """Two frames without, one with, and again."""
    glimpses = glimpse((7, 21, 50), (4, 12, 50))
    joined = take_up_glimpses(seen(0, range(10, 20)), glimpses, NO_PITS, reach_px=4)
    assert frames_of(joined) == [4, 7, *range(10, 20)]


def test_misses_count_from_the_last_frame_under_another() -> None:
    """A second particle is over its way in frame 7; two frames before and after it is missed."""
    above = seen(1, range(7, 8), y=53)
    track = pd.concat([seen(0, range(10, 20)), above], ignore_index=True)
    assert 4 in frames_of(take_up_glimpses(track, glimpse((4, 12, 50)), NO_PITS, reach_px=2))


def test_a_track_goes_on_from_where_it_was_glimpsed():
    """It bends: each glimpse is 2 px further to the side."""
    glimpses = glimpse((9, 27, 52), (8, 24, 54), (7, 21, 56))
    joined = take_up_glimpses(seen(0, range(10, 20)), glimpses, NO_PITS, reach_px=4)
    assert frames_of(joined) == list(range(7, 20))


@pytest.mark.parametrize(("away", "first"), [(4.4, 8), (4.6, 10)])
def test_after_a_frame_without_it_is_looked_for_half_a_pixel_further(away, first):
    glimpses = glimpse((8, 24, 50 + away))
    joined = take_up_glimpses(seen(0, range(10, 20)), glimpses, NO_PITS, reach_px=4)
    assert frames_of(joined)[0] == first


def test_under_another_particle_it_is_not_missed():
    """Its way back lies under a second particle for five frames."""
    above = pd.DataFrame(
        {"frame": range(5, 20), "x": np.maximum(3.0 * np.arange(5, 20), 0), "y": 53.0}
    ).assign(particle=1, score=0.9)
    track = pd.concat([seen(0, range(10, 20)), above], ignore_index=True)
    assert frames_of(take_up_glimpses(track, glimpse((4, 12, 50)), NO_PITS, reach_px=4))[0] == 4


def test_frames_that_cannot_be_trusted_are_no_misses():
    track, glimpses = seen(0, range(10, 20)), glimpse((6, 18, 50), (8, 24, 50))
    joined = take_up_glimpses(track, glimpses, NO_PITS, reach_px=4, lost_frames={7, 8, 9})
    # What was glimpsed in one of them is no evidence either.
    assert frames_of(joined)[0] == 6
    assert 8 not in frames_of(joined)


def test_a_glimpse_belongs_to_the_nearest_track():
    tracks = pd.concat([seen(0, range(10, 20)), seen(1, range(10, 20), y=54)], ignore_index=True)
    joined = take_up_glimpses(tracks, glimpse((9, 27, 53)), NO_PITS, reach_px=4)
    assert frames_of(joined, 0) == list(range(10, 20))
    assert frames_of(joined, 1) == list(range(9, 20))


def test_no_track_is_followed_into_a_pit():
    """A pit over x < 25, of which x >= 20 became pit in frame 8 only."""
    y, x = np.mgrid[40:60, 0:25].reshape(2, -1)
    pits = PitTimes(x, y, np.where(x >= 20, 8, 0))
    glimpses = glimpse((9, 27, 50), (8, 24, 50), (7, 21, 50), (6, 18, 50))
    joined = take_up_glimpses(seen(0, range(10, 20)), glimpses, pits, reach_px=4)
    assert frames_of(joined)[0] == 9


def test_pixels_are_pit_from_their_frame_on():
    pits = PitTimes(np.array([3, 4]), np.array([7, 7]), np.array([2, 5]))
    places = np.array([[3.2, 6.8], [3.6, 7.0], [5.0, 7.0], [3.0, 6.0], [-1.0, 7.0]])
    assert pits.covers(places, 1).tolist() == [False] * 5
    assert pits.covers(places, 4).tolist() == [True, False, False, False, False]
    assert pits.covers(places, 5).tolist() == [True, True, False, False, False]


def test_detections_in_no_track_are_glimpses_too_and_the_others_stay():
    alone = seen(-1, range(9, 10)), seen(-1, range(9, 10), y=90)
    particles = pd.concat([seen(0, range(10, 20)), *alone], ignore_index=True)
    joined = take_up_glimpses(
        particles, particles.drop(columns="particle")[:0], NO_PITS, reach_px=4
    )
    assert frames_of(joined) == list(range(9, 20))
    left = joined[joined["particle"] < 0]
    assert (left["y"].tolist(), left["particle"].tolist()) == ([90], [-1])
    assert not left["is_glimpse"].any()


@pytest.mark.parametrize("n", [1, 2])
def test_a_track_too_short_for_a_velocity_leads_nowhere(n: int):
    joined = take_up_glimpses(seen(0, range(10, 10 + n)), glimpse((9, 27, 50)), NO_PITS, reach_px=4)
    assert len(joined) == n


def test_without_glimpses_or_tracks_nothing_changes():
    track = seen(0, range(10, 20))
    none = glimpse((0, 0, 0))[:0]
    same = take_up_glimpses(track, none, NO_PITS, reach_px=4)
    pd.testing.assert_frame_equal(same, track.assign(is_glimpse=False))
    assert take_up_glimpses(track[:0], glimpse((9, 27, 50)), NO_PITS, reach_px=4).empty


def test_three_detections_tell_a_velocity() -> None:
    joined = take_up_glimpses(seen(0, range(10, 13)), glimpse((9, 27, 50)), NO_PITS, reach_px=1)
    assert frames_of(joined) == list(range(9, 13))
