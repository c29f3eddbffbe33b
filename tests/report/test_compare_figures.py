"""What the figures over several runs draw."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pitflow.report.figures.compare import draw_polar, draw_quantities
from pitflow.report.style import FAINT, INK

RUNS = pd.DataFrame({"run": ["a"], "label": ["5 mM"], "lag_s": [np.nan], "pits_per_mm2": [3.0]})
PITS = pd.DataFrame(
    {
        "run": "a",
        "pit": np.arange(9),
        "n_ejected": 4,
        "mean_angle_deg": 10.0,
        "resultant_length": 0.9,
        "rayleigh_q": 0.01,
        "visible_share": [1.0, 0.5] + 7 * [1.0],
    }
)


def test_the_preference_of_a_pit_seen_in_part_is_not_drawn_as_one() -> None:
    angles = {("a", pit): np.array([0.0, 10.0, 20.0, 30.0]) for pit in range(9)}
    made = draw_polar(RUNS, PITS, angles)
    assert not isinstance(made, str)
    colours = [line.get_color() for line in made.figure.axes[0].lines]
    assert colours == [INK, FAINT] + 6 * [INK]
    assert made.caption.endswith("pits.csv holds 1 more pit with as many ejections or fewer.")


def test_an_axis_without_values_has_no_numbers() -> None:
    made = draw_quantities(RUNS, PITS, ["5 mM"])
    density, lag = made.figure.axes
    assert len(density.get_yticks()) > 0
    assert len(lag.get_yticks()) == 0
