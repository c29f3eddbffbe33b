import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_worlds import disc_pit, still_frames, straight_tracks

from pitflow.config import EjectionConfig
from pitflow.measure.circular import wrap_difference
from pitflow.measure.ejection import compute_ejections, find_departures
from pitflow.measure.pits import compute_pit_geometry
from pitflow.measure.rim import trace_rims
from pitflow.measure.tracks import sort_tracks

SHAPE = (400, 400)


def eject(pit_pixels, particles, *, frames=None, shape=SHAPE):
    tracks = sort_tracks(particles, still_frames(300) if frames is None else frames)
    rims, config = trace_rims(pit_pixels), EjectionConfig()
    return compute_ejections(
        tracks,
        rims,
        compute_pit_geometry(pit_pixels, um_per_px=0.5).assign(onset_chance=0.0),
        find_departures(tracks, rims, config=config, shape=shape),
        config=config,
        um_per_px=0.5,
        fps=10.0,
    )


def test_departures_are_followed_back_to_the_rim(radial_world):
    pits, starts, truth = radial_world
    found = eject(pits, straight_tracks(starts)).set_index("particle")
    assert list(found.index) == list(truth["particle"])
    assert (found["pit"] == 0).all()
    assert np.abs(wrap_difference(found["angle_deg"] - truth["angle_deg"])).max() < 0.5
    assert np.abs(found["frame"] - truth["frame"]).max() <= 1
    np.testing.assert_allclose(np.hypot(found["x"] - 180, found["y"] - 210), 20.5, atol=1.0)
    np.testing.assert_allclose(found["speed_um_s"], 3 * 0.5 * 10, rtol=1e-6)
    assert (found["pit_probability"] > 0.9).all()


def test_the_speed_is_that_at_departure(radial_world):
    """Particles slow down; others in the field do not, and the first detection lies too far out."""
    pits, _, _ = radial_world
    rng = np.random.default_rng(8)
    gamma, rows = 0.03, []
    for k in range(80):
        age, angle = np.arange(30), rng.uniform(0, 2 * np.pi)
        r = 23 + 3.0 * (1 - np.exp(-gamma * age)) / gamma
        r[0] += 1.0
        rows.append((k, angle, r, 180.0, 210.0, 100 + 3 * (k % 30) + age))
    for k in range(80, 230):
        age, angle = np.arange(30), rng.uniform(0, 2 * np.pi)
        rows.append((k, angle, 2.5 * age, *rng.uniform(20, 380, 2), 100 + 3 * (k % 30) + age))
    particles = pd.concat(
        pd.DataFrame(
            {
                "particle": k,
                "frame": frame,
                "x": x + r * np.cos(angle) + rng.normal(0, 0.2, r.size),
                "y": y + r * np.sin(angle) + rng.normal(0, 0.2, r.size),
            }
        )
        for k, angle, r, x, y, frame in rows
    )
    found = eject(pits, particles).set_index("particle")
    found = found[found.index < 80]
    assert len(found) > 75
    assert np.median(found["speed_um_s"]) == pytest.approx(3.0 * 0.5 * 10, rel=0.04)


def test_the_angle_error_is_what_the_noise_makes(radial_world):
    pits, starts, truth = radial_world
    pulls = []
    for seed in range(6):
        found = eject(pits, straight_tracks(starts, noise=0.5, seed=seed)).set_index("particle")
        error = wrap_difference(found["angle_deg"] - truth["angle_deg"].reindex(found.index))
        pulls.append(error / found["angle_err_deg"])
    assert 0.7 < np.std(np.concatenate(pulls)) < 1.2


def scattered_starts(spread, distances):
    """Particles from all round (200, 200) that head outwards to within ``spread`` (rad)."""
    rng = np.random.default_rng(3)
    starts = []
    for k in range(120):
        r, turn = distances[k % len(distances)], rng.uniform(0, 2 * np.pi)
        heading = turn + rng.normal(0, spread)
        starts.append(
            (k, 210, 30, 200 + r * np.cos(turn), 200 + r * np.sin(turn),
             3 * np.cos(heading), 3 * np.sin(heading))
        )  # fmt: skip
    return starts


def test_the_angle_of_a_path_that_passes_its_pit_by_is_uncertain():
    """Where it moves along the rim, the particle may have left anywhere on that side.

    60 degrees off the outward direction, 28 px from the centre of a pit of 20 px: the path behind
    comes as near as 24 px.
    """
    turn = np.radians(60.0)
    starts = scattered_starts(0.5, (23.0,))
    starts.append((200, 150, 25, 228.0, 200.0, 3.0 * np.cos(turn), 3.0 * np.sin(turn)))
    found = eject(disc_pit(0, 200, 200, 20), straight_tracks(starts, noise=0.1))
    error = found.set_index("particle")["angle_err_deg"]
    assert error[200] == pytest.approx(60 / np.sqrt(3), rel=0.15)
    assert error.median() < 5


def test_the_way_that_was_not_seen_adds_to_the_angle_error():
    """Of paths that point straight outwards, 0.2 of the others' spread, the longer the way."""
    starts = scattered_starts(0.3, (23.0, 35.0, 47.0))
    seen_at = (35.0, 47.0)
    starts += [(200 + k, 210, 30, 200 + r, 200.0, 3.0, 0.0) for k, r in enumerate(seen_at)]
    found = eject(disc_pit(0, 200, 200, 20), straight_tracks(starts, noise=0.02))
    error = found.set_index("particle")["angle_err_deg"]
    for k, r in enumerate(seen_at):
        # The centre is known to half a pixel.
        expected = np.hypot(0.2 * 17 * np.log(r / 20), np.degrees(0.5 / r))
        assert error[200 + k] == pytest.approx(expected, rel=0.15)


def test_a_short_track_leaves_as_the_others_do():
    """Six detections 25 px off the rim, each 1 px off: alone they tell the angle to 6 degrees."""
    rng = np.random.default_rng(0)
    starts = []
    for k, turn in enumerate(rng.uniform(0, 2 * np.pi, 120)):
        r, n = (24.0, 30) if k < 60 else (45.0, 6)
        out = np.array([np.cos(turn), np.sin(turn)])
        starts.append((k, 150 + k % 60, n, *([200, 180] + r * out), *(3 * out)))
    particles = straight_tracks(starts[:60], noise=0.2)
    short = straight_tracks(starts[60:], noise=1.0, seed=5)
    found = eject(disc_pit(0, 200, 180, 20), pd.concat([particles, short], ignore_index=True))
    found = found[found["particle"] >= 60].set_index("particle")
    true = pd.Series({row[0]: np.degrees(np.arctan2(row[6], row[5])) for row in starts})
    error = wrap_difference(found["angle_deg"] - true.reindex(found.index))
    assert len(found) > 50
    assert np.sqrt(np.mean(error**2)) < 4.5
    assert 0.8 < np.std(error / found["angle_err_deg"]) < 1.2


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 3))
def test_turning_the_world_turns_the_angles(quarter_turns):
    pits = disc_pit(0, 200, 200, 20, grows_until=50, towards=30.0)
    angle = np.radians(np.arange(0, 360, 20))
    starts = [
        (
            k,
            80,
            20,
            200 + 26 * np.cos(a),
            200 + 26 * np.sin(a),
            2 * np.cos(a + 0.2),
            2 * np.sin(a + 0.2),
        )
        for k, a in enumerate(angle)
    ]
    particles = straight_tracks(starts)

    def turned(table):
        x, y = table["x"] - 200, table["y"] - 200
        for _ in range(quarter_turns):
            x, y = -y, x
        return table.assign(x=x + 200, y=y + 200)

    before = eject(pits, particles)
    after = eject(turned(pits), turned(particles))
    assert list(before["particle"]) == list(after["particle"])
    difference = wrap_difference(after["angle_deg"] - before["angle_deg"] - 90 * quarter_turns)
    # Rounding to pixels is the same after quarter turns, but for points half way between two.
    assert np.abs(difference).max() < 1.0


def test_stage_drift_is_taken_off(radial_world):
    pits, starts, _ = radial_world
    frames = still_frames(300, shift=(0.1, -0.05))
    particles = straight_tracks(starts)
    moved = particles.assign(
        x=particles["x"] + 0.1 * particles["frame"], y=particles["y"] - 0.05 * particles["frame"]
    )
    pd.testing.assert_frame_equal(eject(pits, moved, frames=frames), eject(pits, particles))


def test_open_field_and_inward_and_resting_tracks_have_no_source(radial_world):
    pits, starts, _ = radial_world
    others = [
        (100, 100, 30, 330.0, 80.0, 0.5, 2.0),
        (101, 100, 30, 240.0, 210.0, -1.0, 0.0),
        (102, 100, 30, 205.0, 210.0, 0.0, 0.0),
        (103, 100, 30, 200.0, 390.0, 1.0, -0.3),
    ]
    found = eject(pits, straight_tracks(starts + others, noise=0.2))
    assert set(found["particle"]) == set(range(60))


def test_the_source_is_where_the_path_leads_back_to_not_the_nearest_pit():
    pits = pd.concat([disc_pit(0, 100, 200, 15), disc_pit(1, 150, 212, 6)])
    # Past pit 1 at 5 px from its rim, away from pit 0.
    starts = [(k, 220, 25, 118.0 + 3 * (k % 4), 200.0, 2.5, 0.0) for k in range(6)]
    found = eject(pits, straight_tracks(starts, noise=0.1))
    assert list(found["pit"]) == [0] * 6


def test_of_two_pits_on_one_line_the_nearer_behind_is_chosen():
    pits = pd.concat([disc_pit(0, 60, 200, 15), disc_pit(1, 120, 200, 15)])
    found = eject(pits, straight_tracks([(0, 220, 25, 140.0, 200.0, 2.5, 0.0)], noise=0.1))
    assert list(found["pit"]) == [1]


def test_a_pit_cannot_eject_before_it_is_there():
    pits = disc_pit(0, 200, 200, 15, onset=100)
    # It may be seen five frames late.
    firsts = (40, 94, 95, 150)
    starts = [(k, first, 20, 220.0, 200.0, 2.0, 0.0) for k, first in enumerate(firsts)]
    assert list(eject(pits, straight_tracks(starts))["particle"]) == [2, 3]


@pytest.mark.parametrize("busy", [0, 1])
def test_of_two_pits_as_near_the_busier_is_chosen(busy):
    places, rng = (188.0, 212.0), np.random.default_rng(0)
    starts = [(99, 230, 25, 200.0, 215.0, 0.0, 3.0)]
    for k in range(40):
        x, turn = places[busy if k < 36 else 1 - busy], rng.uniform(0, 2 * np.pi)
        heading = turn + rng.normal(0, 0.4)
        starts.append(
            (k, 210 + k, 25, x + 11 * np.cos(turn), 200 + 11 * np.sin(turn),
             3 * np.cos(heading), 3 * np.sin(heading))
        )  # fmt: skip
    pits = pd.concat([disc_pit(0, 188, 200, 8), disc_pit(1, 212, 200, 8)])
    found = eject(pits, straight_tracks(starts, noise=0.1)).set_index("particle")
    assert found["pit"][99] == busy


def test_a_track_found_again_far_out_is_no_second_ejection(radial_world):
    pits, starts, _ = radial_world
    # Every third particle is lost and found again 90 px further out.
    again = [
        (100 + k, first + 30, n, x + 30 * vx, y + 30 * vy, vx, vy)
        for k, first, n, x, y, vx, vy in starts[::3]
    ]
    found = eject(pits, straight_tracks(starts + again, noise=0.2))
    assert set(found["particle"]) == set(range(60))


def test_a_crowd_that_crosses_about_a_pit_hides_no_ejections(radial_world):
    pits, starts, _ = radial_world
    rng = np.random.default_rng(5)
    # Denser about the pit than in the rest of the frame, and as many times the ejected ones.
    distance, angle, heading = (
        rng.uniform(low, high, 600) for low, high in ((45, 150), (0, 2 * np.pi), (0, 2 * np.pi))
    )
    crowd = [
        (1000 + k, 100, 20, 180 + r * np.cos(a), 210 + r * np.sin(a), 2 * np.cos(h), 2 * np.sin(h))
        for k, (r, a, h) in enumerate(zip(distance, angle, heading, strict=True))
    ]
    found = eject(pits, straight_tracks(starts + crowd, noise=0.2), shape=(2000, 2000))
    own = set(range(60))
    assert len(set(found["particle"]) & own) >= 57
    assert len(set(found["particle"]) - own) <= 9


def test_slowing_particles_leave_when_they_left():
    pits = disc_pit(0, 200, 200, 20, grows_until=50)
    t = np.arange(6, 60)
    # First seen 20 px out at 2.8 px/frame: at a constant speed it would have left 7 frames ago.
    distance = 20.5 + 4.0 * (1 - np.exp(-0.06 * t)) / 0.06
    parts = []
    for k, angle in enumerate(np.radians(np.arange(0, 360, 15))):
        part = straight_tracks([(k, 106, t.size, 0.0, 0.0, 0.0, 0.0)])
        x, y = 200 + distance * np.cos(angle), 200 + distance * np.sin(angle)
        parts.append(part.assign(x=x, y=y))
    found = eject(pits, pd.concat(parts, ignore_index=True))
    assert len(found) == 24
    assert np.abs(found["frame"] - 100).max() <= 1
    np.testing.assert_allclose(found["speed_um_s"], 4.0 * 0.5 * 10, rtol=0.1)


def test_no_pits_or_no_tracks_give_typed_empty_tables(radial_world):
    pits, starts, _ = radial_world
    full = eject(pits, straight_tracks(starts))
    for none in (
        eject(pits.iloc[:0], straight_tracks(starts)),
        eject(pits, straight_tracks(starts).iloc[:0]),
    ):
        assert none.empty
        assert list(none.dtypes) == list(full.dtypes)
        assert list(none.columns) == list(full.columns)


def test_particles_outside_the_frames_table_are_refused(radial_world):
    pits, starts, _ = radial_world
    with pytest.raises(ValueError, match="frames table"):
        eject(pits, straight_tracks(starts), frames=still_frames(50))


def test_a_particle_seen_at_once_beyond_a_cover_is_not_followed_back_under_it():
    # A ring of holes around an open core, and tracks that bend: first seen 4 px off the last hole.
    pits = disc_pit(0, 200, 200, 20, grows_until=50)
    r = np.hypot(pits["x"] - 200, pits["y"] - 200)
    holes = (r < 10) | ((pits["x"] + pits["y"]) % 3 == 0)
    angle = np.radians(np.arange(0, 360, 10))
    starts = [
        (
            k,
            100 + k,
            20,
            200 + 24.5 * np.cos(a),
            200 + 24.5 * np.sin(a),
            3 * np.cos(a + 0.4),
            3 * np.sin(a + 0.4),
        )
        for k, a in enumerate(angle)
    ]
    found = eject(pits[holes], straight_tracks(starts, noise=0.05))
    assert len(found) == 36
    error = wrap_difference(found["angle_deg"] - np.degrees(angle))
    assert np.abs(np.mean(error)) < 1.0
    assert (found["frame"] == 100 + np.arange(36)).all()
