"""Labelled micrographs in three forms: label images, COCO's JSON, polygons as YOLO writes them.

Where labelled objects overlap, the smaller one has the pixels, since it would vanish otherwise.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from pitflow.domains.sem.data_bar import find_data_bar
from pitflow.domains.sem.micrographs import (
    LABEL_SUFFIX,
    Labels,
    Micrograph,
    group_of,
    read_grey,
    read_pixels,
)
from pitflow.errors import UserError
from pitflow.image_file import IMAGE_SUFFIXES, is_image, natural

_SUBPIXEL_BITS = 8

Mask = npt.NDArray[np.bool_]


def read_labelled(folders: Sequence[Path]) -> list[Micrograph]:
    """Read all labelled micrographs in some folders and the folders in them.

    A folder holds label images (``<name>_labels.png`` or .tif beside the image), or a JSON of COCO,
    or polygons (``<name>.txt`` beside the image, or ``labels/`` beside ``images/``, with the same
    folders in both); the first of
    these that is there counts. What is labelled inside a data bar is cut off with it.

    Raises
    ------
    UserError
        If a folder is missing or holds nothing labelled, or a file in it is damaged or does not fit
        its image, or nothing is marked in any.
    """
    micrographs: list[Micrograph] = []
    for folder in folders:
        if not folder.is_dir():
            raise UserError("no such folder", where=folder)
        found = list(_read_folder(folder))
        if not found:
            raise UserError(
                "holds no labelled micrographs",
                where=folder,
                hint="label images <name>_labels.png, a COCO JSON, or YOLO polygons <name>.txt",
            )
        micrographs += found
    if not any(one.labels.any() for one in micrographs):
        raise UserError("nothing is marked in any label", where=", ".join(map(str, folders)))
    return micrographs


def read_classes(folders: Sequence[Path], classes: Sequence[str]) -> list[Micrograph]:
    """Read all micrographs whose label images hold classes, numbered from 1; 0 is none of them.

    Raises
    ------
    UserError
        As ``read_labelled``; or if a folder holds outlines of objects, which have numbers of their
        own, or a label image has a number that is no class.
    """
    for folder in folders:
        if folder.is_dir() and not _label_images(folder) and any(_read_folder(folder)):
            raise UserError(
                "holds outlines of objects, not of classes",
                where=folder,
                hint=f"label images <name>{LABEL_SUFFIX}.png hold classes",
            )
    micrographs = read_labelled(folders)
    known = ", ".join(f"{number} {name}" for number, name in enumerate(classes, start=1))
    for one in micrographs:
        if (largest := int(one.labels.max())) > len(classes):
            raise UserError(
                f"has the label {largest}: classes are {known}", where=f"{one.name}{LABEL_SUFFIX}"
            )
    return micrographs


def read_labels(path: Path) -> Labels:
    """Read a label image: integers, 0 background.

    Raises
    ------
    UserError
        If it is not one.
    """
    pixels = read_pixels(path)
    if pixels.ndim != 2 or not np.issubdtype(pixels.dtype, np.integer):
        raise UserError("is not a label image: one integer per pixel", where=path)
    return pixels.astype(np.int32)


def paint(masks: Iterable[tuple[int, int, Mask]], shape: tuple[int, int]) -> Labels:
    """Return a label image of masks (top, left, mask), each a number of its own from 1.

    The largest is painted first.
    """
    labels = np.zeros(shape, dtype=np.int32)
    ordered = sorted(masks, key=lambda item: -int(np.count_nonzero(item[2])))
    for number, (top, left, mask) in enumerate(ordered, start=1):
        window = labels[top : top + mask.shape[0], left : left + mask.shape[1]]
        window[mask] = number
    return labels


def fill_polygons(
    rings: Sequence[npt.NDArray[np.float64]], shape: tuple[int, int]
) -> tuple[int, int, Mask]:
    """Return the pixels inside any of the polygons as (top, left, mask).

    Parameters
    ----------
    rings:
        (n, 2) x and y in px each, where a pixel covers [i, i + 1).
    shape:
        (height, width) of the image; what lies outside is cut off.
    """
    points = np.concatenate(rings)
    height, width = shape
    left, top = (
        int(np.clip(np.floor(edge), 0, size - 1))
        for edge, size in zip(points.min(axis=0), (width, height), strict=True)
    )
    right, bottom = (
        int(np.clip(np.ceil(edge), 1, size))
        for edge, size in zip(points.max(axis=0), (width, height), strict=True)
    )
    mask = np.zeros((max(bottom - top, 1), max(right - left, 1)), dtype=np.uint8)
    scale = 1 << _SUBPIXEL_BITS
    for ring in rings:
        # cv2 has pixel centres at integers.
        fixed = np.rint((ring - [left + 0.5, top + 0.5]) * scale).astype(np.int32)
        cv2.fillPoly(mask, [fixed[:, None]], 1, shift=_SUBPIXEL_BITS)
    return top, left, mask > 0


def _label_images(folder: Path) -> list[Path]:
    found = sorted(
        (path for path in folder.rglob(f"*{LABEL_SUFFIX}.*") if is_image(path.name)),
        key=natural,
    )
    for path in found:
        if path.suffix.lower() not in (".png", ".tif", ".tiff"):
            raise UserError("label images are PNG or TIFF", where=path)
    return found


def _read_folder(folder: Path) -> Iterator[Micrograph]:
    if label_images := _label_images(folder):
        yield from _from_label_images(label_images)
        return
    documents = [path for path in sorted(folder.rglob("*.json")) if _is_coco(path)]
    if documents:
        for path in documents:
            yield from _from_coco(path)
        return
    yield from _from_polygons(folder)


def _micrograph(path: Path, image: npt.NDArray[Any], labels: Labels, where: Path) -> Micrograph:
    if labels.shape != image.shape:
        raise UserError(
            f"labels of {labels.shape[1]} x {labels.shape[0]} px do not fit the image of "
            f"{image.shape[1]} x {image.shape[0]} px",
            where=where,
        )
    end = find_data_bar(image)
    return Micrograph(path.stem, group_of(path.stem), image[:end], labels[:end])


def _from_label_images(paths: Sequence[Path]) -> Iterator[Micrograph]:
    for path in paths:
        stem = path.stem.removesuffix(LABEL_SUFFIX)
        image = _beside(path.parent, stem)
        if image is None:
            raise UserError(f"there is no image {stem} beside its labels", where=path)
        yield _micrograph(image, read_grey(image), read_labels(path), path)


def _beside(folder: Path, stem: str) -> Path | None:
    return next(
        (
            file
            for suffix in sorted(IMAGE_SUFFIXES)
            for spelled in (suffix, suffix.upper())
            if (file := folder / f"{stem}{spelled}").is_file()
        ),
        None,
    )


def _is_coco(path: Path) -> bool:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and "annotations" in document and "images" in document


def _from_coco(path: Path) -> Iterator[Micrograph]:
    document = json.loads(path.read_bytes())
    try:
        shapes: dict[Any, list[Any]] = {}
        for annotation in document["annotations"]:
            shapes.setdefault(annotation["image_id"], []).append(annotation.get("segmentation"))
        entries = [
            (entry["id"], str(entry["file_name"]), entry.get("width"), entry.get("height"))
            for entry in document["images"]
        ]
    except (AttributeError, TypeError) as error:
        raise UserError(f"is not a COCO file ({error})", where=path) from error
    except KeyError as error:
        raise UserError(f"is not a COCO file: {error} is missing", where=path) from error
    for identity, name, said_width, said_height in entries:
        places = (path.parent / name, path.parent / "images" / name, path.parent.parent / name)
        file = next((place for place in places if place.is_file()), None)
        if file is None:
            raise UserError(f"the image {name} is not beside it", where=path)
        image = read_grey(file)
        height, width = image.shape
        if (said_width or width, said_height or height) != (width, height):
            raise UserError(
                f"says that {name} is of {said_width} x {said_height} px, and it is of "
                f"{width} x {height} px",
                where=path,
            )
        masks = [_coco_mask(shape, (height, width), path) for shape in shapes.get(identity, [])]
        yield _micrograph(file, image, paint(masks, (height, width)), path)


def _coco_mask(shape: Any, size: tuple[int, int], where: Path) -> tuple[int, int, Mask]:
    try:
        if isinstance(shape, dict):
            return 0, 0, _decoded(shape, size)
        rings = [np.asarray(ring, dtype=np.float64).reshape(-1, 2) for ring in shape or []]
    # pycocotools raises anything.
    except Exception as error:
        raise UserError(
            f"the outline of an object cannot be read ({error})", where=where
        ) from error
    rings = [ring for ring in rings if len(ring) >= 3]
    if not rings:
        raise UserError("an object has a box but no outline", where=where)
    if not all(np.isfinite(ring).all() for ring in rings):
        raise UserError("the outline of an object is not all numbers", where=where)
    return fill_polygons(rings, size)


def _decoded(shape: dict[str, Any], size: tuple[int, int]) -> Mask:
    """Return a mask of run lengths, which a list holds as they are."""
    from pycocotools import mask as rle

    if tuple(shape["size"]) != size:
        raise ValueError("its mask does not fit its image")
    encoded = shape
    if isinstance(shape["counts"], list):
        if sum(shape["counts"]) != size[0] * size[1]:
            raise ValueError("its mask does not fill its image")
        encoded = rle.frPyObjects(shape, *size)
    with warnings.catch_warnings():
        # pycocotools 2.0.11 makes its arrays in a way that numpy 2 warns about.
        warnings.simplefilter("ignore", DeprecationWarning)
        mask: Mask = rle.decode(encoded).astype(bool)
    return mask


def _images_of(folder: Path) -> Path:
    """Return ``a/images/b`` for ``a/labels/b``."""
    parts = list(folder.parts)
    parts[len(parts) - 1 - parts[::-1].index("labels")] = "images"
    return Path(*parts)


def _from_polygons(folder: Path) -> Iterator[Micrograph]:
    for text in sorted(folder.rglob("*.txt"), key=natural):
        image = _beside(text.parent, text.stem)
        if image is None and "labels" in text.parent.parts:
            image = _beside(_images_of(text.parent), text.stem)
        if image is None:
            continue
        grey = read_grey(image)
        height, width = grey.shape
        size = np.array([width, height], dtype=np.float64)
        masks = []
        try:
            lines = text.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"cannot be read ({error})", where=text) from error
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                values = [float(value) for value in line.split()[1:]]
            except ValueError as error:
                raise UserError(f"line {number} is not a class and numbers", where=text) from error
            if len(values) < 6 or len(values) % 2:
                raise UserError(
                    f"line {number} is not an outline: a class, then x and y of 3 points or more",
                    where=text,
                    hint="boxes alone are not enough to train masks",
                )
            # Written as shares of the image; one may be drawn a little beyond its border.
            if not all(abs(value - 0.5) <= 1 for value in values):
                raise UserError(
                    f"line {number} lies outside of the image: x and y are shares, 0 to 1",
                    where=text,
                )
            ring = np.array(values).reshape(-1, 2) * size
            masks.append(fill_polygons([ring], (height, width)))
        yield _micrograph(image, grey, paint(masks, (height, width)), text)
