"""Small readings of tables that may lack a column or a value."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from pitflow.score.assignment import Floats

Values = dict[str, float]


def column_of(table: pd.DataFrame, name: str) -> Floats:
    """Return a column as floats, all NaN if the table lacks it."""
    if name not in table:
        return np.full(len(table), np.nan)
    return table[name].to_numpy(np.float64)


def median_of(values: npt.ArrayLike) -> float:
    """Return the median of the finite values, NaN without any."""
    finite = np.asarray(values, dtype=float)
    finite = finite[np.isfinite(finite)]
    return float(np.median(finite)) if len(finite) else float("nan")


def ratio_of(part: float, whole: float) -> float:
    """Return ``part / whole``, NaN if the whole is 0."""
    return part / whole if whole else float("nan")
