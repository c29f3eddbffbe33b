"""Closing gaps, on motions whose tracks are known."""

import numpy as np
import pandas as pd
import pytest

from pitflow.config import LinkConfig
from pitflow.link.gaps import Evidence, close_gaps
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
