"""What lies on a ring is one particle; separate particles around a common middle are not."""

from __future__ import annotations

import numpy as np
import pytest

from pitflow.segment.centres import Centres
from pitflow.segment.classical.blobs import build_pyramid
from pitflow.segment.classical.darkening import Darkening, Structure
from pitflow.segment.classical.rings import find_rings

SHAPE = (96, 128)
GROUND = 180
NO_BLOBS = np.empty((0, 2))
ROWS, COLUMNS = np.mgrid[: SHAPE[0], : SHAPE[1]]


def darkening(clean: np.ndarray, noise: float = 1.0) -> Darkening:
    rng = np.random.default_rng(4)
    image = (clean + rng.normal(0, noise, SHAPE)).astype(np.float32)
    pyramid = build_pyramid(image, 1.2, 4)
    of_bands = tuple(Structure(np.zeros_like(band)).noise(band) for band in pyramid.band)
    return Darkening(image, np.full(SHAPE, GROUND, np.float32), pyramid, of_bands)


def ring(x: float, y: float, radius: float, peak: float, middle: float = 0.25) -> np.ndarray:
    """A ring two px wide (sigma), whose middle is a share as dark."""
    away = np.hypot(COLUMNS - x, ROWS - y)
    return peak * np.maximum(np.exp(-((away - radius) ** 2) / 8), middle * (away < radius))


def dots(at: np.ndarray, sigma: float, peak: float) -> np.ndarray:
    image = np.zeros(SHAPE)
    for x, y in at:
        image += peak * np.exp(-((COLUMNS - x) ** 2 + (ROWS - y) ** 2) / (2 * sigma**2))
    return image


def around(x: float, y: float, radius: float, n: int) -> np.ndarray:
    angle = 2 * np.pi * np.arange(n) / n
    return np.column_stack([x + radius * np.cos(angle), y + radius * np.sin(angle)])


@pytest.mark.parametrize(("radius", "peak"), [(7, 40), (10, 40), (14, 40), (10, 4)])
def test_places_on_a_ring_lie_on_it_and_its_middle_is_found(radius, peak):
    image = darkening(ring(64, 48, radius, peak))
    at = around(64, 48, radius, 5)
    rings = find_rings(at, NO_BLOBS, image)
    assert rings.middle == pytest.approx(np.array([[64, 48]]), abs=0.7)
    assert rings.radius[0] == pytest.approx(radius, abs=1)
    assert rings.owner(at, image).tolist() == [0] * 5


def test_places_on_a_second_faint_ring_lie_on_the_first():
    image = darkening(ring(64, 48, 10, 40) + ring(64, 48, 15, 12, middle=0))
    at = np.concatenate([around(64, 48, 10, 3), around(64, 48, 15, 2)])
    rings = find_rings(at, NO_BLOBS, image)
    assert rings.owner(at, image).tolist() == [0] * 5


def test_a_ring_that_is_marked_once_needs_no_gathering():
    image = darkening(ring(64, 48, 10, 40))
    marked = around(64, 48, 10, 2)
    assert len(find_rings(marked[:1], NO_BLOBS, image).radius) == 0
    assert len(find_rings(marked[:1], marked[:1], image).radius) == 0
    assert len(find_rings(marked[:1], marked, image).radius) == 1
    assert len(find_rings(marked, NO_BLOBS, image).radius) == 1
    # Blobs alone are no particles.
    assert len(find_rings(NO_BLOBS, marked, image).radius) == 0


def test_two_rings_side_by_side_are_two():
    image = darkening(ring(45, 48, 9, 40) + ring(75, 48, 9, 40))
    at = np.concatenate([around(45, 48, 9, 3), around(75, 48, 9, 3)])
    owner = find_rings(at, NO_BLOBS, image).owner(at, image)
    assert len(set(owner[:3])) == len(set(owner[3:])) == 1
    assert owner.min() >= 0
    assert owner[0] != owner[3]


@pytest.mark.parametrize("n", [3, 5, 6])
def test_separate_particles_around_a_common_middle_are_no_ring(n):
    at = around(64, 48, 10, n)
    assert len(find_rings(at, NO_BLOBS, darkening(dots(at, 1.8, 40))).radius) == 0


@pytest.mark.parametrize("seed", range(6))
def test_a_crowd_of_small_particles_at_random_holds_no_ring(seed):
    at = np.random.default_rng(seed).uniform([30, 20], [98, 76], (40, 2))
    assert len(find_rings(at, NO_BLOBS, darkening(dots(at, 1.8, 30))).radius) == 0


@pytest.mark.parametrize("sigma", [2, 5, 9])
def test_a_particle_that_is_darkest_in_its_middle_is_no_ring(sigma):
    at = np.array([[62.0, 48.0], [66.0, 48.0]])
    assert len(find_rings(at, NO_BLOBS, darkening(dots(at, sigma, 40))).radius) == 0


def test_noise_holds_no_ring():
    at = np.random.default_rng(5).uniform([0, 0], [127, 95], (300, 2))
    assert len(find_rings(at, NO_BLOBS, darkening(np.zeros(SHAPE))).radius) == 0


def test_a_darker_particle_on_a_ring_is_one_of_its_own():
    dark = np.array([[64 + 12 * np.cos(2), 48 + 12 * np.sin(2)]])
    at = np.concatenate([[[64, 48]], around(64, 48, 12, 4), dark])
    image = darkening(ring(64, 48, 12, 12) + dots(dark, 1.8, 60))
    assert find_rings(at, NO_BLOBS, image).owner(at, image).tolist() == [0, 0, 0, 0, 0, -1]


def test_the_surest_peak_of_a_ring_is_moved_to_its_middle_and_stands_for_it():
    image = darkening(ring(64, 48, 10, 40))
    place = np.concatenate([[[20, 20]], around(64, 48, 10, 3)]).astype(np.float32)
    column, row = np.rint(place).astype(np.intp).T
    peaks = Centres(row, column, np.array([0.9, 0.8, 0.7, 0.6], np.float32), place)
    found, of_ring = find_rings(place.astype(np.float64), NO_BLOBS, image).gathered(peaks, image)
    assert of_ring.tolist() == [-1, 0]
    assert found.score.tolist() == pytest.approx([0.9, 0.8])
    assert found.place[1] == pytest.approx([64, 48], abs=0.5)
    assert (found.row[1], found.column[1]) == (48, 64)


def test_without_places_there_are_no_rings():
    image, nothing = darkening(np.zeros(SHAPE)), np.empty((0, 2))
    rings = find_rings(nothing, nothing, image)
    assert rings.owner(nothing, image).shape == (0,)
    assert rings.owner(np.array([[4.0, 4.0]]), image).tolist() == [-1]


def test_a_ring_beyond_the_border_is_cut_and_does_no_harm():
    image = darkening(ring(2, 48, 10, 40))
    at = np.array([[11.0, 48.0], [4.0, 38.0]])
    assert len(find_rings(at, NO_BLOBS, image).owner(at, image)) == 2
