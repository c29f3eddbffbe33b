"""Scores of the heights, and of the blur they come from."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from pitflow.score.detection import Matches
from pitflow.score.values import Values, column_of

_TWO_SIDED_95 = 1.96
"""Within so many standard errors lie 95 % of normal errors."""


def score_heights(matches: Matches, true: pd.DataFrame, found: pd.DataFrame) -> Values:
    """Compare blur and, where it was calibrated, height with the true height.

    ``blur_spearman`` is the rank correlation of the measured blur with the true height over
    matched rows; ``within_95`` the share of heights within 1.96 of their own standard errors (0.95
    if those are honest: that is what they are scaled to), ``within_1_sigma`` within one (0.68 only
    if the errors are normal too).
    """
    z = column_of(true, "z_um")[matches.true]
    blur = column_of(found, "blur_px")[matches.found]
    ok = np.isfinite(z) & np.isfinite(blur)
    varied = ok.sum() >= 3 and np.ptp(z[ok]) > 0 and np.ptp(blur[ok]) > 0
    scores = {
        "n": float(ok.sum()),
        "blur_spearman": float(spearmanr(z[ok], blur[ok]).statistic) if varied else float("nan"),
    }
    measured = column_of(found, "z_um")[matches.found]
    ok = np.isfinite(z) & np.isfinite(measured)
    if ok.any():
        error = measured[ok] - z[ok]
        standard_error = column_of(found, "z_err_um")[matches.found][ok]
        scores |= {
            "z_error_median_um": float(np.median(np.abs(error))),
            "z_bias_um": float(np.median(error)),
            "within_1_sigma": float(np.mean(np.abs(error) <= standard_error)),
            "within_95": float(np.mean(np.abs(error) <= _TWO_SIDED_95 * standard_error)),
        }
    return scores
