from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pitflow.config import PitConfig
from pitflow.frame import Frame
from pitflow.segment.classical.window import windows
from pitflow.segment.landed import NOT_DARK
from pitflow.segment.late import late_growth
from pitflow.segment.pits import TAIL_FRAMES, find_pits

SHAPE = (80, 100)
ROW, COLUMN = np.mgrid[: SHAPE[0], : SHAPE[1]]
LEVEL, STEEL = 25.0, 200.0


def disc(x, y, radius):
    return np.hypot(COLUMN - x, ROW - y) <= radius


PIT = disc(50, 40, 15)


def late_of(*new, level=LEVEL, pit=PIT):
    """What is taken for pit when ``new`` masks are dark in the last frames, beside a pit."""
    n = TAIL_FRAMES - len(new)
    dark = [np.zeros(SHAPE, np.bool_)] * n + list(new)
    images = [np.where(pit, LEVEL, np.where(d, level, STEEL)).astype(np.float32) for d in dark]
    limit = np.full(SHAPE, STEEL / 2)
    return late_growth(pit.astype(np.int32), pit, images, limit) == 1


@pytest.mark.parametrize("frames", [1, 2, 4])
def test_what_comes_at_a_pit_as_dark_as_it_is_pit(frames):
    lobe = disc(68, 40, 4.5)
    np.testing.assert_array_equal(late_of(*[lobe] * frames), lobe & ~PIT)


def test_a_thin_layer_that_stands_is_pit_however_dark():
    layer = disc(50, 40, 16.5)
    np.testing.assert_array_equal(late_of(layer, layer, level=90.0), layer & ~PIT)
    # At the limit a pixel flickers.
    assert not late_of(layer, level=90.0).any()


def test_a_particle_that_reaches_a_pit_is_none():
    flight = [disc(82 - 4 * t, 40, 2.5) for t in range(4)]
    assert not late_of(*flight).any()


def test_what_is_less_dark_than_the_pit_or_apart_from_it_is_none():
    assert not late_of(disc(68, 40, 3), level=80.0).any()
    assert not late_of(*[disc(75, 40, 3)] * 3).any()


def test_what_was_dark_before_is_judged_by_its_history():
    assert not late_of(*[disc(68, 40, 4.5)] * TAIL_FRAMES).any()


def test_few_frames_tell_nothing():
    images = [np.where(PIT, LEVEL, STEEL).astype(np.float32)] * 2
    limit = np.full(SHAPE, STEEL / 2)
    assert not late_growth(PIT.astype(np.int32), PIT, images, limit).any()


class Recorded:
    """A scene of given arrivals on even steel, in blocks of 24 frames."""

    levels, shape, n_blocks = 256, SHAPE, 3
    frames = pd.DataFrame({"frame": np.arange(72), "quality": "ok"})

    def __init__(self, arrival):
        self.arrival = arrival
        self.first = self.image(0)

    def image(self, frame):
        return np.where(self.arrival <= frame, LEVEL, STEEL).astype(np.uint8)

    def background(self, block):
        return self.image(24 * block + 12)

    def block_of(self, frame):
        return frame // 24

    def read(self, block):
        return [Frame(t, self.image(t)) for t in range(24 * block, 24 * block + 24)]


def test_the_area_is_right_up_to_the_last_frame():
    away = np.hypot(COLUMN - 50, ROW - 40)
    arrival = np.where(away <= 16, np.ceil(72 * (away**2 - 16) / 256).clip(0), NOT_DARK)
    for x, y, frame in ((68, 40, 69), (50, 23, 71)):
        arrival = np.where(disc(x, y, 4.5), np.minimum(arrival, frame), arrival)
    scene = Recorded(arrival)
    pits = find_pits(scene, PitConfig(), scene.read(2)[-TAIL_FRAMES:], scene.read)
    (window,) = windows(scene.read(2), scene)
    areas = pits.state(window).sum(axis=1)
    truth = [(arrival <= frame.index).sum() for frame in window.frames]
    np.testing.assert_array_equal(areas[-8:], truth[-8:])
