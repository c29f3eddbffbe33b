"""Scores of the ejections: departures found, their angles and their source pits."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pitflow.score.detection import Counts, Matches
from pitflow.score.values import Values, median_of


def true_particle_of(matches: Matches, true: pd.DataFrame, found: pd.DataFrame) -> dict[int, int]:
    """Return, for each found track, the true particle that most of its matched rows belong to."""
    pairs = pd.DataFrame(
        {
            "found": found["particle"].to_numpy(np.int64)[matches.found],
            "true": true["particle"].to_numpy(np.int64)[matches.true],
        }
    )
    pairs = pairs[(pairs["found"] >= 0) & (pairs["true"] >= 0)]
    counts = pairs.value_counts(["found", "true"]).reset_index()
    best = counts.drop_duplicates("found")
    return dict(zip(best["found"].tolist(), best["true"].tolist(), strict=True))


def score_ejections(
    true: pd.DataFrame,
    found: pd.DataFrame,
    particle_map: dict[int, int],
    pit_map: dict[int, int],
) -> Values:
    """Compare ejections of the same particle.

    A true particle counts once: of several ejections reported for it the earliest is compared,
    the others are invented.

    Parameters
    ----------
    true, found:
        Tables of ejections.
    particle_map, pit_map:
        Found to true particle and pit.
    """
    reported = found.sort_values("frame", kind="stable")
    reported["of"] = [particle_map.get(int(particle), -1) for particle in reported["particle"]]
    reported = reported[reported["of"] >= 0].drop_duplicates("of")
    both = true.merge(reported, left_on="particle", right_on="of", suffixes=("_true", "_found"))
    counts = Counts(len(both), len(true) - len(both), len(found) - len(both))
    scores = counts.as_dict() | {"n": len(both)}
    if {"angle_deg_true", "angle_deg_found"} <= set(both.columns):
        error = np.abs((both["angle_deg_found"] - both["angle_deg_true"] + 180.0) % 360.0 - 180.0)
        scores["angle_error_median_deg"] = median_of(error)
        scores["angle_error_p90_deg"] = (
            float(np.nanquantile(error, 0.9)) if error.notna().any() else float("nan")
        )
    if {"pit_true", "pit_found"} <= set(both.columns):
        mapped = both["pit_found"].map(lambda pit: pit_map.get(int(pit), -1))
        scores["source_pit_right"] = (
            float((mapped == both["pit_true"]).mean()) if len(both) else float("nan")
        )
    return scores
