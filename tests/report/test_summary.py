"""The findings: each with its number of particles, and none that the data do not carry."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from pitflow.report.summary import findings


def told(data, **tables):
    """The findings, with some tables replaced."""
    return " ".join(findings(dataclasses.replace(data, tables={**data.tables, **tables})))


def test_a_pit_in_the_first_frame_has_no_time_of_onset(run):
    assert "3 pits were found, 1 of them there from the first frame on;" in told(run)
    pits = run.tables["pits"]
    later = pits.assign(onset_frame=pits["onset_frame"] + 3)
    assert "3 pits were found, the first at 0.2 s (frame 3);" in told(run, pits=later)
    assert "1 pit was found, there from the first frame on;" in told(run, pits=pits.head(1))


def test_directions_are_told_with_their_particles(run):
    pits = run.tables["pits"].assign(rayleigh_q=[0.01, 0.9, np.nan], n_ejected=[20, 7, 3])
    assert "° to " in told(run, pits=pits)
    assert "by 20 particles; 0° is right" in told(run, pits=pits)
    assert "1 pit ejected too few particles to test for a preferred direction." in told(
        run, pits=pits
    )
    none = pits.assign(rayleigh_q=[0.4, 0.9, np.nan])
    assert "Of 2 tested pits, none shows" in told(run, pits=none)
    assert "(smallest q = 0.40, 27 particles in all)" in told(run, pits=none)
    assert "The one tested pit shows no preferred direction of ejection (q = 0.40, 20" in told(
        run, pits=none.head(1)
    )
    assert "too few particles to test" in told(run, pits=none.tail(1))


def test_detections_in_no_track_are_not_of_those_followed(run):
    particles = run.tables["particles"]
    linked = particles[particles["particle"] >= 0]
    last = linked.tail(5).assign(particle=-1)
    both = pd.concat([linked, last], ignore_index=True)
    assert f"followed ({len(linked):,} detections)" in told(run, particles=both)
    assert "No particle was followed; 5 detections are in no track." in told(run, particles=last)
    one = last.head(1)
    assert "No particle was followed; 1 detection is in no track." in told(run, particles=one)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1, "1 particle leaves its pit at 10 µm/s."),
        (3, "3 particles leave their pit at 12 µm/s in the median (10 to 14 µm/s)."),
        (5, "5 particles leave their pit at 14 µm/s in the median (middle half 12 to 16 µm/s)."),
    ],
)
def test_the_speed_of_few_particles_has_no_quartiles(run, number, expected):
    few = run.tables["ejections"].head(number).assign(speed_um_s=10.0 + 2 * np.arange(number))
    assert expected in told(run, ejections=few)


def test_outliers_have_one_distance_to_foreign_pits(run):
    outliers = run.tables["outliers"]
    alone = told(run, clustering=run.tables["clustering"].head(0))
    assert alone.count("µm from the centre of the nearest pit") == 1
    tested = pd.DataFrame({"median_px": [25.0], "expected_px": [50.0], "p": [0.01]})
    both = told(run, clustering=tested, outliers=outliers)
    assert "12 µm in the median against 24 µm" in both
    assert "µm from the centre of the nearest pit" not in both
