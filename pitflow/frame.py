"""One frame of a recording, as it passes from stage to stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Quality = Literal["ok", "gap", "damaged", "duplicate"]

Places = npt.NDArray[np.intp]
"""Rows or columns."""

Seen = npt.NDArray[np.bool_]

SOUND: tuple[Quality, ...] = ("ok", "duplicate")
"""Frames of this quality hold an image that can be read."""

Image = npt.NDArray[Any]
"""A grey image (height, width), uint8 or uint16 unless said otherwise."""

CLASS_BACKGROUND, CLASS_PARTICLE, CLASS_PIT = 0, 1, 2
"""The values in a class map (``masks.zarr``)."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame and what is known about it.

    Parameters
    ----------
    index:
        Index in the recording, from 0; a lost frame keeps its number.
    image:
        (height, width) uint8 or uint16.
    quality:
        Whether the image can be trusted.
    shift:
        (dx, dy) in px: how far the scene has moved right and down since the reference.
    gain:
        Brightness relative to the reference, about 1.
    """

    index: int
    image: Image
    quality: Quality = "ok"
    shift: tuple[float, float] = (0.0, 0.0)
    gain: float = 1.0

    def pixels_at(self, row: Places, column: Places) -> tuple[Places, Places, Seen]:
        """Return where pixels of the reference geometry lie, to whole pixels, and which are seen.

        Of one that has drifted out of view the nearest pixel is given.
        """
        height, width = self.image.shape
        row, column = row + round(self.shift[1]), column + round(self.shift[0])
        seen = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        return np.clip(row, 0, height - 1), np.clip(column, 0, width - 1), seen


def as_8_bit(image: Image) -> npt.NDArray[np.uint8]:
    """Return the image as uint8, its full range of grey levels scaled to 0 to 255."""
    if image.dtype == np.uint8:
        return image
    scaled: npt.NDArray[np.float32] = image * np.float32(255 / np.iinfo(image.dtype).max)
    return np.rint(scaled).astype(np.uint8)
