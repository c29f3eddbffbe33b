"""Shapes drawn by hand: strokes, loops and boxes as masks."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from pitflow.annotate.canvas import Box, Mask

Points = Sequence[tuple[float, float]]
"""(x, y) in px of the image, origin at the centre of its top left pixel."""

_SUBPIXEL_BITS = 4


def stroke(shape: tuple[int, int], points: Points, radius_px: float) -> Mask:
    """Return what a round pencil covers on its way along the points.

    Parameters
    ----------
    shape:
        (height, width) of the image.
    points:
        At least one; the way may leave the image.
    radius_px:
        0 draws single pixels.
    """
    way = _fixed_point(points)
    drawn = np.zeros(shape, np.uint8)
    thickness = max(1, round(2 * radius_px))
    cv2.polylines(drawn, [way], False, 1, thickness, cv2.LINE_8, _SUBPIXEL_BITS)
    for x, y in way[:: max(1, len(way) - 1)]:
        radius = round(radius_px * (1 << _SUBPIXEL_BITS))
        cv2.circle(drawn, (int(x), int(y)), radius, 1, -1, cv2.LINE_8, _SUBPIXEL_BITS)
    return drawn.astype(np.bool_)


def loop(shape: tuple[int, int], points: Points) -> Mask:
    """Return the inside of a loop, closed from its last point to its first."""
    drawn = np.zeros(shape, np.uint8)
    cv2.fillPoly(drawn, [_fixed_point(points)], 1, cv2.LINE_8, _SUBPIXEL_BITS)
    return drawn.astype(np.bool_)


def box_of(points: Points, shape: tuple[int, int]) -> Box:
    """Return the rows and columns between two opposite corners, as far as they are on the image."""
    columns, rows = zip(*points, strict=True)
    height, width = shape
    return _between(rows, height), _between(columns, width)


def _between(values: Sequence[float], size: int) -> slice:
    first = min(max(round(min(values)), 0), size)
    return slice(first, max(first, min(round(max(values)) + 1, size)))


def _fixed_point(points: Points) -> npt.NDArray[np.int32]:
    return np.rint(np.asarray(points, np.float64) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
