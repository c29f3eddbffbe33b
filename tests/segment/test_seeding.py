"""A peak of the network's map takes over the blob it lies on, or the scale that answers most."""

from __future__ import annotations

import numpy as np
import pytest

from pitflow.segment.centres import Centres
from pitflow.segment.classical.blobs import Seeds, build_pyramid
from pitflow.segment.classical.darkening import Darkening, Structure
from pitflow.segment.classical.rings import Rings, find_rings
from pitflow.segment.classical.seeding import seeds_of, unsure_seeds_of

SHAPE = (96, 128)
NONE = np.empty(0, np.intp)
NO_BLOBS = Seeds(NONE, NONE, NONE, np.empty(0))


def darkened(
    *blobs: tuple[float, float, float], grey_levels: float = 40, of: np.ndarray | float = 0
) -> Darkening:
    """Gaussian blobs (row, column, sigma), and what else is dark, on faint noise."""
    rng = np.random.default_rng(2)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    image = of + rng.normal(0, 0.5, SHAPE)
    for row, column, sigma in blobs:
        away = (rows - row) ** 2 + (columns - column) ** 2
        image += grey_levels * np.exp(-0.5 * away / sigma**2)
    pyramid = build_pyramid(image.astype(np.float32), 1.2, 4)
    noise = tuple(Structure(np.zeros_like(band)).noise(band) for band in pyramid.band)
    return Darkening(image.astype(np.float32), np.full(SHAPE, 180, np.float32), pyramid, noise)


def peaks_at(row: np.ndarray, column: np.ndarray) -> Centres:
    """Peaks of a network, each seen a quarter of a px right of its pixel."""
    place = np.column_stack([column + 0.25, row]).astype(np.float32)
    return Centres(row, column, np.full(row.size, 0.9, np.float32), place)


def rings_of(peaks: Centres, darkening: Darkening) -> Rings:
    return find_rings(peaks.place.astype(np.float64), np.empty((0, 2)), darkening)


def seeds_at(darkening: Darkening, blobs: Seeds, row: np.ndarray, column: np.ndarray) -> Seeds:
    """The seeds of some peaks of a network that sees nothing else."""
    peaks = peaks_at(row, column)
    seeds, score, places = seeds_of(
        np.zeros(SHAPE, np.float32), peaks, darkening, blobs, 5.0, rings_of(peaks, darkening)
    )
    assert seeds.level.size == score.size == len(places)
    return seeds


@pytest.mark.parametrize(("sigma", "level"), [(1.5, 0), (3.4, 1), (7.0, 2)])
def test_without_a_blob_the_scale_that_answers_most_is_taken(sigma, level):
    seeds = seeds_at(darkened((40, 60, sigma)), NO_BLOBS, np.array([40]), np.array([60]))
    assert seeds.level.tolist() == [level]
    assert abs(seeds.row[0] * 2**level - 40) <= 2 ** max(level - 1, 0)
    assert seeds.snr[0] > 5


def test_where_nothing_is_darker_the_finest_scale_stands_for_the_particle():
    seeds = seeds_at(darkened((20, 20, 3.0)), NO_BLOBS, np.array([70]), np.array([100]))
    assert seeds.level.tolist() == [0]
    assert seeds.snr[0] < 3


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


PAIR = Seeds(np.array([0, 0]), np.array([40, 40]), np.array([60, 65]), np.array([30.0, 20.0]))


def seeds_beside_one_peak(at_second: float, clear: float) -> tuple[Seeds, np.ndarray, np.ndarray]:
    """Two blobs 5 px apart, of which the network has a peak at the first alone."""
    evidence = np.zeros(SHAPE, np.float32)
    evidence[40, 60], evidence[40, 65] = 0.9, at_second
    peaks = peaks_at(np.array([40]), np.array([60]))
    image = darkened((40, 60, 1.5), (40, 65, 1.5))
    return seeds_of(evidence, peaks, image, PAIR, clear, rings_of(peaks, image))


def test_a_blob_beside_a_peak_is_a_particle_if_the_network_sees_something_there():
    seeds, score, places = seeds_beside_one_peak(0.3, clear=5)
    assert seeds.column.tolist() == [60, 65]
    assert score.tolist() == pytest.approx([0.9, 0.3])
    # Where the network saw a peak is known; the blob beside it is where the darkening has it.
    assert places[0].tolist() == [60.25, 40]
    assert np.isnan(places[1]).all()


@pytest.mark.parametrize(("at_second", "clear"), [(0.05, 5.0), (0.3, 25.0)])
def test_what_the_network_does_not_see_or_is_not_clear_is_no_particle(at_second, clear):
    seeds, _, _ = seeds_beside_one_peak(at_second, clear)
    assert seeds.column.tolist() == [60]


def test_a_blob_that_a_peak_took_over_is_not_counted_again():
    # The peak lies 4 px off the middle of a wide blob.
    blobs = Seeds(np.array([2]), np.array([10]), np.array([15]), np.array([30.0]))
    evidence = np.full(SHAPE, 0.5, np.float32)
    peaks = peaks_at(np.array([40]), np.array([64]))
    image = darkened((40, 60, 7.0))
    seeds, _, _ = seeds_of(evidence, peaks, image, blobs, 5.0, rings_of(peaks, image))
    assert seeds.column.tolist() == [15]


def test_a_blob_on_the_wide_body_of_a_peak_is_no_particle_of_its_own():
    blobs = Seeds(np.array([2, 0]), np.array([10, 36]), np.array([15, 55]), np.array([30.0, 9.0]))
    evidence = np.full(SHAPE, 0.5, np.float32)
    peaks = peaks_at(np.array([40]), np.array([60]))
    for grey_levels in (120, 40):
        wide = darkened((40, 60, 9.0), grey_levels=grey_levels)
        seeds, _, _ = seeds_of(evidence, peaks, wide, blobs, 5.0, rings_of(peaks, wide))
        assert seeds.column.tolist() == [15]
    two = darkened((40, 60, 2.0), (36, 55, 2.0))
    seeds, _, _ = seeds_of(evidence, peaks, two, blobs, 5.0, rings_of(peaks, two))
    assert seeds.column.tolist() == [15, 55]


def test_of_two_peaks_on_one_body_the_surer_is_the_particle_and_the_blob_of_the_other_is_none():
    blobs = Seeds(np.array([2, 0]), np.array([10, 36]), np.array([15, 55]), np.array([30.0, 9.0]))
    peaks = peaks_at(np.array([40, 36]), np.array([60, 55]))
    evidence = np.full(SHAPE, 0.5, np.float32)
    image = darkened((40, 60, 9.0))
    rings = rings_of(peaks, image)
    seeds, score, places = seeds_of(evidence, peaks, image, blobs, 5.0, rings)
    assert seeds.column.tolist() == [15]
    assert score.size == len(places) == 1


def test_unsure_peaks_are_seeds_apart_from_the_particles_alone():
    image = darkened((40, 60, 1.5), (40, 66, 1.5), (70, 20, 3.4))
    blobs = Seeds(
        np.array([0, 0, 1]), np.array([40, 40, 35]), np.array([60, 66, 10]), np.full(3, 9.0)
    )
    # Beside a particle, on a blob of its own, and where no blob is.
    peaks = peaks_at(np.array([41, 70, 20]), np.array([61, 21, 100]))
    sure = blobs[np.array([0, 1])]
    seeds, score, places = unsure_seeds_of(peaks, sure, image, blobs, rings_of(peaks, image))
    assert seeds.level.size == score.size == len(places) == 2
    assert (seeds.level[0], seeds.row[0], seeds.column[0]) == (1, 35, 10)
    assert places[:, 0].tolist() == [21.25, 100.25]


def test_the_blob_of_a_particle_is_not_taken_over_by_an_unsure_peak():
    """4 px beside a wide particle, whose blob reaches that far."""
    blobs = Seeds(np.array([2]), np.array([10]), np.array([15]), np.array([30.0]))
    image, peaks = darkened((40, 60, 7.0)), peaks_at(np.array([40]), np.array([64]))
    rings = rings_of(peaks, image)
    taken, _, _ = unsure_seeds_of(peaks, Seeds.none(), image, blobs, rings)
    own, _, _ = unsure_seeds_of(peaks, blobs, image, blobs, rings)
    assert taken.snr.tolist() == [30.0]
    assert own.snr.tolist() != [30.0]


def test_without_unsure_peaks_there_are_no_unsure_seeds():
    peaks, image = peaks_at(NONE, NONE), darkened()
    rings = rings_of(peaks, image)
    seeds, score, places = unsure_seeds_of(peaks, PAIR, image, PAIR, rings)
    assert seeds.level.size == score.size == len(places) == 0


def test_peaks_blobs_and_unsure_peaks_on_a_ring_are_one_particle_in_its_middle():
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    away = np.hypot(columns - 60, rows - 40)
    ring = 40 * np.exp(-((away - 10) ** 2) / 8) + 10 * (away < 10)
    image = darkened(of=ring)
    # Above the middle, right of it, and a particle elsewhere.
    peaks = peaks_at(np.array([30, 40, 80]), np.array([60, 70, 20]))
    blobs = Seeds(np.array([0, 0]), np.array([50, 80]), np.array([60, 20]), np.array([30.0, 30]))
    rings = rings_of(peaks, image)
    evidence = np.full(SHAPE, 0.5, np.float32)
    seeds, score, places = seeds_of(evidence, peaks, image, blobs, 5.0, rings)
    assert score.size == 2
    assert places[0] == pytest.approx([60, 40], abs=0.5)
    assert seeds.level[0] >= 2
    unsure = peaks_at(np.array([40, 20]), np.array([50, 100]))
    assert unsure_seeds_of(unsure, seeds, image, blobs, rings)[2][:, 0].tolist() == [100.25]
