"""Scores of the heights, and of the blur they come from."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from pitflow.score.detection import Matches
from pitflow.score.values import Values, column_of


def score_heights(matches: Matches, true: pd.DataFrame, found: pd.DataFrame) -> Values:
    """Compare blur and, where it was calibrated, height with the true height.

    ``blur_spearman`` is the rank correlation of the measured blur with the true height over
    matched rows; ``within_1_sigma`` the share of heights within their own standard error (0.68 if
    the errors are honest).
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
        scores |= {
            "z_error_median_um": float(np.median(np.abs(error))),
            "z_bias_um": float(np.median(error)),
            "within_1_sigma": float(
                np.mean(np.abs(error) <= column_of(found, "z_err_um")[matches.found][ok])
            ),
        }
    return scores
