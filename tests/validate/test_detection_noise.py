"""The simulated segmenter errs as the real one does, as far as its docstring says how."""

from functools import cache

import numpy as np
import pandas as pd

from pitflow.simulate.config import SimulateConfig
from pitflow.simulate.world import simulate_world
from pitflow.validate.detection import detect_particles, detect_pits
from pitflow.validate.recording import record

SMALL = SimulateConfig(height=700, width=700, pits=3, frames=120)


@cache
def detected():
    truth = simulate_world(SMALL, 3).tables
    rng = np.random.default_rng(0)
    return truth, *detect_particles(truth["particles"], truth["frames"], truth["pits"], rng)


def test_faint_particles_are_missed_and_misplaced_more():
    truth, found, origin = detected()
    shift = truth["frames"].set_index("frame").loc[found["frame"]]
    placed = found.assign(
        particle=origin,
        x=found["x"] - shift["shift_x_px"].to_numpy(),
        y=found["y"] - shift["shift_y_px"].to_numpy(),
    )
    both = truth["particles"].merge(
        placed, on=["particle", "frame"], suffixes=("", "_found"), how="left"
    )
    error = np.hypot(both["x_found"] - both["x"], both["y_found"] - both["y"])
    faint, dark = both["contrast"] < 0.05, both["contrast"] > 0.2
    assert both["x_found"][dark].notna().mean() > 0.9
    assert both["x_found"][faint].notna().mean() < 0.75
    assert error[dark].median() < 0.15
    assert error[faint].median() > 0.4


def test_misses_last():
    truth, found, origin = detected()
    seen = pd.MultiIndex.from_arrays([origin, found["frame"]])
    true = truth["particles"].sort_values(["particle", "frame"])
    is_seen = pd.MultiIndex.from_frame(true[["particle", "frame"]]).isin(seen)
    before = pd.Series(is_seen).groupby(true["particle"].to_numpy()).shift(1)
    assert is_seen[before.eq(True).to_numpy()].mean() > 0.95
    assert is_seen[before.eq(False).to_numpy()].mean() < 0.3


def test_false_detections_are_of_no_particle():
    _, found, origin = detected()
    assert 0.005 < (origin < 0).mean() < 0.04
    assert len(found) == len(origin)


def test_pits_stay_where_they_are_but_for_a_pixel():
    truth, _, _ = detected()
    pixels = truth["pit_pixels"]
    found = detect_pits(pixels, np.random.default_rng(1))
    assert len(found) == len(pixels)
    for column in ("x", "y"):
        apart = found.groupby("pit")[column].mean() - pixels.groupby("pit")[column].mean()
        assert apart.abs().max() <= 2.0
    assert (found.groupby("pit")["frame"].min() >= pixels.groupby("pit")["frame"].min()).all()
    assert detect_pits(pixels.iloc[:0], np.random.default_rng(1)).empty


def test_a_recording_is_the_same_for_the_same_seed():
    small = SMALL.model_copy(update={"height": 400, "width": 400, "pits": 2, "frames": 60})
    first, again = record(small, 5), record(small, 5)
    for name, table in first.tables.items():
        pd.testing.assert_frame_equal(table, again.tables[name])
    np.testing.assert_array_equal(first.origin, again.origin)
    assert len(first.origin) == len(first.tables["particles"])
    # A track is mostly one particle's.
    number = first.tables["particles"]["particle"]
    right = number.map(first.particle_of()).to_numpy() == first.origin
    assert right[number.to_numpy() >= 0].mean() > 0.9
