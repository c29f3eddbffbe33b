"""Moving an image by a part of a pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from pitflow.frame import Image

Ints = npt.NDArray[np.intp]

_LOBES = 3
NEGLIGIBLE_PX = 0.02
"""A shift below this changes no grey value by more than noise."""


def translated(image: Image, dx: float, dy: float, negligible_px: float = NEGLIGIBLE_PX) -> Image:
    """Return the image with its content moved ``dx`` px right and ``dy`` px down.

    Fractions are resampled with a Lanczos kernel of three lobes, which keeps specks as sharp as
    they are and has no preference for whole pixels. What comes in from outside repeats the edge.

    Parameters
    ----------
    image:
        (height, width) uint8, uint16 or float32; the result is of the same shape and type.
    dx, dy:
        Shift to the right and down, px.
    negligible_px:
        A part of a pixel below this is left out.
    """
    how = resampling(dx, dy, negligible_px)
    moved = _moved_whole(image, *how.whole) if any(how.whole) else image
    if how.kernels is None:
        return moved
    # Filtered in float, which is also several times faster than OpenCV's integer path.
    out: Image = cv2.sepFilter2D(moved, cv2.CV_32F, *how.kernels, borderType=cv2.BORDER_REPLICATE)
    if image.dtype == np.float32:
        return out
    return rescaled(out, 1.0, image.dtype)


@dataclass(frozen=True, slots=True)
class Resampling:
    """How an image is translated: by whole pixels, then filtered along rows and columns.

    Parameters
    ----------
    whole:
        Shift to the right and down, px.
    kernels:
        (7,) weights of the pixels around each, along x and y: correlation, not convolution. None
        where whole pixels are all.
    """

    whole: tuple[int, int]
    kernels: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]] | None


def resampling(dx: float, dy: float, negligible_px: float = NEGLIGIBLE_PX) -> Resampling:
    """Return how ``translated`` moves an image."""
    whole = round(dx), round(dy)
    part_x, part_y = dx - whole[0], dy - whole[1]
    if max(abs(part_x), abs(part_y)) < negligible_px:
        return Resampling(whole, None)
    return Resampling(whole, (_lanczos(part_x), _lanczos(part_y)))


Part = tuple[slice, slice]
"""Rows and columns of an image."""


def seen_part(dx: float, dy: float, shape: tuple[int, ...]) -> Part:
    """Return what a translated image knows; beyond that it repeats its edge.

    Parameters
    ----------
    dx, dy:
        Shift to the right and down, px.
    shape:
        (height, width).
    """
    rows, columns = (
        slice(min(max(math.ceil(moved), 0), size), max(min(size + math.floor(moved), size), 0))
        for moved, size in zip((dy, dx), shape, strict=True)
    )
    return rows, columns


@dataclass(frozen=True, slots=True)
class Translated:
    """An image that is to be translated, where and when it is looked at.

    Parameters
    ----------
    image, dx, dy, negligible_px:
        See ``translated``.
    """

    image: Image
    dx: float
    dy: float
    negligible_px: float = NEGLIGIBLE_PX

    @property
    def how(self) -> Resampling:
        """How it is translated."""
        return resampling(self.dx, self.dy, self.negligible_px)

    @property
    def seen(self) -> Part:
        """What it knows; beyond that it repeats its edge."""
        whole, kernels = self.how.whole, self.how.kernels
        dx, dy = whole if kernels is None else (self.dx, self.dy)
        return seen_part(dx, dy, self.image.shape)

    def whole(self) -> Image:
        """Return the translated image."""
        return translated(self.image, self.dx, self.dy, self.negligible_px)

    def part(self, rows: slice, columns: slice) -> Image:
        """Return some rows and columns of the translated image, at the cost of these alone."""
        wide, own = [], []
        for chosen, moved, size in zip(
            (rows, columns), (self.dy, self.dx), self.image.shape, strict=True
        ):
            reach = abs(round(moved)) + _LOBES + 1
            start = max(chosen.start - reach, 0)
            wide.append(slice(start, min(chosen.stop + reach, size)))
            own.append(slice(chosen.start - start, chosen.stop - start))
        around = self.image[wide[0], wide[1]]
        moved_part = translated(around, self.dx, self.dy, self.negligible_px)
        part: Image = moved_part[own[0], own[1]]
        return part

    @property
    def far_from_edge(self) -> Part:
        """Rows and columns from which ``parts`` can be taken: no pixel of them needs the edge."""
        reach = 0 if self.how.kernels is None else _LOBES
        rows, columns = (
            slice(max(moved, 0) + reach, size + min(moved, 0) - reach)
            for moved, size in zip(self.how.whole[::-1], self.image.shape, strict=True)
        )
        return rows, columns

    def parts(self, top: Ints, left: Ints, shape: tuple[int, int]) -> Image:
        """Return (n, height, width) parts of the translated image, at the cost of these alone.

        Parameters
        ----------
        top, left:
            (n,) first row and column of each; all of it lies in ``far_from_edge``.
        shape:
            (height, width) of a part, px.
        """
        (dx, dy), kernels = self.how.whole, self.how.kernels
        reach = 0 if kernels is None else _LOBES
        wide = shape[0] + 2 * reach, shape[1] + 2 * reach
        here = top - dy - reach, left - dx - reach
        around: Image = sliding_window_view(self.image, wide)[here]
        if kernels is None:
            return around
        # One above the other they are filtered at once; what one sees of another is cut off.
        column = around.reshape(-1, wide[1])
        filtered: Image = cv2.sepFilter2D(column, cv2.CV_32F, *kernels)
        if column.dtype != np.float32:
            filtered = rescaled(filtered, 1.0, column.dtype)
        return filtered.reshape(around.shape)[:, reach:-reach, reach:-reach]


def rescaled(image: Image, factor: float, dtype: np.dtype[Any]) -> Image:
    """Return the image times ``factor``, rounded to uint8 or uint16 within the type's range."""
    depth = {np.dtype(np.uint8): cv2.CV_8U, np.dtype(np.uint16): cv2.CV_16U}[np.dtype(dtype)]
    # One pass in place of the four of numpy.
    out: Image = cv2.addWeighted(image, factor, image, 0, 0, dtype=depth)
    return out


def _moved_whole(image: Image, dx: int, dy: int) -> Image:
    height, width = image.shape
    dx, dy = max(-width + 1, min(dx, width - 1)), max(-height + 1, min(dy, height - 1))
    kept = image[max(-dy, 0) : height - max(dy, 0), max(-dx, 0) : width - max(dx, 0)]
    moved: Image = cv2.copyMakeBorder(
        kept, max(dy, 0), max(-dy, 0), max(dx, 0), max(-dx, 0), cv2.BORDER_REPLICATE
    )
    return moved


@lru_cache(maxsize=256)
def _lanczos(part: float) -> npt.NDArray[np.float32]:
    position = part + np.arange(-_LOBES, _LOBES + 1)
    kernel = np.sinc(position) * np.sinc(position / _LOBES) * (np.abs(position) < _LOBES)
    normalised: npt.NDArray[np.float32] = (kernel / kernel.sum()).astype(np.float32)
    return normalised


def as_it_is(image: Image | Translated) -> Image:
    """Return the image as it was before it is moved."""
    return image.image if isinstance(image, Translated) else image
