import numpy as np
import pandas as pd
import pytest
from scipy import stats
from small_worlds import as_detections, bursting, still_frames, straight_tracks, tracks_of

from pitflow.clock import Clock
from pitflow.measure.tracks import sort_tracks
from pitflow.measure.velocity import (
    KNOWN_BEFORE,
    _redrawn,
    _scale,
    clustering_test,
    compute_clustering,
    compute_velocity,
    keep_lasting,
    nearest_foreign_pit,
    score_velocity,
)

PITS = pd.DataFrame(
    {"pit": [0, 1, 2], "x": [0.0, 300.0, 300.0], "y": [0.0, 0.0, 900.0], "onset_frame": [0, 50, 0]}
)


def test_velocity_of_straight_motion_is_exact_across_gaps():
    particles = straight_tracks([(0, 5, 40, 10.0, 20.0, 1.5, -0.7), (4, 0, 30, 0.0, 0.0, 0.0, 2.0)])
    tracks = tracks_of(particles[particles["frame"] % 5 != 0])
    vx, vy = compute_velocity(tracks)
    np.testing.assert_allclose(vx, np.where(tracks.track == 0, 1.5, 0.0), atol=1e-9)
    np.testing.assert_allclose(vy, np.where(tracks.track == 0, -0.7, 2.0), atol=1e-9)


def test_velocity_of_a_parabola_is_its_derivative_inside():
    t = np.arange(30.0)
    particles = as_detections(
        pd.DataFrame({"particle": 0, "frame": t.astype(int), "x": 3 * t, "y": 0.1 * t**2})
    )
    _, vy = compute_velocity(tracks_of(particles))
    np.testing.assert_allclose(vy[2:-2], 0.2 * t[2:-2], atol=1e-9)


def test_a_burst_keeps_its_speed_and_leaves_that_beside_it_alone():
    """Three steps of 10 px are 10 px/frame in three frames, and 2 px/frame in all others."""
    tracks = tracks_of(bursting(n_tracks=8, noise=0.0))
    in_burst = (tracks.particle[tracks.track] == 7) & (tracks.frame >= 60) & (tracks.frame < 63)
    vx, vy = compute_velocity(tracks, in_burst)
    np.testing.assert_allclose(vx, np.where(in_burst, 10.0, 2.0), atol=1e-9)
    np.testing.assert_allclose(vy, 0.0, atol=1e-9)


def test_velocity_apart_from_bursts_is_as_smooth_as_without():
    tracks = tracks_of(bursting(n_tracks=8, noise=0.3))
    in_burst = (tracks.particle[tracks.track] == 7) & (tracks.frame >= 60) & (tracks.frame < 63)
    plain, marked = compute_velocity(tracks)[0], compute_velocity(tracks, in_burst)[0]
    far = (tracks.particle[tracks.track] != 7) | (np.abs(tracks.frame - 61) > 3)
    np.testing.assert_array_equal(plain[far], marked[far])


def test_a_single_detection_has_no_velocity():
    vx, _ = compute_velocity(tracks_of(straight_tracks([(0, 3, 1, 1.0, 1.0, 0.0, 0.0)])))
    assert np.isnan(vx).all()


def test_a_faint_stretch_of_a_track_is_no_event():
    rng = np.random.default_rng(3)
    particles = bursting(noise=0.05)
    faint = particles["frame"].between(20, 40) & (particles["particle"] % 2 == 0)
    noise = rng.normal(0.0, 1.0, (len(particles), 2)) * faint.to_numpy()[:, None]
    particles = particles.assign(x=particles["x"] + noise[:, 0], y=particles["y"] + noise[:, 1])
    contrast = np.where(faint, 0.03, 0.5)
    tracks = tracks_of(particles)
    known = score_velocity(tracks, contrast[tracks.row])
    rows = faint.to_numpy()[tracks.row]
    assert np.std(known.forward[rows]) < 2.5
    burst = (tracks.particle[tracks.track] == 7) & (np.abs(tracks.frame - 61) <= 2)
    assert np.nanmax(known.forward[burst]) > 20


def test_where_no_step_has_weight_the_trend_so_far_stands():
    """One step without a trend would leave the scale of all tracks unknown."""
    tracks = tracks_of(bursting(n_tracks=2, factor=1.0))
    step, trend = np.full(tracks.frame.size, 2.0), np.full(tracks.frame.size, 1.5)
    weights = (tracks.track == 0).astype(float)
    redrawn = _redrawn(tracks, step, weights, trend)
    np.testing.assert_allclose(redrawn[tracks.track == 0], 2.0)
    np.testing.assert_allclose(redrawn[tracks.track == 1], 1.5)


def test_the_score_has_the_scale_of_the_noise():
    scored = score_velocity(tracks_of(bursting(factor=1.0, noise=0.4)))
    score = scored.forward[np.isfinite(scored.forward)]
    # Normal of unit scale at most, since a step scores the least of three.
    assert np.quantile(np.abs(score), 0.99) < stats.norm.ppf(0.995)
    assert 0.3 < score.std() < 1.0


@pytest.mark.parametrize("twice_in_a_frame", [False, True])
def test_a_step_in_no_time_has_no_speed(twice_in_a_frame):
    """Nor does it take the score from the others: all tracks tell how large an error is usual."""
    particles, clock = bursting(), Clock.even()
    if twice_in_a_frame:
        again = particles[(particles["particle"] == 3) & (particles["frame"] == 40)]
        particles = pd.concat([particles, again.assign(x=again["x"] + 0.4)], ignore_index=True)
    else:
        stamps = still_frames(100).assign(time_s=lambda t: (t["frame"] - (t["frame"] == 40)) / 15)
        clock = Clock.of(stamps, 15.0)
    tracks = sort_tracks(particles, still_frames(100), clock=clock)
    scored = score_velocity(tracks)
    timeless = np.append(False, np.diff(tracks.moment) == 0)
    assert timeless.sum() == (1 if twice_in_a_frame else 20)
    unknown = timeless | (np.arange(tracks.frame.size) == tracks.start[tracks.track])
    np.testing.assert_array_equal(np.isnan(scored.forward), unknown)
    burst = (tracks.particle[tracks.track] == 7) & (np.abs(tracks.frame - 61) <= 1)
    assert scored.forward[burst].min() > 10
    assert np.nanmax(np.abs(scored.forward[tracks.track < 7])) < 5


def test_foreign_pits_exist_and_are_not_the_source():
    x, y = np.array([290.0, 290.0, 290.0]), np.zeros(3)
    nearest, distance = nearest_foreign_pit(
        x, y, np.array([100, 100, 10]), np.array([0, 1, 0]), PITS
    )
    assert list(nearest) == [1, 0, 2]
    np.testing.assert_allclose(distance, [10.0, 290.0, np.hypot(10, 900)])
    none, nothing = nearest_foreign_pit(x[:1], y[:1], np.array([1]), np.array([0]), PITS.head(1))
    assert none[0] == -1
    assert np.isnan(nothing[0])


def test_clustering_is_found_where_it_is_and_only_there():
    particles = straight_tracks([(k, 60, 100, 0.0, 30.0 * k, 3.0, 0.0) for k in range(12)]).assign(
        pit=0
    )
    pits = PITS.head(2)

    def events_at(frames):
        rows = particles.merge(pd.DataFrame({"particle": range(12), "frame": frames}))
        distance = np.hypot(rows["x"] - 300, rows["y"])
        return rows.assign(nearest_pit=1, distance_px=distance)

    seen, expected, p, n = clustering_test(events_at([158] * 12), particles, pits)
    assert n == 12
    assert seen < expected
    assert p < 0.01
    rng = np.random.default_rng(0)
    chance = [
        clustering_test(events_at(rng.integers(63, 160, 12)), particles, pits, draws=99)[2]
        for _ in range(60)
    ]
    assert stats.binomtest(int((np.array(chance) <= 0.05).sum()), 60, 0.05).pvalue > 0.001
    assert np.isnan(clustering_test(events_at([158] * 12).head(0), particles, pits)[2])


def test_clustering_is_judged_where_an_event_can_be_seen():
    """No event is found in a track's first steps, far from other pits, nor in its last, at one."""
    n = 8
    particles = straight_tracks([(k, 60, n, 0.0, 30.0 * k, 9.0, 0.0) for k in range(12)]).assign(
        pit=0
    )
    particles = particles.assign(
        nearest_pit=1, distance_px=np.hypot(particles["x"] - 300, particles["y"])
    )
    rng = np.random.default_rng(0)
    p = []
    for _ in range(200):
        frame = rng.integers(60 + KNOWN_BEFORE, 60 + n - 1, 12)
        events = particles.merge(pd.DataFrame({"particle": range(12), "frame": frame}))
        p.append(clustering_test(events, particles, PITS.head(2), draws=99)[2])
    assert stats.binomtest(int((np.array(p) <= 0.05).sum()), 200, 0.05).pvalue > 0.001


def test_the_table_of_clustering_tells_of_the_events_that_are_tested():
    """Those in the last detection of a track are not; pit 0 is as good a pit as any."""
    particles = straight_tracks([(k, 60, 100, 0.0, 30.0 * k, 3.0, 0.0) for k in range(12)]).assign(
        pit=1
    )
    pits = PITS.head(2).assign(pit=[1, 0])
    last = particles["frame"] == np.where(particles["particle"] < 3, 159, 158)
    events = particles[last].assign(nearest_pit=0)
    events["distance_px"] = np.hypot(events["x"] - 300, events["y"])
    table = compute_clustering(events, particles, pits, seed=3)
    seen, expected, p, n = clustering_test(events, particles, pits, seed=3)
    assert table.iloc[0].tolist() == [n, seen, expected, p]
    assert (n, seen) == (9, events.loc[events["frame"] == 158, "distance_px"].median())
    assert compute_clustering(events.head(0), particles, pits, seed=0).empty


def test_the_scale_of_short_tracks_is_that_of_all():
    """The median length of two normal residuals is 1.1774 of their standard deviation."""
    tracks = tracks_of(straight_tracks([(k, 0, 4, 0.0, 0.0, 1.0, 0.0) for k in range(400)]))
    length = np.hypot(*np.random.default_rng(0).normal(0.0, 0.4, (2, tracks.frame.size)))
    scale = _scale(tracks, length, tracks.neighbours(-1)[1])
    assert np.median(scale) == pytest.approx(0.4, rel=0.05)
    assert scale.std() < 0.05


def test_what_lasts_backward_is_what_lasts_forward():
    residual, before, after = np.random.default_rng(0).normal(0.0, 1.0, (3, 500))
    lasting = keep_lasting(residual, [before, after])
    np.testing.assert_array_equal(keep_lasting(-residual, [-before, -after]), -lasting)
    assert (np.abs(lasting) <= np.abs(residual)).all()
