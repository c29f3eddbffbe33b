"""Windows and what is done to an image before it is shown."""

from __future__ import annotations

import numpy as np
import pytest

from pitflow.report.style import round_below
from pitflow.report.window import (
    Window,
    limits,
    reduce,
    steel_limits,
    stretch,
    whole,
    window_around,
)


def test_a_window_is_moved_inside_and_keeps_its_size():
    assert window_around(50, 40, 10, (100, 200)) == Window(40, 30, 61, 51)
    assert window_around(0, 99, 10, (100, 200)) == Window(0, 79, 21, 100)
    assert window_around(5, 5, 80, (20, 30)) == whole((20, 30))


def test_a_window_shows_the_right_pixels():
    image = np.arange(200).reshape(10, 20)
    window = Window(3, 2, 6, 4)
    np.testing.assert_array_equal(window.of(image), [[43, 44, 45], [63, 64, 65]])
    assert window.extent == (2.5, 5.5, 3.5, 1.5)


def test_stretch_spans_black_to_white():
    image = np.array([[100, 110], [120, 400]], np.uint16)
    np.testing.assert_array_equal(stretch(image, (100, 120)), [[0, 127], [255, 255]])
    assert limits(np.full((9, 9), 7, np.uint8))[1] > 7


def test_steel_limits_leave_pits_black():
    image = np.full((40, 40), 150.0)
    image[::2] += np.linspace(-20, 20, 40)
    image[:8] = 5
    bottom, top = steel_limits(image)
    assert 129 <= bottom < 140
    assert 160 < top <= 170


def test_reduce_keeps_the_mean_and_the_proportions():
    image = np.random.default_rng(0).integers(0, 255, (300, 600), np.uint8)
    small = reduce(image, 200)
    assert small.shape == (100, 200)
    assert small.mean() == pytest.approx(image.mean(), abs=0.5)
    assert reduce(image, 600) is image


@pytest.mark.parametrize(("value", "expected"), [(0.7, 0.5), (1, 1), (4.99, 2), (260, 200)])
def test_round_lengths(value, expected):
    assert round_below(value) == pytest.approx(expected)
