"""Scores of the pits: found, missed, invented; centre, area and onset; when each pixel turns."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pitflow.score.assignment import best_pairs
from pitflow.score.detection import Counts
from pitflow.score.values import Values, column_of, median_of, ratio_of

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


def score_growth(true: pd.DataFrame, found: pd.DataFrame, pairs: pd.DataFrame) -> Values:
    """Return how well the growth of the paired pits is followed, pixel by pixel.

    Parameters
    ----------
    true, found:
        ``pit``, ``frame``, ``x`` and ``y`` of every pixel that becomes pit.
    pairs:
        Of ``match_pits``.

    Returns
    -------
    values:
        ``pixels_iou``, the pixels in both over those in either; ``arrival_error_frames`` and
        ``arrival_bias_frames``, the mean absolute and mean difference of the frame in which those
        in both become pit; ``rate_r``, Pearson's correlation over the frames after the first of the
        number of pixels that become pit in all paired pits.
    """
    number = pairs.set_index("found")["true"]
    known = true[true["pit"].isin(pairs["true"])]
    seen = found[found["pit"].isin(pairs["found"])]
    seen = seen.assign(pit=seen["pit"].map(number))
    both = known.merge(seen, on=["pit", "x", "y"], suffixes=("", "_found"))
    late = both["frame_found"] - both["frame"]
    last = int(np.max(np.concatenate([known["frame"], seen["frame"]]), initial=1))
    frames = range(1, last + 1)
    rate, found_rate = (
        table["frame"].value_counts().reindex(frames, fill_value=0).astype(float)
        for table in (known, seen)
    )
    varies = rate.std() > 0 and found_rate.std() > 0
    return {
        "pixels_iou": ratio_of(len(both), len(known) + len(seen) - len(both)),
        "arrival_error_frames": float(late.abs().mean()),
        "arrival_bias_frames": float(late.mean()),
        "rate_r": float(rate.corr(found_rate)) if varies else float("nan"),
    }
