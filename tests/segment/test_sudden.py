from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pitflow.config import PitConfig
from pitflow.frame import Frame
from pitflow.segment.pits import find_pits

SHAPE, BLOCK, N_BLOCKS = (100, 120), 48, 3
ROW, COLUMN = np.mgrid[: SHAPE[0], : SHAPE[1]]
CAME = 60
PLACE = (81.0, 50.0)
MASS = 2 * np.pi * 1.7**2 * 0.85


def spot(x, y, sigma):
    """What a particle takes of the light; out of focus it is wider and fainter."""
    away = np.hypot(COLUMN - x, ROW - y)
    return MASS / (2 * np.pi * sigma**2) * np.exp(-0.5 * (away / sigma) ** 2)


def flies_in(frame):
    """At 3 px per frame, until it stops."""
    return spot(PLACE[0] + 3 * max(CAME - frame, 0), PLACE[1], 1.7)


def sinks(frame):
    """Straight down, out of focus at first."""
    return spot(*PLACE, 1.7 + 0.4 * max(CAME - frame, 0))


def opens(frame):
    """A hole in the pit's cover."""
    return spot(*PLACE, 1.7) * (frame >= CAME)


def opens_by_degrees(frame):
    return spot(*PLACE, 1.7) * np.clip((frame - CAME) / 4, 0, 1)


def opens_as_one_passes(frame):
    return np.maximum(opens(frame), spot(PLACE[0] + 2 * (frame - CAME), PLACE[1] + 8, 1.7))


class Filmed:
    """A scene of a pit that grows at (55, 50), and of something beside it."""

    levels, shape, n_blocks = 256, SHAPE, N_BLOCKS
    frames = pd.DataFrame({"frame": np.arange(BLOCK * N_BLOCKS), "quality": "ok"})

    def __init__(self, beside, lost=()):
        self.beside, self.lost, self.looked = beside, lost, []
        self.first = self.image(0)

    def pit(self, frame):
        return np.hypot(COLUMN - 55, ROW - 50) <= 15 + 3 * frame / (BLOCK * N_BLOCKS)

    def image(self, frame):
        lit = 200 * (1 - np.minimum(self.beside(frame), 0.9))
        noise = np.random.default_rng(frame).normal(0, 1.5, SHAPE)
        level = np.where(self.pit(frame), 25.0, lit) + noise
        return np.clip(np.rint(level), 0, 255).astype(np.uint8)

    def background(self, block):
        return self.image(BLOCK * block + BLOCK // 2)

    def block_of(self, frame):
        return frame // BLOCK

    def read(self, block):
        self.looked.append(block)
        numbers = range(BLOCK * block, BLOCK * (block + 1))
        return [Frame(t, self.image(t)) for t in numbers if t not in self.lost]


def holds(pits):
    """Whether the place beside the pit is pit."""
    return bool(((pits.row == PLACE[1]) & (pits.column == PLACE[0])).any())


def found(beside, **more):
    scene = Filmed(beside, **more)
    pits = find_pits(scene, PitConfig(), (), scene.read)
    assert pits.n_pits == 1
    return pits


def test_what_opens_beside_a_pit_in_one_frame_is_part_of_it():
    pits = found(opens)
    assert holds(pits)
    assert pits.n_beside == 0


@pytest.mark.parametrize("beside", [flies_in, sinks])
def test_what_was_dark_nearby_before_has_landed(beside):
    pits = found(beside)
    assert not holds(pits)
    assert pits.n_beside == 1


@pytest.mark.parametrize("beside", [opens_by_degrees, opens_as_one_passes])
def test_what_is_in_doubt_has_landed(beside):
    assert not holds(found(beside))


def test_frames_that_are_lost_tell_nothing():
    assert not holds(found(opens, lost=(CAME - 1,)))
    assert not holds(found(opens, lost=range(CAME - 14, CAME - 5)))


def test_few_blocks_are_looked_at_again():
    scene = Filmed(opens)
    find_pits(scene, PitConfig(), (), scene.read)
    # For when pixels turn dark every block is, once; for this the blocks around that moment.
    assert sorted(scene.looked) == [0, 1, 1, 2]
