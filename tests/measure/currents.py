"""Frames and samples of a potentiostat for the tests of the current."""

from __future__ import annotations

import numpy as np
import pandas as pd

FPS = 15.0


def frames(n, quality="ok"):
    return pd.DataFrame({"frame": np.arange(n), "time_s": np.arange(n) / FPS, "quality": quality})


def samples(time, current, potential=0.3):
    return pd.DataFrame(
        {
            "time_s": time,
            "current_a": current,
            "current_density_a_cm2": np.nan,
            "potential_v": potential,
        }
    )
