"""One image file in memory: its pages as grey images."""

from __future__ import annotations

import logging
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, Protocol

import imagecodecs
import numpy as np
import tifffile

from pitflow.acquire.grey import grey_of_rgb, is_coloured
from pitflow.frame import Image

_TIFF = (".tif", ".tiff")
_DECODERS: dict[str, Callable[[bytes], Any]] = {
    ".png": imagecodecs.png_decode,
    ".jpg": imagecodecs.jpeg8_decode,
    ".jpeg": imagecodecs.jpeg8_decode,
    ".bmp": imagecodecs.bmp_decode,
    ".webp": imagecodecs.webp_decode,
    ".jp2": imagecodecs.jpeg2k_decode,
}
# What it would print of a damaged file is told in the notes of the recording.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)

_JPEG_END = b"\xff\xd9"
_FAULTS = (
    ValueError,
    RuntimeError,
    OSError,
    IndexError,
    KeyError,
    TypeError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
"""What the decoders raise, depending on where in the file the damage is."""


class UnreadableError(Exception):
    """An image file, or a page of one, is damaged."""


class UnsupportedError(Exception):
    """The pixels of an image are of a type that is no grey value."""


class Pages(Protocol):
    """The pages of an open image file, all like the first."""

    @property
    def n(self) -> int:
        """Number of pages."""
        ...

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width), px."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a grey value: uint8 or uint16."""
        ...

    @property
    def interval_s(self) -> float | None:
        """Seconds between pages, where the file tells."""
        ...

    def read(self, page: int) -> Image:
        """Return a page as grey image.

        Raises
        ------
        UnreadableError
            If the page is damaged.
        """
        ...

    def conversions(self) -> list[str]:
        """Say in plain words what ``read`` converts."""
        ...


@contextmanager
def open_pages(file: BinaryIO, suffix: str) -> Iterator[Pages]:
    """Open an image file; ``suffix`` is the end of its name.

    Raises
    ------
    UnreadableError
        If the file is damaged.
    UnsupportedError
        If its pixels are neither 8 nor 16 bit, grey nor colour.
    """
    if suffix.lower() not in _TIFF:
        yield _SinglePage(file.read(), suffix.lower())
        return
    try:
        tiff = tifffile.TiffFile(file)
        pages = _TiffPages(tiff)
    except _FAULTS as error:
        raise UnreadableError(str(error)) from error
    with tiff:
        yield pages


class _SinglePage:
    """An image of a format that has no pages."""

    n = 1
    interval_s = None

    def __init__(self, data: bytes, suffix: str) -> None:
        try:
            self._pixels = np.asarray(_DECODERS[suffix](data))
        except _FAULTS as error:
            raise UnreadableError(str(error)) from error
        # A JPEG that was cut off decodes without complaint.
        if suffix in (".jpg", ".jpeg") and _JPEG_END not in data[-64:]:
            raise UnreadableError("the file ends early")
        _check_type(self._pixels.dtype)
        self.shape = (self._pixels.shape[0], self._pixels.shape[1])
        self.dtype = self._pixels.dtype

    def read(self, page: int) -> Image:
        return _grey(self._pixels)

    def conversions(self) -> list[str]:
        return _colour_note(self._pixels)


class _TiffPages:
    """A TIFF image or stack, such as ImageJ writes."""

    def __init__(self, tiff: tifffile.TiffFile) -> None:
        self._tiff = tiff
        first = tiff.pages.first
        _check_type(first.dtype)
        self.shape = (first.imagelength, first.imagewidth)
        self.dtype = np.dtype(first.dtype.type)
        imagej = tiff.imagej_metadata or {}
        self._declared = int(imagej.get("images", 0)) or _shaped(tiff)
        # ImageJ gives a stack of more than 4 GB one header for all its images; of one that was cut
        # off all headers but the first may be lost.
        together = len(tiff.pages) == 1 and first.compression == 1 and not first.is_tiled
        self._in_one = self._declared if together else 1
        self.n = max(len(tiff.pages), self._in_one)
        interval = imagej.get("finterval")
        self.interval_s = float(interval) if interval else None
        self._table = _grey_table(first)

    def read(self, page: int) -> Image:
        try:
            pixels = self._raw(page)
        except _FAULTS as error:
            raise UnreadableError(str(error)) from error
        grey = _grey(pixels)
        return grey if self._table is None else self._table[grey]

    def _raw(self, page: int) -> Any:
        if self._in_one == 1:
            return self._channels_last(self._tiff.pages[page].asarray(maxworkers=1))
        first = self._tiff.pages.first
        size = self.shape[0] * self.shape[1] * self.dtype.itemsize
        file = self._tiff.filehandle
        file.seek(first.dataoffsets[0] + page * size)
        pixels = np.frombuffer(
            file.read(size), dtype=first.dtype.newbyteorder(self._tiff.byteorder)
        )
        return pixels.reshape(self.shape).astype(self.dtype, copy=False)

    def _channels_last(self, pixels: Any) -> Any:
        apart = pixels.ndim == 3 and pixels.shape[1:] == self.shape != pixels.shape[:2]
        return np.moveaxis(pixels, 0, -1) if apart else pixels

    def conversions(self) -> list[str]:
        notes = []
        if self._table is not None:
            notes.append("indexed or inverted grey levels brought to black = 0")
        else:
            # A first page that cannot be read tells nothing of colours.
            with suppress(*_FAULTS):
                notes += _colour_note(self._raw(0))
        if self.n < self._declared:
            notes.append(
                f"the file ends early: {self.n} of its {self._declared} frames can be read"
            )
        return notes


def _shaped(tiff: tifffile.TiffFile) -> int:
    """Return how many images a stack holds that was written by tifffile; 1 for others."""
    metadata = tiff.shaped_metadata
    if not metadata:
        return 1
    return int(np.prod(metadata[0]["shape"])) // int(np.prod(tiff.pages.first.shape))


def _check_type(dtype: np.dtype[Any]) -> None:
    if dtype not in (np.uint8, np.uint16):
        raise UnsupportedError(f"pixels of type {dtype} are not supported, only 8 and 16 bit")


def _grey(pixels: Any) -> Image:
    if pixels.ndim == 3 and pixels.shape[-1] in (3, 4):
        return grey_of_rgb(pixels)
    # Grey with an alpha channel, or nothing but grey.
    grey: Image = np.ascontiguousarray(pixels[..., 0] if pixels.ndim == 3 else pixels)
    if grey.ndim != 2:
        raise UnreadableError(f"pixels of shape {pixels.shape} are no image")
    return grey


def _colour_note(pixels: Any) -> list[str]:
    coloured = pixels.ndim == 3 and pixels.shape[-1] in (3, 4) and is_coloured(pixels)
    return ["colour converted to grey (BT.601 luma)"] if coloured else []


def _grey_table(page: Any) -> Image | None:
    """Return the table from a page's values to grey, None where they are grey values already."""
    kind = page.photometric
    if kind == tifffile.PHOTOMETRIC.MINISWHITE:
        top = np.iinfo(page.dtype).max
        return np.arange(top, -1, -1, dtype=page.dtype)
    if kind == tifffile.PHOTOMETRIC.PALETTE and page.dtype == np.uint8:
        colours = np.asarray(page.colormap, dtype=np.uint16).T[None]
        grey = grey_of_rgb(np.rint(colours / 257).astype(np.uint8))[0]
        return None if np.array_equal(grey, np.arange(256)) else grey
    return None
