"""Tiles cover every pixel of any image, and an identity network gives the image back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pitflow.segment import tiles

SIZES = st.integers(1, 170)


@st.composite
def plans(draw: st.DrawFn) -> tiles.TilePlan:
    multiple = draw(st.sampled_from([1, 2, 8, 32]))
    align = draw(st.sampled_from([1, multiple]))
    halo = draw(st.integers(0, 20))
    overlap = draw(st.integers(0, 20))
    least = 2 * (-(-halo // align) * align) + overlap + align
    tile = (-(-least // multiple) + draw(st.integers(0, 3))) * multiple
    shape = (draw(SIZES), draw(SIZES))
    return tiles.plan_tiles(
        shape,
        tile,
        halo=halo,
        overlap=overlap,
        multiple=multiple,
        align=align,
        even=draw(st.booleans()),
    )


def assemble(image: np.ndarray, plan: tiles.TilePlan) -> np.ndarray:
    padded = image[..., plan.rows.source[:, None], plan.columns.source]
    out = np.zeros(image.shape)
    for tile in plan:
        answer = tiles.extract(padded, plan, tile)
        weights = plan.rows.weights[tile[0]], plan.columns.weights[tile[1]]
        place, part = tiles.weighted(plan, tile, answer, *weights)
        out[place] += part
    return out


@settings(max_examples=150, deadline=None)
@given(plans())
def test_identity_network_gives_the_image_back(plan: tiles.TilePlan) -> None:
    image = np.random.default_rng(0).random((2, *plan.shape))
    np.testing.assert_allclose(assemble(image, plan), image, rtol=1e-5)


@settings(max_examples=100, deadline=None)
@given(plans())
def test_weights_sum_to_one_at_every_pixel(plan: tiles.TilePlan) -> None:
    for axis in (plan.rows, plan.columns):
        total = np.zeros(axis.size)
        for index in range(len(axis.starts)):
            image, tile = axis.span(index)
            assert 0 <= image.start < image.stop <= axis.size
            total[image] += axis.weights[index][tile]
        np.testing.assert_allclose(total, 1.0, rtol=1e-6)


def test_the_halo_is_never_used_and_tiles_are_aligned() -> None:
    plan = tiles.plan_tiles((500, 333), 128, halo=20, overlap=10, multiple=16)
    for axis in (plan.rows, plan.columns):
        for start, weight in zip(axis.starts, axis.weights, strict=True):
            assert start % 16 == 0
            assert not weight[:20].any()
            assert not weight[-20:].any()


@settings(max_examples=100, deadline=None)
@given(SIZES, SIZES, st.sampled_from([1, 4, 16]), st.integers(0, 20), st.integers(0, 9))
def test_even_tiles_are_as_many_and_no_larger_than_needed(
    height: int, width: int, multiple: int, halo: int, overlap: int
) -> None:
    shape, tile = (height, width), 128
    whole = tiles.plan_tiles(shape, tile, halo=halo, overlap=overlap, multiple=multiple)
    even = tiles.plan_tiles(shape, tile, halo=halo, overlap=overlap, multiple=multiple, even=True)
    for before, after in ((whole.rows, even.rows), (whole.columns, even.columns)):
        assert len(after.starts) <= len(before.starts)
        assert after.tile <= before.tile
        assert after.tile % multiple == 0
        assert all(start % multiple == 0 for start in after.starts)
        covered = after.starts[-1] + after.tile - after.starts[0]
        reach = 2 * (-(-halo // multiple) * multiple)
        spare = covered - reach - after.size
        # Less than a step of the grid for each tile, and what a tile is rounded up by.
        assert 0 <= spare < multiple * (len(after.starts) + 2)


def test_neighbours_pass_over_gradually() -> None:
    axis = tiles.plan_axis(96, 64, halo=0, overlap=32, align=1)
    assert axis.starts == (0, 32)
    ramp = axis.weights[1][:32]
    assert np.all(np.diff(ramp) > 0)
    np.testing.assert_allclose(ramp + axis.weights[0][32:], 1.0, rtol=1e-6)


def test_reflection_is_numpys() -> None:
    plan = tiles.plan_tiles((5, 1), 16, halo=7)
    image = np.arange(5.0)[:, None]
    below = plan.rows.starts[-1] + plan.rows.tile - 5
    right = plan.columns.starts[-1] + plan.columns.tile - 1
    expected = np.pad(image, ((7, below), (7, right)), mode="reflect")
    padded = image[plan.rows.source[:, None], plan.columns.source]
    np.testing.assert_array_equal(padded, expected)


def test_a_small_image_takes_one_small_tile() -> None:
    plan = tiles.plan_tiles((40, 900), 512, halo=16, overlap=32, multiple=16)
    assert plan.tile_shape == (80, 512)
    assert len(plan.rows.starts) == 1


@pytest.mark.parametrize(
    ("tile", "halo", "overlap", "multiple"), [(64, 32, 0, 1), (64, 0, 64, 1), (60, 0, 0, 32)]
)
def test_an_impossible_plan_is_refused(tile: int, halo: int, overlap: int, multiple: int) -> None:
    with pytest.raises(ValueError, match="tile"):
        tiles.plan_tiles((300, 300), tile, halo=halo, overlap=overlap, multiple=multiple)
