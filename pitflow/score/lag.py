"""Score of the lag between growth and ejection."""

from __future__ import annotations

import pandas as pd

from pitflow.score.values import Values


def score_lag(correlation: pd.DataFrame, true_lag: float) -> Values:
    """Compare the lag of the largest pooled correlation with the planted one, frames."""
    pooled = correlation[correlation["pit"] == -1].dropna(subset=["r"])
    if not len(pooled):
        return {"true_frames": true_lag, "found_frames": float("nan")}
    peak = pooled.iloc[int(pooled["r"].to_numpy().argmax())]
    return {
        "true_frames": true_lag,
        "found_frames": float(peak["lag"]),
        "error_frames": float(peak["lag"]) - true_lag,
        "r": float(peak["r"]),
        "p": float(peak["p"]) if "p" in pooled else float("nan"),
    }
