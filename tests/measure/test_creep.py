"""Scribe creep against drawn shapes and rendered panels whose creep is known."""

from __future__ import annotations

import numpy as np
import pytest

from pitflow.measure.creep import at_the_scribe, compute_creep, creep_profiles, farthest_px
from pitflow.measure.rating import area_rating, scribe_rating
from pitflow.scribe import Scribe
from pitflow.simulate.panel import PanelConfig, render_panel

VERTICAL = Scribe(50, 10, 50, 90)


def a_box(left: int, right: int, top: int = 10, bottom: int = 90) -> np.ndarray:
    """A mask that reaches ``left`` px to the left of column 50 and ``right`` px to its right."""
    mask = np.zeros((100, 100), bool)
    mask[top : bottom + 1, 50 - left : 50 + right + 1] = True
    return mask


def test_the_outline_lies_between_a_corroded_pixel_and_a_sound_one() -> None:
    creep = compute_creep(creep_profiles(a_box(7, 3), [VERTICAL], 0.1))
    assert creep.left_mean_mm == pytest.approx(0.75)
    assert creep.right_mean_mm == pytest.approx(0.35)
    assert creep.mean_mm == pytest.approx(0.55)
    assert creep.max_mm == pytest.approx(0.75)


def test_left_is_left_whichever_end_is_first() -> None:
    turned = Scribe(50, 90, 50, 10)
    creep = compute_creep(creep_profiles(a_box(7, 3), [turned], 0.1))
    assert (creep.left_max_mm, creep.right_max_mm) == pytest.approx((0.75, 0.35))
    flat = compute_creep(creep_profiles(a_box(7, 3).T, [Scribe(90, 50, 10, 50)], 0.1))
    assert (flat.left_max_mm, flat.right_max_mm) == pytest.approx((0.75, 0.35))


def test_half_the_width_of_the_cut_is_no_creep() -> None:
    creep = compute_creep(creep_profiles(a_box(7, 3), [VERTICAL], 0.1, half_width_mm=0.3))
    assert creep.left_mean_mm == pytest.approx(0.45)
    # 0.05 mm are half a pixel: just told from none.
    assert creep.right_mean_mm == pytest.approx(0.05)
    bare = compute_creep(creep_profiles(a_box(2, 2), [VERTICAL], 0.1, half_width_mm=0.25))
    assert bare.mean_mm == bare.max_mm == 0
    assert scribe_rating(bare.mean_mm) == 10


def test_only_what_touches_the_scribe_has_crept() -> None:
    mask = a_box(4, 4)
    spot = np.zeros_like(mask)
    spot[40:50, 70:80] = True
    profiles = creep_profiles(mask | spot, [VERTICAL], 0.1)
    assert compute_creep(profiles).max_mm == pytest.approx(0.45)
    assert np.array_equal(at_the_scribe(mask | spot, [VERTICAL]), mask)
    # A bridge makes it one piece, and the farthest corrosion counts.
    mask[44, 50:75] = True
    assert compute_creep(creep_profiles(mask | spot, [VERTICAL], 0.1)).max_mm > 2.9


def test_a_cut_that_is_not_marked_still_joins_its_sides() -> None:
    mask = a_box(8, 8)
    mask[:, 47:54] = False
    assert not at_the_scribe(mask, [VERTICAL]).any()
    assert np.array_equal(at_the_scribe(mask, [VERTICAL], half_width_px=3.0), mask)


def test_a_cut_of_bare_steel_joins_its_sides_whether_its_width_is_given_or_not() -> None:
    mask = a_box(8, 12)
    mask[:, 46:55] = False
    for width_mm in (0.0, 0.6):
        creep = compute_creep(creep_profiles(mask, [VERTICAL], 0.1, width_mm / 2))
        assert creep.left_mean_mm == pytest.approx(0.85 - width_mm / 2)
        assert creep.right_mean_mm == pytest.approx(1.25 - width_mm / 2)
    # No cut is 3 mm wide: this corrosion lies beside the scribe.
    mask[:, 40:61] = False
    assert compute_creep(creep_profiles(mask, [VERTICAL], 0.1)).max_mm == 0


def test_the_farthest_corrosion_is_counted_from_the_ends_too() -> None:
    mask = a_box(3, 5, top=2, bottom=96)
    assert farthest_px(mask, [VERTICAL]) == pytest.approx(np.hypot(8, 5))
    assert farthest_px(np.zeros_like(mask), [VERTICAL]) == farthest_px(mask, []) == 0


def test_nothing_corroded_is_no_creep_and_no_scribe_is_no_answer() -> None:
    none = compute_creep(creep_profiles(np.zeros((100, 100), bool), [VERTICAL], 0.1))
    assert none.mean_mm == none.max_mm == 0
    assert np.isnan(compute_creep([]).mean_mm)


def test_corrosion_that_leaves_the_image_is_measured_to_its_border() -> None:
    mask = np.ones((100, 100), bool)
    creep = compute_creep(creep_profiles(mask, [Scribe(50, 0, 50, 99)], 1.0))
    assert creep.left_max_mm == pytest.approx(50.5)
    assert creep.right_max_mm == pytest.approx(49.5)


@pytest.mark.parametrize("turn", [0, 20, 45, 70, 90, 135])
def test_creep_of_a_slanted_band(turn: float) -> None:
    angle = np.radians(turn)
    ax, ay = np.cos(angle), np.sin(angle)
    scribe = Scribe(150 - 100 * ax, 150 - 100 * ay, 150 + 100 * ax, 150 + 100 * ay)
    y, x = np.mgrid[:300, :300].astype(float)
    nx, ny = scribe.to_the_right
    across = (x - 150) * nx + (y - 150) * ny
    along = np.abs((x - 150) * ax + (y - 150) * ay)
    mask = (along <= 110) & (across >= -12.3) & (across <= 20.7)
    creep = compute_creep(creep_profiles(mask, [scribe], 0.1))
    assert creep.left_mean_mm == pytest.approx(1.23, abs=0.03)
    assert creep.right_mean_mm == pytest.approx(2.07, abs=0.03)


def test_each_arm_of_a_cross_is_measured_where_it_is_alone() -> None:
    y, x = np.mgrid[:200, :200].astype(float)
    mask = (np.abs(x - 100) <= 6) | (np.abs(y - 100) <= 6)
    arms = [Scribe(100, 5, 100, 195), Scribe(5, 100, 195, 100)]
    profiles = creep_profiles(mask, arms, 0.1)
    creep = compute_creep(profiles)
    assert creep.mean_mm == pytest.approx(0.65, abs=0.01)
    assert creep.max_mm == pytest.approx(0.65, abs=0.06)
    unknown = np.isnan(profiles[0].left_mm)
    assert unknown.any()
    assert np.abs(profiles[0].position_mm[unknown] - 9.5).max() < 0.8


@pytest.mark.parametrize("left", [0.0, 0.7, 2.4, 6.0])
@pytest.mark.parametrize("right", [0.4, 4.1])
def test_rendered_panels_are_measured_and_rated(left: float, right: float) -> None:
    slanted = (0.42, 0.15, 0.58, 0.85) if left > 1 else (0.5, 0.12, 0.5, 0.88)
    config = PanelConfig(
        width=420, scribe=slanted, creep_left_mm=left, creep_right_mm=right, roughness=0.4, spots=3
    )
    panel = render_panel(config, seed=int(10 * left + right))
    (profile,) = creep_profiles(panel.mask, [panel.scribe], config.mm_per_px)
    creep = compute_creep([profile])
    assert creep.left_mean_mm == pytest.approx(left, abs=0.1)
    assert creep.right_mean_mm == pytest.approx(right, abs=0.1)
    largest = max(panel.left_mm.max(), panel.right_mm.max())
    assert creep.max_mm == pytest.approx(largest, abs=0.1)
    assert np.abs(profile.right_mm - panel.right_mm).mean() < 0.1
    assert scribe_rating(creep.mean_mm) == scribe_rating((left + right) / 2)


@pytest.mark.parametrize(
    ("creep_mm", "rating"),
    [(0, 10), (0.01, 9), (0.5, 9), (0.51, 8), (1, 8), (1.5, 7), (2, 7), (2.5, 6), (3, 6), (4, 5),
     (5, 5), (6, 4), (7, 4), (8, 3), (10, 3), (12, 2), (13, 2), (15, 1), (16, 1), (16.1, 0),
     (99, 0)],
)  # fmt: skip
def test_ratings_of_the_scribe_are_the_standards(creep_mm: float, rating: int) -> None:
    assert scribe_rating(creep_mm) == rating


@pytest.mark.parametrize(
    ("percent", "rating"),
    [(0, 10), (0.3, 9), (1, 9), (2, 8), (3, 8), (5, 7), (6, 7), (10, 6), (20, 5), (30, 4), (40, 3),
     (55, 2), (75, 1), (76, 0)],
)  # fmt: skip
def test_ratings_of_the_rest_are_the_standards(percent: float, rating: int) -> None:
    assert area_rating(percent) == rating


@pytest.mark.parametrize("value", [-0.1, float("nan")])
def test_what_is_no_creep_is_not_rated(value: float) -> None:
    with pytest.raises(ValueError, match="cannot be rated"):
        scribe_rating(value)
