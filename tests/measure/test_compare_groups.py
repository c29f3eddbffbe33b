"""Tests between groups of runs, against other programs' and by simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pitflow.measure.compare import (
    compare_directions,
    compare_groups,
    holm,
    jonckheere_test,
    replication,
    spearman_test,
)

QUANTITIES = ("area_um2", "growth_um2_s", "ejections_per_s", "speed_um_s", "resultant_length")


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


def test_holm_by_hand():
    np.testing.assert_allclose(
        holm([0.01, 0.04, 0.03, np.nan, 0.9]), [0.04, 0.09, 0.09, np.nan, 0.9]
    )


def test_jonckheere_agrees_with_kendall_and_the_textbook():
    # Where every group holds one value, S is that of Kendall's tau.
    rng = np.random.default_rng(0)
    y = rng.normal(size=12)
    z, p = jonckheere_test([np.array([value]) for value in y])
    n = y.size
    s = stats.kendalltau(np.arange(n), y).statistic * n * (n - 1) / 2
    assert z == pytest.approx(s / np.sqrt(n * (n - 1) * (2 * n + 5) / 18))
    assert p == pytest.approx(2 * stats.norm.sf(abs(z)))
    # Hollander and Wolfe, example 6.2: J = 79 of mean 54; the variance is 150.29 with ties.
    groups = [
        [40, 35, 38, 43, 44, 41],
        [38, 40, 47, 44, 40, 42],
        [48, 40, 45, 43, 46, 44],
    ]
    z, p = jonckheere_test([np.array(group, dtype=float) for group in groups])
    assert z == pytest.approx(25 / np.sqrt(150.29), abs=1e-3)
    assert jonckheere_test([np.ones(4), np.ones(4)]) == (0.0, 1.0)


def test_spearman_agrees_with_scipy():
    rng = np.random.default_rng(1)
    x = np.repeat([5.0, 10.0, 30.0, 100.0], 4)
    y = 0.02 * x + rng.normal(size=16)
    rho, p = spearman_test(x, y)
    exact = stats.spearmanr(x, y)
    assert rho == pytest.approx(exact.statistic)
    assert p == pytest.approx(exact.pvalue, abs=0.02)
    assert np.isnan(spearman_test(x, np.ones(16))[0])


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
    trend = tests[tests["test"] == "Spearman"].set_index("quantity")
    assert trend.loc["area_um2", "effect"] > 0.7
    assert trend.loc["area_um2", "p_adjusted"] < 0.05


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
    assert compare_directions(pits.assign(mean_angle_deg=np.nan, n_ejected=9), ["10 mM"]).empty


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
    tests = compare_directions(pits, ["10 mM", "30 mM", "100 mM"]).set_index(["test", "groups"])
    assert tests.loc[("Watson-Williams", "10 mM / 30 mM / 100 mM"), "p"] < 0.001
    assert tests.loc[("Watson U2", "10 mM / 30 mM"), "p_adjusted"] > 0.05
    row = tests.loc[("Watson U2", "30 mM / 100 mM")]
    assert row["p_adjusted"] < 0.05
    assert row["effect"] == pytest.approx(90, abs=25)
