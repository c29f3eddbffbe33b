"""What a network sees of a micrograph: greys, made independent of detector and contrast setting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from pitflow.frame import Image

CHANNELS = ("grey",)

Floats = npt.NDArray[np.float32]

_SAMPLED = 1 << 20
_LOW, _HIGH = 1.0, 99.0


def grey_scale(image: Image) -> tuple[float, float]:
    """Return the median grey, and the range from the 1st to the 99th percentile.

    Large images are sampled on a grid.
    """
    step = max(1, int(np.sqrt(image.size / _SAMPLED)))
    low, middle, high = np.percentile(image[::step, ::step], [_LOW, 50.0, _HIGH])
    return float(middle), float(max(high - low, 1.0))


def make_channels(image: Image) -> Callable[[npt.NDArray[Any]], Floats]:
    """Return a function from a part of ``image`` to (1, height, width) float32.

    0 is the median of the whole image, and its range is 4, so that most values lie within 2.
    """
    middle, span = grey_scale(image)
    scale = np.float32(4.0 / span)

    def channels(part: npt.NDArray[Any]) -> Floats:
        made: Floats = (part.astype(np.float32) - np.float32(middle)) * scale
        return made[None]

    return channels
