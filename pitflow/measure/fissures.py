"""Crosshatch and micro-fissures in a pit: dark lines, and how many directions they have.

Pits that grow at low humidity are crossed by lines along grinding marks and slip planes, which may
start cracks (Weirich et al. 2019; paper 001). A dark line is where the curvature across is large
and that along it small, which the Hessian of the smoothed image tells. It counts if it stands out
of the noise, is deep beside the pit itself, and is long and narrow. All limits are relative: to the
noise, whose share of the Hessian is known exactly, to the depth of the pit, and to its diameter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pitflow.frame import Image

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

SCALES_PX = (1.5, 3.0)
"""Smoothing at which lines are looked for (Gaussian sigma)."""

MIN_DIAMETER_PX = 24.0
"""Smaller pits are not judged: four times the widest smoothing on either side is all of them."""

NOISE_FACTOR = 5.0
"""A line's curvature exceeds the noise of the curvature by this factor."""

DEPTH_SHARE = 0.25
"""And the line is deeper than this share of the step from the surface to the pit."""

MIN_LENGTH = 1 / 3
"""A line is at least this share of the pit's diameter long, ..."""

MIN_SLENDERNESS = 4.0
"""... and this many times longer than wide."""

FAMILY = 0.85
"""Least concentration of two families of directions. Evenly spread directions, cut into two, have
2 / pi = 0.64; directions within 28 degrees of either of two have 0.85."""

_BOTTOM = 0.5
"""A pixel is of a line if the bottom of the valley is nearer than this many sigma."""

MIN_CROSSING_DEG = 30.0
MIN_FAMILY_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Morphology:
    """The lines in a pit.

    Parameters
    ----------
    name:
        plain, fissured or crosshatch; "" if the pit is too small to tell.
    line_share:
        Share of the inside that is dark lines.
    line_deg:
        Their main direction, [0, 180), clockwise from +x; NaN without lines.
    crossing_deg:
        Angle between two families, (0, 90]; NaN with one or none.
    """

    name: str
    line_share: float = math.nan
    line_deg: float = math.nan
    crossing_deg: float = math.nan


def noise_sigma(image: Image) -> float:
    """Return the standard deviation of white noise in an image, grey levels.

    Robust scale of what a 3 x 3 mask that annihilates planes and edges leaves (Immerkaer 1996).
    """
    grey = image.astype(np.float32)
    if min(grey.shape) < 3:
        return 0.0
    left = cv2.filter2D(grey, -1, np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32))
    return float(1.4826 * np.median(np.abs(left[1:-1, 1:-1]))) / 6


def compute_morphology(image: Image, mask: Mask, noise: float, step: float) -> Morphology:
    """Judge the lines in one pit.

    Parameters
    ----------
    image:
        (height, width) crop around the pit, grey levels.
    mask:
        The pit, of the same shape.
    noise:
        Standard deviation of the image's noise, grey levels.
    step:
        How much darker the pit is than the surface around it, grey levels; its size counts.
    """
    area = int(np.count_nonzero(mask))
    diameter = 2 * math.sqrt(area / math.pi)
    if diameter < MIN_DIAMETER_PX:
        return Morphology("")
    # The wall of the pit is a line too, but no fissure.
    wall = max(2 * SCALES_PX[-1], 0.05 * diameter)
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    inside = depth > wall
    if not inside.any():
        return Morphology("")
    lines, angle = _line_pixels(image, noise, DEPTH_SHARE * abs(step))
    lines &= inside
    lines = _long_and_narrow(lines, MIN_LENGTH * diameter)
    share = float(np.count_nonzero(lines) / np.count_nonzero(inside))
    if not lines.any():
        return Morphology("plain", share)
    main, crossing = _families(angle[lines])
    return Morphology("fissured" if math.isnan(crossing) else "crosshatch", share, main, crossing)


def _line_pixels(image: Image, noise: float, least_depth: float) -> tuple[Mask, Floats]:
    """Return where there are dark lines, and their direction in radians.

    White noise of standard deviation s, smoothed by sigma, has a second derivative of standard
    deviation ``s sqrt(3 / (16 pi)) / sigma^3``. A valley of depth d and Gaussian profile of width w
    has, smoothed, a curvature ``d w / (w^2 + sigma^2)^(3/2)`` in its middle; for the width that
    fits the scale best (w^2 = sigma^2 / 2), that is ``0.385 d / sigma^2``.
    """
    grey = image.astype(np.float64)
    best = np.zeros(grey.shape)
    angle = np.zeros(grey.shape)
    for sigma in SCALES_PX:
        x, y = (
            ndimage.gaussian_filter(grey, sigma, order=order, mode="nearest")
            for order in ((0, 1), (1, 0))
        )
        xx, xy, yy = (
            ndimage.gaussian_filter(grey, sigma, order=order, mode="nearest")
            for order in ((0, 2), (1, 1), (2, 0))
        )
        mean, spread = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
        across, along = mean + spread, mean - spread
        expected = noise * math.sqrt(3 / (16 * math.pi)) / sigma**3
        least = max(NOISE_FACTOR * expected, 0.385 * least_depth / sigma**2)
        normal = 0.5 * np.arctan2(2 * xy, xx - yy)
        slope = np.abs(x * np.cos(normal) + y * np.sin(normal))
        # The foot of an edge or of a bright line is curved like a valley, but it slopes: the
        # bottom is slope / curvature away. On a valley's own bottom that is small.
        is_line = (np.abs(along) < across / 2) & (slope < _BOTTOM * sigma * across)
        strength = np.where(is_line, across, 0.0) / max(least, 1e-12)
        stronger = strength > best
        best[stronger] = strength[stronger]
        # The direction of largest curvature, a quarter turn from that of the line.
        angle[stronger] = (normal + np.pi / 2)[stronger]
    return best > 1, angle


def _long_and_narrow(lines: Mask, least_px: float) -> Mask:
    """Keep connected lines of at least a length, several times longer than wide.

    The length of a connected net of lines is its area over its mean width.
    """
    labels, _ = ndimage.label(lines, np.ones((3, 3)))
    kept = np.zeros_like(lines)
    for value, window in enumerate(ndimage.find_objects(labels), start=1):
        one = labels[window] == value
        depth = ndimage.distance_transform_edt(np.pad(one, 1))[1:-1, 1:-1]
        # Across a band, the distance to its border is a quarter of its width in the mean; half a
        # pixel more, since it is counted from outside of the first pixel.
        width = max(4 * (float(depth[one].mean()) - 0.5), 1.0)
        length = np.count_nonzero(one) / width
        if length >= least_px and length >= MIN_SLENDERNESS * width:
            kept[window] |= one
    return kept


def _families(angle: Floats) -> tuple[float, float]:
    """Return the main direction, and the angle at which a second family crosses it (NaN: none).

    Directions are axial, so that all is computed on doubled angles. Two families are the cut of the
    circle into two halves (by a diameter) that leaves both most concentrated.
    """
    turned = np.exp(2j * angle)
    whole = turned.mean()
    main = math.degrees(float(np.angle(whole)) / 2) % 180
    best, cut = -1.0, np.zeros(len(angle), dtype=bool)
    for normal in np.linspace(0, np.pi, 36, endpoint=False):
        side = (turned * np.exp(-1j * normal)).real > 0
        if MIN_FAMILY_SHARE <= side.mean() <= 1 - MIN_FAMILY_SHARE:
            held = (abs(turned[side].sum()) + abs(turned[~side].sum())) / len(turned)
            if held > best:
                best, cut = float(held), side
    if best < FAMILY:
        return main, math.nan
    larger, smaller = sorted((turned[cut], turned[~cut]), key=len, reverse=True)
    between = abs(float(np.angle(larger.mean() * np.conj(smaller.mean())))) / 2
    if math.degrees(between) < MIN_CROSSING_DEG:
        return main, math.nan
    return math.degrees(float(np.angle(larger.mean())) / 2) % 180, math.degrees(between)
