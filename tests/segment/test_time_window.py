from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pitflow.segment.classical.window import AHEAD, block_span, change_point, windows


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


class Scene:
    """Frames so large that a window holds few of them, in blocks of 30, some of them lost."""

    shape, levels = (4000, 4000), 65536

    def __init__(self, n, lost=()):
        numbers = np.arange(n)
        quality = np.where(np.isin(numbers, lost), "gap", "ok")
        self.frames = pd.DataFrame({"frame": numbers, "quality": quality})

    def block_of(self, frame):
        return min(frame // 30, len(self.frames) // 30 - 1)

    def read(self):
        sound = self.frames.loc[self.frames["quality"] == "ok", "frame"]
        return [SimpleNamespace(index=index) for index in sound]


def test_large_frames_come_in_short_windows_with_a_look_ahead():
    scene = Scene(60)
    held = list(windows(scene.read(), scene))
    assert max(len(window.frames) for window in held) < 16
    assert any(len(window.frames) > window.n for window in held)
    assert [f.index for w in held for f in w.frames[: w.n]] == list(range(60))


@pytest.mark.parametrize(("n", "lost"), [(85, ()), (89, ()), (71, ()), (60, range(3, 25))])
def test_no_window_is_much_shorter_than_the_others_of_its_block(n, lost):
    scene = Scene(n, lost)
    held = list(windows(scene.read(), scene))
    assert [f.index for w in held for f in w.frames[: w.n]] == [f.index for f in scene.read()]
    for block in {window.block for window in held}:
        lengths = [window.n for window in held if window.block == block]
        assert max(lengths) <= 8 + AHEAD - 1
        assert max(lengths) - min(lengths) < AHEAD


def test_a_block_is_known_by_any_of_its_frames():
    assert [block_span(Scene(70), frame) for frame in (0, 29, 30, 69)] == [
        (0, 29),
        (0, 29),
        (30, 69),
        (30, 69),
    ]
