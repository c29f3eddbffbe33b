"""Closing gaps, on motions whose tracks are known."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal

from pitflow.config import LinkConfig
from pitflow.link.gaps import Evidence, _Edges, _log_alike, _log_laws, close_gaps
from pitflow.link.looks import LookScore
from pitflow.link.motion import MotionNoise
from pitflow.link.tracks import join_longer, link_detections
from pitflow.link.velocity_prior import VelocityPrior

NOISE = MotionNoise(position_px=0.3, acceleration_px=0.1)


def straight(n_frames=60, n=40, *, seed=0, noise=0.2):
    """Particles in lanes 40 px apart, along +x at 2 px/frame, that set out one after the other."""
    rng = np.random.default_rng(seed)
    frame = np.tile(np.arange(n_frames), n)
    particle = np.repeat(np.arange(n), n_frames)
    start = rng.uniform(0, 100, n)
    born = np.arange(n) * 3
    x = start[particle] + 2.0 * frame + rng.normal(0, noise, frame.size)
    y = 40.0 * particle + rng.normal(0, noise, frame.size)
    return pd.DataFrame({"true": particle, "frame": frame + born[particle], "x": x, "y": y})


def closed(table, *, looks=None, look_score=None):
    """Join the pieces given by the column ``piece``."""
    looks = np.full((len(table), 2), np.nan) if looks is None else looks
    looks = looks[np.argsort(table["frame"].to_numpy(), kind="stable")]
    table = table.sort_values("frame", kind="stable").reset_index(drop=True)
    positions = table[["x", "y"]].to_numpy(float)
    table["track"] = close_gaps(
        table["piece"].to_numpy(np.int64),
        table["frame"].to_numpy(np.int64),
        positions,
        looks,
        Evidence(
            variance=np.full(len(table), NOISE.position_px**2),
            noise=NOISE,
            prior=VelocityPrior.unknown(5.0),
            look_score=look_score or LookScore.unknown(),
            frames=10,
            reach_px=50.0,
        ),
    )
    return table


def one_edge(vx, vy, variance):
    """The end or start of one piece, with its velocity (px/frame) and variance of that."""
    return _Edges(np.zeros(1, int), np.array([[vx, vy]]), np.array([variance]), np.empty((1, 0)))


def test_the_laws_of_a_step_are_densities():
    """Each is 1 over all places; that of a burst as far as it may reach."""
    step, reach = 0.25, 50.0
    x, y = (grid.ravel() for grid in np.meshgrid(*[np.arange(-60.0, 60.0, step)] * 2))
    first = np.zeros(x.size, np.int64)
    laws = _log_laws(
        np.column_stack([x, y]),
        np.full(x.size, 2.0),
        first,
        first,
        one_edge(1.8, 0.6, 0.02),
        one_edge(2.0, 0.8, 0.04),
        np.full(x.size, 2 * NOISE.position_px**2),
        NOISE,
        5.0,
        reach,
    )
    density = np.exp(laws) * step**2
    steady, burst, anywhere = density.T
    assert steady.sum() == pytest.approx(1.0, abs=0.01)
    assert anywhere.sum() == pytest.approx(1.0, abs=0.01)
    # Of the velocities, the one that is known twice as well counts twice.
    assert (steady @ x, steady @ y) == pytest.approx((2 * 5.6 / 3, 2 * 2.0 / 3), abs=0.01)
    # It is off by both places, by the velocity over two frames, and by how that changes in them.
    variance = 2 * 0.3**2 + 2**2 / (1 / 0.02 + 1 / 0.04) + 0.1**2 * 2**3 / 3
    assert steady @ (x - steady @ x) ** 2 == pytest.approx(variance, rel=0.01)
    # Twice as far as velocities are spread, more with the root of the time.
    assert anywhere @ x**2 == pytest.approx((2 * 5.0) ** 2 * 2, rel=0.01)
    heading = np.array([5.6, 2.0]) / np.hypot(5.6, 2.0)
    along = x * heading[0] + y * heading[1]
    assert burst[along <= reach].sum() == pytest.approx(1.0, abs=0.02)
    assert burst[along <= 2 * np.hypot(5.6, 2.0) / 3].sum() == 0.0


def test_alike_is_by_how_much_likelier_the_velocity_is_than_a_new_particles():
    before, after = one_edge(2.0, 0.5, 0.03), one_edge(1.7, -0.4, 0.05)
    mean, covariance = np.array([[1.0, 0.3]]), np.array([[[2.0, 0.7], [0.7, 1.2]]])
    first, dt = np.zeros(1, np.int64), np.array([3.0])
    found = _log_alike(dt, first, first, before, after, NOISE, mean, covariance)
    # Both are known so well; it changes from frame to frame, and by a quarter of the speed.
    speed2 = (3.7**2 + 0.1**2) / 4
    variance = 0.03 + 0.05 + 3 * NOISE.acceleration_px**2 + speed2 / 16
    same = multivariate_normal.logpdf([1.7, -0.4], [2.0, 0.5], variance * np.eye(2))
    new = multivariate_normal.logpdf([1.7, -0.4], mean[0], covariance[0] + 0.05 * np.eye(2))
    assert found[0] == pytest.approx(same - new)
    unknown = _log_alike(
        dt, first, first, one_edge(np.nan, np.nan, np.inf), after, NOISE, mean, covariance
    )
    assert unknown[0] == 0.0


def pieces_per_particle(table):
    return table.groupby("true")["track"].nunique()


def test_pieces_across_missed_frames_are_joined():
    """
    Six frames, more than the memory, are missed in every flight.

        o o o o . . . . . . o o o o
    """
    table = straight()
    since = table["frame"] - 3 * table["true"]
    table = table[(since < 25) | (since >= 31)].assign(piece=2 * table["true"] + (since > 28))
    out = closed(table)
    assert (pieces_per_particle(out) == 1).all()
    assert out["track"].nunique() == table["true"].nunique()


def test_a_burst_forward_is_joined_with_its_middle():
    """
    A tenth of the particles make two steps of 12 px; the detection in between stands alone.

        o o o o      o      o o o
    """
    table = straight()
    since = table["frame"] - 3 * table["true"]
    bursts = table["true"] % 10 == 5
    table.loc[bursts, "x"] += 10.0 * np.clip(since[bursts] - 50, 0, 2)
    piece = table["true"] * 3 + (since > 50) * bursts + (since > 51) * bursts
    out = closed(table.assign(piece=piece))
    assert (pieces_per_particle(out) == 1).all()


def test_pieces_of_different_particles_stay_apart():
    """A particle ends; another, some frames later and on the lane next to it, begins."""
    table = straight()
    since = table["frame"] - 3 * table["true"]
    table = table[since < 30 - 2 * (table["true"] % 2)].assign(piece=table["true"])
    out = closed(table)
    assert out["track"].nunique() == table["true"].nunique()
    assert (pieces_per_particle(out) == 1).all()


def test_of_two_pieces_as_near_the_one_that_moves_alike_follows():
    """
    Where a particle is seen again, another begins that moves across.

                            2
                            2
        1 1 1 1 . . . . . . 1 1 1 1
    """
    table = straight()
    since = table["frame"] - 3 * table["true"]
    own = table[(since < 25) | (since >= 31)].assign(piece=2 * table["true"] + (since > 28))
    other = table[(since >= 31) & (since < 41)]
    first = other.groupby("true")["x"].transform("first")
    across = 2.0 * (other["frame"] - 3 * other["true"] - 31)
    other = other.assign(
        true=100 + other["true"], piece=100 + other["true"], x=first, y=other["y"] + across
    )
    out = closed(pd.concat([own, other], ignore_index=True))
    assert (pieces_per_particle(out) == 1).all()
    assert out["track"].nunique() == 80


def test_no_piece_has_two_successors():
    rng = np.random.default_rng(0)
    table = straight(noise=1.0)
    clutter = pd.DataFrame(
        {
            "true": -1,
            "frame": rng.integers(0, 150, 400),
            "x": rng.uniform(0, 300, 400),
            "y": rng.uniform(0, 1600, 400),
        }
    )
    since = table["frame"] - 3 * table["true"]
    table["piece"] = table["true"] * 4 + since // 20
    clutter["piece"] = 1000 + np.arange(400)
    out = closed(pd.concat([table, clutter], ignore_index=True))
    assert not out.duplicated(["track", "frame"]).any()


@pytest.mark.parametrize("n", [0, 1, 2])
def test_next_to_nothing(n):
    table = straight(n=1).head(n).assign(piece=np.arange(n))
    assert closed(table)["track"].tolist() == list(range(n))


def test_bursts_do_not_break_tracks_any_more():
    """Linked from detections: each particle is one track, its burst and all."""
    table = straight(n=60)
    since = table["frame"] - 3 * table["true"]
    bursts = table["true"] % 6 == 0
    table.loc[bursts, "x"] += 9.0 * np.clip(since[bursts] - 52, 0, 2)
    linked = link_detections(table, LinkConfig()).particles
    tracks = linked.groupby("true")["particle"].agg(["nunique", "min"])
    assert (tracks["nunique"] == 1).all()
    assert (tracks["min"] >= 0).all()


def test_particles_that_hid_each_other_are_told_apart_by_how_they_looked_before():
    """
    Two by two, a light and a dark one side by side run into one, then neither is seen.

        o o o o @ . . . o o o o
        O O O O @ . . . O O O O
    """
    table = straight()
    single = table["true"] % 2 == 1
    table.loc[single, "x"] = table.loc[~single, "x"].to_numpy()
    table.loc[single, "y"] -= 39.8
    table["frame"] -= np.where(single, 3, 0)
    since = table["frame"] - 6 * (table["true"] // 2)
    seen = (since < 25) | (since >= 29)
    table = table[seen].assign(piece=2 * table["true"] + (since > 27))
    together = (since[seen] == 24).to_numpy()
    rng = np.random.default_rng(2)
    is_dark = table["true"] % 2 == rng.integers(0, 2, 20)[table["true"] // 2]
    mass = np.where(together, 5.0, np.where(is_dark, 4.0, 1.0))
    noise = rng.normal(0, 0.05, (len(table), 2))
    looks = noise + np.column_stack([np.log(mass), np.ones(len(table))])
    number, frame = (table[name].to_numpy(np.int64)[~together] for name in ("true", "frame"))
    score = LookScore.learned(number, frame, looks[~together])
    out = closed(table, looks=looks, look_score=score)
    assert (pieces_per_particle(out) == 1).mean() >= 0.95


def test_tracks_that_have_grown_at_their_ends_are_joined():
    """What a track took up brought its end within a gap of the next."""
    table = straight()
    since = table["frame"] - 3 * table["true"]
    seen = table[(since < 20) | (since >= 34)]
    config = LinkConfig(gap_frames=10)
    linked = link_detections(seen.drop(columns="true"), config)
    assert linked.particles["particle"].nunique() == 2 * table["true"].nunique()
    taken_up = table[(since >= 28) & (since < 34)]
    later = linked.particles.assign(true=seen["true"].to_numpy())
    owner = later[later["frame"] - 3 * later["true"] >= 34].groupby("true")["particle"].first()
    grown = pd.concat(
        [later, taken_up.assign(particle=taken_up["true"].map(owner))], ignore_index=True
    )
    joined = join_longer(grown, linked.knowledge, config)
    assert joined.groupby("true")["particle"].nunique().max() == 1
    assert joined["particle"].nunique() == table["true"].nunique()
    pd.testing.assert_frame_equal(joined.drop(columns="particle"), grown.drop(columns="particle"))
