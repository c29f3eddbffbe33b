"""Heights and blur against the truth, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pitflow.score.detection import Matches
from pitflow.score.heights import score_heights


def score(z, blur, measured=None, err=1.0):
    """Score rows that match in order; ``measured`` are heights, all with one error."""
    rows = np.arange(len(z))
    found = {"blur_px": blur}
    if measured is not None:
        found |= {"z_um": measured, "z_err_um": err}
    return score_heights(
        Matches(rows, rows, np.zeros(len(z))),
        pd.DataFrame({"z_um": z}, dtype=float),
        pd.DataFrame(found, dtype=float),
    )


def test_rows_without_height_or_blur_do_not_count():
    known = score([1, 2, 3, np.nan, 9], [1, 3, 2, 0, np.nan])
    assert (known["n"], known["blur_spearman"]) == (3, pytest.approx(0.5))
    assert "z_error_median_um" not in known


@pytest.mark.parametrize(
    ("z", "blur"), [([1, 2], [1, 2]), ([4, 4, 4], [1, 2, 3]), ([1, 2, 3], [4, 4, 4])]
)
def test_a_rank_correlation_needs_three_rows_that_differ(z, blur):
    assert np.isnan(score(z, blur)["blur_spearman"])


def test_little_may_differ():
    assert score([1.0, 1.2, 1.5], [3.0, 3.1, 3.3])["blur_spearman"] == pytest.approx(1.0)


def test_errors_are_medians_of_measured_less_true_heights():
    """Off by -1, 2 and 9, a fourth is not measured, a fifth has no truth."""
    z = [10, 20, 30, 40, np.nan]
    found = score(z, [1, 2, 3, 4, 5], [9, 22, 39, np.nan, 50], err=2.0)
    assert (found["z_error_median_um"], found["z_bias_um"]) == (2.0, 2.0)
    assert score(z, z, [9, 19, 39, np.nan, 50])["z_bias_um"] == -1.0
    # An error as large as the standard error is within it.
    assert found["within_1_sigma"] == found["within_95"] == pytest.approx(2 / 3)
