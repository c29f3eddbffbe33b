from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import fourier_shift, gaussian_filter

from pitflow.translation import Translated, translated

FIELD = gaussian_filter(np.random.default_rng(5).normal(size=(80, 90)), 2.0, mode="wrap")
FIELD = 120 + 20 * FIELD / FIELD.std()
INSIDE = (slice(20, -20), slice(20, -20))


@pytest.mark.parametrize("shift", [(0.5, 0.0), (-0.3, 0.45), (3.2, -7.6), (-12.0, 9.0)])
def test_moves_like_the_exact_fourier_shift(shift):
    exact = np.fft.ifft2(fourier_shift(np.fft.fft2(FIELD), shift[::-1])).real
    moved = translated(FIELD.astype(np.float32), *shift)
    np.testing.assert_allclose(moved[INSIDE], exact[INSIDE], atol=0.5)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_keeps_type_and_whole_shifts_exactly(dtype):
    image = FIELD.astype(dtype)
    moved = translated(image, 4, -6)
    assert moved.dtype == dtype
    np.testing.assert_array_equal(moved[:-6, 4:], image[6:, :-4])
    assert (moved[:-6, :4] == image[6:, :1]).all()


def test_a_shift_beyond_the_frame_repeats_the_edge():
    assert translated(FIELD.astype(np.uint8), 500, 0).shape == FIELD.shape


def test_bright_and_dark_edges_stay_in_range():
    edge = np.zeros((30, 30), np.uint8)
    edge[:, 15:] = 255
    moved = translated(edge, 0.5, 0)
    expected = np.where(np.arange(30) < 15, 0.0, 255.0)
    expected[15] = 127.5
    np.testing.assert_allclose(moved[15], expected, atol=8)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.3, -0.45), (3.2, -7.6), (-60.4, 9.0), (500, 0)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_part_is_that_of_the_whole(shift, dtype):
    lazy = Translated(FIELD.astype(dtype), *shift)
    whole = lazy.whole()
    np.testing.assert_array_equal(whole, translated(lazy.image, *shift))
    height, width = FIELD.shape
    for rows in (slice(0, 20), slice(31, 47), slice(60, height), slice(0, height)):
        for columns in (slice(0, 9), slice(40, 71), slice(80, width)):
            part = lazy.part(rows, columns)
            # Rounding may differ in the last digit with the place of a pixel in its row.
            atol = 1 if dtype == np.uint8 else 1e-3
            np.testing.assert_allclose(
                part.astype(float), whole[rows, columns].astype(float), atol=atol
            )


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.3, -0.45), (3.2, -7.6), (-60.4, 9.0)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_many_parts_at_once_are_those_of_the_whole(shift, dtype):
    lazy = Translated(FIELD.astype(dtype), *shift)
    rows, columns = lazy.far_from_edge
    shape = (12, 9)
    corners = [
        (row, column)
        for row in (rows.start, rows.start + 17, rows.stop - shape[0])
        for column in (columns.start, columns.stop - shape[1])
    ]
    top, left = np.array(corners).T
    parts = lazy.parts(top, left, shape)
    whole = lazy.whole()
    expected = [whole[y : y + shape[0], x : x + shape[1]] for y, x in corners]
    atol = 1 if dtype == np.uint8 else 1e-3
    np.testing.assert_allclose(parts.astype(float), np.array(expected, float), atol=atol)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.3, -0.45), (3.2, -7.6), (-60.4, 9.0), (500, 0)])
def test_beyond_what_is_seen_the_edge_repeats(shift):
    height, width = FIELD.shape
    rows, columns = Translated(FIELD, *shift).seen
    index_x, index_y = np.arange(width) - shift[0], np.arange(height) - shift[1]
    seen_x, seen_y = ((at >= 0) & (at <= at.size - 1) for at in (index_x, index_y))
    for part, seen in ((columns, seen_x), (rows, seen_y)):
        expected = np.zeros_like(seen)
        expected[part] = True
        np.testing.assert_array_equal(expected, seen)


def test_a_negligible_shift_hides_nothing():
    assert Translated(FIELD, 0.04, -0.01, negligible_px=0.05).seen == (
        slice(0, FIELD.shape[0]),
        slice(0, FIELD.shape[1]),
    )


def test_of_what_is_moved_out_of_view_no_part_is_far_from_the_edge():
    rows, columns = Translated(FIELD, 500, 0).far_from_edge
    assert columns.start >= columns.stop
    assert rows == slice(0, FIELD.shape[0])
