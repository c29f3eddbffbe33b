"""Image files that are labelled, learned from or measured one by one."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import tifffile

from pitflow.errors import UserError
from pitflow.frame import Image

# What it would print of a damaged file is told in one line.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

IMAGE_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp", ".webp", ".jp2"})
"""Ends of the names of images, in lower case, that every command reads."""

_UNREAD = frozenset({
    ".heic", ".heif", ".avif", ".jxl", ".gif", ".pgm", ".ppm", ".psd",
    ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf",
    ".czi", ".lif", ".nd2", ".oib", ".vsi", ".dm3", ".dm4", ".emd", ".ser",
})  # fmt: skip
"""Those of images that none does: of telephones, cameras and microscopes."""

MASK_SUFFIX = "_mask"
"""Ends the name of the mask beside an image, before ".png"."""


def images_in(folder: Path, beside: tuple[str, ...] = (MASK_SUFFIX,)) -> list[Path]:
    """Return the images in a folder, in natural order of their names, without hidden files.

    Parameters
    ----------
    beside:
        Ends of the names, before the suffix, of what belongs to an image and is none.
    """
    found = (
        path for path in folder.iterdir() if is_image(path.name) and not path.stem.endswith(beside)
    )
    return sorted(found, key=natural)


def is_image(name: str) -> bool:
    """Return whether a file is an image by its name; a hidden one is none."""
    return not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES


def not_read(names: Iterable[str]) -> str:
    """Return, in words, which of some files are images of formats that are not read; "" if none."""
    found = sorted(name for name in names if Path(name).suffix.lower() in _UNREAD)
    if not found:
        return ""
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return f"{found[0]}{more}: of a format that is not read; save it as PNG or TIFF"


def left_out(paths: Sequence[Path]) -> list[str]:
    """Return, in words, the images that folders hold and `listed_images` passes over."""
    said = ((path, not_read(one.name for one in path.iterdir())) for path in paths if path.is_dir())
    return [f"{path}: left out {text}" for path, text in said if text]


def listed_images(paths: Sequence[Path], beside: tuple[str, ...] = (MASK_SUFFIX,)) -> list[Path]:
    """Return the images that files and folders name.

    Parameters
    ----------
    beside:
        See `images_in`.

    Raises
    ------
    UserError
        If a path does not exist, a folder holds no images, or two images have the same name,
        suffixes aside.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            images = images_in(path, beside)
            if not images:
                raise UserError("holds no images", where=path, hint=_inside_hint(path))
            found += images
        elif path.is_file():
            found.append(path)
        else:
            raise UserError("no such image", where=path)
    by_stem(found)
    return found


def by_stem(images: Iterable[Path]) -> dict[str, Path]:
    """Return images by their names without suffixes.

    Raises
    ------
    UserError
        If two have the same name: what is made of them, and their mask, would have one.
    """
    seen: dict[str, Path] = {}
    for path in images:
        if path.stem in seen:
            raise UserError(
                f"has the same name as {seen[path.stem]}", where=path, hint="rename one of them"
            )
        seen[path.stem] = path
    return seen


def check_targets(paths: Sequence[Path], targets: Sequence[Path], *, overwrite: bool) -> None:
    """Refuse to write what is made of images over one of them, or over what is there already.

    Raises
    ------
    UserError
        If that is so; what is no image may be replaced with ``overwrite``.
    """
    for path, target in zip(paths, targets, strict=True):
        if target.resolve() == path.resolve():
            raise UserError("would be overwritten by its mask", where=path, hint="change --output")
        if target.exists() and not overwrite:
            raise UserError("is there already", where=target, hint="--overwrite replaces it")


def masks_in(folder: Path) -> list[Path]:
    """Return the masks in a folder, by name.

    Raises
    ------
    UserError
        If one is there in another format, which would else be taken for none.
    """
    masks = sorted(
        path for path in folder.iterdir() if path.stem.endswith(MASK_SUFFIX) and is_image(path.name)
    )
    for path in masks:
        if path.suffix != ".png":
            raise UserError(
                "masks are PNG, and end in .png", where=path, hint=f"save it as {path.stem}.png"
            )
    return masks


def _inside_hint(folder: Path) -> str:
    if unread := not_read(path.name for path in folder.iterdir()):
        return unread
    inner = next((path for path in sorted(folder.iterdir()) if path.is_dir()), None)
    return "" if inner is None else f"folders in it are not searched: name {inner}"


def natural(path: Path) -> list[tuple[int, int, str]]:
    """Return a key that sorts names as people do: 2 before 10."""
    parts = re.split(r"(\d+)", path.name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def encoded(path: Path) -> tuple[npt.NDArray[np.uint8], tifffile.TiffFile | None]:
    """Return the bytes of an image file, as OpenCV decodes them, and its tags if it is a TIFF.

    Of a damaged TIFF file there are none: whoever decodes it says what is wrong.

    Raises
    ------
    UserError
        If it cannot be read, or is a stack of several images.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", where=path) from error
    tiff = _open_tiff(data) if path.suffix.lower() in (".tif", ".tiff") else None
    if tiff is not None and _is_stack(tiff):
        raise UserError(
            "is a stack of images",
            where=path,
            hint="give its pages as files, or a recording to `pitflow run`",
        )
    return np.frombuffer(data, np.uint8), tiff


def read_image(path: Path, flags: int) -> Image:
    """Return an image of 8 or 16 bits; ``flags`` are those of ``cv2.imdecode``.

    Raises
    ------
    UserError
        If it cannot be read, is none, or is a stack of several.
    """
    data, _ = encoded(path)
    image: Image | None = cv2.imdecode(data, flags) if data.size else None
    if image is None or image.dtype not in (np.uint8, np.uint16):
        raise UserError("is no image of 8 or 16 bits, or a damaged one", where=path)
    return image


def _open_tiff(data: bytes) -> tifffile.TiffFile | None:
    try:
        return tifffile.TiffFile(BytesIO(data))
    except Exception:
        return None


def _is_stack(tiff: tifffile.TiffFile) -> bool:
    """Return whether the second page of a TIFF file is as large as its first: no thumbnail."""
    try:
        return len(tiff.pages) > 1 and tiff.pages[0].shape == tiff.pages[1].shape
    except Exception:
        return False
