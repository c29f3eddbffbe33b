"""Score of the lag between growth and ejection."""

from __future__ import annotations

import pandas as pd

from pitflow.lag import find_lag
from pitflow.score.values import Values


def score_lag(correlation: pd.DataFrame, true_lag: float) -> Values:
    """Compare the lag of the clearest pooled correlation with the planted one, frames."""
    found = find_lag(correlation)
    if found is None:
        return {"true_frames": true_lag, "found_frames": float("nan")}
    return {
        "true_frames": true_lag,
        "found_frames": float(found.lag),
        "error_frames": found.lag - true_lag,
        "r": found.r,
        "p": found.p,
    }
