"""A peak of the network's map takes over the blob it lies on, or the scale that answers most."""

from __future__ import annotations

import numpy as np
import pytest

from pitflow.segment.blobs import Seeds, build_pyramid
from pitflow.segment.darkening import Darkening, Structure
from pitflow.segment.seeding import seeds_at

SHAPE = (96, 128)
NONE = np.empty(0, np.intp)
NO_BLOBS = Seeds(NONE, NONE, NONE, np.empty(0))


def darkened(*blobs: tuple[float, float, float]) -> Darkening:
    """Gaussian blobs (row, column, sigma) of 40 grey levels on faint noise."""
    rng = np.random.default_rng(2)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    image = rng.normal(0, 0.5, SHAPE)
    for row, column, sigma in blobs:
        image += 40 * np.exp(-0.5 * ((rows - row) ** 2 + (columns - column) ** 2) / sigma**2)
    pyramid = build_pyramid(image.astype(np.float32), 1.2, 4)
    noise = tuple(Structure(np.zeros_like(band)).noise(band) for band in pyramid.band)
    return Darkening(image.astype(np.float32), np.full(SHAPE, 180, np.float32), pyramid, noise)


@pytest.mark.parametrize(("sigma", "level"), [(1.5, 0), (3.4, 1), (7.0, 2)])
def test_without_a_blob_the_scale_that_answers_most_is_taken(sigma, level):
    seeds = seeds_at(darkened((40, 60, sigma)), NO_BLOBS, np.array([40]), np.array([60]))
    assert seeds.level.tolist() == [level]
    assert abs(seeds.row[0] * 2**level - 40) <= 2 ** max(level - 1, 0)
    assert seeds.snr[0] > 5


def test_a_near_blob_is_taken_over_with_its_place_and_scale():
    blobs = Seeds(np.array([1]), np.array([21]), np.array([29]), np.array([9.0]))
    seeds = seeds_at(darkened((42, 58, 3.0)), blobs, np.array([43, 80]), np.array([59, 100]))
    assert (seeds.level[0], seeds.row[0], seeds.column[0], seeds.snr[0]) == (1, 21, 29, 9.0)
    assert np.hypot(seeds.row[1] * 2.0 ** seeds.level[1] - 80, 0) < 6


def test_two_peaks_do_not_share_a_blob():
    blobs = Seeds(np.array([0]), np.array([40]), np.array([60]), np.array([9.0]))
    image = darkened((40, 60, 1.5), (40, 64, 1.5))
    seeds = seeds_at(image, blobs, np.array([40, 40]), np.array([64, 60]))
    places = set(zip(seeds.row.tolist(), seeds.column.tolist(), strict=True))
    assert places == {(40, 60), (40, 64)}


def test_no_peaks_no_seeds():
    assert seeds_at(darkened(), NO_BLOBS, NONE, NONE).level.size == 0
