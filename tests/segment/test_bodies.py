"""What lies on a wide body with a particle is no second one; what only touches it is."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pitflow.segment.classical.blobs import build_pyramid
from pitflow.segment.classical.bodies import on_body_of, one_of_each_body
from pitflow.segment.classical.darkening import Darkening, Structure

SHAPE = (96, 128)
GROUND = 180


def discs(
    *of: tuple[float, float, float], share: float = 0.6, sigma: float = 0.9, noise: float = 2
) -> Darkening:
    """Discs (x, y, diameter), blurred by sigma, that darken the steel by a share, on noise."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    covered = np.zeros(SHAPE, np.float32)
    for x, y, diameter in of:
        covered[np.hypot(columns - x, rows - y) <= diameter / 2] = share * GROUND
    return darkening(cv2.GaussianBlur(covered, (0, 0), sigma), noise)


def gaussians(*of: tuple[float, float, float, float]) -> Darkening:
    """Gaussians (x, y, sigma, grey levels) on faint noise."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    image = np.zeros(SHAPE, np.float32)
    for x, y, sigma, peak in of:
        away2 = (columns - x) ** 2 + (rows - y) ** 2
        image += np.float32(peak) * np.exp(-away2 / (2 * sigma**2)).astype(np.float32)
    return darkening(image, 1)


def darkening(clean: np.ndarray, noise: float) -> Darkening:
    rng = np.random.default_rng(4)
    image = clean + rng.normal(0, noise, SHAPE).astype(np.float32)
    pyramid = build_pyramid(image, 1.2, 4)
    of_bands = tuple(Structure(np.zeros_like(band)).noise(band) for band in pyramid.band)
    return Darkening(image, np.full(SHAPE, GROUND, np.float32), pyramid, of_bands)


def places(*at: tuple[float, float]) -> np.ndarray:
    return np.array(at, np.float64).reshape(-1, 2)


def test_two_places_on_a_wide_disc_are_on_one_body():
    found = on_body_of(places((64, 54), (70, 48)), places((62, 46)), discs((64, 48, 18)))
    assert found.tolist() == [True, True]


@pytest.mark.parametrize("apart", [9, 11, 14])
def test_discs_that_touch_are_two_bodies(apart):
    image = discs((60, 48, 9), (60 + apart, 48, 9))
    assert on_body_of(places((60 + apart, 48)), places((60, 48)), image).tolist() == [False]


def test_wide_discs_that_touch_are_two_bodies():
    image = discs((56, 48, 14), (70, 48, 14))
    assert on_body_of(places((68, 48)), places((58, 48)), image).tolist() == [False]


def test_a_flat_body_out_of_focus_is_one_however_faint():
    image = discs((64, 48, 16), share=0.1, sigma=2.0, noise=1)
    assert on_body_of(places((68, 50)), places((61, 46)), image).tolist() == [True]


def test_gaussians_that_have_run_into_one_are_two_bodies():
    """One sigma and more apart they are longer than wide."""
    image = gaussians((61, 48, 4.5, 30), (67, 48, 4.5, 30))
    assert on_body_of(places((67, 48)), places((61, 48)), image).tolist() == [False]


def test_a_faint_particle_on_the_flank_of_another_is_a_body():
    image = gaussians((60, 48, 5, 45), (67, 48, 3, 11))
    assert on_body_of(places((67, 48)), places((60, 48)), image).tolist() == [False]


def test_of_places_on_one_body_the_first_stands_for_it():
    image = discs((64, 48, 18), (30, 48, 9))
    at = places((61, 46), (30, 48), (68, 50), (62, 51))
    assert one_of_each_body(at, image).tolist() == [True, True, False, False]
    assert one_of_each_body(at[::-1], image).tolist() == [True, False, True, False]
    assert one_of_each_body(places(), image).shape == (0,)
    assert one_of_each_body(places((5, 5)), image).tolist() == [True]


def test_a_place_far_away_is_on_no_body_with_another():
    image = discs((64, 48, 40))
    assert on_body_of(places((50, 48), (78, 48)), places((52, 48)), image).tolist() == [True, False]


def test_at_the_border_of_the_frame():
    image = discs((2, 2, 16))
    assert on_body_of(places((5, 4)), places((1, 1)), image).tolist() == [True]


def test_nothing_is_on_no_body():
    image = discs()
    nothing = places()
    assert on_body_of(nothing, places((5, 4)), image).shape == (0,)
    assert on_body_of(places((5, 4)), nothing, image).tolist() == [False]
    assert on_body_of(places((5, 4)), places((90, 90)), image).tolist() == [False]
