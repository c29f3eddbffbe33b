"""Scores of the pits: found, missed, invented; centre, area and onset."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pitflow.score.assignment import best_pairs
from pitflow.score.detection import Counts
from pitflow.score.values import Values, column_of, median_of

PIT_GATE_PX = 20.0
"""A pit is found if a centre lies within this of the true one, or within the true pit's radius."""


def match_pits(true: pd.DataFrame, found: pd.DataFrame) -> tuple[pd.DataFrame, Counts]:
    """Pair true and found pits one to one by their centres.

    Returns
    -------
    pairs:
        ``true`` and ``found`` (pit numbers), ``distance_px``; one row per pair.
    counts:
        Pits found, missed and invented.
    """
    t, f = true[["x", "y"]].to_numpy(float), found[["x", "y"]].to_numpy(float)
    distance = np.hypot(t[:, None, 0] - f[None, :, 0], t[:, None, 1] - f[None, :, 1])
    radius = np.sqrt(np.nan_to_num(column_of(true, "area_px")) / np.pi)
    gate = np.maximum(PIT_GATE_PX, radius)[:, None]
    i, j = np.nonzero(distance < gate)
    chosen = best_pairs(i, j, (gate - distance)[i, j])
    i, j = i[chosen], j[chosen]
    pairs = pd.DataFrame(
        {
            "true": true["pit"].to_numpy(np.int64)[i],
            "found": found["pit"].to_numpy(np.int64)[j],
            "distance_px": distance[i, j],
        }
    )
    return pairs, Counts(len(i), len(t) - len(i), len(f) - len(j))


def score_pits(true: pd.DataFrame, found: pd.DataFrame, pairs: pd.DataFrame) -> Values:
    """Return the errors of the paired pits: centre, area and onset."""
    t = true.set_index("pit").loc[pairs["true"]]
    f = found.set_index("pit").loc[pairs["found"]]
    ratio = column_of(f, "area_px") / column_of(t, "area_px")
    onset = column_of(f, "onset_frame") - column_of(t, "onset_frame")
    return {
        "centre_error_px": median_of(pairs["distance_px"]),
        "area_ratio": median_of(ratio),
        "onset_error_frames": median_of(np.abs(onset)),
        "onset_bias_frames": median_of(onset),
    }
