"""Claims: blur ranks heights, and calibrated it gives them with a true error."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from pitflow.validate.claim import Claim, Finding
from pitflow.validate.judge import judge_coverage, judge_median, judge_statistic
from pitflow.validate.recording import Recording


def observe(recording: Recording) -> pd.DataFrame:
    """Return one row: rank correlation of the blur, errors of the height, and how it is covered."""
    particles = recording.tables["particles"]
    true = recording.truth["particles"].set_index(["particle", "frame"])["z_um"]
    known = recording.origin >= 0
    own = particles[known]
    z = true.loc[pd.MultiIndex.from_arrays([recording.origin[known], own["frame"]])].to_numpy()
    off = np.abs(own["z_um"].to_numpy() - z)
    trusted = own["z_is_valid"].to_numpy()
    held = off[trusted] <= 1.96 * own["z_err_um"].to_numpy()[trusted]
    return pd.DataFrame(
        {
            "spearman": [float(spearmanr(own["blur_px"], z).statistic)],
            "error_share": float(np.median(off)) / float(np.ptp(z)),
            "n_held": int(held.sum()),
            "n": held.size,
        }
    )


def judge(trials: pd.DataFrame) -> list[Finding]:
    """Return the mean rank correlation, the median error as a share of the depth, the coverage."""
    held, n = int(trials["n_held"].sum()), int(trials["n"].sum())
    return [
        judge_statistic(
            "blur against true height, Spearman, no calibration", trials["spearman"], at_least=0.9
        ),
        judge_median(
            "height error over the range of heights, calibrated, median",
            100.0 * trials["error_share"],
            trials["seed"],
            at_most=5.0,
            unit="% of range",
        ),
        judge_coverage("95 % interval of the height holds it (1.96 z_err_um)", np.arange(n) < held),
    ]


CLAIM: Claim[Recording] = Claim("height", observe, judge)
