"""Crosshatch and micro-fissures in a pit: dark lines, and how many directions they have.

Pits that grow at low humidity are crossed by lines along grinding marks and slip planes, which may
start cracks (Weirich et al. 2019; paper 001). A dark line is where the curvature across is large
and that along it small, which the Hessian of the smoothed image tells. It counts if it stands out
of the noise, is deep beside the pit itself, and runs straight for a good part of the pit.

Texture has such lines too, by chance. So a pit's lines are compared with those of textures made by
chance alone, of the same grey levels and the same power at every wavelength, but without any
direction (surrogate data, Theiler et al. 1992): a line counts only if it is longer than all of
theirs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

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

SURROGATES = 39
"""Textures by chance a pit is compared with: of pits with nothing but texture, one in forty has a
line that is longer than all of theirs."""

_STRAIGHT_DEG = 15.0
"""Directions along a line differ from its own by this at most."""

_GAP = 4.0
"""Gaps in a line up to this many times the widest smoothing are bridged: where lines cross, the
Hessian has no direction."""

FAMILY = 0.85
"""Least concentration of two families of directions. Evenly spread directions, cut into two, have
2 / pi = 0.64; directions within 28 degrees of either of two have 0.85."""

_EDGE_PX = 2.0
"""So much of a pit's rim is neither inside nor outside; what lies there and beyond is replaced by
the nearest inside, since a step as large as the wall's would be seen far into the pit."""

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
    # The wall of the pit may be lined, but that is no fissure.
    wall = max(2 * SCALES_PX[-1], 0.05 * diameter)
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    inside = depth > wall
    if not inside.any():
        return Morphology("")
    outside = depth <= _EDGE_PX
    nearest = ndimage.distance_transform_edt(outside, return_distances=False, return_indices=True)
    grey = image.astype(np.float64)
    least_depth = DEPTH_SHARE * abs(step)
    found, angle = _line_pixels(grey[tuple(nearest)], noise, least_depth)
    lines = _straight(found & inside, angle, MIN_LENGTH * diameter)
    if lines:
        longest = max(line.length for line in lines)
        by_chance = 0.0
        for texture in _surrogates(grey, mask):
            seen, direction = _line_pixels(texture[tuple(nearest)], noise, least_depth)
            others = _straight(seen & inside, direction, MIN_LENGTH * diameter)
            by_chance = max([by_chance, *(line.length for line in others)])
            if by_chance >= longest:
                break
        lines = [line for line in lines if line.length > by_chance]
    counted = np.zeros(mask.shape, dtype=bool)
    for line in lines:
        counted |= line.pixels
    share = float(np.count_nonzero(counted) / np.count_nonzero(inside))
    if not lines:
        return Morphology("plain", share)
    main, crossing = _families(
        np.array([line.angle for line in lines]), np.array([line.length for line in lines])
    )
    return Morphology("fissured" if math.isnan(crossing) else "crosshatch", share, main, crossing)


def _line_pixels(grey: Floats, noise: float, least_depth: float) -> tuple[Mask, Floats]:
    """Return where there are dark lines, and their direction in radians.

    White noise of standard deviation s, smoothed by sigma, has a second derivative of standard
    deviation ``s sqrt(3 / (16 pi)) / sigma^3``. A valley of depth d and Gaussian profile of width w
    has, smoothed, a curvature ``d w / (w^2 + sigma^2)^(3/2)`` in its middle; for the width that
    fits the scale best (w^2 = sigma^2 / 2), that is ``0.385 d / sigma^2``.
    """
    best = np.zeros(grey.shape)
    angle = np.zeros(grey.shape)
    single = grey.astype(np.float32)
    for sigma in SCALES_PX:
        x, y, xx, xy, yy = (
            cv2.sepFilter2D(
                single,
                cv2.CV_32F,
                _kernel(sigma, columns),
                _kernel(sigma, rows),
                borderType=cv2.BORDER_REPLICATE,
            ).astype(np.float64)
            for rows, columns in ((0, 1), (1, 0), (0, 2), (1, 1), (2, 0))
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


@lru_cache
def _kernel(sigma: float, order: int) -> Floats:
    """Return a Gaussian, or its first or second derivative, to be correlated with."""
    reach = math.ceil(4 * sigma)
    impulse = np.zeros(2 * reach + 1)
    impulse[reach] = 1
    # A convolution's answer to an impulse; correlation sees it the other way round.
    return np.ascontiguousarray(ndimage.gaussian_filter1d(impulse, sigma, order=order)[::-1])


@dataclass(frozen=True, slots=True)
class _Line:
    """Pixels that run in one direction (radians, clockwise from +x), and how far."""

    pixels: Mask
    length: float
    angle: float


def _straight(found: Mask, angle: Floats, least_px: float) -> list[_Line]:
    """Return the straight lines of at least a length, several times longer than wide.

    Directions are looked at one by one, overlapping, so that lines that cross are told apart.
    """
    lines: list[_Line] = []
    if np.count_nonzero(found) < least_px:
        return lines
    for direction in np.arange(0.0, 180.0, _STRAIGHT_DEG):
        turn = math.radians(direction)
        off = np.abs((angle - turn + np.pi / 2) % np.pi - np.pi / 2)
        along = found & (off <= math.radians(_STRAIGHT_DEG))
        if np.count_nonzero(along) < least_px:
            continue
        bridged = cv2.morphologyEx(
            along.astype(np.uint8), cv2.MORPH_CLOSE, _stroke(turn, _GAP * SCALES_PX[-1])
        )
        labels, _ = ndimage.label(bridged, np.ones((3, 3)))
        boxes: list[tuple[slice, slice]] = ndimage.find_objects(labels)
        for value, window in enumerate(boxes, start=1):
            one = (labels[window] == value) & along[window]
            n = int(np.count_nonzero(one))
            if n < least_px:
                continue
            y, x = np.nonzero(one)
            far = x * math.cos(turn) + y * math.sin(turn)
            length = float(np.ptp(far)) + 1
            if length >= least_px and length >= MIN_SLENDERNESS * n / length:
                pixels = np.zeros_like(found)
                pixels[window] = one
                mean = np.exp(2j * angle[window][one]).mean()
                lines.append(_Line(pixels, length, float(np.angle(mean)) / 2))
    return lines


def _stroke(turn: float, length: float) -> npt.NDArray[np.uint8]:
    """Return a structuring element: a line of a direction (radians, clockwise from +x)."""
    half = max(round(length / 2), 1)
    element = np.zeros((2 * half + 1, 2 * half + 1), dtype=np.uint8)
    x, y = round(half * math.cos(turn)), round(half * math.sin(turn))
    cv2.line(element, (half - x, half - y), (half + x, half + y), 1)
    return element


def _surrogates(grey: Floats, mask: Mask) -> Iterator[Floats]:
    """Yield textures by chance that have the pit's shading, variance and power by wavelength.

    Its shading is a paraboloid. What is left of the grey has, by the Fourier transform, some power
    at every wavelength; a surrogate has it too, but with random phases and in all directions alike.
    """
    grid: Floats = np.indices(grey.shape).astype(np.float64)
    rows, columns = (
        (part - part[mask].mean()) / max(float(np.ptp(part[mask])), 1.0) for part in grid
    )
    terms = np.stack(
        [np.ones_like(rows), columns, rows, columns**2, columns * rows, rows**2], axis=-1
    )
    weights, *_ = np.linalg.lstsq(terms[mask], grey[mask], rcond=None)
    shading = terms @ weights
    left = np.where(mask, grey - shading, 0.0)
    # No repetition across the border: twice the size.
    shape = tuple(2 * size for size in grey.shape)
    power = np.abs(np.fft.fft2(left, shape)) ** 2
    waves = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])[None])
    ring = np.rint(waves * max(shape)).astype(np.int64)
    mean = np.bincount(ring.ravel(), power.ravel()) / np.maximum(np.bincount(ring.ravel()), 1)
    gain = np.sqrt(mean)[ring]
    spread = float(left[mask].std())
    rng = np.random.default_rng(0)
    for _ in range(SURROGATES):
        made = np.fft.ifft2(np.fft.fft2(rng.standard_normal(shape)) * gain).real
        made = made[: grey.shape[0], : grey.shape[1]]
        made -= made[mask].mean()
        yield shading + made * (spread / max(float(made[mask].std()), 1e-12))


def _families(angle: Floats, length: Floats) -> tuple[float, float]:
    """Return the main direction, and the angle at which a second family crosses it (NaN: none).

    Directions of lines are axial, so that all is computed on doubled angles; a line counts by its
    length. Two families are the cut of the circle into two halves (by a diameter) that leaves both
    most concentrated.
    """
    turned = np.exp(2j * angle)
    weighted = length / length.sum() * turned
    main = math.degrees(float(np.angle(weighted.sum())) / 2) % 180
    best, cut = -1.0, np.zeros(len(angle), dtype=bool)
    for normal in np.linspace(0, np.pi, 36, endpoint=False):
        side = (turned * np.exp(-1j * normal)).real > 0
        share = float(length[side].sum() / length.sum())
        if MIN_FAMILY_SHARE <= share <= 1 - MIN_FAMILY_SHARE:
            held = abs(weighted[side].sum()) + abs(weighted[~side].sum())
            if held > best:
                best, cut = float(held), side
    if best < FAMILY:
        return main, math.nan
    one, other = weighted[cut].sum(), weighted[~cut].sum()
    larger = one if length[cut].sum() >= length[~cut].sum() else other
    between = abs(float(np.angle(one * np.conj(other)))) / 2
    if math.degrees(between) < MIN_CROSSING_DEG:
        return main, math.nan
    return math.degrees(float(np.angle(larger)) / 2) % 180, math.degrees(between)
