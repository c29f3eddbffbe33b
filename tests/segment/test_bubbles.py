"""A circle with a dark rim and a bright middle is a bubble; along its rim are no particles."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pitflow.config import ChangeConfig, PitConfig
from pitflow.frame import Frame
from pitflow.segment.block import segment_block
from pitflow.segment.classical.bubbles import Steel
from pitflow.segment.classical.change import ChangeSegmenter
from pitflow.segment.pit_map import no_pits
from pitflow.segment.pits import find_pits

SHAPE = (220, 260)
STEEL = 190.0
ROWS, COLUMNS = np.mgrid[: SHAPE[0], : SHAPE[1]]
NOTHING = np.zeros(SHAPE, np.bool_)


def bubble(x, y, radius, width=5.0, depth=0.5, shape=SHAPE):
    """The light that comes back from a bubble whose rim ends at a radius, as a share."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    away = np.hypot(columns - x, rows - y)
    return 1 - depth * np.exp(-0.5 * ((away - (radius - width / 2)) / (width / 2.4)) ** 2)


def dots(places, sigma, depth):
    light = np.ones(SHAPE)
    for x, y in places:
        light -= depth * np.exp(-((COLUMNS - x) ** 2 + (ROWS - y) ** 2) / (2 * sigma**2))
    return np.maximum(light, 0.05)


def found(light, hidden=NOTHING, shift=(0.0, 0.0), gain=1.0):
    rng = np.random.default_rng(3)
    image = np.rint(gain * STEEL * light + rng.normal(0, 2, SHAPE)).astype(np.uint8)
    steel = Steel([np.full(SHAPE, STEEL, np.float32)])
    return steel.bubbles(Frame(0, image, "ok", shift, gain), hidden)


@pytest.mark.parametrize(("radius", "width"), [(11, 4), (20, 8), (35, 3), (80, 6)])
def test_a_bubble_is_found_with_its_size(radius, width):
    one = found(bubble(120.3, 110.6, radius, width), shift=(3.4, -1.2), gain=0.9)
    assert one.middle == pytest.approx(np.array([[120.3, 110.6]]), abs=0.5)
    assert one.outer == pytest.approx(radius, abs=2)


def test_bubbles_that_touch_are_found_each():
    both = found(bubble(80, 100, 30) * bubble(128, 110, 20))
    assert sorted(both.middle.round().tolist()) == [[80, 100], [128, 110]]


def test_the_part_that_a_pit_or_the_border_hides_does_not_matter():
    hidden = np.hypot(COLUMNS - 150, ROWS - 100) < 15
    light = np.where(hidden, 0.1, bubble(126, 100, 30) * bubble(250, 60, 30))
    middle = np.sort(found(light, hidden).middle, axis=0)
    assert middle == pytest.approx(np.array([[126, 60], [250, 100]]), abs=1.5)


def test_halos_discs_crowds_and_particles_out_of_focus_are_none():
    """Of a black particle 10 px wide the light lost is spread over a ring as wide as itself."""
    rng = np.random.default_rng(5)
    angle = 2 * np.pi * np.arange(9) / 9
    around = np.column_stack([120 + 25 * np.cos(angle), 110 + 25 * np.sin(angle)])
    out_of_focus = bubble(120, 110, 25, width=10, depth=10**2 / (8 * 20 * 10))
    for light in (
        1 - 0.3 * np.exp(-0.5 * (np.hypot(COLUMNS - 120, ROWS - 110) / 40) ** 2),
        np.where(np.hypot(COLUMNS - 120, ROWS - 110) < 20, 0.4, 1),
        dots(around, 2.5, 0.6),
        dots(rng.uniform(80, 160, (60, 2)), 2.0, 0.6),
        out_of_focus,
    ):
        assert len(found(light)) == 0


def test_along_the_rim_of_a_bubble_nothing_is_a_particle(make_recording):
    """One grows from frame 10 on, sits, and leaves after frame 40; particles are found as ever."""
    plain = make_recording(pit=False, shape=(120, 160))
    images = []
    for t, image in enumerate(plain.images):
        light = bubble(80, 50, 12 + 4 * np.sqrt(max(t - 10, 0)), shape=plain.shape)
        images.append((image * (light if 10 <= t < 40 else 1)).astype(np.uint8))
    blocks = np.array_split(np.array(images), plain.n_blocks)
    backgrounds = np.array([np.median(block[::2], axis=0) for block in blocks], np.uint8)
    recording = replace(plain, images=images, backgrounds=backgrounds)
    pits = no_pits(plain.shape)
    segmenter = ChangeSegmenter(ChangeConfig(), pits)
    with_one, without = (
        segment_block(segmenter, pits, clip.read(), clip) for clip in (recording, plain)
    )
    assert without.bubbles.empty
    assert with_one.bubbles["frame"].between(10, 39).all()
    assert len(with_one.bubbles) >= 27
    assert with_one.bubbles["diameter_px"].iloc[-1] == pytest.approx(67, abs=3)
    assert len(with_one.detections) < 1.1 * len(without.detections)
    assert len(with_one.detections) > 0.9 * len(without.detections)


def backgrounds(*lights):
    """A scene of which each block shows these shares of the steel's light."""
    images = [np.rint(STEEL * light).astype(np.uint8) for light in lights]
    return SimpleNamespace(
        shape=SHAPE,
        first=np.full(SHAPE, STEEL, np.uint8),
        n_blocks=len(images),
        frames=pd.DataFrame({"frame": np.arange(len(images)), "quality": "ok"}),
        background=images.__getitem__,
        block_of=lambda frame: frame,
    )


def pit(radius):
    return np.where(np.hypot(COLUMNS - 120, ROWS - 110) <= radius, 0.1, 1.0)


def test_the_dark_rim_of_a_bubble_that_sits_and_grows_is_no_pit():
    rims = [bubble(120, 110, radius, width=6, depth=0.8) for radius in (22, 29, 35, 40)]
    pits = find_pits(backgrounds(np.ones(SHAPE), *rims), PitConfig())
    assert pits.n_pits == 0


def test_a_pit_that_a_bubble_covers_is_the_same_pit_before_and_after():
    over = bubble(120, 110, 40, width=8, depth=0.8)
    pits = find_pits(backgrounds(pit(0), pit(6), over, over, pit(12), pit(14)), PitConfig())
    assert pits.n_pits == 1
    assert pits.row.size == pytest.approx(np.pi * 14**2, rel=0.05)
    assert (pits.since == 1).sum() == pytest.approx(np.pi * 6**2, rel=0.1)


def open_pit(inner, outer):
    """Dark all round and bright in the middle, like a bubble's rim, but for a gap."""
    away, gap = np.hypot(COLUMNS - 120, ROWS - 110), (COLUMNS > 120) & (np.abs(ROWS - 110) < 3)
    return np.where((away >= inner) & (away <= outer) & ~gap, 0.1, 1.0)


def test_a_young_pit_that_is_open_in_the_middle_is_no_bubble():
    rings = [open_pit(inner, outer) for inner, outer in ((9, 17), (7, 20), (5, 24))]
    assert len(found(rings[0])) == 1
    pits = find_pits(backgrounds(np.ones(SHAPE), *rings), PitConfig())
    assert pits.n_pits == 1
    assert (pits.since == 1).sum() == (rings[0] < 0.5).sum()
