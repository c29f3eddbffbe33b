"""Micrographs and their labels from files of every form; the data bar."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from pitflow.annotate.workspace import list_items
from pitflow.domains.sem.data_bar import find_data_bar
from pitflow.domains.sem.labels import fill_polygons, paint, read_classes, read_labelled
from pitflow.domains.sem.micrographs import group_of, list_micrographs, read_grey
from pitflow.errors import UserError


def picture(height: int = 80, width: int = 120) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(120, 20, (height, width)).clip(0, 255).astype(np.uint8)


def with_bar(height: int = 400, width: int = 500, bar: int = 40, ink: int = 255) -> np.ndarray:
    image = picture(height + bar, width)
    image[height:] = 255 - ink
    cv2.putText(image, "15 kV  x30000  1 um", (10, height + 28), 0, 0.8, ink, 2)
    return image


@pytest.mark.parametrize("ink", [0, 255])
@pytest.mark.parametrize("bar", [24, 40, 100])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_data_bar_is_found(bar: int, ink: int, dtype: type) -> None:
    image = with_bar(bar=bar, ink=ink).astype(dtype)
    assert find_data_bar(image * (257 if dtype is np.uint16 else 1)) == 400


def test_a_lined_bar_is_cut_at_its_line() -> None:
    image = with_bar()
    image[398:400] = 255
    assert find_data_bar(image) == 398


def test_without_a_bar_nothing_is_cut() -> None:
    assert find_data_bar(picture()) == 80
    assert find_data_bar(np.full((80, 90), 7, np.uint8)) == 80
    assert find_data_bar(picture(3, 5)) == 3


def test_a_dark_lower_part_of_the_specimen_is_no_bar() -> None:
    image = picture(400, 500)
    rows, columns = np.mgrid[:400, :500]
    resin = rows > 320 + 25 * np.sin(columns / 60)
    image[resin] = 0
    assert find_data_bar(image) == 400


def test_real_micrographs_have_their_bars_found(shared_data: Path) -> None:
    folder = shared_data / "em-particles"
    for name in ("427ebc9e15", "47286679c2", "8d7fc4c578", "eed04b7d68", "245e1a4826"):
        image = read_grey(folder / f"{name}.png")
        assert 0.85 * len(image) < find_data_bar(image) < 0.97 * len(image)
    for path in list_micrographs([folder])[:8]:
        image = read_grey(path)
        assert find_data_bar(image) == len(image), path.name


def test_any_depth_and_colour_becomes_grey(tmp_path: Path) -> None:
    grey = picture()
    cv2.imwrite(str(tmp_path / "eight.png"), grey)
    cv2.imwrite(str(tmp_path / "sixteen.png"), grey.astype(np.uint16) * 200)
    cv2.imwrite(str(tmp_path / "colour.png"), np.repeat(grey[..., None], 3, 2))
    cv2.imwrite(str(tmp_path / "alpha.png"), np.repeat(grey[..., None], 4, 2))
    tifffile.imwrite(tmp_path / "float.tif", grey.astype(np.float32) / 7 - 3)
    np.testing.assert_array_equal(read_grey(tmp_path / "eight.png"), grey)
    assert read_grey(tmp_path / "sixteen.png").dtype == np.uint16
    for name in ("colour", "alpha"):
        np.testing.assert_array_equal(read_grey(tmp_path / f"{name}.png"), grey)
    floating = read_grey(tmp_path / "float.tif")
    assert floating.dtype == np.uint16
    assert floating.max() == 65535
    assert np.corrcoef(floating.ravel(), grey.ravel())[0, 1] > 0.999999
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "empty.tif").write_bytes(b"")
    for name in ("text.png", "empty.tif", "none.png"):
        with pytest.raises(UserError, match=name):
            read_grey(tmp_path / name)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_where_zero_is_white_it_is_read_as_white(dtype: type, tmp_path: Path) -> None:
    grey = picture().astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", np.iinfo(dtype).max - grey, photometric="miniswhite")
    np.testing.assert_array_equal(read_grey(tmp_path / "a.tif"), grey)


def test_a_photograph_is_read_upright_as_it_is_labelled(tmp_path: Path) -> None:
    _, jpeg = cv2.imencode(".jpg", picture())
    turned = bytes.fromhex(
        "ffe1002245786966000049492a0008000000010012010300010000000600000000000000"
    )
    data = jpeg.tobytes()
    (tmp_path / "a.jpg").write_bytes(data[:2] + turned + data[2:])
    assert read_grey(tmp_path / "a.jpg").shape == list_items([tmp_path], None)[0].read().shape
    assert read_grey(tmp_path / "a.jpg").shape == picture().shape[::-1]


def test_images_are_listed_as_people_count(tmp_path: Path) -> None:
    for name in ("a10.png", "a2.png", "a2_labels.png", "a2_overlay.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in list_micrographs([tmp_path])] == ["a2.png", "a10.png"]
    with pytest.raises(UserError, match="no images"):
        list_micrographs([])
    with pytest.raises(UserError, match="no such"):
        list_micrographs([tmp_path / "b"])


def test_groups() -> None:
    one = group_of("01_200905161555_462500_045_crop_2")
    assert one == group_of("01_200906011200_462500_045_crop_1")
    assert one != group_of("01_200905161555_462500_090_crop_2")
    assert group_of("010417_4_S2480009") == group_of("010417_4_S2480023") == "010417_4"
    assert group_of("032919_10_100cyc0017") != group_of("032919_6_100cyc0007")
    assert group_of("anything") == "anything"


def test_a_polygon_covers_the_pixels_inside() -> None:
    square = np.array([[10.0, 20.0], [30.0, 20.0], [30.0, 50.0], [10.0, 50.0]])
    top, left, mask = fill_polygons([square], (80, 120))
    labels = paint([(top, left, mask)], (80, 120))
    # cv2 draws the outline too: one pixel more at most on two sides.
    assert labels[20:50, 10:30].all()
    assert np.count_nonzero(labels) <= 31 * 21
    outside = fill_polygons([square + np.array([100.0, 0.0])], (80, 120))
    assert paint([outside], (80, 120)).shape == (80, 120)


def test_the_smaller_of_two_overlapping_objects_has_the_pixels() -> None:
    large, small = np.ones((10, 10), bool), np.ones((3, 3), bool)
    labels = paint([(2, 2, small), (0, 0, large)], (12, 12))
    assert np.count_nonzero(labels == labels[3, 3]) == 9
    assert np.count_nonzero(labels == labels[0, 0]) == 91


def squares() -> list[np.ndarray]:
    return [
        np.array([[x, y], [x + 20.0, y], [x + 20.0, y + 20.0], [x, y + 20.0]])
        for x, y in ((10.0, 10.0), (60.0, 40.0))
    ]


def write_coco(folder: Path, segmentations: list[object]) -> None:
    cv2.imwrite(str(folder / "a.png"), picture())
    document = {
        "images": [{"id": 4, "file_name": "a.png", "width": 120, "height": 80}],
        "annotations": [
            {"id": k, "image_id": 4, "category_id": 1, "segmentation": one}
            for k, one in enumerate(segmentations)
        ],
        "categories": [{"id": 1, "name": "pit"}],
    }
    (folder / "annotations.json").write_text(json.dumps(document))


def test_three_forms_give_the_same_labels(tmp_path: Path) -> None:
    from pycocotools import mask as rle

    for name in ("coco", "yolo", "image", "rle"):
        (tmp_path / name).mkdir()
    write_coco(tmp_path / "coco", [[ring.ravel().tolist()] for ring in squares()])
    cv2.imwrite(str(tmp_path / "yolo" / "a.png"), picture())
    lines = [
        "0 " + " ".join(str(v) for v in (ring / [120, 80]).ravel().tolist()) for ring in squares()
    ]
    (tmp_path / "yolo" / "a.txt").write_text("\n".join(lines) + "\n")
    coco = read_labelled([tmp_path / "coco"])[0].labels
    yolo = read_labelled([tmp_path / "yolo"])[0].labels
    np.testing.assert_array_equal(coco, yolo)
    assert sorted(np.unique(coco)) == [0, 1, 2]
    cv2.imwrite(str(tmp_path / "image" / "a.png"), picture())
    cv2.imwrite(str(tmp_path / "image" / "a_labels.png"), coco.astype(np.uint16) * 7)
    image = read_labelled([tmp_path / "image"])[0]
    np.testing.assert_array_equal(image.labels, coco * 7)
    encoded = [rle.encode(np.asfortranarray(coco == k, dtype=np.uint8)) for k in (1, 2)]
    for one in encoded:
        one["counts"] = one["counts"].decode()
    write_coco(tmp_path / "rle", encoded)
    np.testing.assert_array_equal(read_labelled([tmp_path / "rle"])[0].labels > 0, coco > 0)


def test_bad_labels_are_one_line(tmp_path: Path, write_micrographs: Callable[..., None]) -> None:
    with pytest.raises(UserError, match="no such folder"):
        read_labelled([tmp_path / "none"])
    with pytest.raises(UserError, match="holds no labelled"):
        read_labelled([tmp_path])
    write_micrographs(tmp_path / "size", ["a"])
    cv2.imwrite(str(tmp_path / "size" / "a_labels.png"), np.ones((5, 5), np.uint16))
    with pytest.raises(UserError, match="do not fit"):
        read_labelled([tmp_path / "size"])
    write_micrographs(tmp_path / "alone", ["a"])
    (tmp_path / "alone" / "a.png").unlink()
    with pytest.raises(UserError, match="no image a"):
        read_labelled([tmp_path / "alone"])
    cv2.imwrite(str(tmp_path / "alone" / "a_labels.webp"), np.ones((5, 5), np.uint8))
    with pytest.raises(UserError, match="label images are PNG or TIFF"):
        read_labelled([tmp_path / "alone"])
    (tmp_path / "boxes").mkdir()
    cv2.imwrite(str(tmp_path / "boxes" / "a.png"), picture())
    (tmp_path / "boxes" / "a.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    with pytest.raises(UserError, match="line 1 is not an outline"):
        read_labelled([tmp_path / "boxes"])
    (tmp_path / "coco").mkdir()
    write_coco(tmp_path / "coco", [[]])
    with pytest.raises(UserError, match="a box but no outline"):
        read_labelled([tmp_path / "coco"])
    write_coco(tmp_path / "coco", [])
    with pytest.raises(UserError, match="nothing is marked in any label"):
        read_labelled([tmp_path / "coco"])


RING = [10, 10, 60, 10, 60, 50]


@pytest.mark.parametrize(
    ("segmentation", "says"),
    [
        ([[*RING, 3]], "cannot be read"),
        (RING, "cannot be read"),
        ([list("abcdef")], "cannot be read"),
        ([[float("nan")] * 6], "not all numbers"),
        ({"counts": [5, 5, 90], "size": [80, 120]}, "does not fill its image"),
        ({"counts": [5, 5, 90]}, "'size'"),
        ({"counts": [9600], "size": [120, 80]}, "does not fit its image"),
    ],
)
def test_an_outline_that_makes_no_sense_is_refused(
    segmentation: object, says: str, tmp_path: Path
) -> None:
    write_coco(tmp_path, [segmentation])
    with pytest.raises(UserError, match=rf"annotations\.json: .*{says}"):
        read_labelled([tmp_path])


def test_labels_of_an_image_of_another_size_are_refused(tmp_path: Path) -> None:
    write_coco(tmp_path, [[RING]])
    cv2.imwrite(str(tmp_path / "a.png"), picture()[::2, ::2])
    with pytest.raises(UserError, match="120 x 80 px, and it is of 60 x 40 px"):
        read_labelled([tmp_path])


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"0 nan 0.1 0.5 0.1 0.5 0.5", "line 1 lies outside"),
        (b"0 12 10 60 10 60 50", "line 1 lies outside"),
        (b"0 \xe9", "cannot be read"),
    ],
)
def test_polygons_that_make_no_sense_are_refused(line: bytes, says: str, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), picture())
    (tmp_path / "a.txt").write_bytes(line)
    with pytest.raises(UserError, match=says):
        read_labelled([tmp_path])


def test_polygons_in_folders_beside_those_of_their_images(tmp_path: Path) -> None:
    for kind in ("labels", "images"):
        (tmp_path / kind / "train").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "images" / "train" / "a.png"), picture())
    (tmp_path / "labels" / "train" / "a.txt").write_text("0 0.1 0.1 0.5 0.1 0.5 0.5\n")
    assert read_labelled([tmp_path])[0].labels.max() == 1


def test_numbers_of_objects_are_no_classes(tmp_path: Path) -> None:
    classes = ("oxide", "crack")
    write_coco(tmp_path, [[RING]])
    with pytest.raises(UserError, match="outlines of objects, not of classes"):
        read_classes([tmp_path], classes)
    cv2.imwrite(str(tmp_path / "a_labels.png"), np.full((80, 120), 2, np.uint8))
    assert read_classes([tmp_path], classes)[0].labels.max() == 2
    cv2.imwrite(str(tmp_path / "a_labels.png"), np.full((80, 120), 255, np.uint8))
    with pytest.raises(UserError, match="label 255: classes are 1 oxide, 2 crack"):
        read_classes([tmp_path], classes)


def test_labels_are_cut_with_the_data_bar(tmp_path: Path) -> None:
    image = with_bar()
    cv2.imwrite(str(tmp_path / "a.png"), image)
    cv2.imwrite(str(tmp_path / "a_labels.png"), np.ones(image.shape, np.uint16))
    (one,) = read_labelled([tmp_path])
    assert one.image.shape == one.labels.shape == (400, 500)
