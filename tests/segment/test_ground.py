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
