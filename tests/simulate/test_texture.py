"""The steel: its brightness, the direction of its structure, its specks."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pitflow.simulate.config import SteelConfig
from pitflow.simulate.texture import steel


def _rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.mark.parametrize("angle", [29.0, 110.0, 160.0])
def test_structure_runs_along_the_scratches(angle: float) -> None:
    surface = steel(SteelConfig(scratch_deg=angle, specks_per_mpx=0, shading=0), 300, 320, _rng())
    dx = cv2.Sobel(surface, cv2.CV_64F, 1, 0)
    dy = cv2.Sobel(surface, cv2.CV_64F, 0, 1)
    # The light changes most across the scratches: the axis of the mean squared gradient.
    across = 0.5 * np.degrees(np.arctan2(2 * (dx * dy).mean(), (dx**2 - dy**2).mean()))
    off = (across + 90 - angle + 90) % 180 - 90
    assert abs(off) < 6


def test_steel_is_as_bright_as_configured_and_the_same_for_the_same_draws() -> None:
    config = SteelConfig(brightness=0.6)
    surface = steel(config, 200, 210, _rng())
    assert surface.shape == (200, 210)
    assert surface.dtype == np.float32
    assert np.median(surface) == pytest.approx(0.6, rel=0.06)
    np.testing.assert_array_equal(surface, steel(config, 200, 210, _rng()))


def test_specks_are_as_many_as_configured() -> None:
    plain = SteelConfig(scratches=0, shading=0, brightness=1.0, specks_per_mpx=300)
    surface = steel(plain, 1000, 1000, _rng())
    count = cv2.connectedComponents((surface < 0.97).astype(np.uint8))[0] - 1
    # Rows hold several dots, faint ones stay unseen, near ones merge.
    assert 200 < count < 500
    without = steel(plain.model_copy(update={"specks_per_mpx": 0}), 200, 200, _rng())
    assert without.min() > 0.97


def test_shading_spans_its_share() -> None:
    config = SteelConfig(scratches=0, specks_per_mpx=0, shading=0.2, brightness=0.5)
    surface = steel(config, 400, 400, _rng())
    assert np.ptp(surface) / 0.5 == pytest.approx(0.2 * 1.6, rel=0.35)
