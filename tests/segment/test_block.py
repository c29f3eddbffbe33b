from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from pitflow.acquire.blocks import Block, cut_block
from pitflow.config import PitConfig, SegmentConfig
from pitflow.segment.block import combine_arrivals, segment_block
from pitflow.segment.classical import window
from pitflow.segment.pit_map import NEVER, pit_pixels
from pitflow.segment.pits import find_pits
from pitflow.segmenters import create_segmenter


@pytest.fixture(scope="module")
def tools(recording):
    pits = find_pits(recording, PitConfig(), recording.read()[-5:])
    return create_segmenter(SegmentConfig(), pits), pits


@pytest.fixture(scope="module")
def whole(tools, recording):
    masks = np.full((len(recording.images), *recording.shape), 9, np.uint8)
    return segment_block(*tools, recording.read(), recording, masks), masks


def test_writes_every_frame(whole):
    result, masks = whole
    assert set(np.unique(masks)) == {0, 1, 2}
    assert result.detections["frame"].between(0, len(masks) - 1).all()


def test_blocks_add_up_to_the_whole(tools, whole, recording):
    parts = [
        segment_block(*tools, recording.read(start, start + 24), recording) for start in (0, 24, 48)
    ]
    together = pd.concat([part.detections for part in parts], ignore_index=True)
    pd.testing.assert_frame_equal(together, whole[0].detections)
    for order in itertools.permutations(part.arrival for part in parts):
        np.testing.assert_array_equal(combine_arrivals(order), whole[0].arrival)
    left = combine_arrivals(
        [combine_arrivals([parts[0].arrival, parts[1].arrival]), parts[2].arrival]
    )
    np.testing.assert_array_equal(left, whole[0].arrival)


@pytest.mark.parametrize(
    ("name", "longest", "lengths"),
    [("change", 10, [8, 8, 8]), ("change", 11, [12, 12]), ("unet", 10, [8, 8, 8])],
)
def test_windows_of_a_block_add_up_to_it(monkeypatch, recording, name, longest, lengths):
    monkeypatch.setattr(window, "_LONGEST", longest)
    pits = find_pits(recording, PitConfig(), recording.read()[-5:])
    segmenter = create_segmenter(SegmentConfig(segmenter=name), pits)
    whole = segment_block(segmenter, pits, recording.read(24, 48), recording)
    cut = cut_block(
        Block(1, 24, 48), range(24, 48), window.window_frames(recording, 24), window.AHEAD
    )
    assert [len(part) for part in cut] == lengths
    parts = [
        segment_block(
            segmenter,
            pits,
            recording.read(part.start, part.look_stop),
            recording,
            n_frames=len(part),
        )
        for part in cut
    ]
    together = pd.concat([part.detections for part in parts], ignore_index=True)
    pd.testing.assert_frame_equal(together, whole.detections)
    assert sum((part.searches for part in parts), ()) == whole.searches
    np.testing.assert_array_equal(combine_arrivals([part.arrival for part in parts]), whole.arrival)


def test_arrivals_tell_the_growth(tools, whole):
    _, pits = tools
    table = pit_pixels(pits, whole[0].arrival)
    area = table.groupby("frame").size().cumsum()
    truth = np.pi * (4 + 12 * area.index.to_numpy() / 72) ** 2
    assert np.median(np.abs(area - truth) / truth) < 0.1
    assert table["frame"].min() == 0


def test_nothing_to_combine():
    with pytest.raises(ValueError, match="no arrivals"):
        combine_arrivals([])
    assert combine_arrivals([np.array([NEVER, 3]), np.array([7, 5])]).tolist() == [7, 3]
