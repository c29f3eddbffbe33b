from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pitflow.acquire.background import StoredScene
from pitflow.acquire.blocks import plan_blocks
from pitflow.frame import Frame
from pitflow.segment.classical.ground import Backgrounds
from pitflow.segment.classical.window import Window
from pitflow.segment.pit_map import no_pits


@pytest.mark.parametrize("rest", [0, 23])
def test_the_ground_follows_a_ramp_of_the_light(rest):
    """Whatever the length of the last block, which a short rest has joined."""
    n, shape = 3 * 48 + rest, (64, 64)

    def light(frame):
        return 100 + 0.5 * frame

    blocks = plan_blocks(0, n, 48)
    middles = [(block.start + block.stop - 1) / 2 for block in blocks]
    backgrounds = np.stack([np.full(shape, round(light(at)), np.uint8) for at in middles])
    frames = pd.DataFrame({"frame": np.arange(n), "quality": "ok"})
    scene = StoredScene(backgrounds, frames, backgrounds[0], 48)
    for block in blocks:
        window = Window(block.number, (Frame(block.start, backgrounds[0]),), 1)
        ground = Backgrounds(window, scene, no_pits(shape))
        for frame in (block.start, block.stop - 1):
            assert ground.at(frame).mean() == pytest.approx(light(frame), abs=1.0)


@pytest.mark.parametrize(
    ("dark", "stands"), [((2,), False), ((2, 3), False), ((2, 3, 4, 5), True), ((0, 1, 2), True)]
)
def test_what_is_dark_for_two_blocks_is_a_slow_particle_and_what_stays_is_ground(dark, stands):
    n, shape = 6 * 48, (64, 64)
    backgrounds = np.full((6, *shape), 200, np.uint8)
    backgrounds[list(dark), 30:35, 30:35] = 100
    frames = pd.DataFrame({"frame": np.arange(n), "quality": "ok"})
    scene = StoredScene(backgrounds, frames, backgrounds[0], 48)
    window = Window(2, (Frame(96, backgrounds[2]),), 1)
    ground = Backgrounds(window, scene, no_pits(shape)).middle
    assert ground[32, 32] == (100 if stands else 200)
    assert ground[10, 10] == 200
