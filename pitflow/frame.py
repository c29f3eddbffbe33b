"""One frame of a recording, as it passes from stage to stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Quality = Literal["ok", "gap", "damaged", "duplicate"]

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


def as_float32(image: Image) -> npt.NDArray[np.float32]:
    """Return the image as float32 in its own grey levels."""
    return image.astype(np.float32, copy=False)
