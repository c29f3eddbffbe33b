"""The table of pits on the page."""

from __future__ import annotations

import dataclasses

import numpy as np

from pitflow.config import Config, dump_config
from pitflow.report.pit_table import headings, pit_rows


def cells(data, heading):
    column = [name for name, _ in headings(data)].index(heading)
    return [row.cells[column] for row in pit_rows(data)]


def test_a_lag_counts_by_what_is_left_of_it_over_all_pits(run):
    assert cells(run, "growth leads") == ["10", "no evidence", "no evidence"]
    table = run.tables["correlation"]
    adjusted = table.assign(q=np.where(table["lag"] == 10, 3 * table["p"], np.nan))
    adjusted.loc[adjusted["pit"] == 0, "q"] *= 2
    data = dataclasses.replace(run, tables={**run.tables, "correlation": adjusted})
    assert cells(data, "growth leads") == ["no evidence"] * 3


def test_the_interval_is_the_one_that_was_asked_for(run):
    assert ("mean direction", "95 % interval") in headings(run)
    config = Config(measure={"ejection": {"confidence": 0.9}})
    provenance = {**run.provenance, "config": dump_config(config)}
    data = dataclasses.replace(run, provenance=provenance)
    assert ("mean direction", "90 % interval") in headings(data)


def test_of_few_particles_no_number_of_directions_is_told_and_lengths_have_two_digits(run):
    pits = run.tables["pits"].assign(
        n_ejected=[3, 20, 20], n_modes=[0, 0, 1], rayleigh_q=0.3, resultant_length=[0.5, 0.0098, 1]
    )
    data = dataclasses.replace(run, tables={**run.tables, "pits": pits})
    assert cells(data, "directions") == ["–", "0", "1"]
    assert cells(data, "R") == ["0.50", "0.01", "1.00"]


def test_the_onset_of_a_pit_that_is_there_from_the_start_is_a_bound(run):
    assert cells(run, "onset") == ["≤ 0.0", "0.1", "0.3"]
