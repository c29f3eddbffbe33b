from __future__ import annotations

import numpy as np
import pandas as pd

from pitflow.config import LinkConfig
from pitflow.link import drop_settled
from pitflow.link.settle import came_too_late

CONFIG = LinkConfig(rest_px=1.5, rest_frames=15, min_length=3, least_move_px=4, keep_unlinked=True)


def track(particle: int, x: np.ndarray) -> pd.DataFrame:
    rng = np.random.default_rng(particle + 1)
    noise = rng.normal(0, 0.3, (len(x), 2))
    return pd.DataFrame(
        {
            "particle": particle,
            "frame": np.arange(len(x)),
            "x": x + noise[:, 0],
            "y": 50.0 + noise[:, 1],
        }
    )


def test_landed_particle_keeps_its_flight():
    """
    30 frames of flight at 3 px/frame, then 40 at rest.

        o  o  o  o  o  o  OOOO
    """
    t = np.arange(70)
    left = drop_settled(track(0, 3.0 * np.minimum(t, 30)), CONFIG)
    assert left["frame"].tolist() == list(range(30))
    assert (left["particle"] == 0).all()


def test_static_false_alarm_goes_altogether():
    moving, still = track(0, 2.0 * np.arange(20)), track(1, np.full(40, 7.0))
    left = drop_settled(pd.concat([still, moving], ignore_index=True), CONFIG)
    assert len(left) == 20
    assert left["particle"].unique().tolist() == [0]


def test_slow_but_moving_stays():
    """0.25 px/frame is slow, and still 3.75 px in 15 frames; the last few px are no rest."""
    left = drop_settled(track(0, 0.25 * np.arange(60)), CONFIG)
    assert len(left) == 60


def test_stopping_short_is_landing():
    """10 frames at rest are few, but at its former 3 px/frame it would have gone 30 px."""
    t = np.arange(40)
    left = drop_settled(track(0, 3.0 * np.minimum(t, 30)), CONFIG)
    assert left["frame"].tolist() == list(range(30))


def test_short_rest_of_a_slow_particle_stays():
    t = np.arange(36)
    assert len(drop_settled(track(0, 0.3 * np.minimum(t, 30)), CONFIG)) == 36


def test_rest_before_a_departure_stays():
    t = np.arange(70)
    assert len(drop_settled(track(0, 3.0 * np.maximum(t - 40, 0)), CONFIG)) == 70


def test_what_is_left_may_be_too_short():
    """Two frames of flight before it lands: no track is left of it."""
    left = drop_settled(track(0, 20.0 * np.minimum(np.arange(40), 2)), CONFIG)
    assert left["particle"].tolist() == [-1, -1]


def test_unlinked_rows_and_holes_in_the_numbers():
    rows = pd.concat(
        [track(-1, np.full(30, 5.0)), track(3, 2.0 * np.arange(9)), track(8, 2.0 * np.arange(9))]
    )
    left = drop_settled(rows, CONFIG)
    assert (left["particle"] == -1).sum() == 30
    assert sorted(left["particle"].unique()) == [-1, 0, 1]


def test_can_be_switched_off_and_be_empty():
    still = track(0, np.full(40, 7.0))
    assert len(drop_settled(still, LinkConfig(rest_px=0, least_move_px=0))) == 40
    assert len(drop_settled(still.iloc[:0], CONFIG)) == 0


def test_flicker_shorter_than_rest_goes_too():
    """Eight frames within 2 px, beside a true track of three frames and 5 px."""
    flicker, short = track(0, np.linspace(0, 1.5, 8)), track(1, 2.5 * np.arange(3))
    left = drop_settled(pd.concat([flicker, short], ignore_index=True), CONFIG)
    assert left["particle"].tolist() == [0, 0, 0]
    assert left["x"].max() > 4


def test_unlinked_detections_go_by_default():
    rows = pd.concat([track(-1, 9.0 * np.arange(6)), track(0, 9.0 * np.arange(6))])
    assert drop_settled(rows, LinkConfig())["particle"].tolist() == [0] * 6


def test_what_came_too_late_for_a_track_is_kept_where_the_segmenter_is_sure():
    """
    Four detections make a track; frame 99 is the last, so from frame 97 on none can begin.

        frame     0   96   97   97   98   99   99
        score     1    1    1  0.8    1  0.9    1
        in track  -    -    -    -    -    -   yes
    """
    config = LinkConfig(min_length=4)
    particles = pd.DataFrame(
        {
            "frame": [0, 96, 97, 97, 98, 99, 99],
            "score": [1.0, 1.0, 1.0, 0.8, 1.0, 0.9, 1.0],
            "particle": [-1, -1, -1, -1, -1, -1, 7],
        }
    )
    late = came_too_late(particles, 99, config)
    assert late.tolist() == [False, False, True, False, True, True, False]
    assert not came_too_late(particles, 99, LinkConfig(min_length=1)).any()
    assert came_too_late(particles.head(0), 99, config).tolist() == []


def test_where_as_much_is_in_no_track_at_any_time_nothing_came_too_late():
    """Ten flicker in each frame; of the last three frames 15 each are less than twice as many."""
    config = LinkConfig(min_length=4)
    usual = pd.DataFrame({"frame": np.repeat(np.arange(97), 10)})
    for n, kept in ((15, 0), (20, 60)):
        last = pd.DataFrame({"frame": np.repeat([97, 98, 99], n)})
        both = pd.concat([usual, last], ignore_index=True).assign(particle=-1, score=1.0)
        assert came_too_late(both, 99, config).sum() == kept


def straight(particle: int, x: list[float]) -> pd.DataFrame:
    """A track along x from frame 100 times its number on."""
    frame = 100 * particle + np.arange(len(x))
    return pd.DataFrame({"particle": particle, "frame": frame, "x": x, "y": 0.0})


def test_each_track_rests_by_its_own_frames() -> None:
    """Of tracks that stay where they are, 15 frames are a rest and 14 are not."""
    config = CONFIG.model_copy(update={"least_move_px": 0.0})
    rows = pd.concat([straight(0, [0.0] * 9), straight(1, [0.0] * 14), straight(2, [0.0] * 15)])
    left = drop_settled(rows, config)
    assert left["particle"].value_counts().to_dict() == {0: 9, 1: 14}
    assert left.columns.tolist() == rows.columns.tolist()


def test_three_frames_are_a_rest_after_two_fast_steps() -> None:
    """At 20 px a step it would have gone on; after one step its speed is not known."""
    landed = straight(1, [0.0, 20.0, 40.0, 60.0, 60.0, 60.0])
    brief = straight(2, [0.0, 20.0, 40.0, 60.0, 60.0])
    early = straight(3, [0.0, 20.0, 40.0, 40.0, 40.0])
    left = drop_settled(pd.concat([straight(0, [0.0, 9.0, 18.0]), landed, brief, early]), CONFIG)
    assert left[left["particle"] >= 0]["frame"].tolist() == [
        *range(3), *range(100, 103), *range(200, 205), *range(300, 305)
    ]  # fmt: skip


def test_the_speed_before_a_rest_is_that_of_the_last_four_steps() -> None:
    """1 px each: in three frames that is less than 4 px. The step before was one of 30 px."""
    slowed = straight(0, [0.0, 30.0, 31.0, 32.0, 33.0, 34.0, 36.0, 36.0, 36.0])
    assert len(drop_settled(slowed, CONFIG)) == 9
