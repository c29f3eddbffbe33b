"""What shares pixels stays on one side of every split."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pitflow.domains.particles.groups import overlap_groups, tile_offset
from pitflow.domains.splits import folds, split
from pitflow.errors import UserError


def overlap(a: int, b: int) -> bool:
    """Whether tiles of 200 px, 100 px apart and 21 to a row, share a pixel."""
    (row_a, column_a), (row_b, column_b) = divmod(a, 21), divmod(b, 21)
    return abs(row_a - row_b) * 100 < 200 and abs(column_a - column_b) * 100 < 200


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 440), min_size=1, max_size=40, unique=True))
def test_overlapping_tiles_share_a_group_and_groups_share_no_pixel(tiles: list[int]) -> None:
    groups = overlap_groups([f"30mM(2)_0.25_{tile}.000" for tile in tiles])
    for (a, group_a), (b, group_b) in itertools.combinations(zip(tiles, groups, strict=True), 2):
        if overlap(a, b):
            assert group_a == group_b
    assert len(set(groups)) <= len(tiles)


def test_a_chain_of_overlaps_is_one_group_and_the_row_ends_at_21() -> None:
    names = [f"v_0.5_{tile}" for tile in (0, 1, 2, 20, 21, 200)]
    groups = overlap_groups(names)
    # 21 starts the second row, below 0 and 1; 20 ends the first, far from it.
    assert len({groups[index] for index in (0, 1, 2, 4)}) == 1
    assert len(set(groups)) == 3


def test_other_frames_and_other_names_are_other_groups() -> None:
    groups = overlap_groups(["v_0.25_7.000", "v_0.5_7.000", "w_0.5_7.000", "image", "scan_a_1b"])
    assert len(set(groups)) == 5
    assert groups[3] == "image"


GROUPS = st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=40).filter(
    lambda groups: len(set(groups)) > 1
)


@settings(max_examples=60, deadline=None)
@given(GROUPS, st.floats(0.1, 0.5), st.integers(0, 5))
def test_a_split_cuts_no_group(groups: list[str], share: float, seed: int) -> None:
    weights = [float(index % 3) for index in range(len(groups))]
    first, second = split(groups, weights, share, seed)
    assert sorted(first + second) == list(range(len(groups)))
    assert first
    assert second
    assert not {groups[index] for index in first} & {groups[index] for index in second}


def test_the_part_kept_aside_has_about_its_share_of_the_truth() -> None:
    groups = [str(index // 2) for index in range(100)]
    first, second = split(groups, [1.0] * 100, 0.2, seed=3)
    assert len(second) == 20
    assert split(groups, [1.0] * 100, 0.2, seed=3) == (first, second)
    assert split(groups, [1.0] * 100, 0.2, seed=4) != (first, second)


@pytest.mark.parametrize(("holding", "empty", "aside"), [(10, 10, 2), (1, 5, 1), (0, 10, 2)])
def test_pictures_of_nothing_are_learned_from_too(holding: int, empty: int, aside: int) -> None:
    weights = [50.0] * holding + [0.0] * empty
    groups = [str(index) for index in range(len(weights))]
    first, second = split(groups, weights, 0.2, seed=0)
    assert sum(weights[index] == 0 for index in second) == aside
    assert sum(weights[index] > 0 for index in first) == holding - round(0.2 * holding)


def test_one_group_cannot_be_split() -> None:
    with pytest.raises(UserError, match="none can be kept aside"):
        split(["a", "a"], [1, 1], 0.2, seed=0)


def test_folds_are_whole_groups_of_about_the_same_weight() -> None:
    groups = [*"aabbccddee", *"fghij"]
    weights = [1.0] * len(groups)
    parts = folds(groups, weights, 3)
    assert sorted(itertools.chain(*parts)) == list(range(15))
    assert [len(part) for part in parts] == [5, 5, 5]
    assert all(
        not {groups[i] for i in a} & {groups[i] for i in b}
        for a, b in itertools.combinations(parts, 2)
    )
    with pytest.raises(UserError, match="folds"):
        folds(["a", "a", "b"], [1, 1, 1], 3)


def test_tiles_of_a_video_overlap_in_place_at_any_time() -> None:
    assert tile_offset("v_0.5_0", "v_0.5_22") == (100, 100)
    assert tile_offset("v_0.5_22.000", "v_0.5_1.000") == (-100, 0)
    assert tile_offset("v_0.5_0", "v_0.5_2") is None
    assert tile_offset("v_0.25_0", "v_0.5_1") == (0, 100)
    assert tile_offset("v_0.25_0", "w_0.5_1") is None
    assert tile_offset("a picture", "v_0.5_1") is None
