"""What moves is told to be dark or bright; what lands, lifts, drifts or flickers does not move."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pitflow.acquire.polarity import APART, Spots, count_movers, count_spots, places_to_look
from pitflow.frame import Frame

SHAPE = (160, 200)
ROWS, COLUMNS = np.mgrid[: SHAPE[0], : SHAPE[1]]
START = np.random.default_rng(3).uniform([20, 10], [150, 150], (12, 2))
BUMPS = np.random.default_rng(4).uniform([0, 0], SHAPE[::-1], (200, 2))


def spots(at: np.ndarray, levels: float, sigma: float = 2) -> np.ndarray:
    away2 = (COLUMNS - at[:, 0, None, None]) ** 2 + (ROWS - at[:, 1, None, None]) ** 2
    return levels * np.exp(-away2 / (2 * sigma**2)).sum(axis=0)


GROUND = 150 + spots(BUMPS, -30, 1.5)


def frame(number: int, image: np.ndarray, gain: float = 1) -> Frame:
    noisy = image * gain + np.random.default_rng(number).normal(0, 2, SHAPE)
    return Frame(number, np.clip(noisy, 0, 255).astype(np.uint8), gain=gain)


def movers(image_at: Callable[[int], np.ndarray], gain: Callable[[int], float]) -> Spots:
    return count_movers(*(frame(number, image_at(number), gain(number)) for number in (0, 8, 16)))


@pytest.mark.parametrize("levels", [-30, 30])
def test_moving_spots_are_counted_by_their_contrast(levels):
    found = movers(lambda t: GROUND + spots(START + np.array([2 * t, 0]), levels), lambda t: 1)
    same, other = (found.bright, found.dark) if levels > 0 else (found.dark, found.bright)
    assert same >= 9
    assert other == 0


@pytest.mark.parametrize("levels", [-30, 30])
def test_specks_of_a_single_image_are_counted_by_their_contrast(levels):
    counted = count_spots(frame(0, 150 + spots(BUMPS[:40], levels, 1.5)).image)
    few, many = sorted((counted.dark, counted.bright))
    assert (few, counted.are_bright) == (0, levels > 0)
    assert many > 20
    assert count_spots(frame(0, np.full(SHAPE, 150.0)).image) == Spots(0, 0)


def test_the_gain_of_a_frame_is_no_motion():
    assert movers(lambda t: GROUND, lambda t: 1.1 if t == 8 else 1) == Spots(0, 0)


@pytest.mark.parametrize("lifts", [True, False])
def test_what_lifts_or_lands_for_good_does_not_move(lifts):
    there = spots(START, -60)
    assert movers(lambda t: GROUND + there * ((t < 8) is lifts), lambda t: 1) == Spots(0, 0)


def test_noise_does_not_move():
    assert movers(lambda t: GROUND, lambda t: 1) == Spots(0, 0)


def test_frames_that_have_nothing_in_common_show_nothing_that_moves():
    before, at = frame(0, GROUND), frame(8, GROUND)
    after = Frame(16, at.image, shift=(170.0, 0.0))
    assert count_movers(before, at, after) == Spots(0, 0)


def test_most_of_many_must_be_bright():
    assert Spots(dark=5, bright=30).are_bright
    assert not Spots(dark=15, bright=30).are_bright
    assert not Spots(dark=0, bright=9).are_bright
    assert not Spots(dark=300, bright=10).are_bright


def test_frames_are_compared_with_sound_ones_before_and_after():
    numbers = [number for number in range(100) if number != 50]
    places = places_to_look(numbers)
    assert places[0] == (0, APART, 2 * APART)
    assert places[-1][2] == 99
    assert all(before < at < after for before, at, after in places)
    assert 50 not in np.array(places)
    assert places_to_look([4, 5, 9]) == [(4, 5, 9)]
    assert places_to_look([4, 5]) == places_to_look([]) == []
