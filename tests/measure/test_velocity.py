import numpy as np
import pandas as pd
import pytest
from scipy import stats
from small_worlds import as_detections, still_frames, straight_tracks

from pitflow.config import VelocityConfig
from pitflow.measure.tracks import sort_tracks
from pitflow.measure.velocity import (
    KNOWN_BEFORE,
    _redrawn,
    choose_threshold,
    clustering_test,
    compute_clustering,
    compute_outliers,
    compute_velocity,
    mass_change,
    nearest_foreign_pit,
    score_velocity,
)

PITS = pd.DataFrame(
    {"pit": [0, 1, 2], "x": [0.0, 300.0, 300.0], "y": [0.0, 0.0, 900.0], "onset_frame": [0, 50, 0]}
)
CONFIG = VelocityConfig()


def tracks_of(particles):
    return sort_tracks(particles, still_frames(400))


def outliers_of(particles, source=None):
    tracks = tracks_of(particles)
    source = np.zeros(tracks.n_tracks, dtype=np.int64) if source is None else source
    return compute_outliers(tracks, source, PITS, config=CONFIG, um_per_px=0.5, fps=10.0)


def bursting(n_tracks=20, *, noise=0.3, at=60, factor=5.0, length=3, seed=0):
    """Tracks along +x at 2 px/frame; number 7 is ``factor`` times as fast for ``length`` frames."""
    rng = np.random.default_rng(seed)
    parts = []
    for particle in range(n_tracks):
        speed = np.full(100, 2.0)
        if particle == 7:
            speed[at : at + length] *= factor
        x = np.cumsum(speed)
        parts.append(
            pd.DataFrame(
                {
                    "particle": particle,
                    "frame": np.arange(100),
                    "x": x + rng.normal(0, noise, 100),
                    "y": 40.0 * particle + rng.normal(0, noise, 100),
                }
            )
        )
    return as_detections(pd.concat(parts, ignore_index=True))


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


def test_a_single_detection_has_no_velocity():
    vx, _ = compute_velocity(tracks_of(straight_tracks([(0, 3, 1, 1.0, 1.0, 0.0, 0.0)])))
    assert np.isnan(vx).all()


def test_a_burst_is_one_event_at_its_place():
    outliers, flagged = outliers_of(bursting())
    assert len(outliers) == 1
    event = outliers.iloc[0]
    assert event["particle"] == 7
    assert 60 <= event["frame"] <= 63
    assert event["speed_px"] == pytest.approx(10.0, abs=1.5)
    assert event["trend_px"] == pytest.approx(2.0, abs=0.5)
    assert event["score"] > event["threshold"] >= CONFIG.threshold
    assert flagged.sum() == event["duration"] == 3
    assert event["nearest_pit"] == 1
    assert event["distance_px"] == pytest.approx(np.hypot(300 - event["x"], event["y"]))


def test_one_misplaced_detection_is_no_event():
    particles = bursting(factor=1.0)
    place = particles.index[(particles["particle"] == 3) & (particles["frame"] == 50)]
    particles.loc[place, "y"] += 12.0
    outliers, _ = outliers_of(particles)
    assert outliers.empty
    assert outliers["particle"].dtype == "int64"


def test_a_burst_that_ends_a_track_is_an_event_and_in_no_test():
    """No step after the last could undo it, and tracks end at the rims of other pits."""
    burst, _ = outliers_of(bursting(at=97))
    assert burst["particle"].tolist() == [7]
    particles = bursting(factor=1.0)
    last = (particles["particle"] == 3) & (particles["frame"] == 99)
    particles = particles.assign(x=particles["x"] + 8.0 * last, pit=0)
    at_end, _ = outliers_of(particles)
    assert at_end["frame"].tolist() == [99]
    pits = pd.DataFrame({"pit": [0, 1], "x": [0.0, 900.0], "y": 0.0, "onset_frame": 0})
    assert np.isnan(clustering_test(at_end, particles, pits)[2])
    earlier = at_end.assign(frame=95)
    assert np.isfinite(clustering_test(earlier, particles, pits)[2])


def test_slowing_down_is_no_event():
    t = np.arange(80)
    rng = np.random.default_rng(1)
    parts = [
        pd.DataFrame(
            {
                "particle": k,
                "frame": t,
                "x": 6.0 * (1 - np.exp(-0.04 * t)) / 0.04 + rng.normal(0, 0.3, t.size),
                "y": 50.0 * k + rng.normal(0, 0.3, t.size),
            }
        )
        for k in range(30)
    ]
    outliers, _ = outliers_of(as_detections(pd.concat(parts, ignore_index=True)))
    assert outliers.empty


def test_noise_alone_makes_few_events():
    n = sum(len(outliers_of(bursting(factor=1.0, seed=seed))[0]) for seed in range(10))
    # 20,000 steps.
    assert n <= 4


def test_impossible_speeds_are_wrong_links_not_events():
    particles = bursting(factor=1.0)
    particles.loc[(particles["particle"] == 7) & (particles["frame"] >= 50), "y"] += 300.0
    outliers, _ = outliers_of(particles)
    assert outliers.empty


def test_a_burst_keeps_its_mass_and_a_wrong_link_does_not():
    particles = bursting()
    later = (particles["particle"] == 7) & (particles["frame"] > 60)
    for factor, events in ((1.5, 1), (4.0, 0)):
        mass = np.where(later, 10.0 * factor, 10.0)
        tracks = tracks_of(particles)
        outliers, _ = compute_outliers(
            tracks,
            np.zeros(tracks.n_tracks, dtype=np.int64),
            PITS,
            config=CONFIG,
            um_per_px=0.5,
            fps=10.0,
            mass=mass[tracks.row],
        )
        assert len(outliers) == events


def test_half_a_particle_is_no_event():
    """One that is hidden bit by bit seems to leap; its mass at the leap is not its own."""
    particles = bursting()
    mass = np.full(len(particles), 30.0)
    own = np.flatnonzero((particles["particle"] == 7) & (particles["frame"] >= 56))
    mass[own] = np.maximum(30.0 * 0.8 ** np.arange(1, own.size + 1), 10.0)
    tracks = tracks_of(particles)
    source = np.zeros(tracks.n_tracks, dtype=np.int64)
    outliers, _ = compute_outliers(
        tracks, source, PITS, config=CONFIG, um_per_px=0.5, fps=10.0, mass=mass[tracks.row]
    )
    assert outliers.empty


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
    assert np.std(known.sideways[rows]) < 2.5
    burst = (tracks.particle[tracks.track] == 7) & (np.abs(tracks.frame - 61) <= 2)
    assert np.nanmax(known.forward[burst]) > 20


def test_a_frame_that_displaces_many_is_no_burst_of_any():
    rng = np.random.default_rng(8)
    particles = bursting(n_tracks=60, noise=0.1)
    shaken = (particles["frame"] >= 30) & (particles["particle"] % 5 == 0)
    leap = shaken.to_numpy() * (3.0 + rng.random(60)[particles["particle"]])
    outliers, _ = outliers_of(particles.assign(x=particles["x"] + leap))
    assert outliers["particle"].tolist() == [7]


def test_a_burst_of_a_short_track_is_found():
    parts = []
    for particle in range(20):
        speed = np.full(9, 2.0)
        if particle == 7:
            speed[[3, 4]] = 9.0
        noise = np.random.default_rng(particle).normal(0, 0.1, (2, 9))
        x, y = np.cumsum(speed) + noise[0], 40.0 * particle + noise[1]
        frame = np.arange(9)
        parts.append(pd.DataFrame({"particle": particle, "frame": frame, "x": x, "y": y}))
    outliers, _ = outliers_of(as_detections(pd.concat(parts, ignore_index=True)))
    assert outliers["particle"].tolist() == [7]


def test_where_no_step_has_weight_the_trend_so_far_stands():
    """One step without a trend would leave the scale of all tracks unknown."""
    tracks = tracks_of(bursting(n_tracks=2, factor=1.0))
    step, trend = np.full(tracks.frame.size, 2.0), np.full(tracks.frame.size, 1.5)
    weights = (tracks.track == 0).astype(float)
    redrawn = _redrawn(tracks, step, weights, trend)
    np.testing.assert_allclose(redrawn[tracks.track == 0], 2.0)
    np.testing.assert_allclose(redrawn[tracks.track == 1], 1.5)


def test_change_of_mass_is_a_factor_of_medians():
    tracks = tracks_of(bursting(n_tracks=1, factor=1.0))
    mass = np.where(tracks.frame < 50, 3.0, 6.0)
    mass[49], mass[20] = 3.3, -1.0
    change = mass_change(tracks, mass)
    assert change[50] == pytest.approx(2.0)
    assert change[0] == change[30] == 1.0
    assert (change >= 1.0).all()


def test_the_score_has_the_scale_of_the_noise():
    scored = score_velocity(tracks_of(bursting(factor=1.0, noise=0.4)))
    for score in (scored.forward, scored.sideways):
        score = score[np.isfinite(score)]
        # Normal of unit scale at most, since a step scores the least of three.
        assert np.quantile(np.abs(score), 0.99) < stats.norm.ppf(0.995)
        assert 0.3 < score.std() < 1.0


def test_the_threshold_rises_with_the_tails_of_the_errors():
    rng = np.random.default_rng(0)
    bursts = np.full(30, 40.0)
    for freedom, expected in ((50, 5.0), (3, 8.0)):
        sideways = rng.standard_t(freedom, 60000)
        forward = np.concatenate([rng.standard_t(freedom, 20000), bursts])
        threshold = choose_threshold(forward, np.abs(sideways), least=5.0, false_share=0.1)
        assert threshold >= expected
        beyond = np.flatnonzero(forward > threshold)
        assert (beyond >= 20000).sum() == 30
        assert (beyond < 20000).mean() < 0.3
    noise = rng.standard_t(2, 20000)
    decoys = np.abs(rng.standard_t(2, 60000))
    assert choose_threshold(noise, decoys, least=5.0, false_share=0.1) > noise.max() * 0.9


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

    seen, expected, p = clustering_test(events_at([158] * 12), particles, pits)
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


def test_the_table_of_clustering_holds_the_test():
    particles = straight_tracks([(k, 60, 100, 0.0, 30.0 * k, 3.0, 0.0) for k in range(12)]).assign(
        pit=0
    )
    events = particles[particles["frame"] == 158].assign(nearest_pit=1)
    events["distance_px"] = np.hypot(events["x"] - 300, events["y"])
    table = compute_clustering(events, particles, PITS.head(2), seed=3)
    seen, expected, p = clustering_test(events, particles, PITS.head(2), seed=3)
    assert table.iloc[0].tolist() == [12, seen, expected, p]
    assert compute_clustering(events.head(0), particles, PITS, seed=0).empty


def test_no_tracks():
    outliers, flagged = outliers_of(bursting().head(0))
    assert outliers.empty
    assert flagged.size == 0
