"""Claim: ejections are traced back to the right pit, in the right direction, with a true error."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pitflow.measure.circular import wrap_difference
from pitflow.validate.claim import Claim, Finding
from pitflow.validate.judge import judge_at_least, judge_coverage, judge_median, show_share
from pitflow.validate.recording import Recording


def observe(recording: Recording) -> pd.DataFrame:
    """Return the ejections with the truth about each: repeated, source right, errors."""
    found = recording.tables["ejections"].sort_values("frame", kind="stable")
    particle = recording.particle_of().reindex(found["particle"]).fillna(-1).astype("int64")
    found = found.assign(true_particle=particle.to_numpy())
    true = recording.truth["ejections"].set_index("particle")
    own = true.reindex(found["true_particle"])
    is_known = found["true_particle"].isin(true.index).to_numpy()
    repeated = found["true_particle"].duplicated().to_numpy() & is_known
    error = wrap_difference(found["angle_deg"].to_numpy() - own["angle_deg"].to_numpy())
    return pd.DataFrame(
        {
            "pit": found["pit"].to_numpy(),
            "is_real": is_known & ~repeated,
            "source_right": found["pit"].to_numpy() == own["pit"].to_numpy(),
            "pit_probability": found["pit_probability"].to_numpy(),
            "angle_error_deg": error,
            "angle_err_deg": found["angle_err_deg"].to_numpy(),
            "frame_error": (found["frame"].to_numpy() - own["frame"].to_numpy()),
            "n_true": len(true),
        }
    )


def judge(trials: pd.DataFrame) -> list[Finding]:
    """Return the shares and errors over all ejections."""
    real = trials[trials["is_real"]]
    error = real["angle_error_deg"].abs()
    n_true = trials.groupby("seed")["n_true"].first().sum()
    return [
        judge_at_least("source pit right", real["source_right"], share=0.95),
        show_share("reported ejections that are one (no fragment, no stranger)", trials["is_real"]),
        show_share("ejections found of all", np.arange(n_true) < len(real)),
        judge_median("angle error, median", error, real["seed"], at_most=2.0, unit="deg"),
        judge_coverage(
            "95 % interval of the angle holds it (1.96 angle_err_deg)",
            error <= 1.96 * real["angle_err_deg"],
        ),
        show_share("departure within 1 frame", real["frame_error"].abs() <= 1),
    ]


CLAIM: Claim[Recording] = Claim("ejection", observe, judge)
