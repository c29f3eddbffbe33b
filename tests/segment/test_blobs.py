from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree

from pitflow.segment.classical.blobs import (
    OUTLINE,
    Seeds,
    _connected_core,
    build_pyramid,
    find_seeds,
    noise_of,
    outline,
    outline_smoothing,
    overlapping,
)
from pitflow.segment.objects import Objects, measure

NOISE = 0.01
BLOBS = [
    (1.2, 0.2),
    (1.8, 0.12),
    (2.5, 0.1),
    (3.5, 0.1),
    (5, 0.08),
    (7, 0.06),
    (9, 0.05),
    (13, 0.05),
]
"""Sigma in px and peak."""


class Even:
    def __init__(self, floor):
        self.floor = floor

    def at(self, row, column):
        return np.full(row.size, self.floor, np.float32)


def draw(shape, blobs, noise=NOISE, seed=0):
    rng = np.random.default_rng(seed)
    image = rng.normal(0, noise, shape)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    for x, y, sigma, peak in blobs:
        image += peak * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
    return image.astype(np.float32)


def detect(image, threshold=5.0):
    pyramid = build_pyramid(image, 1.2, 4)
    seeds = find_seeds(pyramid, [Even(noise_of(band)) for band in pyramid.band], threshold)
    pixels = outline(image, pyramid, seeds)
    seeds = seeds[pixels.seed]
    objects = Objects(
        n=seeds.level.size,
        owner=pixels.owner,
        row=pixels.row,
        column=pixels.column,
        darkening=image[pixels.row, pixels.column] - pixels.ground[pixels.owner],
        slope=np.zeros(pixels.row.size, np.float32),
        score=np.full(seeds.level.size, 0.9),
        level=OUTLINE,
        smoothing_px=outline_smoothing(pyramid, seeds.level),
    )
    return measure(0, objects)


@pytest.fixture(scope="module")
def sheet():
    """Eight sizes of blobs, five each, at random parts of a pixel; truth and measures."""
    rng = np.random.default_rng(1)
    truth = [
        (60 + 90 * j + rng.uniform(-0.5, 0.5), 50 + 80 * i + rng.uniform(-0.5, 0.5), sigma, peak)
        for i, (sigma, peak) in enumerate(BLOBS)
        for j in range(5)
    ]
    found = detect(draw((700, 480), truth))
    distance, index = cKDTree(found[["x", "y"]]).query(np.array(truth)[:, :2])
    return np.array(truth), found, distance, index


def test_every_blob_is_found_once(sheet):
    truth, found, distance, _ = sheet
    assert (distance < 0.1 + 0.15 * truth[:, 2]).all()
    assert len(found) <= len(truth) + 1


def test_positions_are_unbiased(sheet):
    truth, found, _, index = sheet
    small = truth[:, 2] < 4
    error = found[["x", "y"]].to_numpy()[index] - truth[:, :2]
    assert np.abs(error[small].mean(axis=0)).max() < 0.06
    assert np.sqrt((error[small] ** 2).mean()) < 0.15


@pytest.mark.parametrize(
    ("column", "tolerance"), [("contrast", 0.1), ("blur_px", 0.12), ("mass", 0.2)]
)
def test_measures_are_those_of_the_gaussian_drawn(sheet, column, tolerance):
    truth, found, _, index = sheet
    sigma, peak = truth[:, 2], truth[:, 3]
    expected = {"contrast": peak, "blur_px": sigma, "mass": 2 * np.pi * peak * sigma**2}[column]
    ratio = (found[column].to_numpy()[index] / expected).reshape(len(BLOBS), -1).mean(axis=1)
    np.testing.assert_allclose(ratio, 1, atol=tolerance)


def test_area_is_that_of_the_outline(sheet):
    truth, found, _, index = sheet
    large = truth[:, 2] > 2
    ideal = 2 * np.pi * truth[:, 2] ** 2 * np.log(1 / OUTLINE)
    ratio = found["area_px"].to_numpy()[index] / ideal
    assert np.median(ratio[large]) == pytest.approx(1.08, abs=0.12)


@pytest.mark.parametrize("sigma", [1.8, 4.0])
@pytest.mark.parametrize("place", [(0, 60), (119, 60), (60, 0), (60, 99), (0, 0), (119, 99)])
def test_what_the_border_cuts_in_half_is_found(sigma, place):
    found = detect(draw((100, 120), [(*place, sigma, 0.2)]))
    assert len(found) == 1
    away = np.hypot(found["x"] - place[0], found["y"] - place[1])
    assert away.iloc[0] < sigma


def test_noise_is_no_more_often_a_blob_on_the_border():
    noise = draw((40, 4000), [])
    pyramid = build_pyramid(noise, 1.2, 2)
    seeds = find_seeds(pyramid, [Even(noise_of(band)) for band in pyramid.band], 3.0)
    row, _ = seeds.pixels()
    on_border = np.isin(row[seeds.level == 0], (0, 39)).mean()
    assert 0 < on_border < 2 * 2 / 40


def test_touching_blobs_are_two():
    found = detect(draw((80, 90), [(40, 40, 1.5, 0.3), (46, 40, 1.5, 0.2)]))
    assert sorted(found["x"].round()) == [40, 46]


def test_a_small_blob_on_a_wide_one_is_two():
    found = detect(draw((200, 200), [(100, 100, 13, 0.08), (110, 104, 1.4, 0.25)]))
    assert len(found) == 2
    assert found["blur_px"].max() == pytest.approx(13, rel=0.25)


def test_noise_alone_gives_next_to_nothing():
    assert len(detect(draw((400, 400), []))) <= 1


def test_slopes_are_no_blobs():
    rows, columns = np.mgrid[:200, :200]
    image = draw((200, 200), []) + (0.004 * columns + 0.002 * rows).astype(np.float32)
    assert len(detect(image)) <= 1


def test_a_dense_field_is_resolved():
    rng = np.random.default_rng(2)
    grid = np.stack(np.meshgrid(np.arange(8, 500, 12), np.arange(8, 500, 12)), -1).reshape(-1, 2)
    centres = grid + rng.uniform(-1, 1, grid.shape)
    found = detect(draw((508, 508), [(x, y, 1.5, 0.3) for x, y in centres]))
    distance, _ = cKDTree(found[["x", "y"]]).query(centres)
    assert (distance < 0.5).mean() > 0.98
    assert len(found) < 1.02 * len(centres)


@pytest.mark.parametrize("shape", [(97, 64), (33, 40), (130, 255)])
def test_any_shape(shape):
    found = detect(draw(shape, [(20, 18, 1.5, 0.4)]))
    assert len(found) == 1


def test_a_certain_blob_without_an_outline_is_drawn_as_wide_as_its_scale():
    # On a steep slope the outline runs away downhill, and the blob is taken for a piece of slope.
    slope = np.float32(4.0) * np.arange(120, dtype=np.float32)
    image = draw((120, 120), [(60, 60, 2.0, 6.0)], noise=0.05) + slope
    pyramid = build_pyramid(image.astype(np.float32), 1.2, 4)
    seed = Seeds(*(np.array([value]) for value in (0, 60, 60)), np.array([9.0]))
    assert outline(image, pyramid, seed).seed.size == 0
    pixels = outline(image, pyramid, seed, certain=True)
    assert pixels.seed.tolist() == [0]
    reach = np.hypot(pixels.row - 60, pixels.column - 60).max()
    assert 2 <= reach <= 2.2 * 1.2 + 0.5


def test_outlines_that_share_pixels_are_known_to_overlap():
    rng = np.random.default_rng(1)
    image = draw(
        (160, 200), [(*rng.uniform(0, 160, 2), rng.uniform(1, 12), 0.1) for _ in range(60)]
    )
    pyramid = build_pyramid(image, 1.2, 4)
    level = rng.integers(0, 4, 80)
    row, column = rng.integers(0, 160, 80) // 2**level, rng.integers(0, 200, 80) // 2**level
    seeds = Seeds(level, row, column, np.full(80, 9.0))
    one, others = seeds[np.arange(1)], seeds[np.arange(1, 80)]
    together = overlapping(one, others)
    assert 0 < together.sum() < together.size
    own = outline(image, pyramid, one, certain=True)
    taken = set(zip(own.row.tolist(), own.column.tolist(), strict=True))
    for k in np.flatnonzero(~together):
        other = outline(image, pyramid, others[np.array([k])], certain=True)
        assert taken.isdisjoint(zip(other.row.tolist(), other.column.tolist(), strict=True))
    assert not overlapping(Seeds.none(), others).any()
    assert overlapping(one, Seeds.none()).size == 0


def test_being_certain_changes_no_outline_that_closes():
    image = draw((120, 120), [(40, 40, 2.0, 30.0), (80, 70, 4.0, 20.0)])
    pyramid = build_pyramid(image, 1.2, 4)
    seeds = find_seeds(pyramid, [Even(noise_of(band)) for band in pyramid.band], 5.0)
    plain, certain = (outline(image, pyramid, seeds, certain=flag) for flag in (False, True))
    for name in ("seed", "owner", "row", "column"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(certain, name))


def test_what_hangs_together_with_the_middle_spreads_step_by_step():
    rng = np.random.default_rng(8)
    patches = rng.uniform(0, 1, (60, 25, 25)).astype(np.float32) ** 2
    found = _connected_core(patches, 0.2)
    for patch, core in zip(patches, found, strict=True):
        middle = slice(11, 14)
        above = patch > np.float32(0.2) * patch[middle, middle].max()
        steps = np.zeros_like(above)
        steps[middle, middle] = above[middle, middle]
        for _ in range(24):
            steps |= ndimage.binary_dilation(steps) & above
        np.testing.assert_array_equal(core, steps)
