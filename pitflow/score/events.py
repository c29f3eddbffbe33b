"""Scores of the velocity outliers, as events."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pitflow.score.assignment import best_pairs
from pitflow.score.detection import Counts

EVENT_FRAMES = 3
"""An event is found if one is reported for the same particle at most this many frames away."""


def score_events(true: pd.DataFrame, found: pd.DataFrame, particle_map: dict[int, int]) -> Counts:
    """Compare velocity outliers as events, within `EVENT_FRAMES` of each other.

    Rows of one particle at most `EVENT_FRAMES` apart are one event, as a burst lasts some frames.
    """
    named = found.assign(
        particle=[particle_map.get(int(p), -1 - int(p)) for p in found["particle"]]
    )
    t, f = _events(true), _events(named)
    i, j = np.nonzero(t["particle"].to_numpy()[:, None] == f["particle"].to_numpy()[None, :])
    apart = np.maximum(
        f["first"].to_numpy()[j] - t["last"].to_numpy()[i],
        t["first"].to_numpy()[i] - f["last"].to_numpy()[j],
    ).clip(min=0)
    chosen = best_pairs(i, j, EVENT_FRAMES + 1.0 - apart)
    n = int(chosen.sum())
    return Counts(n, len(t) - n, len(f) - n)


def _events(rows: pd.DataFrame) -> pd.DataFrame:
    ordered = rows.sort_values(["particle", "frame"])
    begins = (ordered["particle"].diff() != 0) | (ordered["frame"].diff() > EVENT_FRAMES)
    return (
        ordered.assign(event=begins.cumsum())
        .groupby("event")
        .agg(particle=("particle", "first"), first=("frame", "min"), last=("frame", "max"))
    )
