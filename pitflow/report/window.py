"""Windows of a frame, and how an image is made ready for the eye."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from pitflow.frame import Image


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of whole pixels: columns x0 to x1 and rows y0 to y1, ends excluded."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """(left, right, bottom, top) in px for ``imshow``, y down, pixel centres on integers."""
        return self.x0 - 0.5, self.x1 - 0.5, self.y1 - 0.5, self.y0 - 0.5

    @property
    def width(self) -> int:
        """Columns."""
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        """Rows."""
        return self.y1 - self.y0

    def of(self, image: npt.NDArray[np.generic]) -> Image:
        """Return this part of ``image``."""
        return image[self.y0 : self.y1, self.x0 : self.x1]


def whole(shape: tuple[int, int]) -> Window:
    """Return the window that is the whole frame of (height, width)."""
    return Window(0, 0, shape[1], shape[0])


STACKED = 2.0
"""Of a frame so many times as wide as high, or more, what goes with it is drawn below it."""


def window_around(
    x: float, y: float, half: float, shape: tuple[int, int], *, across: float = 1.0
) -> Window:
    """Return a window about (x, y), moved to lie inside a frame of (height, width).

    It is ``2 * half + 1`` high and ``across`` times as wide, or as the frame where that is smaller.
    """
    spans = []
    for centre, size, reach in ((x, shape[1], across * half), (y, shape[0], half)):
        side = min(2 * round(reach) + 1, size)
        start = min(max(round(centre) - side // 2, 0), size - side)
        spans.append((start, start + side))
    (x0, x1), (y0, y1) = spans
    return Window(x0, y0, x1, y1)


NEAR_BLACK = 0.4
"""A pit is darker than this share of the median; the steel and the particles on it are not."""


def limits(*images: Image, low: float = 0.5, high: float = 99.5) -> tuple[float, float]:
    """Return the grey levels at two percentiles over all the images, for one common stretch."""
    return _spread(np.concatenate([image[::2, ::2].ravel() for image in images]), low, high)


def steel_limits(*images: Image, low: float = 0.2, high: float = 99.8) -> tuple[float, float]:
    """Return limits that spend the contrast on steel and particles and leave the pits black."""
    values = np.concatenate([image[::2, ::2].ravel() for image in images])
    return _spread(values[values >= NEAR_BLACK * np.median(values)], low, high)


def _spread(values: npt.NDArray[Any], low: float, high: float) -> tuple[float, float]:
    bottom, top = np.percentile(values, [low, high])
    return float(bottom), float(max(top, bottom + 1e-6))


def stretch(image: Image, between: tuple[float, float] | None = None) -> npt.NDArray[np.uint8]:
    """Return the image as 8 bit with the levels ``between`` spread over black to white.

    Without ``between`` the limits suit the steel and the particles on it.
    """
    bottom, top = steel_limits(image) if between is None else between
    spread = (image.astype(np.float32) - bottom) * (255.0 / (top - bottom))
    bright: npt.NDArray[np.uint8] = np.clip(spread, 0, 255).astype(np.uint8)
    return bright


def reduce(image: Image, max_px: int) -> Image:
    """Return the image shrunk by area averaging until no side exceeds ``max_px``."""
    factor = max_px / max(image.shape)
    if factor >= 1:
        return image
    height, width = image.shape[:2]
    size = max(1, round(width * factor)), max(1, round(height * factor))
    small: Image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return small
