"""Micrographs from files: grey, of any size and depth, without the data bar."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import tifffile

from pitflow.domains.sem.pixel_size import find_um_per_px
from pitflow.errors import UserError
from pitflow.frame import Image
from pitflow.image_file import encoded, listed_images

LABEL_SUFFIX = "_labels"
_MADE_HERE = (LABEL_SUFFIX, "_overlay", "_mask")

Labels = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Micrograph:
    """A labelled micrograph.

    Parameters
    ----------
    name:
        Of its file, without suffix.
    group:
        Micrographs of one group depend on each other and are never split.
    image:
        (height, width) grey, 8 or 16 bit, the data bar cut off.
    labels:
        (height, width): 0 background; each instance, or each class, a number of its own.
    """

    name: str
    group: str
    image: Image
    labels: Labels


def read_grey(path: Path) -> Image:
    """Read an image as grey of 8 or 16 bits, as ``to_grey`` makes it.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    return to_grey(read_pixels(path), path)


def to_grey(pixels: npt.NDArray[np.generic], path: Path) -> Image:
    """Return pixels as grey of 8 or 16 bits; colour is converted, other depths are rescaled.

    Parameters
    ----------
    pixels:
        As ``read_pixels`` returns them.
    path:
        Where they come from.

    Raises
    ------
    UserError
        If no value is finite.
    """
    if pixels.ndim == 3:
        colours = pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., :1]
        if colours.shape[2] == 3:
            colours = cv2.cvtColor(np.ascontiguousarray(colours), cv2.COLOR_BGR2GRAY)
        pixels = colours if colours.ndim == 2 else colours[..., 0]
    if pixels.dtype in (np.uint8, np.uint16):
        return pixels
    # Other depths come from software, not from a detector: only the order of greys has a meaning.
    values = pixels.astype(np.float64)
    values[~np.isfinite(values)] = np.nan
    if np.isnan(values).all():
        raise UserError("holds no finite grey value", where=path)
    low, high = np.nanmin(values), np.nanmax(values)
    scaled = np.nan_to_num((values - low) / max(high - low, 1e-300)) * np.iinfo(np.uint16).max
    return scaled.round().astype(np.uint16)


def read_pixels(path: Path) -> npt.NDArray[np.generic]:
    """Read an image file as it is: (height, width) or (height, width, colours), blue first.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    return read_with_scale(path)[0]


def read_with_scale(path: Path) -> tuple[npt.NDArray[np.generic], float | None]:
    """Read an image as ``read_pixels`` does, and the size of a pixel in um, None if unknown.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    data, tiff = encoded(path)
    # Photographs are turned upright, as for those who label them.
    flags = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR
    try:
        pixels = cv2.imdecode(data, flags) if data.size else None
    except cv2.error:
        pixels = None
    if pixels is None and tiff is not None:
        pixels = _first_page(tiff)
    if pixels is None or 0 in pixels.shape:
        raise UserError("is not an image that can be read", where=path)
    if pixels.dtype == np.uint16 and tiff is not None and _is_negative(tiff):
        # OpenCV turns only 8 bits round.
        pixels = np.iinfo(np.uint16).max - pixels
    return np.asarray(pixels), find_um_per_px(path, tiff, pixels.shape[1])


def list_micrographs(paths: Sequence[Path]) -> list[Path]:
    """Return image files, and those in folders, in natural order; labels and overlays left out.

    Raises
    ------
    UserError
        If a path does not exist, a folder holds no images, two images have the same name, or
        nothing is given.
    """
    found = listed_images(paths, _MADE_HERE)
    if not found:
        raise UserError("no images given")
    return found


def group_of(name: str) -> str:
    """Return the group of a micrograph by its name.

    Photographs of one place in a series, ``<n>_<time>_<position>_<angle>_crop_<k>``, are of one
    group, as are sections of one specimen, ``<date>_<number>_...`` or anything up to ``_S``. A name
    of another form stands for itself.
    """
    if place := re.match(r"^\d+_\d{12}_(\d+)_(\d+)_crop_\d+$", name):
        return f"position {place[1]} angle {place[2]}"
    if specimen := re.match(r"^(\d{6}_\d+)_", name):
        return specimen[1]
    if specimen := re.match(r"^(.+?)_S\d", name):
        return specimen[1]
    return name


def _is_negative(tiff: tifffile.TiffFile) -> bool:
    """Return whether 0 stands for white in a TIFF file."""
    try:
        return bool(tiff.pages.first.photometric == tifffile.PHOTOMETRIC.MINISWHITE)
    except Exception:
        return False


def _first_page(tiff: tifffile.TiffFile) -> npt.NDArray[np.generic] | None:
    try:
        pixels = np.asarray(tiff.asarray(key=0))
    except Exception:
        return None
    return pixels[..., ::-1] if pixels.ndim == 3 and pixels.shape[2] == 3 else pixels
