"""The images to be labelled, and the files their labels are kept in."""

from __future__ import annotations

import filecmp
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from pitflow.annotate.canvas import Canvas, Labels
from pitflow.errors import UserError
from pitflow.frame import Image
from pitflow.image_file import IMAGE_SUFFIXES, MASK_SUFFIX, images_in, read_image

LABELS_SUFFIX = "_labels"
_SHOWN_PERCENTILES = (0.1, 99.9)


@dataclass(frozen=True, slots=True)
class Item:
    """An image, and where its labels go.

    Parameters
    ----------
    image:
        The file.
    labels:
        PNG beside it or in the output folder.
    copy:
        Where the image is copied to on the first save, so that the pair lies together; None: it
        stays where it is.
    separate:
        Objects keep their own numbers (16-bit); else the file holds 255 for all of them (8-bit).
    """

    image: Path
    labels: Path
    copy: Path | None
    separate: bool

    @property
    def name(self) -> str:
        """The image's file name."""
        return self.image.name

    def read(self) -> Image:
        """Return the image for showing and cutting: uint8, grey or BGR.

        More than 8 bits are stretched between the image's darkest and brightest grey levels.

        Raises
        ------
        UserError
            If it cannot be read.
        """
        return to_8_bit(read_image(self.image, cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR))

    def open(self, shape: tuple[int, int]) -> Canvas:
        """Return the canvas with the labels saved so far.

        Raises
        ------
        UserError
            If the saved labels cannot be read or are of another size than the image.
        """
        if not self.labels.exists():
            return Canvas(np.zeros(shape, np.uint16))
        saved = read_image(self.labels, cv2.IMREAD_ANYDEPTH | cv2.IMREAD_GRAYSCALE)
        if saved.shape != shape:
            raise UserError(
                f"is {saved.shape[1]} x {saved.shape[0]} px and its image {shape[1]} x {shape[0]}",
                where=self.labels,
                hint="move it away to start anew",
            )
        return Canvas(saved if self.separate else (saved > 0).astype(np.uint16))

    def save(self, labels: Labels) -> None:
        """Write the labels, whole or not at all; copies the image first if that is wanted.

        Raises
        ------
        UserError
            If they cannot be written.
        """
        stored = labels if self.separate else (labels > 0).astype(np.uint8) * np.uint8(255)
        try:
            self.labels.parent.mkdir(parents=True, exist_ok=True)
            if self.copy is not None and not self.copy.exists():
                _write(self.copy, self.image.read_bytes())
            _write(self.labels, cv2.imencode(".png", stored)[1].tobytes())
        except OSError as error:
            raise UserError(f"cannot be written ({error.strerror})", where=self.labels) from error


def list_items(paths: Sequence[Path], out: Path | None, *, separate: bool = False) -> list[Item]:
    """Return the images of some files and folders, in order of name within each folder.

    Parameters
    ----------
    out:
        Folder for pairs of image and labels; None: labels are written beside the images.
    separate:
        See ``Item``: ``NAME_labels.png`` with an object a number, instead of ``NAME_mask.png``.

    Raises
    ------
    UserError
        If a path is missing or no image, or two images would share their labels, be it that ``out``
        holds another image of the same name.
    """
    if out is not None and out.exists() and not out.is_dir():
        raise UserError("is a file, not a folder for labels", where=out, hint="change --output")
    suffix = LABELS_SUFFIX if separate else MASK_SUFFIX
    items: dict[Path, Item] = {}
    there = {} if out is None or not out.is_dir() else {path.stem: path for path in _images([out])}
    for image in _images(paths):
        folder = image.parent if out is None else out
        labels = folder / f"{image.stem}{suffix}.png"
        if labels in items:
            raise UserError(
                f"would share its labels with {items[labels].image}",
                where=image,
                hint="label them in separate calls, each with its own -o",
            )
        copy = None if out is None or out.resolve() == image.parent.resolve() else out / image.name
        earlier = there.get(image.stem)
        if copy is not None and earlier is not None and not _are_same(image, earlier):
            raise UserError(
                f"would share its labels with {earlier}, which is another image",
                where=image,
                hint="give each folder of images an --output of its own",
            )
        items[labels] = Item(image, labels, copy, separate)
    if not items:
        raise UserError("no image in it", where=paths[0] if paths else None)
    return list(items.values())


def to_8_bit(image: Image) -> Image:
    """Return an image as uint8; one of more bits is stretched, its outermost 0.1 % cut off."""
    if image.dtype == np.uint8:
        return image
    low, high = np.percentile(image, _SHOWN_PERCENTILES)
    scaled = (image.astype(np.float32) - np.float32(low)) * np.float32(255 / max(high - low, 1e-9))
    shown: npt.NDArray[np.uint8] = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return shown


def _images(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += images_in(path, (MASK_SUFFIX, LABELS_SUFFIX))
        elif path.is_file():
            if path.suffix.lower() not in IMAGE_SUFFIXES:
                raise UserError(
                    "is no image", where=path, hint=f"give {', '.join(sorted(IMAGE_SUFFIXES))}"
                )
            if not cv2.haveImageReader(str(path)):
                raise UserError("not an image that can be read", where=path)
            found.append(path)
        else:
            raise UserError("no such file or folder", where=path)
    return found


def _are_same(image: Path, other: Path) -> bool:
    """Return whether two files are one image: of one kind, and alike to the last byte."""
    return image.suffix == other.suffix and filecmp.cmp(image, other, shallow=False)


def _write(path: Path, data: bytes) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(data)
    partial.replace(path)
