"""Tests between groups of runs, against other programs' and by simulation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pitflow.holm import holm
from pitflow.measure import compare, trend
from pitflow.measure.compare import (
    RunTables,
    compare_directions,
    compare_groups,
    compute_pit_summary,
    compute_run_summary,
    replication,
)

QUANTITIES = ("area_um2", "growth_um2_s", "ejections_per_s", "speed_um_s", "resultant_square")


def world(levels, runs_each, pits_each, rng, slope=0.0, between_runs=0.0):
    """Pits and runs whose quantities rise with concentration by ``slope`` and differ by run."""
    pits, runs = [], []
    for level in levels:
        for number in range(runs_each):
            run = f"{level}-{number}"
            base = slope * level + between_runs * rng.normal()
            own = pd.DataFrame(
                {name: base + rng.normal(size=pits_each) for name in QUANTITIES}
            ).assign(run=run, label=f"{level} mM", concentration_mM=float(level))
            pits.append(own)
            runs.append(
                {"run": run, "label": f"{level} mM", "concentration_mM": float(level)}
                | {name: own[name].median() for name in QUANTITIES}
                | {"pits_per_mm2": base + rng.normal(), "lag_s": np.nan}
            )
    return pd.DataFrame(runs), pd.concat(pits, ignore_index=True)


def even_run(run, level, per_pit, rng, correlation=None):
    """A run of six pits that eject ``per_pit`` particles each, in no preferred direction."""
    turn = np.exp(1j * rng.uniform(0, 2 * np.pi, (6, per_pit)))
    pits = pd.DataFrame(
        {"pit": np.arange(6), "area_um2": rng.normal(size=6), "n_ejected": per_pit,
         "is_stable": True, "mean_angle_deg": 0.0, "resultant_length": np.abs(turn.mean(axis=1)),
         "rayleigh_q": 1.0}
    )  # fmt: skip
    growth = pd.concat(
        [pits[["pit"]].assign(frame=frame, area_px=frame + rng.normal(size=6)) for frame in (0, 50)]
    )
    ejections = pits[["pit"]].assign(speed_um_s=rng.normal(size=6))
    if correlation is None:
        correlation = pd.DataFrame({"pit": [-1], "lag": 0, "r": np.nan, "p": np.nan})
    return RunTables(run, f"{level} mM", float(level), 15.0, 0.5, rng.uniform(1, 2), 60, {
        "pits": pits, "growth": growth, "ejections": ejections, "correlation": correlation
    })  # fmt: skip


def test_more_particles_are_no_weaker_preference(monkeypatch):
    """No preference, but 8, 25 and 80 particles a pit: R falls with n, what is compared does not.

    The mean of R is 0.31, 0.18 and 0.10; unbiased squares differ in their scatter only.
    """
    own = [quantity for quantity in compare.QUANTITIES if quantity.name.startswith("resultant")]
    monkeypatch.setattr(compare, "QUANTITIES", own)
    monkeypatch.setattr(trend, "_DRAWS", 499)
    found = {"Kruskal-Wallis": 0, "Spearman": 0}
    for seed in range(40):
        rng = np.random.default_rng(seed)
        runs = [
            even_run(f"{level}-{number}", level, per_pit, rng)
            for level, per_pit in ((10, 8), (30, 25), (100, 80))
            for number in range(3)
        ]
        pits = compute_pit_summary(runs)
        tests = compare_groups(compute_run_summary(runs, pits), pits).set_index("test")
        for test in found:
            found[test] += tests.loc[test, "p"] <= 0.05
    assert found["Kruskal-Wallis"] <= 5
    assert found["Spearman"] <= 7


def test_the_lag_of_a_run_is_that_of_its_own_report():
    """Few pairs at a long lag make a large r by chance; the clearest lag is another."""
    correlation = pd.DataFrame(
        {"pit": -1, "lag": [6, 40], "r": [0.4, 0.5], "p": [0.01, 0.4], "n_effective": [60.0, 9.0]}
    )
    run = even_run("a", 10, 20, np.random.default_rng(0), correlation)
    summary = compute_run_summary([run], compute_pit_summary([run])).iloc[0]
    assert summary["lag_frames"] == 6
    assert summary["lag_s"] == pytest.approx(0.4)
    assert (summary["lag_r"], summary["lag_p"]) == (0.4, 0.01)


def test_runs_are_the_unit_where_every_group_has_several():
    rng = np.random.default_rng(2)
    runs, pits = world([10, 30, 100], 3, 8, rng, slope=0.05)
    tests = compare_groups(runs, pits)
    assert replication(runs) == "run"
    overall = tests[tests["test"] == "Kruskal-Wallis"].set_index("quantity")
    assert (overall["unit"] == "run").all()
    assert overall.loc["area_um2", "n"] == 9
    area = [runs.loc[runs["label"] == f"{c} mM", "area_um2"] for c in (10, 30, 100)]
    assert overall.loc["area_um2", "p"] == pytest.approx(stats.kruskal(*area).pvalue)
    pairs = tests[(tests["test"] == "Mann-Whitney") & (tests["quantity"] == "area_um2")]
    assert list(pairs["groups"]) == ["10 mM / 30 mM", "10 mM / 100 mM", "30 mM / 100 mM"]
    np.testing.assert_allclose(pairs["p_adjusted"], holm(pairs["p"]))
    rising = tests[tests["test"] == "Spearman"].set_index("quantity")
    assert rising.loc["area_um2", "effect"] > 0.7
    assert rising.loc["area_um2", "p_adjusted"] < 0.05


def test_no_pair_of_groups_differs_more_surely_than_all_of_them():
    runs, pits = world([10, 30, 100], 1, 8, np.random.default_rng(1))
    tests = compare_groups(runs, pits)
    overall = tests[tests["test"] == "Kruskal-Wallis"].set_index("quantity")["p_adjusted"]
    pairs = tests[tests["test"] == "Mann-Whitney"]
    least = pairs["quantity"].map(overall)
    own = pairs.groupby("quantity")["p"].transform(lambda p: holm(p.to_numpy()))
    assert (own < least).any()
    np.testing.assert_allclose(pairs["p_adjusted"], np.maximum(own, least))


def test_pits_stand_in_for_single_runs_but_not_in_the_trend():
    runs, pits = world([5, 10, 30, 100], 1, 6, np.random.default_rng(3))
    tests = compare_groups(runs, pits)
    assert replication(runs) == "pit"
    assert set(tests.loc[tests["test"] == "Kruskal-Wallis", "unit"]) == {"pit"}
    assert set(tests.loc[tests["test"] == "Spearman", "unit"]) == {"run"}


def test_taking_pits_for_runs_is_what_the_warning_is_about():
    """Runs that differ by chance: run-level tests keep their level, pit-level tests do not."""
    false = {"run": 0, "pit": 0}
    for seed in range(60):
        rng = np.random.default_rng(seed)
        runs, pits = world([10, 30], 6, 10, rng, between_runs=1.0)
        for unit, values in (("run", runs), ("pit", pits)):
            groups = [g["area_um2"].to_numpy() for _, g in values.groupby("label")]
            false[unit] += stats.mannwhitneyu(*groups).pvalue <= 0.05
    assert false["run"] <= 8
    assert false["pit"] >= 15


def test_one_group_or_nothing_to_compare_gives_no_tests():
    runs, pits = world([10], 2, 3, np.random.default_rng(0))
    assert compare_groups(runs, pits).empty
    pits = pits.assign(mean_angle_deg=np.nan, n_ejected=9)
    assert compare_directions(pits, ["10 mM"], unit="run").empty


def test_directions_that_differ_are_told_apart():
    rng = np.random.default_rng(4)
    pits = pd.concat(
        [
            pd.DataFrame(
                {
                    "label": label,
                    "mean_angle_deg": np.degrees(rng.vonmises(np.radians(centre), 6, 12)) % 360,
                    "n_ejected": 9,
                }
            )
            for label, centre in (("10 mM", 350), ("30 mM", 350), ("100 mM", 80))
        ]
    )
    tests = compare_directions(pits, ["10 mM", "30 mM", "100 mM"], unit="pit").set_index("groups")
    assert (tests["test"] == "Watson-Williams").all()
    assert tests.loc["10 mM / 30 mM", "p_adjusted"] > 0.05
    row = tests.loc["30 mM / 100 mM"]
    assert row["p_adjusted"] < 0.05
    assert row["effect"] == pytest.approx(90, abs=25)


def replicated_directions(rng, spread_deg, apart_deg=0.0, runs_each=4):
    """Two groups of runs of six pits, runs scattered about their group's direction."""
    rows = [
        {"label": label, "run": f"{label}-{number}", "mean_angle_deg": angle, "n_ejected": 20}
        for label, centre in (("10 mM", 90.0), ("30 mM", 90.0 + apart_deg))
        for number in range(runs_each)
        for turn in [centre + rng.normal(0, spread_deg)]
        for angle in (turn + np.degrees(rng.vonmises(0, 4, 6))) % 360
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize("spread_deg", [0, 40])
def test_runs_of_one_direction_are_not_told_apart_by_their_pits(spread_deg):
    """By pits, a third of such comparisons find a difference where runs scatter by 40 degrees."""
    found = 0
    for seed in range(60):
        pits = replicated_directions(np.random.default_rng(seed), spread_deg)
        tests = compare_directions(pits, ["10 mM", "30 mM"], unit="run")
        assert (tests["unit"].item(), tests["n"].item()) == ("run", 8)
        found += (tests["p_adjusted"] <= 0.05).any()
    assert found <= 7


def test_runs_of_two_directions_are_told_apart():
    pits = replicated_directions(np.random.default_rng(0), 20, apart_deg=120, runs_each=5)
    row = compare_directions(pits, ["10 mM", "30 mM"], unit="run").iloc[0]
    assert row["p_adjusted"] < 0.05
    assert row["effect"] == pytest.approx(120, abs=35)


def test_pits_do_not_stand_in_for_runs_that_lack_a_quantity():
    runs, pits = world([10, 30, 100], 2, 6, np.random.default_rng(5))
    lacking = runs["run"].str.endswith("-1")
    runs.loc[lacking, "speed_um_s"] = np.nan
    pits.loc[pits["run"].str.endswith("-1"), "speed_um_s"] = np.nan
    tests = compare_groups(runs, pits)
    assert set(tests["unit"]) == {"run"}
    assert not ((tests["quantity"] == "speed_um_s") & (tests["test"] == "Spearman")).any()


def test_lags_are_adjusted_over_the_runs():
    """Twenty runs without a relation; one has p = 0.04 by chance."""
    rng = np.random.default_rng(0)

    def of(p):
        return pd.DataFrame({"pit": -1, "lag": [6], "r": [0.4], "p": [p], "n_effective": [60.0]})

    runs = [even_run(f"{k}", 10, 20, rng, of(0.04 if k == 0 else 0.5)) for k in range(20)]
    summary = compute_run_summary(runs, compute_pit_summary(runs))
    assert summary["lag_s"].isna().all()
    assert summary["lag_q"].min() == pytest.approx(0.5)


def test_pits_at_the_edge_of_the_frame_prefer_nothing():
    """Even ejection, half of it unseen: the pit is in no count of preferences and no direction."""
    run = even_run("a", 10, 20, np.random.default_rng(0))
    own = run.tables["pits"].assign(
        visible_share=[1.0, 0.9, 0.5, 1.0, 0.75, np.nan], rayleigh_q=[0.01, 1, 0.01, 1, 0.01, 1]
    )
    run = replace(run, tables={**run.tables, "pits": own})
    pits = compute_pit_summary([run])
    assert list(pits["resultant_square"].isna()) == [False, False, True, False, True, False]
    summary = compute_run_summary([run], pits).iloc[0]
    assert (summary["n_preferring"], summary["n_seen_round"], summary["n_pits"]) == (1, 4, 6)
    other = pits.assign(label="30 mM")
    tests = compare_directions(pd.concat([pits, other]), ["10 mM", "30 mM"], unit="pit")
    assert list(tests["n"]) == [8]
