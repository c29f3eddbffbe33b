"""The world without rendering: what it plants is what its tables say."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from pitflow import schema
from pitflow.config import build
from pitflow.errors import UserError
from pitflow.simulate.config import SimulateConfig
from pitflow.simulate.world import World, simulate_world

SMALL = SimulateConfig(frames=150, height=500, width=600, pits=4, rate=0.4)


@pytest.fixture(scope="module")
def world() -> World:
    return simulate_world(SMALL, 5)


def test_same_seed_same_tables_and_another_seed_others(world: World) -> None:
    again, other = simulate_world(SMALL, 5).tables, simulate_world(SMALL, 6).tables
    for name in world.tables:
        pd.testing.assert_frame_equal(again[name], world.tables[name])
    for name in ("frames", "particles", "pits", "growth", "ejections", "pit_pixels"):
        assert not other[name].equals(world.tables[name])


def test_tables_are_valid_and_truth_is_json(world: World) -> None:
    for name, data in world.tables.items():
        table = schema.TABLES[name]
        pd.testing.assert_frame_equal(schema.validate_table(data, table), data)
        assert list(data.columns) == table.names
    assert json.loads(json.dumps(world.truth))["lag_frames"] == SMALL.lag


def test_growth_is_the_count_of_pit_pixels(world: World) -> None:
    pixels, growth = world.tables["pit_pixels"], world.tables["growth"]
    assert not pixels.duplicated(["x", "y"]).any()
    for pit, own in growth.groupby("pit"):
        counted = [
            int(((pixels["pit"] == pit) & (pixels["frame"] <= frame)).sum())
            for frame in own["frame"]
        ]
        assert own["area_px"].tolist() == counted
        assert (np.diff(counted) >= 0).all()
    assert (
        world.tables["pits"]["area_px"].tolist() == growth.groupby("pit")["area_px"].max().tolist()
    )


def test_a_pits_first_pixels_appear_at_its_onset(world: World) -> None:
    first = world.tables["pit_pixels"].groupby("pit")["frame"].min()
    assert first.tolist() == world.tables["pits"]["onset_frame"].tolist()


def test_growth_direction_is_the_mean_over_new_pixels_about_the_onset(world: World) -> None:
    pits = world.tables["pits"].set_index("pit")
    growth = world.tables["growth"].dropna(subset="angle_deg")
    row = growth[growth["new_px"] > 5].iloc[7]
    pixels = world.tables["pit_pixels"].query("pit == @row.pit and frame == @row.frame")
    pit = pits.loc[row["pit"]]
    turn = np.arctan2(pixels["y"] - pit["onset_y"], pixels["x"] - pit["onset_x"])
    expected = np.degrees(np.angle(np.exp(1j * turn).sum())) % 360
    assert row["angle_deg"] == pytest.approx(expected)


def test_ejections_are_the_first_rows_of_particles_and_point_away_from_the_centre(
    world: World,
) -> None:
    ejections = world.tables["ejections"].set_index("particle")
    particles = world.tables["particles"]
    first = particles[particles["pit"] >= 0].groupby("particle").first()
    assert first.index.tolist() == ejections.index.tolist()
    np.testing.assert_allclose(first[["x", "y"]], ejections[["x", "y"]])
    off = (first["angle_deg"] - ejections["angle_deg"] + 180) % 360 - 180
    np.testing.assert_allclose(off, 0, atol=1e-6)
    assert world.tables["pits"]["n_ejected"].sum() == len(ejections)


def test_speed_is_the_step_to_the_next_frame(world: World) -> None:
    particles = world.tables["particles"].sort_values(["particle", "frame"])
    same = particles["particle"].to_numpy()[1:] == particles["particle"].to_numpy()[:-1]
    step = np.hypot(np.diff(particles["x"]), np.diff(particles["y"]))[same]
    np.testing.assert_allclose(step, particles["speed_px"].to_numpy()[:-1][same])
    assert (np.diff(particles["frame"])[same] == 1).all()


def test_particles_start_high_and_land_sharp(world: World) -> None:
    landed = world.landed
    particles = world.tables["particles"].set_index("particle")
    assert len(landed) > 50
    lands = landed[~landed["particle"].isin(world.tables["outliers"]["particle"])]
    ends = (
        particles.loc[lands["particle"]]
        .groupby("particle")
        .agg(last=("frame", "max"), z_first=("z_um", "first"), z_last=("z_um", "last"))
    )
    assert (ends["last"].to_numpy() + 1 == lands.set_index("particle")["frame"].sort_index()).all()
    assert (ends["z_last"] < 0.35 * ends["z_first"] + 1e-9).mean() > 0.95
    assert (particles["z_um"] >= 0).all()


def test_blur_follows_height_and_mass_does_not(world: World) -> None:
    particles, optics = world.tables["particles"], SMALL.optics
    expected = np.sqrt(optics.sigma0_px**2 + (optics.k_px_per_um * particles["z_um"]) ** 2)
    np.testing.assert_allclose(particles["blur_px"], expected)
    assert (particles.groupby("particle")["mass"].agg(np.ptp) == 0).all()


def test_flow_slows_down_with_distance() -> None:
    config = SMALL.model_copy(update={"pits": 1})
    particles = simulate_world(config, 2).tables["particles"]
    own = particles[(particles["pit"] == 0) & (particles["frame"] > 40)]
    near = own.loc[own["distance_px"] < 60, "speed_px"].median()
    far = own.loc[own["distance_px"] > 150, "speed_px"].median()
    assert far < 0.7 * near


def test_bursts_come_just_before_a_foreign_pit() -> None:
    config = SimulateConfig(frames=300, height=400, width=400, pits=4, rate=0.5)
    tables = simulate_world(config, 1).tables
    outliers = tables["outliers"]
    assert outliers["particle"].nunique() >= 5
    source = tables["ejections"].set_index("particle")["pit"]
    assert (outliers["nearest_pit"] != source.loc[outliers["particle"]].to_numpy()).all()
    assert outliers["distance_px"].median() < 80
    last = tables["particles"].groupby("particle")["frame"].max()
    assert (last.loc[outliers["particle"]].to_numpy() - outliers["frame"].to_numpy()).max() < 30


def test_stray_bursts_come_anywhere() -> None:
    motion = {"stray_burst_share": 0.5, "burst_share": 0}
    config = SimulateConfig(frames=150, height=400, width=400, pits=1, rate=0.5, motion=motion)
    tables = simulate_world(config, 1).tables
    outliers = tables["outliers"]
    # One in the last frame shows in no frame after it.
    bursting = tables["particles"].query(f"is_outlier and frame < {config.frames - 1}")
    assert outliers["particle"].nunique() > 5
    assert len(outliers) == len(bursting)
    usual = tables["particles"].query("not is_outlier")["speed_px"].median()
    assert (outliers["speed_px"] > 1.5 * usual).mean() > 0.9


def _circular_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Jammalamadaka and SenGupta's coefficient of two samples of angles, rad."""
    sin_a = np.sin(a - np.angle(np.exp(1j * a).sum()))
    sin_b = np.sin(b - np.angle(np.exp(1j * b).sum()))
    return float((sin_a * sin_b).sum() / np.sqrt((sin_a**2).sum() * (sin_b**2).sum()))


@pytest.mark.parametrize("lag", [0, 10, 25])
def test_departures_follow_growth_at_the_planted_lag(lag: int) -> None:
    config = SimulateConfig(frames=300, height=900, width=900, pits=6, rate=0.5, lag=lag)
    tables = simulate_world(config, 3).tables
    grown = tables["growth"].pivot_table(index="pit", columns="frame", values="angle_deg")
    grown = np.radians(grown.reindex(columns=range(-60, config.frames)).to_numpy())
    ejections = tables["ejections"]
    ejected = np.radians(ejections["angle_deg"].to_numpy())
    pit, frame = ejections["pit"].to_numpy(), ejections["frame"].to_numpy()
    total = np.zeros(60)
    for later in range(60):
        before = grown[pit, frame - later + 60]
        for number in range(config.pits):
            pair = (pit == number) & ~np.isnan(before)
            total[later] += pair.sum() * _circular_correlation(before[pair], ejected[pair])
    assert abs(int(np.argmax(total)) - lag) <= 2
    assert (tables["correlation"]["lag"] == lag).all()


def test_von_mises_law_has_the_planted_direction_and_strength() -> None:
    config = SimulateConfig(
        frames=600,
        height=600,
        width=600,
        pits=2,
        rate=1.0,
        law="vonmises",
        preference=2.0,
        preferred_deg=250.0,
        growth={"metastable_share": 0},
    )
    tables = simulate_world(config, 4).tables
    pits = tables["pits"]
    # Mean resultant length of a von Mises law with kappa = 2: I1(2) / I0(2) = 0.6978.
    np.testing.assert_allclose(pits["resultant_length"], 0.6978, atol=0.06)
    np.testing.assert_allclose(pits["mean_angle_deg"], 250.0, atol=6)
    assert (pits["n_modes"] == 1).all()
    assert tables["correlation"].empty


def test_uniform_law_has_no_direction() -> None:
    config = SimulateConfig(frames=600, height=600, width=600, pits=2, rate=1.0, law="uniform")
    pits = simulate_world(config, 4).tables["pits"]
    assert (pits["resultant_length"] < 3 / np.sqrt(pits["n_ejected"])).all()
    assert (pits["n_modes"] == 0).all()


@pytest.mark.parametrize(
    ("changes", "rows"),
    [
        ({"pits": 0}, {"pits": 0, "growth": 0, "ejections": 0, "pit_pixels": 0}),
        ({"rate": 0.0, "motion": {"field_particles": 0}}, {"particles": 0, "ejections": 0}),
        ({"frames": 1}, {"frames": 1}),
        ({"height": 16, "width": 17, "pits": 1}, {"pits": 1}),
        ({"pits": 40}, {"pits": 40}),
        ({"lag": 500}, {"frames": 40}),
    ],
)
def test_extreme_worlds_keep_their_columns(
    changes: dict[str, object], rows: dict[str, int]
) -> None:
    config = SimulateConfig(**{"frames": 40, "height": 65, "width": 121, "pits": 2} | changes)
    tables = simulate_world(config, 1).tables
    for name, data in tables.items():
        schema.validate_table(data, schema.TABLES[name])
    assert {name: len(tables[name]) for name in rows} == rows


def test_positions_stay_in_view(world: World) -> None:
    particles = world.tables["particles"]
    assert particles["x"].between(-0.5, SMALL.width - 0.5).all()
    assert particles["y"].between(-0.5, SMALL.height - 0.5).all()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"pitts": 3}, "pitts"),
        ({"frames": 0}, "frames"),
        ({"bits": 12}, "bits"),
        ({"codec": "divx"}, "codec"),
        ({"optics": {"opacity": (0.9, 0.2)}}, "opacity"),
        ({"motion": {"sped": 1}}, "motion.sped"),
        ({"height": 100000}, "height"),
    ],
)
def test_bad_configuration_is_one_clear_line(values: dict[str, object], told: str) -> None:
    with pytest.raises(UserError, match=told) as caught:
        build(SimulateConfig, values, where="simulate")
    assert "\n" not in str(caught.value)
