"""The table of pits on the page."""

from __future__ import annotations

import dataclasses

import numpy as np

from pitflow.report.pit_table import HEADINGS, pit_rows


def cells(data, heading):
    column = [name for name, _ in HEADINGS].index(heading)
    return [row.cells[column] for row in pit_rows(data)]


def test_a_lag_counts_by_what_is_left_of_it_over_all_pits(run):
    assert cells(run, "growth leads") == ["10", "no evidence", "no evidence"]
    table = run.tables["correlation"]
    adjusted = table.assign(q=np.where(table["lag"] == 10, 3 * table["p"], np.nan))
    adjusted.loc[adjusted["pit"] == 0, "q"] *= 2
    data = dataclasses.replace(run, tables={**run.tables, "correlation": adjusted})
    assert cells(data, "growth leads") == ["no evidence"] * 3
