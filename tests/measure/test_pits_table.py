"""The statistics of pits that are decided over all of them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pitflow.config import EjectionConfig
from pitflow.measure.pits import GEOMETRY_COLUMNS, compute_pits


def test_a_direction_has_an_interval_where_it_is_told_over_all_pits():
    # p = 0.03 by itself, q = 0.06 beside a pit that ejects evenly.
    even, loose = np.arange(0.0, 360.0, 30.0), np.linspace(-97.0, 97.0, 12) % 360.0
    for pits, told in (([loose], [True]), ([loose, even], [False, False])):
        number = np.arange(len(pits))
        geometry = pd.DataFrame(1.0, index=number, columns=list(GEOMETRY_COLUMNS))
        geometry[["pit", "onset_frame"]] = np.column_stack([number, 0 * number])
        ejections = pd.DataFrame(
            {"pit": np.repeat(number, list(map(len, pits))), "angle_deg": np.concatenate(pits)}
        )
        table = compute_pits(
            geometry,
            pd.Series(True, index=number),
            pd.Series(1.0, index=number),
            ejections,
            config=EjectionConfig(bootstrap=200),
            seed=0,
        )
        assert table["rayleigh_p"][0] <= 0.05
        assert (table["rayleigh_q"] <= 0.05).tolist() == told
        assert table["mean_angle_lo_deg"].notna().tolist() == told
