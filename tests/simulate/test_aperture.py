"""Blur through an aperture: its size, shape and mass, and what tables say of it."""

from __future__ import annotations

import numpy as np
import pytest

from pitflow.simulate.aperture import FLAT, RIMMED, Aperture
from pitflow.simulate.config import OpticsConfig
from pitflow.simulate.optics import MASK_LEVEL, Lens, darkening, lens, looks

APERTURES = [FLAT, RIMMED, Aperture(rim_share=1.0)]


def point(size: int = 121, sigma: float = 0.8) -> np.ndarray:
    """Return a smooth point of sum 1 in the middle of a patch."""
    away = np.arange(size) - size // 2
    shape = np.exp(-0.5 * (away / sigma) ** 2)
    return np.outer(shape, shape) / shape.sum() ** 2


@pytest.mark.parametrize("aperture", APERTURES)
@pytest.mark.parametrize("spread", [0.0, 0.7, 3.0, 10.3])
def test_blurs_add_in_squares_and_mass_stays(aperture: Aperture, spread: float) -> None:
    patch = aperture.blurred(point(), spread)
    away = np.arange(121) - 60
    assert patch.sum() == pytest.approx(1.0)
    assert (patch.sum(axis=0) * away**2).sum() == pytest.approx(0.8**2 + spread**2, rel=1e-3)
    assert (patch.sum(axis=1) * away).sum() == pytest.approx(0.0, abs=1e-6)


def test_a_flat_disc_is_even_and_ends_at_its_radius() -> None:
    patch = FLAT.blurred(point(), 10.0)
    row = patch[60]
    assert FLAT.radius_px(10.0) == pytest.approx(20.0)
    np.testing.assert_allclose(row[60 - 16 : 60 + 17], 1 / (np.pi * 20**2), rtol=0.02)
    assert abs(row[: 60 - 24]).max() < 0.01 / (np.pi * 20**2)


def test_a_ring_is_twice_as_dark_at_its_rim() -> None:
    row = RIMMED.blurred(point(), 12.0)[60]
    rim = round(RIMMED.radius_px(12.0) * 0.875)
    assert row[60 + rim] / row[60] == pytest.approx(2.0, rel=0.1)


@pytest.mark.parametrize("aperture", [FLAT, RIMMED])
@pytest.mark.parametrize("sigma", [0.9, 2.0, 4.0, 9.5])
@pytest.mark.parametrize("radius", [1.0, 2.0])
def test_looks_are_those_of_the_drawn_particle(
    aperture: Aperture, radius: float, sigma: float
) -> None:
    seen_by, opacity = Lens(0.9, aperture), 0.6
    mass = opacity * np.pi * radius**2
    look = looks(*(np.array([v]) for v in (12, radius, opacity, 25.0, sigma)), lens=seen_by)
    drawn = [
        darkening(12, radius, mass, 25.0, sigma, (30 + d, 30 + d), seen_by)[2]
        for d in (0.0, 0.25, 0.5)
    ]
    assert drawn[0].min() >= 0
    assert drawn[0].sum() == pytest.approx(mass, rel=5e-3)
    peak = max(float(patch.max()) for patch in drawn)
    assert peak == pytest.approx(look.contrast[0], rel=0.16 if sigma < 1.2 else 0.06)
    area = np.mean([(patch >= MASK_LEVEL * patch.max()).sum() for patch in drawn])
    assert area == pytest.approx(look.area_px[0], rel=0.3 if sigma < 1.2 else 0.12)


def test_in_focus_all_shapes_are_alike() -> None:
    plain = darkening(5, 1.6, 4.0, 10.0, 0.9, (20.2, 20.7))[2]
    for shape in ("disc", "ring"):
        seen_by = lens(OpticsConfig(sigma0_px=0.9, defocus=shape))
        np.testing.assert_array_equal(
            darkening(5, 1.6, 4.0, 10.0, 0.9, (20.2, 20.7), seen_by)[2], plain
        )
    assert lens(OpticsConfig()) is None
