"""A contour by fast marching (Sethian 1996): a front that slows down at edges.

The front starts where the user presses and runs fast over what looks like that place, slowly where
the grey level differs or changes. It is stopped at the moment when it reaches the place where the
user lets go, so pressing inside an object and letting go at its edge draws the object.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813
from scipy import ndimage

from pitflow.annotate.canvas import Mask
from pitflow.frame import Image

_REACH = 3.0
"""The front is followed this many times as far as from the press to the release."""
_LEAST_REACH_PX = 16
_SMOOTHING_PX = 1.0
_SLOWEST = 1e-3


def march(image: Image, start: tuple[float, float], end: tuple[float, float]) -> Mask:
    """Return what a front from ``start`` has passed over when it reaches ``end``.

    Parameters
    ----------
    image:
        (height, width) or (height, width, 3) uint8.
    start, end:
        (x, y) in px, on the image.

    Returns
    -------
    (height, width) bool, holes filled; at least the pixel of ``start``.
    """
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    height, width = grey.shape
    column, row = _on_image(start, width, height)
    end_column, end_row = _on_image(end, width, height)
    reach = int(max(_LEAST_REACH_PX, _REACH * np.hypot(end_column - column, end_row - row)))
    rows = slice(max(row - reach, 0), min(row + reach + 1, height))
    columns = slice(max(column - reach, 0), min(column + reach + 1, width))
    seed = (row - rows.start, column - columns.start)
    arrival = _arrival(_speed(grey[rows, columns], seed), seed)
    passed = arrival <= arrival[end_row - rows.start, end_column - columns.start]
    passed[seed] = True
    labels, _ = ndimage.label(passed)
    result = np.zeros(grey.shape, np.bool_)
    result[rows, columns] = ndimage.binary_fill_holes(labels == labels[seed])
    return result


def _speed(grey: Image, seed: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Return how fast the front runs, 1 where nothing hinders it.

    Differences count in units of the image's own fine scatter, so that contrast does not matter.
    """
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), _SMOOTHING_PX)
    gx = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
    gy = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)
    steep = cv2.magnitude(gx, gy)
    scatter = max(1.4826 * float(np.median(steep)), 0.5)
    near = smooth[max(seed[0] - 1, 0) : seed[0] + 2, max(seed[1] - 1, 0) : seed[1] + 2]
    unlike = np.abs(smooth - np.median(near)) / (4 * scatter)
    hindrance = 1 + (steep / scatter) ** 2 + unlike**2
    speed: npt.NDArray[np.float32] = np.maximum(1 / hindrance, _SLOWEST).astype(np.float32)
    return speed


def _arrival(speed: npt.NDArray[np.float32], seed: tuple[int, int]) -> npt.NDArray[np.float64]:
    trial = [(int(seed[1]), int(seed[0]))]
    front = sitk.FastMarching(sitk.GetImageFromArray(speed), trialPoints=trial)
    arrival: npt.NDArray[np.float64] = sitk.GetArrayFromImage(front)
    return arrival


def _on_image(point: tuple[float, float], width: int, height: int) -> tuple[int, int]:
    column, row = round(point[0]), round(point[1])
    return min(max(column, 0), width - 1), min(max(row, 0), height - 1)
