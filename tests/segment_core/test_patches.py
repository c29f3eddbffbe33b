"""Patches cover what is to be looked at, at little cost, and answer as tiles of the image would."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pitflow.domains.particles.channels import TileChannels
from pitflow.segment.dense import DensePredictor
from pitflow.segment.networks import build_network
from pitflow.segment.networks.unet import UNetConfig
from pitflow.segment.patches import Boxes, Patch, Patches, cover

SHAPE = (300, 410)


def boxes_at(*corners: tuple[int, int, int, int]) -> Boxes:
    """Boxes by (top, left, bottom, right)."""
    return Boxes(*np.array(corners, np.intp).reshape(-1, 4).T)


def covered(patches: Patches) -> np.ndarray:
    row, column = np.indices(SHAPE)
    return patches.hold(row.ravel(), column.ravel()).reshape(SHAPE)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 299), st.integers(0, 409), st.integers(1, 12)), max_size=40),
    st.sampled_from([4, 16, 32]),
)
def test_every_pixel_of_every_box_is_in_a_core(
    places: list[tuple[int, int, int]], multiple: int
) -> None:
    row, column, reach = np.array(places, np.intp).reshape(-1, 3).T
    boxes = Boxes.around(row, column, reach, reach + 1, SHAPE)
    patches = cover(boxes, SHAPE, halo=16, multiple=multiple)
    seen = covered(patches)
    for top, left, bottom, right in zip(
        boxes.top, boxes.left, boxes.bottom, boxes.right, strict=True
    ):
        assert seen[top:bottom, left:right].all()
    assert patches.covered_px == seen.sum()
    assert all((patch.core + 32) % multiple == 0 for patch in patches.items)
    # No more work than a patch for each.
    alone = [
        cover(boxes_at(box), SHAPE, halo=16, multiple=multiple).work_px
        for box in zip(boxes.top, boxes.left, boxes.bottom, boxes.right, strict=True)
    ]
    assert patches.work_px <= 1.2 * sum(alone)


def test_a_box_lies_in_the_middle_of_the_smallest_core_that_holds_it() -> None:
    (patch,) = cover(boxes_at((100, 200, 107, 207)), SHAPE, halo=16).items
    assert patch == Patch(96, 196, 16)
    (patch,) = cover(boxes_at((100, 200, 117, 217)), SHAPE, halo=16).items
    assert patch == Patch(96, 196, 32)


def test_boxes_far_apart_have_a_patch_each_and_a_crowd_has_one() -> None:
    far = cover(boxes_at((10, 10, 17, 17), (200, 300, 207, 307)), SHAPE, halo=16)
    assert sorted(patch.core for patch in far.items) == [16, 16]
    crowd = [(y, x, y + 7, x + 7) for y in range(100, 155, 9) for x in range(100, 155, 9)]
    together = cover(boxes_at(*crowd), SHAPE, halo=16)
    assert [patch.core for patch in together.items] == [64]
    assert together.work_px == 96**2


def test_a_field_larger_than_any_core_is_split_evenly() -> None:
    field = [(y, x, y + 16, x + 16) for y in range(0, 288, 16) for x in range(0, 400, 16)]
    patches = cover(boxes_at(*field), SHAPE, halo=16)
    assert covered(patches)[:288, :400].all()
    assert patches.work_px < 3 * SHAPE[0] * SHAPE[1]


def test_many_boxes_at_ever_wider_distances_are_no_trouble() -> None:
    # Cut at the widest gap alone, they would be peeled off one by one.
    row = np.cumsum(np.linspace(1, 40, 3000)).astype(np.intp)
    shape = (int(row[-1]) + 20, 20)
    patches = cover(Boxes.around(row, np.full_like(row, 8), 3, 4, shape), shape, halo=8)
    assert patches.hold(row, np.full_like(row, 8)).all()


def test_nothing_to_look_at_needs_no_patch() -> None:
    patches = cover(boxes_at(), SHAPE, halo=16)
    assert len(patches) == patches.work_px == 0
    assert not covered(patches).any()


def test_a_box_larger_than_any_core_is_refused() -> None:
    with pytest.raises(ValueError, match="a box of 300 px is larger than any core: 256 px"):
        cover(boxes_at((0, 0, 300, 20)), SHAPE, halo=16)


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(3)
    return build_network(UNetConfig(widths=(4, 4)), 2, 2).eval()


def test_in_its_core_a_patch_answers_as_the_whole_image_does(network: torch.nn.Module) -> None:
    rng = np.random.default_rng(1)
    frame, background = rng.integers(90, 190, (2, *SHAPE)).astype(np.uint8)
    channels = TileChannels(
        ("frame", "background"), frame, {"background": background.astype(np.float32)}
    )
    predictor = DensePredictor(network, 512)
    whole = predictor.predict_tiles(channels)
    # At the border, in the open, and overlapping; the network's reach fits into the halo.
    places = Patches(
        SHAPE,
        16,
        (Patch(-4, 396, 16), Patch(100, 100, 32), Patch(108, 108, 32), Patch(284, 200, 16)),
    )
    assert network.halo <= 16
    answer = predictor.predict_patches(channels, places)
    seen = covered(places)
    np.testing.assert_allclose(answer[:, seen], whole[:, seen], atol=1e-5)
    assert not answer[:, ~seen].any()
    alone = predictor.predict_patches(channels, places, only=1)
    np.testing.assert_allclose(alone[0], answer[1], atol=1e-6)
    nothing = predictor.predict_patches(channels, Patches(SHAPE, 16, ()), only=1)
    assert nothing.shape == (1, *SHAPE)
    assert not nothing.any()


def test_cores_suit_networks_that_halve_often() -> None:
    patches = cover(boxes_at((10, 10, 17, 17)), SHAPE, halo=16, multiple=200)
    assert patches.items[0].core == 168
