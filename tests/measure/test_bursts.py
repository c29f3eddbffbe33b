import numpy as np
import pandas as pd
import pytest
from small_worlds import as_detections, bursting, tracks_of

from pitflow.config import VelocityConfig
from pitflow.measure.bursts import Looks, choose_threshold, compute_outliers
from pitflow.measure.velocity import clustering_test

PITS = pd.DataFrame(
    {"pit": [0, 1, 2], "x": [0.0, 300.0, 300.0], "y": [0.0, 0.0, 900.0], "onset_frame": [0, 50, 0]}
)
CONFIG = VelocityConfig()


def outliers_of(particles, source=None, *, mass=None, config=CONFIG):
    tracks = tracks_of(particles)
    source = np.zeros(tracks.n_tracks, dtype=np.int64) if source is None else source
    return compute_outliers(
        tracks,
        source,
        PITS,
        config=config,
        um_per_px=0.5,
        fps=10.0,
        mass=None if mass is None else np.asarray(mass, dtype=np.float64)[tracks.row],
    )


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


def test_two_misplaced_detections_are_no_event():
    """Between one too far back and one too far ahead lie two long steps forward."""
    particles = bursting(factor=1.0)
    for frame, off in ((50, -6.0), (52, 5.0)):
        particles.loc[(particles["particle"] == 3) & (particles["frame"] == frame), "x"] += off
    outliers, _ = outliers_of(particles)
    assert outliers.empty


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


def test_the_fastest_burst_is_set_in_um_per_s():
    """One of 10 px/frame is 50 um/s at 0.5 um/px and 10 frames/s."""
    for most, events in ((55.0, 1), (45.0, 0)):
        assert len(outliers_of(bursting(), config=VelocityConfig(max_speed_um_s=most))[0]) == events


@pytest.mark.parametrize(("factor", "events"), [(1.4, 0), (1.6, 1)])
def test_a_burst_is_half_as_fast_again_as_the_trend(factor, events):
    """However surely it is known to be faster at all."""
    assert len(outliers_of(bursting(noise=0.02, factor=factor))[0]) == events


def test_a_burst_keeps_its_mass_and_a_wrong_link_does_not():
    particles = bursting()
    later = (particles["particle"] == 7) & (particles["frame"] > 60)
    for factor, events in ((1.5, 1), (4.0, 0)):
        outliers, _ = outliers_of(particles, mass=np.where(later, 10.0 * factor, 10.0))
        assert len(outliers) == events


def test_half_a_particle_is_no_event():
    """One that is hidden bit by bit seems to leap; its mass at the leap is not its own."""
    particles = bursting()
    mass = np.full(len(particles), 30.0)
    own = np.flatnonzero((particles["particle"] == 7) & (particles["frame"] >= 56))
    mass[own] = np.maximum(30.0 * 0.8 ** np.arange(1, own.size + 1), 10.0)
    outliers, _ = outliers_of(particles, mass=mass)
    assert outliers.empty


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


def test_change_of_mass_is_a_factor_of_medians():
    tracks = tracks_of(bursting(n_tracks=1, factor=1.0))
    mass = np.where(tracks.frame < 50, 3.0, 6.0)
    mass[49], mass[20] = 3.3, -1.0
    change = Looks.of(tracks, mass).change(tracks, 1)
    assert change[50] == pytest.approx(2.0)
    assert change[0] == change[30] == 1.0
    assert (change >= 1.0).all()


def test_the_threshold_rises_with_the_tails_of_the_errors():
    rng = np.random.default_rng(0)
    bursts = np.full(30, 40.0)
    for freedom, expected in ((50, 5.0), (3, 8.0)):
        sideways = rng.standard_t(freedom, 40000)
        forward = np.concatenate([rng.standard_t(freedom, 20000), bursts])
        threshold = choose_threshold(forward, np.abs(sideways), least=5.0, false_share=0.1)
        assert threshold >= expected
        beyond = np.flatnonzero(forward > threshold)
        assert (beyond >= 20000).sum() == 30
        assert (beyond < 20000).mean() < 0.3
    noise = rng.standard_t(2, 20000)
    decoys = np.abs(rng.standard_t(2, 40000))
    assert choose_threshold(noise, decoys, least=5.0, false_share=0.1) > noise.max() * 0.9


def steps_of(steps, *, n_tracks=20, noise=0.1, seed=0, at=7):
    """Tracks along +x at 2 px/frame whose number ``at`` makes these steps (n, 2), px."""
    rng = np.random.default_rng(seed)
    usual = np.tile([2.0, 0.0], (len(steps), 1))
    parts = []
    for particle in range(n_tracks):
        place = np.cumsum(steps if particle == at else usual, axis=0)
        place = place + rng.normal(0.0, noise, place.shape)
        parts.append(
            pd.DataFrame(
                {
                    "particle": particle,
                    "frame": np.arange(len(steps)),
                    "x": place[:, 0],
                    "y": place[:, 1] + 40.0 * particle,
                }
            )
        )
    return as_detections(pd.concat(parts, ignore_index=True))


def turned_burst(to, *, at=60, length=3, speed=8.0):
    """Particle 7 bursts from about (120, 280) towards ``to``, whatever its own way."""
    steps = np.tile([2.0, 0.0], (100, 1))
    way = np.subtract(to, (2.0 * at, 280.0))
    steps[at : at + length] = speed * way / np.hypot(*way)
    return steps_of(steps)


FAR_PITS = pd.DataFrame(
    {"pit": [0, 1, 2], "x": [0.0, 150.0, 60.0], "y": [0.0, 350.0, -400.0], "onset_frame": 0}
)


def pits_outliers(particles):
    tracks = tracks_of(particles)
    source = np.zeros(tracks.n_tracks, dtype=np.int64)
    return compute_outliers(tracks, source, FAR_PITS, config=CONFIG, um_per_px=0.5, fps=10.0)


def test_a_burst_that_turns_to_a_foreign_pit_is_an_event():
    """Pit 1 lies 67 degrees off its way, and is the nearest that it did not leave."""
    outliers, flagged = pits_outliers(turned_burst((150.0, 350.0)))
    assert outliers["particle"].tolist() == [7]
    assert outliers["nearest_pit"].tolist() == [1]
    assert outliers["speed_px"].iloc[0] == pytest.approx(8.0, abs=0.6)
    assert flagged.sum() == 3


def test_a_turned_burst_that_leads_to_no_foreign_pit_is_none():
    """As far to the side, but past the pit on the other side, or back to the source."""
    for elsewhere in ((150.0, 210.0), (0.0, 0.0)):
        assert pits_outliers(turned_burst(elsewhere))[0].empty


def test_one_step_towards_a_foreign_pit_is_no_event():
    """To the side of its way a single step is more often a wrong link."""
    outliers, _ = pits_outliers(turned_burst((150.0, 350.0), length=1))
    assert outliers.empty


def test_a_turn_towards_a_foreign_pit_without_more_speed_is_no_event():
    outliers, _ = pits_outliers(turned_burst((150.0, 350.0), length=3, speed=2.2))
    assert outliers.empty


def test_steps_that_are_little_alone_are_a_burst_together():
    """Faint and short: no step of the burst is far beyond the noise, all three are."""
    found = 0
    for seed in range(8):
        steps = np.tile([2.0, 0.0], (24, 1))
        steps[14:17, 0] = 8.0
        outliers, _ = outliers_of(steps_of(steps, noise=0.8, seed=seed, n_tracks=40))
        found += 7 in outliers["particle"].tolist()
        assert (outliers["particle"] != 7).sum() <= 1
    assert found >= 7


def test_an_error_of_one_step_needs_more_than_a_burst_does():
    """A part of the particle that is no longer seen displaces it once and for good."""
    for steps, events in (((61,), 0), ((61, 62, 63), 1)):
        offset = np.tile([2.0, 0.0], (100, 1))
        offset[list(steps), 0] = 4.6
        outliers, _ = outliers_of(steps_of(offset, noise=0.2, seed=4))
        assert len(outliers) == events


def test_mass_is_judged_by_what_is_about_the_burst():
    """Long before, another particle was followed; the burst itself leaves the mass alone."""
    particles = bursting()
    early = (particles["particle"] == 7) & (particles["frame"] < 45)
    late = (particles["particle"] == 7) & (particles["frame"] >= 85)
    outliers, flagged = outliers_of(particles, mass=np.where(early | late, 30.0, 3.0))
    assert outliers["particle"].tolist() == [7]
    assert flagged.sum() == 3


def test_a_burst_into_a_blend_is_flagged_whole():
    """Its mass is that of two in its second frame, and less and less of it where it sinks."""
    particles = bursting()
    for masses in ((10.0, 45.0, 10.0), (10.0, 1.5, 10.0)):
        mass = np.full(len(particles), 10.0)
        for frame, value in zip((60, 61, 62), masses, strict=True):
            mass[(particles["particle"] == 7) & (particles["frame"] == frame)] = value
        outliers, flagged = outliers_of(particles, mass=mass)
        assert len(outliers) == 1
        assert outliers["duration"].tolist() == [3.0]
        assert flagged.sum() == 3


def test_a_burst_out_of_a_blend_is_an_event():
    """Shortly before it, half of the particle was taken for another."""
    particles = bursting(factor=2.3)
    hidden = (particles["particle"] == 7) & particles["frame"].between(57, 59)
    outliers, flagged = outliers_of(particles, mass=np.where(hidden, 3.0, 10.0))
    assert outliers["particle"].tolist() == [7]
    assert flagged.sum() == 3


def test_a_burst_at_whose_end_the_particle_sinks_is_an_event():
    particles = bursting()
    particles = particles[(particles["particle"] != 7) | (particles["frame"] <= 62)]
    mass = np.full(len(particles), 10.0)
    for frame, value in ((61, 5.0), (62, 2.0)):
        mass[(particles["particle"] == 7) & (particles["frame"] == frame)] = value
    outliers, flagged = outliers_of(particles.reset_index(drop=True), mass=mass)
    assert outliers["particle"].tolist() == [7]
    assert flagged.sum() == 3


def test_particles_that_stop_do_not_hide_bursts():
    """To stop is no error, though it points backward: it does not raise the threshold."""
    particles = bursting(n_tracks=40, noise=0.1, factor=1.7)
    own, age = particles["particle"], particles["frame"] - (95 - particles["particle"])
    stops = own % 2 == 0
    # Each stops in a frame of its own, and is seen three frames longer.
    where = particles["x"] - 2.0 * np.where(stops, np.maximum(age, 0), 0)
    seen = ~stops | (age <= 3)
    outliers, _ = outliers_of(particles.assign(x=where)[seen].reset_index(drop=True))
    assert outliers["particle"].tolist() == [7]


def test_a_step_over_more_than_three_frames_is_no_event():
    """When in the gap the particle was faster is not known."""
    particles = bursting()
    for first, last, events in ((58, 63, 0), (60, 62, 0), (60, 61, 1)):
        hidden = (particles["particle"] == 7) & particles["frame"].between(first, last)
        assert len(outliers_of(particles[~hidden].reset_index(drop=True))[0]) == events


def test_no_tracks():
    outliers, flagged = outliers_of(bursting().head(0))
    assert outliers.empty
    assert flagged.size == 0
