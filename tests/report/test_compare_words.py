"""What the page that compares runs says of its tests."""

from __future__ import annotations

import pandas as pd
import pytest

from pitflow.measure.compare import QUANTITIES
from pitflow.report.compare_words import UNITS, WORDS, findings, warnings

NO_PITS = pd.DataFrame()


def run_table(sizes: list[int]) -> pd.DataFrame:
    """A summary of runs, so many of each concentration, with neither pits nor lags."""
    rows = [
        {"run": f"{group}-{number}", "label": f"{group} mM", "concentration_mM": float(group),
         "fps": 15.0, "um_per_px": 1.0, "n_pits": 0, "n_ejected": 0, "n_preferring": 0,
         "n_seen_round": 0, "n_split": 0,
         "lag_p": float("nan"), "lag_s": float("nan"), "lag_r": float("nan")}
        for group, size in enumerate(sizes)
        for number in range(size)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def table_of(*rows: tuple[str, str, str, float]) -> pd.DataFrame:
    """Tests of (quantity, test, groups, adjusted p)."""
    table = pd.DataFrame(rows, columns=["quantity", "test", "groups", "p_adjusted"])
    return table.assign(unit="run", n=6, effect=0.5, p=table["p_adjusted"])


def test_every_quantity_has_words() -> None:
    names = [quantity.name for quantity in QUANTITIES]
    assert list(WORDS) == [*names, "mean_angle_deg"]
    assert set(UNITS) <= set(names)


def test_a_quantity_that_two_groups_have_is_told_beside_those_of_all() -> None:
    """Only two of three groups have lags: their test is over two, that of the others over three."""
    tests = table_of(
        ("area_um2", "Kruskal-Wallis", "a / b / c", 0.4),
        ("area_um2", "Mann-Whitney", "a / b", 0.01),
        ("lag_s", "Mann-Whitney", "a / c", 0.015),
    )
    told = findings(run_table([2, 2, 2]), NO_PITS, tests)[1]
    assert "lag of ejection behind growth (q = 0.015, a / c only)" in told
    assert "area" not in told


def test_one_test_says_whether_directions_differ() -> None:
    def told(p: float) -> str:
        tests = table_of(("mean_angle_deg", "Watson-Williams", "a / b", p))
        return findings(run_table([2, 2]), NO_PITS, tests)[-1]

    assert told(0.015).startswith("Directions of ejection differ between a / b (p = 0.015)")
    assert told(0.17).startswith("There is no evidence that different groups")
    assert "units of the test: runs" in told(0.17)


def test_a_lag_at_which_directions_are_opposite_is_told() -> None:
    runs = run_table([2, 2]).assign(lag_p=0.01, lag_s=0.4, lag_r=[0.5, 0.4, 0.6, 0.5])
    assert findings(runs, NO_PITS, table_of())[-1].endswith("positive: ejection is later.")
    runs.loc[1, "lag_r"] = -0.4
    told = findings(runs, NO_PITS, table_of())[-1]
    assert told.endswith("in 1 of these they are opposite (r < 0).")


def test_pits_as_units_of_a_trend_are_warned_of() -> None:
    trend = table_of(("area_um2", "Spearman", "5 to 100 mM", 0.01))
    for unit, warned in (("pit", True), ("run", False)):
        told = warnings(run_table([2, 2, 2]), pd.DataFrame(), trend.assign(unit=unit))
        assert any("trends over concentration take pits" in text for text in told) is warned


@pytest.mark.parametrize(
    ("sizes", "least"),
    [([3, 3], "0.1"), ([4, 2], "0.13"), ([2, 2, 2], "0.1"), ([2, 2, 2, 2], "0.083")],
)
def test_too_few_runs_for_any_evidence(sizes: list[int], least: str) -> None:
    """Two groups: 2 of all divisions of the runs. Three of two runs: H = 32 / 7, so p = 0.102."""
    told = warnings(run_table(sizes), pd.DataFrame(), table_of())
    assert any(f"can give is {least}: too few" in text for text in told)


@pytest.mark.parametrize("sizes", [[4, 4], [3, 3, 3]])
def test_enough_runs_for_evidence(sizes: list[int]) -> None:
    told = warnings(run_table(sizes), pd.DataFrame(), table_of())
    assert not any("too few runs" in text for text in told)


def test_pits_at_the_edge_of_the_frame_are_named() -> None:
    pits = pd.DataFrame(
        {"run": ["a", "a", "b"], "pit": [0, 1, 2], "n_ejected": [20, 20, 0],
         "visible_share": [1.0, 0.6, 0.5]}
    )  # fmt: skip
    told = warnings(run_table([4, 4]), pits, table_of())
    told = [text for text in told if "edge of the frame" in text]
    assert len(told) == 1
    assert "a: 1." in told[0]


def test_preferring_pits_are_counted_among_those_that_could_be_tested() -> None:
    pits = pd.DataFrame(
        {"rayleigh_q": [0.01, 0.4, 0.01, float("nan")], "visible_share": [1.0, 1.0, 0.6, 1.0]}
    )
    told = findings(run_table([4, 4]), pits, table_of())[1]
    assert told.startswith("1 of 2 tested pits that are seen on all sides ejects in a preferred")
    assert (
        "2 of 3 tested pits eject in"
        in findings(run_table([4, 4]), pits.assign(visible_share=1.0), table_of())[1]
    )
