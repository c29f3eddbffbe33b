"""Photographs of panels, and those that are labelled: ``NAME_mask.png`` beside ``NAME``."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from pitflow.domains.panels.duplicates import duplicate_groups
from pitflow.errors import UserError
from pitflow.image_file import MASK_SUFFIX, by_stem, images_in, masks_in, read_image

Colours = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

_DEPTHS = 8, 10, 12, 14, 16
"""Bits of a camera, in files of 8 or 16."""

_STRATA = 5
_THUMBNAIL_PX = 64


@dataclass(frozen=True, slots=True)
class LabelledPanel:
    """A photograph and its mask, on disk.

    Parameters
    ----------
    name:
        File name without suffix, and the folder's where another is called the same.
    group:
        Photographs of one group show the same thing and belong on one side of a split.
    stratum:
        Every part of a split gets its share of each: the rating, or the class of corroded area.
    corroded_share:
        Share of the image that the mask marks.
    """

    name: str
    image: Path
    mask: Path
    group: str
    stratum: str
    corroded_share: float

    def read(self) -> tuple[Colours, Mask]:
        """Return the photograph as RGB (height, width, 3), and the mask (height, width).

        Raises
        ------
        UserError
            If either cannot be read, or they differ in size.
        """
        image, mask = read_rgb(self.image), read_mask(self.mask)
        if image.shape[:2] != mask.shape:
            raise UserError(
                f"is of {mask.shape[1]} x {mask.shape[0]} px, its image of "
                f"{image.shape[1]} x {image.shape[0]} px",
                where=self.mask,
            )
        return image, mask


def read_panels(folders: Sequence[Path], ratings: Path | None = None) -> list[LabelledPanel]:
    """Find all labelled photographs of some folders.

    Near duplicates (copies that are turned, mirrored, shifted a little, lit anew) are one group.

    Parameters
    ----------
    ratings:
        CSV with a column ``image`` (file name, with or without suffix) and ``rating``, and perhaps
        ``group``: photographs of the same specimen, which near duplicates do not tell. Without
        ratings, the strata are fifths of the corroded share.

    Raises
    ------
    UserError
        If there are none, or none is corroded, a file cannot be read, a photograph is not rated, or
        two cannot be told apart by their names.
    """
    pairs = [pair for folder in folders for pair in _pairs(folder)]
    if not pairs:
        raise UserError(
            "no labelled photographs: no NAME_mask.png beside an image NAME",
            where=", ".join(str(folder) for folder in folders),
            hint="`pitflow annotate` makes them",
        )
    names = _names([image for image, _ in pairs])
    shares, thumbnails = [], []
    for image, mask in pairs:
        shares.append(float(read_mask(mask).mean()))
        grey = cv2.cvtColor(read_rgb(image), cv2.COLOR_RGB2GRAY)
        thumbnails.append(
            cv2.resize(grey, (_THUMBNAIL_PX, _THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
        )
    if not any(shares):
        raise UserError(
            "no corrosion is marked in any mask", where=", ".join(str(folder) for folder in folders)
        )
    rated = {} if ratings is None else _read_ratings(ratings)
    for name, (image, _) in zip(names, pairs, strict=True):
        if image.stem in rated and name != image.stem:
            raise UserError(f"several photographs are called {image.stem}", where=ratings)
    rows = [_row_of(image, rated, ratings) for image, _ in pairs]
    groups = duplicate_groups(thumbnails, [row.get("group", "") for row in rows])
    edges = np.quantile(shares, np.arange(1, _STRATA) / _STRATA)
    return [
        LabelledPanel(
            name,
            image,
            mask,
            names[group],
            row["rating"] if row else f"fifth {int(np.searchsorted(edges, share)) + 1}",
            share,
        )
        for name, (image, mask), group, row, share in zip(
            names, pairs, groups, rows, shares, strict=True
        )
    ]


def read_rgb(path: Path) -> Colours:
    """Return an image as 8-bit RGB, turned upright as its camera noted.

    Of 16 bits those are kept that the camera used: 10, 12 or 14 of them fill the lower ones.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    image = read_image(path, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if image.dtype == np.uint16:
        brightest = int(image.max())
        bits = next(bits for bits in _DEPTHS if brightest < 1 << bits)
        image = (image >> (bits - 8)).astype(np.uint8)
    colours: Colours = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return colours


def read_mask(path: Path) -> Mask:
    """Read a mask of 8 or 16 bits, in grey or in colour.

    True where a mask of two values, 0 and any other, is not 0; where a soft mask, which has more
    values, is half its full scale or more.

    Raises
    ------
    UserError
        If it cannot be read, or has several values that are all below half its full scale: which
        of them are meant cannot be told.
    """
    image = read_image(path, cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR).max(axis=2)
    values = np.unique(image)
    if values.size == 1 or (values.size == 2 and values[0] == 0):
        marked: Mask = image > 0
        return marked
    half = np.iinfo(image.dtype).max // 2
    if values[-1] <= half:
        some = ", ".join(str(value) for value in values[:4])
        raise UserError(
            f"has the values {some}{', ...' if values.size > 4 else ''}: a mask has 0 where there "
            "is no corrosion, and 255 where there is",
            where=path,
        )
    mask: Mask = image > half
    return mask


def _pairs(folder: Path) -> list[tuple[Path, Path]]:
    if not folder.is_dir():
        raise UserError("no such folder", where=folder)
    images = by_stem(images_in(folder))
    masks = masks_in(folder)
    for mask in masks:
        if mask.stem.removesuffix(MASK_SUFFIX) not in images:
            raise UserError("there is no image to this mask", where=mask)
    return [(images[mask.stem.removesuffix(MASK_SUFFIX)], mask) for mask in masks]


def _names(images: Sequence[Path]) -> list[str]:
    """Return a name for each image; those of one file name have that of their folder too."""
    files = Counter(image.stem for image in images)
    names: dict[str, Path] = {}
    for image in images:
        name = image.stem
        if files[name] > 1:
            name += f" ({image.parent.resolve().name})"
        if name in names:
            raise UserError(
                f"has the same name as {names[name]}, and so has its folder",
                where=image,
                hint="give each folder once, or rename one",
            )
        names[name] = image
    return list(names)


def _read_ratings(path: Path) -> dict[str, dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"cannot be read as CSV ({error})", where=path) from error
    if not rows or not {"image", "rating"} <= rows[0].keys():
        raise UserError("has no columns image and rating", where=path)
    return {Path(row["image"]).stem: row for row in rows}


def _row_of(
    image: Path, rated: Mapping[str, dict[str, str]], ratings: Path | None
) -> dict[str, str]:
    if ratings is None:
        return {}
    if image.stem not in rated:
        raise UserError(f"{image.name} is not rated", where=ratings)
    return rated[image.stem]
