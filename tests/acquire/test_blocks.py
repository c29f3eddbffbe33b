from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pitflow.acquire.background import StoredScene
from pitflow.acquire.blocks import Block, cut_block, plan_blocks, plan_tasks


@pytest.mark.parametrize(
    ("start", "stop", "edges"),
    [
        (0, 96, [0, 48, 96]),
        # A rest of half a block stands alone, a shorter one joins the block before.
        (0, 120, [0, 48, 96, 120]),
        (0, 119, [0, 48, 119]),
        (10, 106, [10, 58, 106]),
        (0, 5, [0, 5]),
        (0, 50, [0, 50]),
    ],
)
def test_blocks_cover_every_frame_once(start, stop, edges) -> None:
    blocks = plan_blocks(start, stop, 48)
    assert [block.start for block in blocks] == edges[:-1]
    assert [block.stop for block in blocks] == edges[1:]
    assert [block.number for block in blocks] == list(range(len(blocks)))
    # A frame finds its background.
    frames = pd.DataFrame({"frame": range(start, stop), "quality": "ok"})
    backgrounds = np.zeros((len(blocks), 1, 1), np.uint8)
    scene = StoredScene(backgrounds, frames, backgrounds[0], block_frames=48)
    for block in blocks:
        for frame in (block.start, block.stop - 1):
            assert scene.block_of(frame) == block.number


@pytest.mark.parametrize(
    ("lost", "spans"),
    [
        ((), [(50, 60, 63), (60, 70, 73), (70, 75, 75)]),
        # A part has as many sound frames as the others, and looks as many sound ones ahead.
        ((50, 55), [(50, 62, 65), (62, 72, 75), (72, 75, 75)]),
        ((50, 55, 61), [(50, 63, 66), (63, 75, 75)]),
        (range(53, 75), [(50, 75, 75)]),
        (range(60, 75), [(50, 75, 75)]),
        (range(50, 75), [(50, 75, 75)]),
    ],
)
def test_a_block_is_cut_by_its_sound_frames(lost, spans) -> None:
    sound = [frame for frame in range(50, 75) if frame not in lost]
    parts = cut_block(Block(3, 50, 75), sound, 10, 3)
    assert [(part.start, part.stop, part.look_stop) for part in parts] == spans
    assert {part.number for part in parts} == {3}


@pytest.mark.parametrize(
    ("length", "samples", "frames"),
    [(48, 4, [0, 16, 31, 47]), (5, 13, [0, 1, 2, 3, 4]), (1, 13, [0]), (13, 13, list(range(13)))],
)
def test_samples_are_even_and_differ(length, samples, frames) -> None:
    assert Block(0, 100, 100 + length).sample_frames(samples) == [100 + f for f in frames]


def recording(n: int, keys: list[int]) -> SimpleNamespace:
    index = pd.DataFrame({"frame": range(n), "is_key": [i in keys for i in range(n)]})
    return SimpleNamespace(index=index)


@pytest.mark.parametrize(
    ("keys", "sizes"),
    [
        # Every frame stands alone: a block is a task.
        (list(range(480)), [1] * 10),
        # The lead is at most 11 frames of 48.
        (list(range(0, 480, 12)), [1] * 10),
        # From frame 96 on, a block alone would decode more than twice its length in vain.
        ([0, 250], [1, 1, 2, 2, 1, 2, 1]),
        ([0], [1, 1, 2, 4, 2]),
        ([], [1, 1, 2, 4, 2]),
    ],
)
def test_tasks_are_long_where_key_frames_are_rare(keys, sizes) -> None:
    blocks = plan_blocks(0, 480, 48)
    tasks = plan_tasks(blocks, recording(480, keys))
    assert [block for task in tasks for block in task] == blocks
    assert [len(task) for task in tasks] == sizes
