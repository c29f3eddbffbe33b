"""A whole run against truth, with answers known by construction."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from pitflow import schema
from pitflow.errors import UserError
from pitflow.score import Truth, as_json, render_text, score_run, score_tables
from pitflow.score.pits import match_pits


def particles() -> pd.DataFrame:
    """Three tracks of ten frames along x, from pits 0, 0 and 1."""
    parts = [
        pd.DataFrame(
            {
                "particle": k,
                "frame": np.arange(10),
                "x": 120.0 + 5 * np.arange(10),
                "y": 100.0 + 40 * k,
                "contrast": 0.1,
                "diameter_px": 6.0,
                "z_um": 10.0 + np.arange(10),
                "blur_px": 2.0 + np.arange(10),
                "pit": int(k == 2),
            }
        )
        for k in range(3)
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def truth() -> Truth:
    return Truth(
        {
            "particles": particles(),
            "pits": pd.DataFrame(
                {
                    "pit": [0, 1],
                    "x": [100.0, 400.0],
                    "y": [100.0, 200.0],
                    "area_px": [500.0, 300.0],
                    "onset_frame": [0, 4],
                }
            ),
            "ejections": pd.DataFrame(
                {
                    "particle": [0, 1, 2],
                    "pit": [0, 0, 1],
                    "frame": 0,
                    "angle_deg": [0.0, 30.0, 359.0],
                }
            ),
            "outliers": pd.DataFrame({"particle": [0, 0, 1], "frame": [4, 5, 8]}),
        },
        {"lag_frames": 10},
    )


def correlation(peak: int) -> pd.DataFrame:
    lag = np.arange(-20, 21)
    r = 0.5 * np.exp(-((lag - peak) ** 2) / 8.0)
    return pd.DataFrame({"pit": -1, "lag": lag, "r": r, "p": 0.01})


@pytest.fixture
def run(truth: Truth) -> dict[str, pd.DataFrame]:
    """The truth under other numbers, with one pit invented, an ejection missed, angles off by 2."""
    found = particles()
    found["particle"] = 10 + found["particle"]
    pits = truth.tables["pits"].assign(pit=[1, 0], x=[103.0, 400.0], area_px=[600.0, 360.0])
    pits.loc[2] = [2, 900.0, 900.0, 100.0, 0]
    ejections = pd.DataFrame(
        {"particle": [10, 12, 99], "pit": [1, 1, 0], "frame": 0, "angle_deg": [358.0, 1.0, 5.0]}
    )
    outliers = pd.DataFrame({"particle": [10, 11, 12, 2], "frame": [8, 4, 5, 8]})
    return {
        "particles": found,
        "pits": pits,
        "ejections": ejections,
        "outliers": outliers,
        "correlation": correlation(9),
    }


def test_sections(run, truth):
    score = score_tables(run, truth)
    sections = score.sections
    assert sections["detection"]["all"]["f1"] == 1
    assert sections["detection"]["contrast >=0.07"]["found"] == 30
    # Seven positions of the first track and three of the second: pit 0 has a radius of 12.6 px.
    assert sections["detection"]["within 40 px of a rim"]["found"] == 10
    assert sections["detection"]["near rims, contrast >=0.07"]["found"] == 10
    assert sections["detection"]["near rims, contrast <0.035"]["found"] == 0
    assert sections["linking"]["jsc_theta"] == 1
    assert sections["height"]["blur_spearman"] == pytest.approx(1)
    assert sections["height"]["z_error_median_um"] == 0

    pits = sections["pits"]
    assert (pits["found"], pits["missed"], pits["invented"]) == (2, 0, 1)
    assert pits["centre_error_px"] == pytest.approx(1.5)
    assert pits["area_ratio"] == pytest.approx(1.2)
    assert pits["onset_error_frames"] == 0

    ejections = sections["ejections"]
    assert (ejections["found"], ejections["missed"], ejections["invented"]) == (2, 1, 1)
    assert ejections["angle_error_median_deg"] == pytest.approx(2.0)
    assert ejections["source_pit_right"] == pytest.approx(0.5)

    assert sections["lag"]["error_frames"] == -1
    # The burst in frames 4 and 5 is one event, found at 8; frame 4 is too far from 8. The last one
    # is of a track that is no true particle's.
    events = sections["velocity outliers"]
    assert (events["found"], events["missed"], events["invented"]) == (1, 1, 3)


@pytest.mark.parametrize(
    ("radius", "off", "found"), [(6, 19, 1), (6, 21, 0), (60, 59, 1), (60, 61, 0)]
)
def test_a_pit_is_found_within_20_px_or_its_own_radius(radius, off, found):
    true = pd.DataFrame({"pit": [3], "x": [100.0], "y": [80.0], "area_px": [np.pi * radius**2]})
    pairs, counts = match_pits(true, true.assign(pit=5, x=100.0 + off))
    assert (counts.found, counts.missed, counts.invented) == (found, 1 - found, 1 - found)
    assert pairs["distance_px"].tolist() == [off] * found


@pytest.mark.parametrize("in_first_frame", [False, True])
def test_a_chance_match_does_not_decide_where_the_truth_lies(run, truth, in_first_frame):
    frames = pd.DataFrame({"frame": np.arange(10), "shift_x_px": 1.5, "shift_y_px": 1.5})
    shift = 1.5 if in_first_frame else 0.0
    true = particles().assign(x=lambda t: t["x"] - shift, y=lambda t: t["y"] - shift)
    # Beyond the gate of 5 px where the truth lies, within it where it does not.
    chance = run["particles"].iloc[:1].assign(x=300.0 + 3.9, y=300.0 + 3.9)
    if in_first_frame:
        chance = chance.assign(x=300.0 - 5.4, y=300.0 - 5.4)
    missed = true.iloc[:1].assign(x=300.0 - shift, y=300.0 - shift, particle=9)
    tables = {"particles": pd.concat([true, missed], ignore_index=True), "frames": frames}
    found = {"particles": pd.concat([run["particles"], chance], ignore_index=True)}
    score = score_tables(found, Truth(tables, {})).sections
    assert score["position"]["rmse_px"] == pytest.approx(0.0, abs=1e-9)
    assert score["detection"]["all"]["invented"] == 1


def test_heights_are_compared_with_their_errors(run, truth):
    """Off by 0.5, 1.5 and 2.5 standard errors."""
    found = run["particles"]
    off = np.resize([0.5, 1.5, 2.5], len(found))
    run["particles"] = found.assign(z_um=found["z_um"] + 2 * off, z_err_um=2.0)
    height = score_tables(run, truth).sections["height"]
    assert height["within_1_sigma"] == pytest.approx(1 / 3, abs=0.03)
    assert height["within_95"] == pytest.approx(2 / 3, abs=0.03)


def pixels(late: int = 0, pits: tuple[int, int] = (0, 1)) -> pd.DataFrame:
    """Two pits that gain more and more pixels, all of them so many frames late."""
    frame = np.repeat(np.arange(10), np.arange(1, 11))
    x = np.arange(frame.size)
    return pd.concat(
        [
            pd.DataFrame({"pit": pit, "frame": frame + late, "x": x, "y": 9 * k})
            for k, pit in enumerate(pits)
        ],
        ignore_index=True,
    )


def test_growth_is_scored_pixel_by_pixel(run, truth):
    tables = truth.tables | {"pit_pixels": pixels()}
    # In the run the pits are numbered the other way round, and a third is invented.
    found = pixels(late=1, pits=(1, 0))
    found = pd.concat([found, pd.DataFrame({"pit": 2, "frame": 3, "x": [1], "y": [500]})])
    score = score_tables(run | {"pit_pixels": found.iloc[5:]}, Truth(tables, truth.facts))
    growth = score.sections["growth"]
    assert growth["pixels_iou"] == pytest.approx(105 / 110)
    assert growth["arrival_error_frames"] == growth["arrival_bias_frames"] == 1
    assert growth["rate_r"] < 0.5
    same = score_tables(run | {"pit_pixels": pixels(pits=(1, 0))}, Truth(tables, truth.facts))
    assert same.sections["growth"]["rate_r"] == pytest.approx(1)
    assert same.sections["growth"]["pixels_iou"] == 1


def test_growth_without_pixels_is_none(run, truth):
    nothing = pixels().iloc[:0]
    tables = Truth(truth.tables | {"pit_pixels": nothing}, truth.facts)
    growth = score_tables(run | {"pit_pixels": nothing}, tables).sections["growth"]
    assert all(np.isnan(value) for value in growth.values())


def test_absent_parts_are_named(run, truth):
    del run["outliers"], truth.tables["ejections"], truth.facts["lag_frames"]
    run["pits"] = run["pits"].drop(columns="y")
    score = score_tables(run, truth)
    assert {"ejections", "lag", "velocity outliers", "pits"}.isdisjoint(score.sections)
    assert "pits: the run lacks y" in score.absent
    assert any("ejections: the truth has no such table" in line for line in score.absent)
    assert any("outliers: the run has no such table" in line for line in score.absent)
    assert any("lag_frames" in line for line in score.absent)


def test_truth_outside_the_run_does_not_count(run, truth):
    run["frames"] = pd.DataFrame({"frame": np.arange(5)})
    run["particles"] = run["particles"].query("frame < 5").reset_index(drop=True)
    score = score_tables(run, truth)
    assert score.sections["detection"]["all"]["missed"] == 0
    assert score.sections["linking"]["jsc"] == 1


def test_empty_run(truth):
    run = {name: schema.empty_table(table) for name, table in schema.TABLES.items()}
    score = score_tables(run, truth)
    assert score.sections["detection"]["all"]["recall"] == 0
    assert score.sections["pits"]["missed"] == 2
    assert score.sections["linking"]["jsc_theta"] == 0
    json.loads(as_json(score))
    assert "DETECTION" in render_text(score)


def test_files_and_renderings(tmp_path, run, truth):
    (tmp_path / "run" / "tables").mkdir(parents=True)
    (tmp_path / "truth").mkdir()
    for name, table in run.items():
        table.to_parquet(tmp_path / "run" / "tables" / f"{name}.parquet")
    for name, table in truth.tables.items():
        table.to_csv(tmp_path / "truth" / f"{name}.csv", index=False)
    (tmp_path / "truth" / "truth.json").write_text('{"lag_frames": 10}')
    score = score_run(tmp_path / "run", tmp_path / "truth")
    assert score.sections["linking"]["jsc_theta"] == 1
    data = json.loads(as_json(score))
    assert data["sections"]["lag"]["true_frames"] == 10
    text = render_text(score)
    assert "jsc_theta" in text and "contrast >=0.07" in text


def test_bad_input(tmp_path, run):
    with pytest.raises(UserError, match="no such folder"):
        score_run(tmp_path / "none", tmp_path)
    (tmp_path / "run").mkdir()
    with pytest.raises(UserError, match="holds no table"):
        score_run(tmp_path / "run", tmp_path)
    run["pits"].to_parquet(tmp_path / "run" / "pits.parquet")
    (tmp_path / "truth").mkdir()
    with pytest.raises(UserError, match="no table of truth"):
        score_run(tmp_path / "run", tmp_path / "truth")
    with pytest.raises(UserError, match="gate"):
        score_run(tmp_path / "run", tmp_path / "truth", gate_px=0.0)
    run["pits"].to_parquet(tmp_path / "truth" / "pits.parquet")
    (tmp_path / "truth" / "truth.json").write_text("{")
    with pytest.raises(UserError, match="JSON"):
        score_run(tmp_path / "run", tmp_path / "truth")
