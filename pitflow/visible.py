"""Which pits are seen on all sides: only their preferred direction is their own."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

LEAST_VISIBLE = 0.9
"""Least share of directions in which a departure would be seen. Even ejection of 25 particles, of
which a tenth of the directions is hidden, is called preferential in 10 % in place of 5 %; where a
quarter is hidden, in half of the cases."""


def seen_all_round(pits: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return whether each pit is seen on (nearly) all sides; so is one of which that is unknown.

    Parameters
    ----------
    pits:
        Perhaps with ``visible_share``.
    """
    if "visible_share" not in pits:
        return np.ones(len(pits), dtype=bool)
    return ~(pits["visible_share"].to_numpy(dtype=np.float64) < LEAST_VISIBLE)
