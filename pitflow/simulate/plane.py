"""Images of light: drawing a patch on one, and moving one by part of a pixel."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.float32]
"""(height, width) light, as a share of the camera's range, or a share by which it is changed."""


def darken(image: Plane, left: int, top: int, patch: Plane) -> None:
    """Multiply ``image`` in place by (1 - patch), where the patch at (left, top) overlaps it."""
    covered, inner = _overlap(image, left, top, patch)
    # A patch never makes the steel darker than black.
    image[covered] *= np.maximum(1 - patch[inner], 0)


def blend(image: Plane, left: int, top: int, keep: Plane, add: Plane) -> None:
    """Replace ``image`` under the patch at (left, top) by ``image * keep + add``, in place."""
    covered, inner = _overlap(image, left, top, keep)
    image[covered] = image[covered] * keep[inner] + add[inner]


def shifted(image: Plane, dx: float, dy: float, shape: tuple[int, ...]) -> Plane:
    """Return ``image`` moved right by dx and down by dy (cubic), cut to ``shape``."""
    matrix = np.array([[1.0, 0.0, -dx], [0.0, 1.0, -dy]])
    moved: Plane = cv2.warpAffine(
        image,
        matrix,
        (shape[1], shape[0]),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return moved


def _overlap(
    image: Plane, left: int, top: int, patch: Plane
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return where the patch lies in the image, and which part of it; empty slices if nowhere."""
    bottom = max(min(top + patch.shape[0], image.shape[0]), 0)
    right = max(min(left + patch.shape[1], image.shape[1]), 0)
    first_row, first_column = min(max(top, 0), bottom), min(max(left, 0), right)
    return (
        (slice(first_row, bottom), slice(first_column, right)),
        (
            slice(max(first_row - top, 0), max(bottom - top, 0)),
            slice(max(first_column - left, 0), max(right - left, 0)),
        ),
    )
