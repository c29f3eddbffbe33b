from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pitflow.config import PitConfig
from pitflow.frame import Frame
from pitflow.schema import PIT_PIXELS, validate_table
from pitflow.segment.classical.window import windows
from pitflow.segment.pit_map import NEVER, PitMap, pit_pixels
from pitflow.segment.pits import find_pits


class Blocks:
    """A scene of given dark discs per block: (x, y, radius) on even steel."""

    levels = 256

    def __init__(self, *blocks, shape=(150, 200), first=()):
        self.shape = shape
        self._blocks = [self.draw(discs) for discs in blocks]
        self.first = self.draw(first)
        self.n_blocks = len(blocks)
        self.frames = pd.DataFrame({"frame": np.arange(10 * len(blocks)), "quality": "ok"})

    def draw(self, discs):
        rows, columns = np.mgrid[: self.shape[0], : self.shape[1]]
        # Light falls off across the frame.
        image = 200.0 - 0.2 * columns
        for x, y, radius in discs:
            image[np.hypot(columns - x, rows - y) <= radius] *= 0.12
        return image.astype(np.uint8)

    def background(self, block):
        return self._blocks[block]

    def block_of(self, frame):
        return frame // 10


def grows(x, y, start, stop, n):
    return [(x, y, radius) for radius in np.linspace(start, stop, n)]


def found(*blocks, **more):
    pits = find_pits(Blocks(*blocks, **more), PitConfig())
    return sorted(
        (round(pits.column[pits.pit == k].mean()), round(pits.row[pits.pit == k].mean()))
        for k in range(pits.n_pits)
    )


def test_growing_pits_are_found():
    a, b = grows(50, 60, 4, 16, 5), grows(150, 100, 5, 12, 5)
    assert found(*([p, q] for p, q in zip(a, b, strict=True)), first=[(50, 60, 4)]) == [
        (50, 60),
        (150, 100),
    ]


def test_static_specks_and_landed_particles_are_none():
    speck, landed = (40, 40, 5), (100, 80, 4.6)
    assert found([speck], [speck], [speck, landed], [speck, landed], first=[speck]) == []
    # They are not passed over in silence.
    for specks, n in (([speck], 1), ([(40, 40, 3)], 0), ([speck, (90, 90, 6)], 2)):
        assert find_pits(Blocks(specks, specks, first=specks), PitConfig()).n_static == n


def test_a_heap_of_landed_particles_is_none():
    """One particle after the other lands beside the last: the heap grows, but stays thin."""
    landed = [(60 + 5 * k, 70 + k % 2, 2.6) for k in range(6)]
    heap = [landed[: k + 1] for k in range(len(landed))]
    assert found(*heap) == []


def test_specks_that_land_on_one_another_at_long_intervals_are_none():
    """The same spot grows as a small pit, when it does so block after block."""
    spots = [[(60, 70, 3)], [(60, 70, 3), (63, 70, 4)], [(60, 70, 3), (63, 70, 4), (62, 73, 4.5)]]
    slowly = [spots[0]] * 5 + [spots[1]] * 5 + [spots[2]] * 2
    assert found(*slowly) == []
    assert len(found([], *spots)) == 1


def test_what_is_dark_in_one_block_only_is_none():
    assert found([], [(80, 70, 12)], [], []) == []


def test_a_lacy_pit_is_one():
    parts = [(80, 70, 11), (97, 72, 3), (70, 86, 3), (90, 55, 3)]
    growing = [parts[:1], parts[:2], parts[:3], parts, parts]
    assert len(found([(80, 70, 5)], *growing)) == 1


def test_parts_that_appear_at_once_are_one():
    parts = [(80, 70, 7), (93, 72, 4), (70, 83, 3)]
    assert len(found([], parts, [(80, 70, 10), *parts[1:]], [(80, 70, 13), *parts[1:]])) == 1


def test_two_pits_that_meet_stay_two():
    left, right = grows(60, 70, 4, 16, 6), grows(88, 70, 4, 16, 6)
    assert len(found(*([p, q] for p, q in zip(left, right, strict=True)))) == 2


@pytest.mark.parametrize(("gap", "n"), [(9, 1), (14, 2)])
def test_parts_lie_within_half_the_radius_and_6_px_of_one_another(gap, n):
    """So far from a disc of 10 px another that appears with it."""
    left, right = grows(60, 70, 10, 11.5, 4), grows(80 + gap, 70, 10, 11.5, 4)
    assert len(found([], *([p, q] for p, q in zip(left, right, strict=True)))) == n


@pytest.mark.parametrize(("radius", "n"), [(9, 1), (16, 2)])
def test_a_pit_that_meets_a_far_larger_one_is_a_satellite_of_it(radius, n):
    """Less than 30 % of its area; either has begun apart, and is larger than the smallest pit."""
    large, other = grows(60, 70, 4, 22, 6), grows(60 + 22 + radius, 70, 4, radius, 6)
    assert len(found(*([p, q] for p, q in zip(large, other, strict=True)))) == n


def test_pits_are_in_the_order_in_which_they_appear():
    late, early = grows(50, 40, 4, 12, 4), grows(150, 100, 4, 16, 6)
    blocks = [[early[0]], [early[1]], *([p, q] for p, q in zip(early[2:], late, strict=True))]
    pits = find_pits(Blocks(*blocks), PitConfig())
    assert [round(pits.column[pits.pit == k].mean()) for k in (0, 1)] == [150, 50]


def test_the_box_around_a_pit_ends_where_the_frame_does():
    row, column = np.array([2, 4, 57, 58]), np.array([1, 3, 46, 48])
    pit, since = np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1])
    pits = PitMap((60, 50), row, column, pit, since, np.full(4, 60, np.float32), 2)
    assert pits.boxes(0, 4) == [(slice(0, 9), slice(0, 8)), (slice(53, 60), slice(42, 50))]


def test_an_even_frame_has_none():
    pits = find_pits(Blocks([], [], []), PitConfig())
    assert pits.n_pits == 0
    assert pits.row.size == 0
    assert pit_pixels(pits, np.empty(0, np.int64)).empty


def test_the_tail_adds_the_last_growth(recording):
    without = find_pits(recording, PitConfig())
    with_tail = find_pits(recording, PitConfig(), recording.read()[-5:])
    final = np.pi * 16**2
    assert with_tail.row.size == pytest.approx(final, rel=0.1)
    assert without.row.size < 0.85 * final
    assert without.end is None
    assert with_tail.end.shape == recording.shape


def test_state_follows_the_growth(recording):
    pits = find_pits(recording, PitConfig(), recording.read()[-5:])
    areas = [
        state.sum()
        for window in windows(recording.read(), recording)
        for state in pits.state(window)
    ]
    truth = np.pi * (4 + 12 * np.arange(len(areas)) / len(areas)) ** 2
    assert np.median(np.abs(areas - truth) / truth) < 0.1
    assert (np.diff(areas) >= 0).mean() > 0.95


def swelling_disc(drift_px, n=48, block=24, radius=(4.0, 20.0)):
    """The map and frames of a disc that swells evenly under a stage that drifts."""
    shape, x, y = (100, 110), 50.0, 48.0
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    away = np.hypot(columns - x, rows - y)
    frames = []
    for t, size in enumerate(np.linspace(*radius, n)):
        dx, dy = drift_px * t / n, drift_px * 0.6 * t / n
        covered = 1 / (1 + np.exp(2.5 * (np.hypot(columns - x - dx, rows - y - dy) - size)))
        image = np.rint(200 * (1 - 0.9 * covered)).astype(np.uint8)
        frames.append(Frame(t, image, "ok", (dx, dy), 1.0))
    row, column = np.nonzero(away < radius[1] - 0.5)
    turns = np.interp(away[row, column], radius, (0, n - 1))
    since = np.minimum(((turns + block // 2) // block).astype(np.intp), n // block)
    m = row.size
    pits = PitMap(shape, row, column, np.zeros(m, np.intp), since, np.full(m, 110, np.float32), 1)
    scene = Blocks(*[[]] * (n // block), shape=shape)
    scene.block_of = lambda frame: frame // block
    state = np.concatenate([pits.state(window) for window in windows(frames, scene)])
    first = np.where(state.any(axis=0), state.argmax(axis=0), n)
    return first, turns


@pytest.mark.parametrize("drift_px", [0.0, 3.0])
def test_growth_is_even_under_a_drift_and_across_blocks(drift_px):
    first, turns = swelling_disc(drift_px)
    late = turns > 1
    assert np.abs(first - np.ceil(turns))[late].mean() < 0.4
    per_frame, truth = (
        np.bincount(np.clip(t, 1, 47).astype(int), minlength=48) for t in (first, np.ceil(turns))
    )
    assert np.corrcoef(per_frame[2:], truth[2:])[0, 1] > 0.8


def test_what_drifts_out_of_view_is_not_on_the_border():
    height, width = 60, 50
    rows, columns = np.indices((height, width))
    row, column = np.nonzero(np.hypot(rows - 57, columns - 30) < 8)
    none = np.zeros(row.size, np.intp)
    pits = PitMap((height, width), row, column, none, none, np.full(row.size, 60, np.float32), 1)
    everywhere = np.ones(row.size, np.bool_)
    for shift, share in ((0.0, 1.0), (5.6, 0.3), (16.0, 0.0)):
        frame = Frame(0, np.full((height, width), 120, np.uint8), shift=(0.0, shift))
        in_view = row + round(shift) < height
        assert in_view.mean() == pytest.approx(share, abs=0.1)
        mask = pits.draw(everywhere, frame, (height, width))
        assert mask.sum() == in_view.sum()
        np.testing.assert_array_equal(pits.sample(2 * mask.astype(np.uint8), frame) == 2, in_view)


def pit_map(arrivals_of):
    """A map with a row of pixels per pit."""
    row = np.concatenate([np.full(len(a), i) for i, a in enumerate(arrivals_of)])
    column = np.concatenate([np.arange(len(a)) for a in arrivals_of])
    m = row.size
    return PitMap(
        (9, 99), row, column, row, np.zeros(m, np.intp), np.zeros(m, np.float32), len(arrivals_of)
    )


def test_pits_are_numbered_by_onset():
    arrivals = [[30, 31, 40], [5, 6, NEVER], [12, 12, 13]]
    table = pit_pixels(pit_map(arrivals), np.concatenate(arrivals).astype(np.int64))
    validate_table(table, PIT_PIXELS)
    assert table.groupby("pit")["frame"].min().tolist() == [5, 12, 30]
    assert len(table) == 8


def test_a_speck_in_a_pit_is_no_onset():
    arrivals = [[0] * 6 + list(range(40, 130))]
    table = pit_pixels(pit_map(arrivals), np.array(arrivals[0], np.int64))
    assert table["frame"].min() == 40
    assert len(table) == 96
