"""The interval of a difference over splits that share micrographs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pitflow.domains.sem.study_page import _findings, differences, split_interval
from pitflow.domains.sem.study_task import BASELINE, WITH, WITHOUT


def test_the_interval_by_hand() -> None:
    """Mean 2 of 1, 2, 3; variance 1, times 1/3 + 1/4; Student's t of 2 degrees is 4.3027."""
    half = 4.302653 * np.sqrt(1 / 3 + 1 / 4)
    interval = split_interval(np.array([1.0, 2.0, 3.0]), 0.25)
    assert interval == pytest.approx((2 - half, 2 + half), rel=1e-6)


@pytest.mark.parametrize("n_splits", [3, 5, 7])
def test_the_interval_holds_the_truth_where_splits_share_micrographs(n_splits: int) -> None:
    """A test side of a fifth: differences correlate by a fifth, and their true mean is 0."""
    rng = np.random.default_rng(n_splits)
    shared = np.sqrt(0.2) * rng.normal(size=(1000, 1))
    differences = shared + np.sqrt(0.8) * rng.normal(size=(1000, n_splits))
    held = 0
    for drawn in differences:
        low, high = split_interval(drawn, 0.25)
        held += low <= 0 <= high
    assert held / 1000 == pytest.approx(0.95, abs=0.02)


def test_a_difference_over_splits_is_told_with_its_interval() -> None:
    ap50 = {WITH: (1.0, 0.5, 0.65), WITHOUT: (0.34, 0.75, 0.83), BASELINE: (0.52, 0.01, 0.15)}
    rows = pd.DataFrame(
        [
            {"experiment": name, "split": split, "ap50": value}
            for name, values in ap50.items()
            for split, value in enumerate(values, start=1)
        ]
    )
    result = {"scores": {"n_images": 1}, "n_train": 6, "n_aside": 1}
    found = differences(rows, {(WITH, 0): result})
    assert [one.other for one in found] == [WITHOUT, BASELINE]
    assert found[0].mean == pytest.approx(0.0766667)
    assert found[0].low < 0 < found[0].high
    table = rows[rows["experiment"] == WITH]
    said = _findings(rows[rows["split"] == 1], table, rows, found)
    assert any("not told from chance" in one and WITHOUT in one for one in said)
    assert any("more than chance" in one and BASELINE in one for one in said)
