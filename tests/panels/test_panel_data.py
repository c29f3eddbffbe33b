"""Reading labelled photographs, finding copies among them, and splitting them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from small_panels import a_panel, write_panels

from pitflow.domains.panels.duplicates import duplicate_groups
from pitflow.domains.panels.folds import stratified_parts
from pitflow.domains.panels.pictures import read_mask, read_panels, read_rgb
from pitflow.domains.particles.pictures import read_pictures
from pitflow.errors import UserError
from pitflow.image_file import listed_images


def test_pairs_are_read_with_their_strata(labelled: Path) -> None:
    panels = read_panels([labelled])
    assert [panel.name for panel in panels] == [f"p{n:02}" for n in range(12)]
    image, mask = panels[3].read()
    truth = a_panel(3)
    assert np.array_equal(image, truth.image)
    assert np.array_equal(mask, truth.mask)
    assert panels[3].corroded_share == pytest.approx(truth.mask.mean())
    assert set(Counter(panel.stratum for panel in panels).values()) <= {2, 3}
    fifths = sorted((panel.corroded_share, panel.stratum) for panel in panels)
    assert [stratum for _, stratum in fifths] == sorted(stratum for _, stratum in fifths)


def test_ratings_and_specimens_from_a_table(labelled: Path, tmp_path: Path) -> None:
    table = tmp_path / "ratings.csv"
    rows = [f"p{n:02}.png,{5 + n % 3},{'plate A' if n in (2, 9) else ''}" for n in range(12)]
    table.write_text("image,rating,group\n" + "\n".join(rows))
    panels = read_panels([labelled], table)
    assert [panel.stratum for panel in panels[:4]] == ["5", "6", "7", "5"]
    assert panels[2].group == panels[9].group == "p02"
    table.write_text("image,rating\np00,5\n")
    with pytest.raises(UserError, match=r"p01\.png is not rated"):
        read_panels([labelled], table)
    table.write_text("name,value\n")
    with pytest.raises(UserError, match="no columns"):
        read_panels([labelled], table)


def test_photographs_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    folders = [write_panels(tmp_path / name, 2) for name in ("day 1", "day 2")]
    for n in range(2):
        panel = a_panel(7 + n)
        cv2.imwrite(str(folders[1] / f"p{n:02}.png"), panel.image[..., ::-1])
        cv2.imwrite(str(folders[1] / f"p{n:02}_mask.png"), panel.mask.astype(np.uint8) * 255)
    panels = read_panels(folders)
    names = ["p00 (day 1)", "p01 (day 1)", "p00 (day 2)", "p01 (day 2)"]
    assert [panel.name for panel in panels] == [panel.group for panel in panels] == names
    table = tmp_path / "ratings.csv"
    table.write_text("image,rating\np00,5\np01,6\n")
    with pytest.raises(UserError, match="several photographs are called p00"):
        read_panels(folders, table)
    with pytest.raises(UserError, match="give each folder once"):
        read_panels([folders[0], folders[0]])


def test_a_mask_in_another_format_is_not_taken_for_none(tmp_path: Path) -> None:
    write_panels(tmp_path, 2)
    (tmp_path / "p01_mask.png").rename(tmp_path / "p01_mask.PNG")
    with pytest.raises(UserError, match=r"p01_mask\.PNG: masks are PNG.* save it as p01_mask\.png"):
        read_panels([tmp_path])


def test_bad_folders_and_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        read_panels([tmp_path / "none"])
    with pytest.raises(UserError, match="no labelled"):
        read_panels([tmp_path])
    cv2.imwrite(str(tmp_path / "a_mask.png"), np.zeros((4, 4), np.uint8))
    with pytest.raises(UserError, match="no image to this mask"):
        read_panels([tmp_path])
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(UserError, match="no image of 8 or 16 bits, or a damaged"):
        read_panels([tmp_path])
    cv2.imwrite(str(tmp_path / "a.jpg"), np.zeros((5, 4, 3), np.uint8))
    with pytest.raises(UserError, match="no corrosion is marked in any mask"):
        read_panels([tmp_path])
    cv2.imwrite(str(tmp_path / "a_mask.png"), np.full((4, 4), 255, np.uint8))
    with pytest.raises(UserError, match="4 x 4 px"):
        read_panels([tmp_path])[0].read()
    with pytest.raises(UserError, match="same name"):
        listed_images([tmp_path, tmp_path / "a.jpg"])
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 4, 3), np.uint8))
    for read in (read_panels, read_pictures):
        with pytest.raises(UserError, match=r"a\.png: has the same name as .*a\.jpg"):
            read([tmp_path])


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("full", [1, 2, 100, 255, np.array([0, 0, 255])])
def test_a_mask_of_two_values_is_true_where_it_is_not_0(
    depth: type, full: int | np.ndarray, tmp_path: Path
) -> None:
    pixels = np.zeros((1, 2, 3), depth)
    pixels[0, 1] = full
    cv2.imwrite(str(tmp_path / "m.png"), pixels)
    assert read_mask(tmp_path / "m.png").tolist() == [[False, True]]


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_a_soft_mask_is_true_from_half_its_scale(depth: type, tmp_path: Path) -> None:
    half = np.iinfo(depth).max // 2
    cv2.imwrite(str(tmp_path / "m.png"), np.array([[0, 7, half, half + 1, 2 * half]], depth))
    assert read_mask(tmp_path / "m.png").tolist() == [[False, False, False, True, True]]


def test_which_of_several_classes_are_meant_cannot_be_told(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "m.png"), np.array([[0, 1, 2]], np.uint8))
    with pytest.raises(UserError, match="has the values 0, 1, 2: a mask has 0 where"):
        read_mask(tmp_path / "m.png")


def test_colours_are_red_first(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "red.png"), np.full((2, 2, 3), (0, 0, 255), np.uint8))
    assert read_rgb(tmp_path / "red.png")[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_all_bits_of_a_camera_are_seen(tmp_path: Path, bits: int) -> None:
    image = np.array([[[40, 90, 200], [255, 255, 255]]], np.uint16) * (2 ** (bits - 8))
    cv2.imwrite(str(tmp_path / "deep.tif"), image)
    assert read_rgb(tmp_path / "deep.tif")[0].tolist() == [[200, 90, 40], [255, 255, 255]]


@pytest.mark.parametrize("full", [1, 255, 65535])
def test_a_mask_of_16_bits_is_read(tmp_path: Path, full: int) -> None:
    cv2.imwrite(str(tmp_path / "m.png"), np.array([[0, full]], np.uint16))
    assert read_mask(tmp_path / "m.png").tolist() == [[False, True]]


def a_texture(seed: int, side: int = 300) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.uniform(40, 210, (6, 6)).astype(np.float32), (side, side))
    fine = cv2.GaussianBlur(rng.normal(size=(side, side)).astype(np.float32), (0, 0), 4)
    return (coarse + 25 * fine / fine.std()).clip(0, 255).astype(np.uint8)


def test_copies_are_one_group_however_turned_and_lit() -> None:
    def small(image: np.ndarray) -> np.ndarray:
        return cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA)

    first, second = a_texture(1), a_texture(2)
    brighter = (0.8 * first + 40).astype(np.uint8)
    copies = [
        small(brighter),
        small(np.rot90(brighter, 3)),
        small(first[:, ::-1].T),
        small(np.roll(first, 9, axis=1)),
        small(cv2.GaussianBlur(first, (0, 0), 2)),
    ]
    images = [small(first), small(second), *copies, small(a_texture(3))]
    assert duplicate_groups(images) == [0, 1, 0, 0, 0, 0, 0, 7]
    named = ["", "x", "", "", "", "", "", "x"]
    assert duplicate_groups(images, named) == [0, 1, 0, 0, 0, 0, 0, 1]


def test_panels_laid_out_alike_are_no_copies() -> None:
    grey = [
        cv2.resize(cv2.cvtColor(a_panel(seed, 256).image, cv2.COLOR_RGB2GRAY), (64, 64))
        for seed in (1, 2, 3, 4)
    ]
    assert duplicate_groups(grey) == [0, 1, 2, 3]


def test_parts_keep_groups_whole_and_strata_even() -> None:
    rng = np.random.default_rng(0)
    strata = [str(value) for value in rng.integers(5, 10, 200)]
    groups = [f"g{n // 2}" if n < 40 else f"s{n}" for n in range(200)]
    parts = stratified_parts(groups, strata, (0.1, *([0.15] * 6)), seed=1)
    assert sorted(index for part in parts for index in part) == list(range(200))
    assert [len(part) for part in parts] == pytest.approx([20, *([30] * 6)], abs=3)
    for part in parts:
        inside = {groups[index] for index in part}
        rest = {groups[index] for index in set(range(200)) - set(part)}
        assert not inside & rest
        for stratum, count in Counter(strata).items():
            expected = count * len(part) / 200
            assert abs(sum(strata[index] == stratum for index in part) - expected) < 3
    assert parts == stratified_parts(groups, strata, (0.1, *([0.15] * 6)), seed=1)
    assert parts != stratified_parts(groups, strata, (0.1, *([0.15] * 6)), seed=2)


def test_no_part_is_empty_and_too_few_groups_are_refused() -> None:
    parts = stratified_parts(list("abc"), ["x"] * 3, (0.9, 0.05, 0.05), seed=0)
    assert [len(part) for part in parts] == [1, 1, 1]
    with pytest.raises(UserError, match=r"2 independent photographs .* fewer --folds"):
        stratified_parts(list("aab"), ["x"] * 3, (0.4, 0.3, 0.3), seed=0)
    with pytest.raises(UserError, match=r"1 independent photograph .*; label more$"):
        stratified_parts(["a", "a"], ["x"] * 2, (0.9, 0.1), seed=0)
