"""A particle's looks from tables against what is drawn, and against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from pitflow.simulate.optics import MASK_LEVEL, N_FOOTPRINTS, blur_px, darkening, footprints, looks


@pytest.mark.parametrize("sigma", [0.9, 1.7, 4.0, 9.5])
@pytest.mark.parametrize("centre", [(40.0, 31.0), (40.37, 30.81)])
def test_mass_is_conserved_at_every_blur_and_subpixel_position(
    sigma: float, centre: tuple[float, float]
) -> None:
    _, _, patch = darkening(3, 2.1, 7.0, 40.0, sigma, centre)
    assert patch.sum() == pytest.approx(7.0, rel=2e-3)


@pytest.mark.parametrize("footprint", [0, 7, 19])
def test_centre_of_mass_is_the_position(footprint: int) -> None:
    left, top, patch = darkening(footprint, 2.4, 5.0, 130.0, 1.3, (20.4, 33.3))
    rows, columns = np.indices(patch.shape)
    assert left + (columns * patch).sum() / patch.sum() == pytest.approx(20.4, abs=0.01)
    assert top + (rows * patch).sum() / patch.sum() == pytest.approx(33.3, abs=0.01)


def test_far_out_of_focus_a_particle_is_a_gaussian() -> None:
    sigma, radius, opacity = 12.0, 1.5, 0.8
    mass = opacity * np.pi * radius**2
    _, _, patch = darkening(2, radius, mass, 0.0, sigma, (50.0, 50.0))
    assert patch.max() == pytest.approx(mass / (2 * np.pi * (sigma**2 + radius**2 / 4)), rel=0.02)


def test_footprints_are_centred_and_have_unit_radius() -> None:
    points = footprints().points
    assert len(points) == N_FOOTPRINTS
    np.testing.assert_allclose(points.mean(axis=1), 0, atol=1e-12)
    # The mean square distance within a disc of radius 1 is 1/2; irregular outlines reach further.
    assert 0.45 < np.median((points**2).sum(axis=2).mean(axis=1)) < 0.8


@pytest.mark.parametrize("sigma", [0.9, 1.5, 3.0, 8.0])
@pytest.mark.parametrize("radius", [1.0, 2.0, 3.5])
def test_looks_are_those_of_the_drawn_particle(radius: float, sigma: float) -> None:
    opacity, turn = 0.6, 25.0
    for footprint in (1, 12, 30):
        look = looks(
            np.array([footprint]),
            np.array([radius]),
            np.array([opacity]),
            np.array([turn]),
            np.array([sigma]),
        )
        # Averaged over subpixel positions; one pixel's average lies a little below the peak.
        drawn = [
            darkening(footprint, radius, opacity * np.pi * radius**2, turn, sigma, (30 + d, 30 + d))
            for d in (0.0, 0.25, 0.5)
        ]
        peak = max(float(patch.max()) for _, _, patch in drawn)
        assert peak == pytest.approx(look.contrast[0], rel=0.16 if sigma < 1.2 else 0.06)
        area = np.mean([(patch >= MASK_LEVEL * patch.max()).sum() for _, _, patch in drawn])
        assert area == pytest.approx(look.area_px[0], rel=0.3 if sigma < 1.2 else 0.12)


def test_shape_is_that_of_the_second_moments() -> None:
    footprint, radius, turn, sigma = 5, 3.0, 70.0, 1.5
    _, _, patch = darkening(footprint, radius, 4.0, turn, sigma, (40.0, 40.0))
    rows, columns = np.indices(patch.shape)
    weights = patch.ravel() / patch.sum()
    covariance = np.cov(np.vstack([columns.ravel(), rows.ravel()]), aweights=weights, ddof=0)
    spread, axes = np.linalg.eigh(covariance)
    look = looks(*(np.array([v]) for v in (footprint, radius, 0.5, turn, sigma)))
    assert look.eccentricity[0] == pytest.approx(np.sqrt(1 - spread[0] / spread[1]), abs=0.03)
    drawn = np.degrees(np.arctan2(axes[1, 1], axes[0, 1])) % 180
    assert abs((look.orientation_deg[0] - drawn + 90) % 180 - 90) < 2


def test_sharpness_of_a_gaussian_is_its_steepest_slope() -> None:
    # A Gaussian is steepest at sigma: slope over peak is exp(-1/2) / sigma.
    look = looks(*(np.array([v]) for v in (4, 0.5, 0.5, 0.0, 10.0)))
    assert look.sharpness[0] == pytest.approx(np.exp(-0.5) / 10.0, rel=0.02)


def test_blur_adds_in_squares() -> None:
    np.testing.assert_allclose(blur_px(np.array([0.0, 12.0]), 0.9, 0.25), [0.9, np.hypot(0.9, 3)])
