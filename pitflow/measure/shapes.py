"""The shape of one object from its mask.

Perimeter and hull are those of a smooth outline, not of the pixels' staircase: the mask is blurred
by one pixel and its outline taken at half height, between the pixels. A staircase is up to 8 %
longer than the edge it stands for, which would lower the circularity of a perfect circle to 0.9;
this outline gives 0.99.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import contourpy
import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

_OUTLINE_SIGMA_PX = 1.0
_PIXEL_VARIANCE = 1 / 12
"""Variance that a square pixel adds to every measured spread, px^2."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a mask says about an object; lengths in px, NaN where the mask is too small.

    Parameters
    ----------
    x, y:
        Centroid in the mask, column and row.
    area_px:
        Number of pixels.
    circularity:
        ``4 pi A / P^2`` of the outline, holes filled: 1 for a circle, below for anything else.
    aspect:
        Long over short axis of the ellipse with the same second moments.
    solidity:
        Area of the outline, holes filled, over that of its convex hull.
    orientation_deg:
        Direction of the long axis, [0, 180), clockwise from +x on the screen.
    """

    x: float
    y: float
    area_px: float
    circularity: float
    aspect: float
    solidity: float
    orientation_deg: float

    @property
    def diameter_px(self) -> float:
        """Diameter of the circle of the same area."""
        return 2 * math.sqrt(self.area_px / math.pi)


def compute_shape(mask: Mask) -> Shape:
    """Return the shape of the object that is true in ``mask`` (height, width).

    Raises
    ------
    ValueError
        If nothing is.
    """
    rows, columns = np.nonzero(mask)
    if rows.size == 0:
        raise ValueError("an empty mask has no shape")
    x, y = float(columns.mean()), float(rows.mean())
    dx, dy = columns - x, rows - y
    xx = float((dx * dx).mean()) + _PIXEL_VARIANCE
    yy = float((dy * dy).mean()) + _PIXEL_VARIANCE
    xy = float((dx * dy).mean())
    mean, spread = (xx + yy) / 2, math.hypot((xx - yy) / 2, xy)
    orientation = math.degrees(0.5 * math.atan2(2 * xy, xx - yy)) % 180
    circularity, solidity = _outline_measures(mask)
    return Shape(
        x=x,
        y=y,
        area_px=float(rows.size),
        circularity=circularity,
        aspect=math.sqrt((mean + spread) / (mean - spread)),
        solidity=solidity,
        orientation_deg=orientation,
    )


def outlines(mask: Mask) -> list[Floats]:
    """Return the smooth closed outlines of a mask, holes filled, as (n, 2) of x and y in px.

    A mask narrower than about two pixels has none.
    """
    filled = ndimage.binary_fill_holes(np.pad(mask, 4))
    smooth = ndimage.gaussian_filter(filled.astype(np.float64), _OUTLINE_SIGMA_PX)
    lines = contourpy.contour_generator(z=smooth).lines(0.5)
    return [np.asarray(line, dtype=np.float64) - 4 for line in lines]


def _outline_measures(mask: Mask) -> tuple[float, float]:
    lines = outlines(mask)
    area = sum(_enclosed(line) for line in lines)
    perimeter = sum(float(np.hypot(*np.diff(line, axis=0).T).sum()) for line in lines)
    if area <= 0 or perimeter <= 0:
        return math.nan, math.nan
    hull = cv2.convexHull(np.concatenate(lines).astype(np.float32))[:, 0].astype(np.float64)
    around = _enclosed(np.concatenate([hull, hull[:1]]))
    # Rounding may push a perfect circle a hair beyond 1.
    return min(4 * math.pi * area / perimeter**2, 1.0), min(area / around, 1.0)


def _enclosed(line: Floats) -> float:
    """Area inside of a closed line (Gauss' formula)."""
    x, y = line.T
    return float(abs(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2)
