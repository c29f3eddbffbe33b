"""Claim: uniform ejection is not called preferential; the every-position view does call it so."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pitflow.measure.circular import mean_vector, rayleigh_test
from pitflow.validate.claim import Claim, Finding
from pitflow.validate.judge import judge_level, show_share
from pitflow.validate.recording import Recording


def observe(recording: Recording) -> pd.DataFrame:
    """Return p per pit: of one angle per particle, and of every position of every frame."""
    pits = recording.tables["pits"]
    angles = dict(list(recording.tables["particles"].groupby("pit")["angle_deg"]))
    positions = []
    for pit in pits["pit"]:
        own = angles.get(pit, pd.Series(dtype="float64")).dropna().to_numpy()
        positions.append(float(rayleigh_test(own.size, mean_vector(own)[1])))
    return pd.DataFrame(
        {
            "pit": pits["pit"].to_numpy(),
            "n_ejected": pits["n_ejected"].to_numpy(),
            "visible_share": pits["visible_share"].to_numpy(),
            "departures": pits["rayleigh_p"].to_numpy(),
            "omnibus": pits["omnibus_p"].to_numpy(),
            "positions": np.array(positions),
        }
    )


def judge(trials: pd.DataFrame) -> list[Finding]:
    """Return the shares called preferential in either view."""
    known = trials.dropna(subset="departures")
    return [
        judge_level("Rayleigh test on recordings, one angle per particle", known["departures"]),
        judge_level("Rao's test on recordings, one angle per particle", known["omnibus"]),
        show_share(
            "the same with every position of every frame (as published): a false alarm",
            known["positions"] <= 0.05,
        ),
    ]


CLAIM: Claim[Recording] = Claim("uniform", observe, judge)
