from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pitflow.config import PitConfig
from pitflow.frame import Frame
from pitflow.segment.classical.window import windows
from pitflow.segment.landed import NOT_DARK, grown_pixels
from pitflow.segment.pits import find_pits

SHAPE = (100, 120)
N_FRAMES = 240
ROW, COLUMN = np.mgrid[: SHAPE[0], : SHAPE[1]]


def away(x, y):
    return np.hypot(COLUMN - x, ROW - y)


def grows(x, y, start, stop, radius, begin=1.5):
    """Arrivals of a disc whose area rises evenly from frame ``start`` to ``stop``."""
    share = (away(x, y) ** 2 - begin**2) / (radius**2 - begin**2)
    frame = np.ceil(start + np.clip(share, 0, None) * (stop - start))
    return np.where(share <= 1, frame.astype(np.int64), NOT_DARK)


def lands(x, y, frame, radius=2.2):
    """Arrivals of a disc that is there within three frames."""
    return np.where(away(x, y) <= radius, frame + (ROW + COLUMN) % 3, NOT_DARK)


def told(*arrivals, min_area_px=60.0):
    arrival = np.minimum.reduce(arrivals)
    start = (arrival == 0).astype(np.int32)
    return grown_pixels(arrival, np.arange(N_FRAMES), start, min_area_px, 6 * min_area_px)


@pytest.mark.parametrize("frames", [20, 40, 180])
def test_what_grows_is_pit_however_fast(frames):
    pit = grows(60, 50, 10, 10 + frames, 5.4)
    growth = told(pit)
    np.testing.assert_array_equal(growth.pit, pit != NOT_DARK)
    assert growth.n_landed == 0


@pytest.mark.parametrize("radius", [2.2, 5.4, 9.0])
def test_what_comes_at_once_has_landed(radius):
    growth = told(lands(60, 50, 30, radius))
    assert not growth.pit.any()
    assert growth.n_landed == 1
    assert growth.n_large_landed == (radius > 4.4)


def test_a_heap_of_particles_has_landed():
    """Particles that land on and beside one another, one every 20 frames."""
    turn = 2.4 * np.arange(10)
    heap = [
        lands(60 + 3.5 * np.cos(a), 50 + 3.5 * np.sin(a), 10 + 20 * k) for k, a in enumerate(turn)
    ]
    growth = told(*heap)
    assert (np.minimum.reduce(heap) != NOT_DARK).sum() > 60
    assert not growth.pit.any()


def test_specks_that_land_at_the_rim_of_what_has_landed_are_no_growth():
    """Each is as near as a rim may move, but comes at once and after a pause."""
    specks = [
        np.where(away(60 + 5.7 * np.cos(a), 50 + 5.7 * np.sin(a)) <= 1.2, 40 + 20 * k, NOT_DARK)
        for k, a in enumerate(np.arange(8) * np.pi / 4)
    ]
    growth = told(lands(60, 50, 10, 4.5), *specks)
    assert not growth.pit.any()
    # Pixel by pixel, a pit may grow as slowly.
    slow = [np.where(speck == NOT_DARK, NOT_DARK, 40 + 3 * ROW) for speck in specks]
    assert told(lands(60, 50, 10, 4.5), *slow).pit.any()


def test_what_lands_beside_a_pit_is_no_growth_of_it():
    pit = grows(60, 50, 0, 239, 20, begin=6)
    apart = [lands(60 + 32 * np.cos(a), 50 + 32 * np.sin(a), 9 + 30 * a) for a in range(6)]
    overgrown = [lands(60 - 17.5 * np.cos(a), 50 - 17.5 * np.sin(a), 5) for a in (0.5, 1.5)]
    growth = told(pit, *apart, *overgrown)
    assert growth.n_landed == 6
    # In the end the pit has taken in what lay in its way, and no earlier than it has reached it.
    inside = away(60, 50) <= 20
    np.testing.assert_array_equal(growth.pit, inside)
    early = away(60, 50) < 14
    assert (growth.not_before[early] == 0).all()
    held_back = growth.not_before[np.minimum.reduce(overgrown) != NOT_DARK]
    assert held_back.max() > 100


def test_a_hole_that_opens_near_a_pit_is_part_of_it_at_once():
    """As in its cover; further away the same is a particle that has landed."""
    pit = grows(60, 50, 0, 239, 20, begin=16)
    near, far = lands(60 + 26, 50, 60), lands(60 - 32, 50, 60)
    growth = told(pit, near, far)
    assert growth.pit[near != NOT_DARK].all()
    assert not growth.pit[far != NOT_DARK].any()
    assert (growth.not_before == 0).all()


def test_a_satellite_that_grows_is_part_of_the_pit():
    pit, hole = grows(50, 50, 0, 239, 14, begin=10), grows(70.3, 50.2, 60, 85, 3.2, begin=1)
    growth = told(pit, hole)
    assert growth.pit[hole != NOT_DARK].all()
    assert (growth.not_before == 0).all()


def test_growth_while_frames_were_lost_is_growth():
    pit = grows(60, 50, 0, 239, 20, begin=12)
    seen = np.array([t for t in range(N_FRAMES) if not 100 <= t < 130])
    known = np.where(pit == NOT_DARK, NOT_DARK, seen[np.searchsorted(seen, pit.clip(max=239))])
    growth = grown_pixels(known, seen, (known == 0).astype(np.int32), 60.0, 360.0)
    np.testing.assert_array_equal(growth.pit, pit != NOT_DARK)
    assert (growth.not_before == 0).all()


def stamped(x, y, start, toward=0.0):
    """Arrivals of a pit whose front is discs: the first at (x, y), the next 4 px further on."""
    front = np.array([np.cos(toward), np.sin(toward)])
    discs = [(x, y, start, 2.5)]
    for step in range(1, 24):
        wander = 0.5 * step * np.array([-front[1], front[0]]) * (-1) ** step
        to = np.array([x, y]) + front * (4 + 0.7 * step) + wander
        discs.append((*to, start + 1 + 4 * (step - 1), 4.5))
    return np.minimum.reduce(
        [np.where(away(cx, cy) <= r, frame, NOT_DARK) for cx, cy, frame, r in discs]
    )


@pytest.mark.parametrize("toward", [0.0, 2.0])
def test_a_pit_that_is_there_from_the_first_frame_is_pit_from_then_on(toward):
    """Small as a speck, it wins more at once than a rim does."""
    pit = stamped(60, 50, 0, toward)
    growth = told(pit)
    np.testing.assert_array_equal(growth.pit, pit != NOT_DARK)
    assert (growth.not_before == 0).all()


@pytest.mark.parametrize(("x", "toward"), [(62, 0.0), (63, 2.0), (65, 4.0), (66, 4.0)])
def test_a_speck_beside_which_a_pit_begins_later_is_no_pit_before(x, toward):
    """Whether the pit grows over it at once, later, or away from it."""
    speck, begins = np.where(away(60, 50) <= 2.5, 0, NOT_DARK), 30
    arrival = np.minimum(speck, stamped(x, 50, begins, toward))
    growth = told(arrival)
    assert growth.pit[speck == NOT_DARK].sum() == (arrival[speck == NOT_DARK] != NOT_DARK).sum()
    assert np.maximum(arrival, growth.not_before)[growth.pit].min() == pytest.approx(begins, abs=1)


class Recorded:
    """A scene of given arrivals on even steel, in blocks of 48 frames."""

    levels = 256
    shape = SHAPE

    def __init__(self, *arrivals, n_frames=N_FRAMES):
        self.arrival = np.minimum.reduce(arrivals)
        self.n_blocks = n_frames // 48
        self.frames = pd.DataFrame({"frame": np.arange(n_frames), "quality": "ok"})
        self.first = self.image(0)

    def image(self, frame):
        return np.where(self.arrival <= frame, 25, 200).astype(np.uint8)

    def background(self, block):
        return self.image(48 * block + 24)

    def block_of(self, frame):
        return frame // 48

    def read(self, block):
        return [Frame(t, self.image(t)) for t in range(48 * block, 48 * block + 48)]


def test_a_pit_that_grows_within_a_block_is_found():
    """And a particle of its size, which has landed there, is not."""
    pit, particle = grows(40, 50, 52, 80, 5.4), lands(90, 50, 60, 5.4)
    scene = Recorded(pit, particle)
    pits = find_pits(scene, PitConfig(), (), scene.read)
    assert pits.n_pits == 1
    assert (pits.n_landed, pits.n_beside) == (1, 0)
    assert set(zip(pits.row, pits.column, strict=True)) == set(
        zip(*(pit < 999).nonzero(), strict=True)
    )
    # By blocks alone it is none, for it grows in one only.
    assert find_pits(scene, PitConfig()).n_pits == 0


def test_what_grew_while_a_block_was_lost_is_pit():
    pit = grows(60, 50, 0, 239, 18, begin=12)
    scene = Recorded(pit)
    scene.frames.loc[scene.frames["frame"].between(48, 143), "quality"] = "gap"
    shown = (0, 0, 3, 3, 4)
    background = scene.background
    scene.background = lambda block: background(shown[block])
    pits = find_pits(scene, PitConfig(), (), lambda b: [] if b in (1, 2) else scene.read(b))
    assert pits.n_pits == 1
    assert pits.row.size == (pit <= 216).sum()


def test_what_has_landed_beside_a_pit_is_not_in_its_area():
    pit = grows(55, 50, 0, 239, 18, begin=15)
    particles = [lands(55 + 31 * np.cos(a), 50 + 31 * np.sin(a), 40 + 20 * a) for a in range(6)]
    scene = Recorded(pit, *particles)
    by_frames = find_pits(scene, PitConfig(), (), scene.read)
    by_blocks = find_pits(scene, PitConfig())
    assert (by_frames.n_pits, by_blocks.n_pits) == (1, 1)
    assert by_frames.n_beside == 6
    (window,) = windows(scene.read(3), scene)
    truth = (pit <= 191).sum()
    assert by_frames.state(window)[-1].sum() == pytest.approx(truth, rel=0.02)
    assert by_blocks.state(window)[-1].sum() > 1.05 * truth
