"""Shapes of pits in micrographs against shapes whose measures are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pitflow.measure.fissures import compute_morphology, noise_sigma
from pitflow.measure.micrograph import compute_micrograph_pits
from pitflow.measure.shapes import compute_shape
from pitflow.schema import MICROGRAPH_PITS


def grid(height: int = 200, width: int = 220) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.mgrid[:height, :width]
    return rows.astype(float), columns.astype(float)


def an_ellipse(long: float, short: float, angle_deg: float) -> np.ndarray:
    rows, columns = grid()
    t = math.radians(angle_deg)
    u = (columns - 110.3) * math.cos(t) + (rows - 99.6) * math.sin(t)
    v = -(columns - 110.3) * math.sin(t) + (rows - 99.6) * math.cos(t)
    return (u / long) ** 2 + (v / short) ** 2 <= 1


@pytest.mark.parametrize("radius", [4, 9, 30, 80])
def test_a_circle(radius: float) -> None:
    shape = compute_shape(an_ellipse(radius, radius, 0))
    assert shape.area_px == pytest.approx(math.pi * radius**2, rel=0.05 if radius < 9 else 0.01)
    assert shape.diameter_px == pytest.approx(2 * radius, rel=0.03)
    assert shape.circularity == pytest.approx(1, abs=0.015)
    assert shape.aspect == pytest.approx(1, abs=0.05)
    assert shape.solidity == pytest.approx(1, abs=0.01)
    assert shape.x == pytest.approx(110.3, abs=0.3)
    assert shape.y == pytest.approx(99.6, abs=0.3)


@pytest.mark.parametrize("angle", [0, 25, 90, 137])
def test_an_ellipse(angle: float) -> None:
    shape = compute_shape(an_ellipse(60, 20, angle))
    assert shape.aspect == pytest.approx(3, rel=0.02)
    assert (shape.orientation_deg - angle + 90) % 180 == pytest.approx(90, abs=1)
    # Ramanujan's perimeter of an ellipse.
    h = ((60 - 20) / (60 + 20)) ** 2
    perimeter = math.pi * 80 * (1 + 3 * h / (10 + math.sqrt(4 - 3 * h)))
    expected = 4 * math.pi * (math.pi * 1200) / perimeter**2
    assert shape.circularity == pytest.approx(expected, rel=0.02)
    assert shape.solidity == pytest.approx(1, abs=0.01)


def test_a_rectangle_and_an_l() -> None:
    mask = np.zeros((120, 120), bool)
    mask[20:80, 20:50] = True
    shape = compute_shape(mask)
    assert shape.circularity == pytest.approx(4 * math.pi * 1800 / 180**2, rel=0.04)
    assert shape.aspect == pytest.approx(2, rel=0.001)
    assert shape.orientation_deg == pytest.approx(90)
    assert shape.area_px == 1800
    mask[60:80, 20:90] = True
    # 60 x 30 and 40 x 20; their hull adds the triangle between the ends, 40 x 40 / 2.
    assert compute_shape(mask).solidity == pytest.approx(2600 / 3400, rel=0.02)


def test_holes_change_area_but_not_the_outline() -> None:
    disc = an_ellipse(40, 40, 0)
    holed = disc & ~an_ellipse(15, 15, 0)
    assert compute_shape(holed).circularity == pytest.approx(compute_shape(disc).circularity)
    assert compute_shape(holed).area_px < compute_shape(disc).area_px


def test_a_single_pixel_has_no_outline() -> None:
    mask = np.zeros((9, 9), bool)
    mask[4, 4] = True
    shape = compute_shape(mask)
    assert math.isnan(shape.circularity)
    assert math.isnan(shape.solidity)
    assert shape.aspect == pytest.approx(1)
    with pytest.raises(ValueError, match="empty"):
        compute_shape(np.zeros((3, 3), bool))


def test_the_table() -> None:
    labels = np.zeros((200, 220), np.uint16)
    rows, columns = grid()
    for number, (y, x, radius) in {2: (60, 50, 20), 5: (60, 130, 10), 9: (199, 100, 15)}.items():
        labels[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = number
    image = np.where(labels > 0, 60, 150).astype(np.uint8)
    table = compute_micrograph_pits(image, labels, name="a", um_per_px=0.5, scores={2: 0.9})
    assert list(table.columns) == MICROGRAPH_PITS.names
    assert table["pit"].tolist() == [2, 5, 9]
    assert table["x"].tolist() == pytest.approx([50, 130, 100])
    assert table["contrast"].tolist() == pytest.approx([0.6, 0.6, 0.6])
    assert table["nearest_px"].tolist()[:2] == pytest.approx([80, 80])
    assert table["nearest_um"].tolist()[:2] == pytest.approx([40, 40])
    assert table["diameter_um"][0] == pytest.approx(20, rel=0.01)
    assert table["area_um2"][0] == pytest.approx(math.pi * 100, rel=0.02)
    assert table["touches_border"].tolist() == [False, False, True]
    assert table["score"][0] == 0.9
    assert math.isnan(table["score"][1])
    assert table["morphology"].tolist()[:2] == ["plain", ""]
    assert not table["is_flagged"].any()
    without = compute_micrograph_pits(image, labels)
    assert without["area_um2"].isna().all()
    assert without["diameter_px"].tolist() == table["diameter_px"].tolist()
    nothing = compute_micrograph_pits(image, 0 * labels)
    assert list(nothing.columns) == MICROGRAPH_PITS.names
    assert nothing.empty
    with pytest.raises(ValueError, match="differ"):
        compute_micrograph_pits(image[1:], labels)


def test_neighbours_do_not_count_as_surface() -> None:
    labels = np.zeros((80, 80), np.uint16)
    labels[20:60, 10:38], labels[20:60, 39:70] = 1, 2
    image = np.full((80, 80), 200, np.uint8)
    image[labels == 1], image[labels == 2] = 50, 100
    table = compute_micrograph_pits(image, labels)
    assert table["contrast"].tolist() == pytest.approx([0.75, 0.5])
    # What is brighter than its surroundings, be those black, stays within bounds.
    assert compute_micrograph_pits(250 - image, labels)["contrast"].tolist() == pytest.approx(
        [-0.75, -2 / 3]
    )
    black = np.where(labels > 0, 90, 0).astype(np.uint8)
    assert compute_micrograph_pits(black, labels)["contrast"].tolist() == [-1, -1]


def test_noise_is_measured_beside_structure() -> None:
    rng = np.random.default_rng(0)
    _, columns = grid()
    scene = 120 + 0.3 * columns + 40 * an_ellipse(50, 30, 20)
    assert noise_sigma(scene + rng.normal(0, 6, scene.shape)) == pytest.approx(6, rel=0.05)


def lines(angle_deg: float, spacing: float, width: float = 1.5) -> np.ndarray:
    """Dark lines in a direction (clockwise from +x), 0 between and 1 in their middle."""
    rows, columns = grid()
    t = math.radians(angle_deg)
    across = -columns * math.sin(t) + rows * math.cos(t)
    away = (across + spacing / 2) % spacing - spacing / 2
    return np.exp(-(away**2) / (2 * width**2))


def a_pit(texture: np.ndarray, noise: float = 4.0, deep: float = 60.0) -> tuple[np.ndarray, ...]:
    mask = an_ellipse(60, 50, 30)
    rng = np.random.default_rng(3)
    image = 170.0 - deep * mask + rng.normal(0, noise, mask.shape)
    return np.clip(image - 40 * texture * mask, 0, 255), mask


def judged(texture: np.ndarray, **more: float) -> tuple[str, float, float]:
    image, mask = a_pit(texture, **more)
    found = compute_morphology(image, mask, noise_sigma(image), more.get("deep", 60.0))
    return found.name, found.line_deg, found.crossing_deg


@pytest.mark.parametrize("noise", [1.0, 4.0, 10.0])
def test_noise_alone_is_plain(noise: float) -> None:
    assert judged(np.zeros((200, 220)), noise=noise)[0] == "plain"


def test_blotches_are_plain() -> None:
    from scipy import ndimage

    rng = np.random.default_rng(1)
    blotches = ndimage.gaussian_filter(rng.normal(size=(200, 220)), 6)
    assert judged(blotches / blotches.std() / 3)[0] == "plain"


def a_texture(seed: int, grain_px: float) -> np.ndarray:
    """Texture without any direction, of standard deviation 1."""
    from scipy import ndimage

    rng = np.random.default_rng(seed)
    made = ndimage.gaussian_filter(rng.normal(size=(200, 220)), grain_px)
    return made / made.std()


@pytest.mark.parametrize("grain_px", [1.5, 3.0, 5.0])
def test_texture_is_no_fissure(grain_px: float) -> None:
    # One in forty of such pits may be taken for fissured.
    names = [judged(0.5 * a_texture(seed, grain_px))[0] for seed in range(6)]
    assert names.count("plain") >= 5


def test_a_crosshatch_is_seen_in_a_textured_pit() -> None:
    both = np.maximum(lines(20, 20), lines(100, 20))
    found = [judged(both + 0.25 * a_texture(seed, 2.5))[0] for seed in (1, 2)]
    assert found == ["crosshatch"] * 2


@pytest.mark.parametrize("angle", [10.0, 75.0, 160.0])
def test_parallel_lines_are_fissures(angle: float) -> None:
    name, direction, crossing = judged(lines(angle, 22))
    assert name == "fissured"
    assert (direction - angle + 90) % 180 == pytest.approx(90, abs=3)
    assert math.isnan(crossing)


@pytest.mark.parametrize(("one", "other"), [(10.0, 100.0), (30.0, 80.0), (170.0, 60.0)])
def test_two_families_are_a_crosshatch(one: float, other: float) -> None:
    both = np.maximum(lines(one, 24), lines(other, 24))
    name, direction, crossing = judged(both)
    assert name == "crosshatch"
    between = abs((one - other + 90) % 180 - 90)
    assert crossing == pytest.approx(between, abs=8)
    assert min(abs((direction - line + 90) % 180 - 90) for line in (one, other)) < 8


def test_a_single_crack_is_a_fissure() -> None:
    rows, columns = grid()
    away = -(columns - 110) * math.sin(math.radians(40)) + (rows - 100) * math.cos(math.radians(40))
    crack = np.exp(-(away**2) / 4.5)
    assert judged(crack)[0] == "fissured"


def test_brightness_and_gain_do_not_matter() -> None:
    image, mask = a_pit(lines(20, 22))
    one = compute_morphology(image, mask, noise_sigma(image), 60)
    brighter = 5 * image + 300
    other = compute_morphology(brighter, mask, noise_sigma(brighter), 300)
    assert other.name == one.name == "fissured"
    assert other.line_share == pytest.approx(one.line_share, rel=0.02)


def test_a_small_pit_is_not_judged() -> None:
    image, _ = a_pit(lines(20, 22))
    mask = an_ellipse(8, 8, 0)
    assert compute_morphology(image, mask, 4, 60).name == ""
