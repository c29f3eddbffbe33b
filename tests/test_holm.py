"""Holm's adjustment, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pitflow.holm import holm


def test_holm_is_the_textbooks() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == pytest.approx([1.0, 1.0])


def test_what_is_not_known_counts_as_no_test() -> None:
    adjusted = holm([0.01, 0.04, 0.03, np.nan, 0.9])
    np.testing.assert_allclose(adjusted, [0.04, 0.09, 0.09, np.nan, 0.9])
