"""Claims: blur ranks heights, and calibrated it gives them with a true error."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from pitflow.config import FocusConfig
from pitflow.measure.focus import compute_height
from pitflow.validate.claim import Claim, Finding
from pitflow.validate.judge import judge_median, judge_statistic
from pitflow.validate.recording import Recording


def observe(recording: Recording) -> pd.DataFrame:
    """Return one row: rank correlation without a calibration, errors with the true one."""
    particles = recording.tables["particles"]
    known = recording.origin >= 0
    true = recording.truth["particles"].set_index(["particle", "frame"])["z_um"]
    key = pd.MultiIndex.from_arrays([recording.origin[known], particles["frame"].to_numpy()[known]])
    z = true.loc[key].to_numpy(dtype=np.float64)
    blur = particles["blur_px"].to_numpy(dtype=np.float64)
    optics = recording.config.optics
    focus = FocusConfig(sigma0_px=optics.sigma0_px, k_px_per_um=optics.k_px_per_um)
    height = compute_height(blur, np.zeros(blur.size), focus)[0][known]
    off = np.abs(height - z)
    return pd.DataFrame(
        {
            "spearman": [float(spearmanr(blur[known], z).statistic)],
            "error_share": float(np.median(off)) / float(np.ptp(z)),
        }
    )


def judge(trials: pd.DataFrame) -> list[Finding]:
    """Return the mean rank correlation and the median error as a share of the range of depth."""
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
    ]


CLAIM: Claim[Recording] = Claim("height", observe, judge)
