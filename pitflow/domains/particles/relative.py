"""Brightness relative to the steel around, free of gain and slow shading."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from pitflow.frame import Image

Floats = npt.NDArray[np.float32]

LEVEL_PX = 65
"""Side of the window over which the steel's brightness is averaged: wide against a particle."""

_STEEL = 0.6
"""Darker than this share of the median is no steel, but pit."""
UNIT = 0.1
"""Darkening by this share is 1 in a channel: clear particles are around -1, pits around -10."""
LIMIT = 10.0
"""What is darker, or brighter, than this many units is cut off."""
_REDUCED = 4
_SPARSE = 3
"""Every so many pixels of a reduced image, along both sides, tell its median..."""
_MANY = 10_000
"""...if it has more pixels than this."""
_FEW = 0.02


def full_scale(image: Image) -> Floats:
    """Return an image of whole numbers as float32 whose largest possible value is 1."""
    scaled: Floats = np.multiply(image, 1 / np.iinfo(image.dtype).max, dtype=np.float32)
    return scaled


def darkening(image: Floats) -> Floats:
    """Return brightness relative to the steel around: 0 steel, -1 darker by 10 %, -10 black.

    The level of the steel is its mean over a window, pits left out; inside of a large pit it is the
    median of the image.
    """
    return relative_to(steel_scale(image), image)


def relative_to(scale: Floats, image: Image) -> Floats:
    """Return brightness relative to the steel, of an image or a part of it and its scale there."""
    relative: Floats = scale * image
    relative -= np.float32(1 / UNIT)
    return np.clip(relative, -LIMIT, LIMIT, out=relative)


def steel_scale(image: Floats) -> Floats:
    """Return (height, width) what a grey value is multiplied by: that of steel becomes 10."""
    return full_size(reduced_scale(image), image.shape)


def full_size(reduced: Floats, shape: tuple[int, ...]) -> Floats:
    """Return a ``reduced_scale`` enlarged to (height, width)."""
    scale: Floats = cv2.resize(reduced, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    return scale


def reduced_scale(image: Image) -> Floats:
    """Return ``steel_scale`` at a quarter of the size."""
    height, width = image.shape
    # The level is so smooth that a reduced image tells it, at a fraction of the time; rounding to
    # whole grey levels averages out over its window.
    reduced = cv2.resize(
        image, (-(-width // _REDUCED), -(-height // _REDUCED)), interpolation=cv2.INTER_AREA
    ).astype(np.float32, copy=False)
    step = _SPARSE if reduced.size > _MANY else 1
    typical = float(np.median(reduced[::step, ::step])) or 1.0
    steel = (reduced > _STEEL * typical).astype(np.float32)
    side = LEVEL_PX // _REDUCED | 1
    share = cv2.blur(steel, (side, side), borderType=cv2.BORDER_REFLECT_101)
    total = cv2.blur(reduced * steel, (side, side), borderType=cv2.BORDER_REFLECT_101)
    # Where there is next to no steel, the median takes over without a step.
    level = (total + _FEW * typical) / (share + _FEW)
    per_unit: Floats = (1 / (UNIT * np.maximum(level, 1e-6))).astype(np.float32)
    return per_unit
