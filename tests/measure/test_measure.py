"""The whole stage: on simulated truth, and on the empty inputs."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from small_worlds import bursting, disc_pit, still_frames

from pitflow.config import MeasureConfig
from pitflow.lag import find_lag
from pitflow.measure.circular import wrap_difference
from pitflow.measure.measure import measure_all
from pitflow.schema import TABLES, empty_table, validate_table
from pitflow.segment.protocol import DETECTION_COLUMNS
from pitflow.simulate.config import SimulateConfig
from pitflow.simulate.world import simulate_world

STAGE_TABLES = (
    "frames", "particles", "pits", "growth", "ejections", "correlation", "outliers", "clustering",
    "flights", "flow", "current", "transients", "current_correlation",
)  # fmt: skip


def as_seen(tables, seed, *, jitter=0.4, missed=0.08, broken=0.15):
    """The truth as an imperfect segmenter and linker would hand it over.

    Positions jitter, detections are missed, particles are seen late, tracks break in two.
    """
    rng = np.random.default_rng(seed)
    table = tables["particles"].copy()
    n = int(table["particle"].max()) + 1
    shift = tables["frames"].set_index("frame").loc[table["frame"], ["shift_x_px", "shift_y_px"]]
    table["x"] += shift["shift_x_px"].to_numpy() + rng.normal(0, jitter, len(table))
    table["y"] += shift["shift_y_px"].to_numpy() + rng.normal(0, jitter, len(table))
    table["blur_px"] *= 1 + rng.normal(0, 0.05, len(table))
    age = table.groupby("particle").cumcount()
    late = rng.geometric(0.3, n) - 1
    breaks = np.where(rng.random(n) < broken, rng.integers(5, 40, n), len(table))
    number = table["particle"]
    second = age >= breaks[number] + 4
    kept = (rng.random(len(table)) > missed) & (age >= late[number])
    kept &= (age < breaks[number]) | second
    table["particle"] = number + np.where(second, n, 0)
    table = table[kept]
    length = table.groupby("particle")["x"].transform("size")
    table = table.loc[length >= 3, [*DETECTION_COLUMNS, "particle"]]
    return table.reset_index(drop=True), n


def measure(tables, particles, config=None):
    return measure_all(
        particles,
        tables["pit_pixels"],
        tables["frames"].assign(n_particles=0),
        config=config or MeasureConfig(),
        um_per_px=0.48,
        fps=15.0,
        shape=(1100, 1100),
        seed=0,
    )


@cache
def measured(seed):
    settings = SimulateConfig(height=1100, width=1100, pits=4, frames=260)
    truth = simulate_world(settings, seed).tables
    particles, n = as_seen(truth, seed)
    return truth, particles, n, measure(truth, particles)


@pytest.fixture(scope="module", params=[1, 2, 3])
def world(request):
    return measured(request.param)


def test_every_table_is_valid_and_repeats(world):
    truth, particles, _, found = world
    assert set(found) == set(STAGE_TABLES)
    for name in STAGE_TABLES:
        validated = validate_table(found[name], TABLES[name])
        pd.testing.assert_frame_equal(validated, found[name])
    shuffled = particles.sample(frac=1, random_state=0)
    again = measure(truth, shuffled)
    for name in STAGE_TABLES[2:]:
        pd.testing.assert_frame_equal(again[name], found[name])


def test_positions_stay_in_the_frames_geometry(world):
    _, particles, _, found = world
    pd.testing.assert_frame_equal(found["particles"][["x", "y"]], particles[["x", "y"]])
    counts = found["frames"].set_index("frame")["n_particles"]
    assert counts.sum() == len(particles)


def test_sources_and_angles_are_right():
    right, angles, pulls, field = [], [], [], []
    for seed in (1, 2, 3):
        truth, particles, n, found = measured(seed)
        true = truth["ejections"].set_index("particle")
        tracks = pd.Index(particles["particle"].unique())
        first = tracks[tracks < n]
        source = found["ejections"].set_index("particle")["pit"].reindex(first, fill_value=-1)
        true_source = true["pit"].reindex(first, fill_value=-1)
        from_pit = true_source >= 0
        right.append((source == true_source)[from_pit])
        field.append((source == -1)[~from_pit])
        both = found["ejections"].merge(
            truth["ejections"], on=["particle", "pit"], suffixes=("", "_true")
        )
        error = wrap_difference(both["angle_deg"] - both["angle_deg_true"])
        angles.append(np.abs(error))
        pulls.append(np.abs(error) / both["angle_err_deg"])
        assert np.abs((both["frame"] - both["frame_true"]).mean()) < 2
    assert np.concatenate(right).mean() >= 0.95
    assert np.concatenate(field).mean() >= 0.95
    assert np.median(np.concatenate(angles)) <= 3.0
    assert 0.6 < np.quantile(np.concatenate(pulls), 0.68) < 1.4


def test_the_planted_lag_is_found(world):
    answer = find_lag(world[3]["correlation"])
    assert abs(answer.lag - 10) <= 2
    assert answer.r > 0.3
    assert answer.p <= 0.05


def test_bursts_are_found():
    hits, events, true_hits, found_events = 0, 0, 0, 0
    for seed in (1, 2, 3):
        truth, _, n, found = measured(seed)
        # One row per frame of a burst: one event each time it starts.
        rows = truth["outliers"].sort_values(["particle", "frame"])
        starts = (rows.groupby("particle")["frame"].diff() != 1).to_numpy()
        planted = rows[starts]
        seen = found["outliers"].assign(particle=found["outliers"]["particle"] % n)
        pairs = planted.merge(seen, on="particle", suffixes=("", "_seen"))
        pairs = pairs[(pairs["frame_seen"] - pairs["frame"]).between(-3, 8)]
        events += len(planted)
        hits += len(pairs[["particle", "frame"]].drop_duplicates())
        found_events += len(seen)
        true_hits += len(pairs[["particle", "frame_seen"]].drop_duplicates())
    assert hits / events >= 0.85
    assert true_hits / found_events >= 0.85


def test_calibrated_heights_are_right(world):
    truth, particles, n, _ = world
    config = MeasureConfig.model_validate({"focus": {"sigma0_px": 0.9, "k_px_per_um": 0.25}})
    found = measure(truth, particles, config)["particles"]
    both = found.assign(particle=found["particle"] % n).merge(
        truth["particles"][["particle", "frame", "z_um"]],
        on=["particle", "frame"],
        suffixes=("", "_true"),
    )
    error = (both["z_um"] - both["z_um_true"]).abs()
    assert error.mean() <= 0.05 * (both["z_um_true"].max() - both["z_um_true"].min())
    assert both[["blur_px", "z_um_true"]].corr("spearman").iloc[0, 1] >= 0.9
    assert world[3]["particles"]["z_um"].isna().all()


def test_uniform_ejection_is_not_called_preferential():
    settings = SimulateConfig(
        height=900, width=900, pits=6, frames=200, law="uniform", rate=0.15,
        motion={"field_particles": 0.0},
    )  # fmt: skip
    p = []
    for seed in range(4):
        truth = simulate_world(settings, seed).tables
        p.append(measure(truth, as_seen(truth, seed)[0])["pits"]["rayleigh_p"].dropna())
    p = np.concatenate(p)
    assert (p < 0.01).mean() < 0.2


@pytest.mark.parametrize("without", ["particles", "pits", "tracks", "everything"])
def test_empty_inputs_give_typed_tables(without):
    truth, particles, _, full = measured(1)
    tables = dict(truth)
    if without in ("pits", "everything"):
        tables["pit_pixels"] = empty_table(TABLES["pit_pixels"])
    if without in ("particles", "everything"):
        particles = particles.head(0)
    if without == "tracks":
        particles = particles.assign(particle=-1)
    found = measure(tables, particles)
    for name in STAGE_TABLES:
        validate_table(found[name], TABLES[name])
        assert list(found[name].columns) == list(full[name].columns), name
        assert list(found[name].dtypes) == list(full[name].dtypes), name
    assert found["ejections"].empty
    assert len(found["particles"]) == len(particles)
    assert (found["particles"]["pit"] == -1).all()


def test_no_statistic_rests_on_glimpses(world):
    """A tenth of the detections, moved far, are glimpses; all else is as if they were not there."""
    truth, particles, _, _ = world
    rng = np.random.default_rng(5)
    glimpses = particles.sample(frac=0.1, random_state=5).sort_index()
    glimpses[["x", "y"]] += rng.normal(0, 8, (len(glimpses), 2))
    glimpses[["blur_px", "mass"]] *= 3
    sure = particles.drop(index=glimpses.index)
    # What is left of some tracks is nothing.
    glimpses = glimpses[glimpses["particle"].isin(sure["particle"])]
    together = pd.concat([sure.assign(is_glimpse=False), glimpses.assign(is_glimpse=True)])
    with_them, without = measure(truth, together), measure(truth, sure)
    for name in set(STAGE_TABLES) - {"frames", "particles"}:
        pd.testing.assert_frame_equal(with_them[name], without[name], obj=name)
    table = with_them["particles"]
    rows = table["is_glimpse"].to_numpy()
    columns = ["pit", "blur_px", "z_is_valid", "is_outlier", "angle_deg"]
    same = table.loc[~rows, columns].reset_index(drop=True)
    pd.testing.assert_frame_equal(same, without["particles"][columns])
    # They are completed all the same.
    of_track = table.loc[~rows].groupby("particle")["pit"].first()
    assert (table.loc[rows, "pit"] == table.loc[rows, "particle"].map(of_track)).all()
    assert table.loc[rows, ["vx_um_s", "speed_px"]].notna().all(axis=None)
    assert not table.loc[rows, "z_is_valid"].any()
    # A glimpse between two sure detections is in the burst that lies between them.
    known = table["is_outlier"].astype(float).mask(rows)
    ordered = table.assign(known=known).sort_values(["particle", "frame"], kind="stable")
    within = ordered.groupby("particle")["known"].bfill().eq(1.0).sort_index()
    np.testing.assert_array_equal(table.loc[rows, "is_outlier"], within[rows])
    assert with_them["frames"]["n_particles"].sum() == len(together)


def test_the_table_shows_a_burst_as_it_is_and_whole():
    """Two of its three frames are glimpses; those beside it keep the speed they have."""
    particles = bursting(noise=0.02)
    burst = (particles["particle"] == 7) & particles["frame"].between(60, 62)
    particles = particles.assign(is_glimpse=burst & (particles["frame"] < 62))
    tables = measure_all(
        particles,
        disc_pit(0, 600.0, 400.0, 8),
        still_frames(100),
        config=MeasureConfig(),
        um_per_px=0.5,
        fps=15.0,
        shape=(800, 900),
        seed=0,
    )
    table = tables["particles"]
    assert table["is_outlier"].equals(burst)
    np.testing.assert_allclose(table["speed_px"], np.where(burst, 10.0, 2.0), atol=0.2)
    np.testing.assert_allclose(table["speed_um_s"], 7.5 * table["speed_px"])
    flow = tables["flow"]
    assert flow["vx_um_s"].median() == pytest.approx(7.5 * 2.0, rel=0.01)
    assert flow["vy_um_s"].abs().median() < 0.1
