from __future__ import annotations

import numpy as np
import pytest

from pitflow.segment.classical.window import change_point, windows


def evidence(text):
    """One pixel: # later state, . earlier, space neither."""
    return np.array([[{"#": 1, ".": -1, " ": 0}[sign]] for sign in text], np.float32)


@pytest.mark.parametrize(
    ("seen", "moment"),
    [
        ("............", 12),
        ("############", 0),
        (".....#######", 5),
        ("..#.....####", 8),
        (".....###.###", 5),
        ("...........#", 12),
        ("#...........", 12),
        ("##..........", 12),
        ("....    ####", 8),
        ("            ", 12),
    ],
)
def test_moment_of_a_lasting_change(seen, moment):
    assert change_point(evidence(seen))[0] == moment


@pytest.mark.parametrize(
    ("seen", "moment"),
    [
        (".###########", 1),
        ("..##########", 2),
        ("############", 0),
        ("#.##########", 2),
        ("...........#", 12),
        ("..........##", 12),
        ("...####.....", 12),
        (".....#######", 5),
    ],
)
def test_of_a_sure_earlier_state_one_frame_is_enough(seen, moment):
    assert change_point(evidence(seen), earlier_is_sure=True)[0] == moment


@pytest.mark.parametrize(("doubt", "moment"), [(0.5, 11), (1.0, 12), (2.0, 12)])
def test_the_less_doubt_the_fewer_frames_bear_a_change_out(doubt, moment):
    assert change_point(evidence("...........#"), doubt=doubt)[0] == moment


def test_pixels_are_independent():
    both = np.concatenate([evidence("....######"), evidence("..........")], axis=1)
    assert change_point(both).tolist() == [4, 10]


def test_windows_hold_every_frame_once_and_do_not_cross_blocks(recording):
    frames = recording.read()
    held = list(windows(iter(frames), recording))
    own = [frame.index for window in held for frame in window.frames[: window.n]]
    assert own == list(range(len(frames)))
    for window in held:
        assert {recording.block_of(frame.index) for frame in window.frames} == {window.block}


def test_windows_of_a_block_are_the_same_alone(recording):
    whole = [w for w in windows(recording.read(), recording) if w.block == 1]
    alone = list(windows(recording.read(24, 48), recording))
    assert [(w.block, w.n, len(w.frames)) for w in whole] == [
        (w.block, w.n, len(w.frames)) for w in alone
    ]


def test_large_frames_come_in_short_windows_with_a_look_ahead():
    class Large:
        shape, levels = (4000, 4000), 65536

        def block_of(self, frame):
            return frame // 30

    class Numbered:
        def __init__(self, index):
            self.index = index

    held = list(windows(map(Numbered, range(60)), Large()))
    assert max(len(window.frames) for window in held) < 16
    assert any(len(window.frames) > window.n for window in held)
    assert [f.index for w in held for f in w.frames[: w.n]] == list(range(60))
