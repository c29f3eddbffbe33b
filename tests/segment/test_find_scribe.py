"""The scribe, and rust by its colour, on rendered panels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from pitflow.measure.creep import compute_creep, creep_profiles
from pitflow.segment.classical.find_scribe import find_scribes
from pitflow.segment.classical.rust import rust_mask
from pitflow.simulate.panel import PanelConfig, RenderedPanel, render_panel

CASES = {
    "fresh cut": PanelConfig(creep_left_mm=0, creep_right_mm=0, margin=0.05, stains=2),
    "little creep": PanelConfig(creep_left_mm=0.6, creep_right_mm=0.4, blisters=6, spots=3),
    "one-sided": PanelConfig(creep_left_mm=0.6, creep_right_mm=5, coating=(70, 110, 170)),
    "slanted": PanelConfig(
        creep_left_mm=1.5, creep_right_mm=1.2, scribe=(0.25, 0.3, 0.75, 0.6), coating=(90, 140, 90)
    ),
    "wide": PanelConfig(creep_left_mm=4, creep_right_mm=4, margin=0.05, spots=4),
}


@pytest.fixture(params=CASES.values(), ids=CASES.keys(), scope="module")
def panel(request: pytest.FixtureRequest) -> RenderedPanel:
    return render_panel(request.param, seed=4)


def test_rust_is_found_and_stains_are_not(panel: RenderedPanel) -> None:
    found = rust_mask(panel.image)
    if not panel.mask.any():
        assert found.mean() < 1e-4
        return
    both = np.count_nonzero(found & panel.mask)
    assert both / np.count_nonzero(found | panel.mask) > 0.9


@pytest.mark.parametrize(
    "coating",
    [
        (235, 225, 195),
        (205, 190, 160),
        (220, 160, 170),
        (100, 105, 60),
        (225, 190, 40),
        (28, 28, 30),
    ],
    ids=["cream", "beige", "pink", "olive", "yellow", "black"],
)
@pytest.mark.parametrize("rust", [(70, 42, 30), (165, 120, 70)], ids=["dark", "light"])
def test_rust_dark_and_light_is_found_on_coatings_that_are_not_brown(
    coating: tuple[int, int, int], rust: tuple[int, int, int]
) -> None:
    rng = np.random.default_rng(0)
    image = np.full((120, 100, 3), coating, np.float64)
    truth = np.zeros((120, 100), bool)
    truth[20:100, 40:60] = True
    image[truth] = rust
    image *= np.linspace(1, 0.7, 120)[:, None, None]
    image = (image + rng.normal(0, 2, image.shape)).clip(0, 255).astype(np.uint8)
    found = rust_mask(image)
    assert np.count_nonzero(found ^ truth) < 0.03 * np.count_nonzero(truth)


@pytest.mark.parametrize("coating", [(124, 58, 44), (110, 50, 40)], ids=["red oxide", "maroon"])
def test_rust_brighter_than_a_coating_of_its_colour_is_found(
    coating: tuple[int, int, int],
) -> None:
    config = PanelConfig(height=320, width=240, coating=coating, spots=3, stains=2, shading=0.3)
    panel = render_panel(config, seed=5)
    found = rust_mask(panel.image)
    assert np.count_nonzero(found & panel.mask) > 0.6 * np.count_nonzero(found | panel.mask)


@pytest.mark.parametrize(
    "coating", [(225, 110, 30), (170, 30, 35), (125, 60, 50), (235, 225, 195)],
    ids=["orange", "red", "red oxide", "cream"],
)  # fmt: skip
def test_shadow_and_glare_on_a_sound_coating_are_no_rust(coating: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    image = np.full((120, 160, 3), coating, np.float64)
    image[30:60, 20:60] *= 0.45
    y, x = np.mgrid[:120, :160]
    image += 120 * np.exp(-((x - 110) ** 2 + (y - 70) ** 2) / 400)[..., None]
    image = (image + rng.normal(0, 3, image.shape)).clip(0, 255).astype(np.uint8)
    assert rust_mask(image).mean() < 0.002


def test_the_scribe_is_found(panel: RenderedPanel) -> None:
    (scribe,) = find_scribes(panel.image, rust_mask(panel.image))
    assert scribe.length_px > 0.8 * panel.scribe.length_px
    (ax, ay), (bx, by) = scribe.along, panel.scribe.along
    assert abs(ax * bx + ay * by) > np.cos(np.radians(2))
    nx, ny = panel.scribe.to_the_right
    middle = (scribe.x0 + scribe.x1) / 2, (scribe.y0 + scribe.y1) / 2
    off = (middle[0] - panel.scribe.x0) * nx + (middle[1] - panel.scribe.y0) * ny
    assert abs(off) < 2


def test_noise_holds_no_scribe() -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(150, 6, (300, 240, 3)).clip(0, 255).astype(np.uint8)
    assert find_scribes(image) == ()
    assert find_scribes(np.full((200, 200, 3), 90, np.uint8)) == ()


@pytest.mark.parametrize("side", range(20, 36, 3))
def test_the_scribe_of_a_thumbnail_is_looked_for(side: int) -> None:
    y, x = np.mgrid[:side, :side]
    band = 60 + 120 * (np.abs(x - side / 2 - 0.1 * (y - side / 2)) > 0.1 * side)
    (one,) = find_scribes(np.repeat(band[..., None], 3, axis=2).astype(np.uint8))
    assert abs((one.x0 + one.x1) / 2 - side / 2) < 2


@pytest.mark.parametrize(("left", "right"), [(0.0, 0.0), (1.0, 1.0), (0.5, 3.0)])
def test_both_arms_of_an_x_cut_are_found(left: float, right: float) -> None:
    config = PanelConfig(
        height=560,
        scribe=(0.25, 0.2, 0.75, 0.8),
        second_scribe=(0.75, 0.25, 0.3, 0.75),
        creep_left_mm=left,
        creep_right_mm=right,
        spots=3,
        stains=2,
    )
    panel = render_panel(config, seed=2)
    mask = rust_mask(panel.image)
    found = find_scribes(panel.image, mask)
    assert len(found) == 2
    for arm in panel.arms:
        (ax, ay), (nx, ny) = arm.scribe.along, arm.scribe.to_the_right
        scribe = max(found, key=lambda f: abs(f.along[0] * ax + f.along[1] * ay))
        ends = (scribe.x0, scribe.y0), (scribe.x1, scribe.y1)
        assert all(abs((x - arm.scribe.x0) * nx + (y - arm.scribe.y0) * ny) < 5 for x, y in ends)
        assert scribe.length_px == pytest.approx(arm.scribe.length_px, rel=0.2)
    creep = compute_creep(creep_profiles(mask, found, config.mm_per_px))
    assert creep.mean_mm == pytest.approx((left + right) / 2, abs=0.15)


def test_of_parallel_cuts_the_strongest_is_found() -> None:
    config = PanelConfig(
        scribe=(0.3, 0.1, 0.3, 0.9), second_scribe=(0.7, 0.2, 0.7, 0.8), creep_left_mm=1.0
    )
    panel = render_panel(config, seed=5)
    (scribe,) = find_scribes(panel.image, rust_mask(panel.image))
    assert min(abs(scribe.x0 - share * config.width) for share in (0.3, 0.7)) < 4


def test_a_line_that_only_meets_the_scribe_is_no_arm_of_it() -> None:
    config = PanelConfig(
        scribe=(0.5, 0.1, 0.5, 0.9), second_scribe=(0.5, 0.5, 0.95, 0.45), creep_left_mm=0.8
    )
    panel = render_panel(config, seed=5)
    assert len(find_scribes(panel.image, rust_mask(panel.image))) == 1


@pytest.mark.parametrize("seed", [2, 5, 8])
def test_a_bare_cut_is_found_from_end_to_end(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:700, :600]
    waves = gaussian_filter1d(rng.normal(size=(2, 700)), 12, axis=1)
    left, right = np.clip([[15], [25]] * (1 + 2.5 * waves), 0, None)[..., None]
    long = (y >= 100) & (y < 600)
    mask = long & (x >= 300 - left) & (x <= 300 + right)
    cut = long & (np.abs(x - 300) <= 2)
    image = np.full((700, 600, 3), (205.0, 185.0, 150.0))
    image *= 1 + 0.1 * cv2.GaussianBlur(rng.normal(size=(700, 600)), (0, 0), 2)[..., None]
    image[mask] = (120, 62, 28)
    image[cut] = (90, 85, 80)
    image = cv2.GaussianBlur(image, (0, 0), 0.7) + rng.normal(0, 2, image.shape)
    (scribe,) = find_scribes(image.clip(0, 255).astype(np.uint8), mask & ~cut)
    assert (scribe.x0, scribe.x1) == pytest.approx((300, 300), abs=3)
    assert (scribe.y0, scribe.y1) == pytest.approx((100, 600), abs=40)


@pytest.mark.parametrize("crossed", [False, True], ids=["one cut", "X-cut"])
def test_a_scribe_is_found_in_bands_of_rust_wider_than_any_ridge(crossed: bool) -> None:
    ends = (0.25, 0.2, 0.75, 0.8), (0.75, 0.2, 0.25, 0.8)
    creep = (5.0, 4.5) if crossed else (14.0, 11.0)
    config = PanelConfig(
        scribe=ends[0],
        second_scribe=ends[1] if crossed else None,
        creep_left_mm=creep[0],
        creep_right_mm=creep[1],
        coating=(60, 110, 70),
        relief=0.5,
    )
    panel = render_panel(config, seed=8)
    found = find_scribes(panel.image, panel.mask)
    assert len(found) == len(panel.arms)
    for arm in panel.arms:
        angles = [abs(np.cross((*one.along, 0), (*arm.scribe.along, 0))[2]) for one in found]
        assert min(angles) < np.sin(np.radians(3))
        # Rust hides the ends, and creeps past them as far as past the sides.
        length = found[int(np.argmin(angles))].length_px
        assert length == pytest.approx(arm.scribe.length_px, abs=2.2 * max(creep) / 0.1)
