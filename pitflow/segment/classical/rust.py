"""Corrosion by its colour: a segmentation without training, for panels whose coating is not brown.

Corrosion products of steel are of a hue between red and yellow, and mostly redder and yellower
than what surrounds them (in CIE Lab: a* and b* both rise). On a coating that is red or yellow
itself they are duller, or of another hue. A water stain and a shadow are darker but of the
coating's own hue, so colours are compared as they would be in the same light.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]

_DIRECTION = np.array([0.6, 0.8], dtype=np.float32)
"""From a coating to its rust in (a*, b*)."""

_LEAST = 8.0
"""Least distance of rust from the coating, in units of CIE Lab: about three times what is just
noticed, so that the unevenness of a sound coating is no corrosion."""

_RUST_DEG = 20.0, 88.0
"""Hue angles of corrosion products in (a*, b*): from red to yellow."""

_RUST_COLOURED = 25.0
"""A coating this far from grey towards rust is taken for rust by the eye; beige is 20 at most."""

_DARKER, _BRIGHTER = 0.93, 1.1
"""Light relative to the coating's, below which a duller colour is rust, and above which one that is
only turned in hue is a glare if the camera is at its limit."""

_FULL = 245
"""Grey level from which on a camera may not tell how bright a colour is, which turns its hue."""

_SURE, _SURE_SHARE = 1.5, 0.1
"""A piece of rust exceeds the threshold by half in a tenth of its area; the colour that JPEG smears
along the edge of a shadow does not."""

_DARK = 16
"""Added to L*, it is in proportion to a* and b* as the light changes (CIE Lab is a cube root)."""

_ONE_HUE = 6.0
"""Distance from the coating's hue that light and camera make, in the same units."""

_NOISE_OF_LIGHT = -1.37
"""Power by which noise grows in the dark: by -1 as a colour is brought to the coating's light, and
since noise of one grey level is more of CIE Lab there (by 0.27 / 0.73, of sRGB's gamma of 2.2)."""

_COARSE_PX = 160
_NOISE_SIGMAS, _EXTENT_SIGMAS = 4.0, 2.5
"""Noise does not exceed the first, but on a coating near to rust in colour much rust does not,
either: where some does, a piece of it goes as far as the second."""

_SMALLEST_SHARE = 2e-5


def rust_mask(image: npt.NDArray[np.uint8]) -> Mask:
    """Return where an RGB image (height, width, 3) shows rust, (height, width).

    The coating's colour is the median, so less than half of the panel may be corroded. Rust is
    of a hue between red and yellow, and differs from the coating, both in the light of the
    brighter of the two, by more than Otsu's threshold of all such differences, and than noise and
    unevenness do. What is darker than the coating may differ in any direction, what is not must be
    redder and yellower or turned in hue: a glare is only duller. Beside a blue coating, a grey
    table is redder, but of no hue.
    """
    light, distance, spread = _from_coating(image)
    least = max(_LEAST, _NOISE_SIGMAS * spread)
    levels = np.clip(np.rint(4 * distance), 0, 255).astype(np.uint8)
    otsu, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    noise = spread * np.minimum(light, 1) ** _NOISE_OF_LIGHT
    differs = max(_LEAST, min(otsu / 4, 2 * least))
    extent = distance > np.maximum(_EXTENT_SIGMAS * noise, differs)
    distance /= np.maximum(_NOISE_SIGMAS * noise, differs)
    smallest_px = max(4, round(_SMALLEST_SHARE * distance.size))
    return _whole_pieces(extent, _pieces(distance > 1, distance > _SURE, smallest_px))


def _from_coating(image: npt.NDArray[np.uint8]) -> tuple[Floats, Floats, float]:
    """Return light relative to the coating, distance from it where of a rust's hue, and noise."""
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    light, a, b = (cv2.medianBlur(plane, 3) for plane in cv2.split(lab))
    del lab
    light += _DARK
    light /= np.median(light)
    a /= light
    b /= light
    coating = np.median(a), np.median(b)
    brighter = np.maximum(light, 1)
    a *= brighter
    b *= brighter
    rusty = _redder(a, b) > _LEAST
    angle = cv2.phase(a, b, angleInDegrees=True)
    rusty &= (angle > _RUST_DEG[0]) & (angle < _RUST_DEG[1])
    a -= coating[0] * brighter
    b -= coating[1] * brighter
    del angle, brighter
    distance = _redder(a, b)
    spread = 1.4826 * float(np.median(np.abs(distance - np.median(distance))))
    chroma = max(float(np.hypot(*coating)), 1e-6)
    turned = np.abs(a * np.float32(coating[1] / chroma) - b * np.float32(coating[0] / chroma))
    seen = (light < _BRIGHTER) | (image.max(axis=2) < _FULL)
    np.maximum(distance, turned, out=distance, where=seen)
    np.maximum(distance, cv2.magnitude(a, b), out=distance, where=light < _DARKER)
    distance *= rusty
    return light, distance, spread


def _redder(a: Floats, b: Floats) -> Floats:
    redder: Floats = _DIRECTION[0] * a + _DIRECTION[1] * b
    return redder


def is_rust_coloured(image: npt.NDArray[np.uint8]) -> bool:
    """Return whether most of an RGB image (height, width, 3) is of the colour of rust.

    It is a coating of that colour, or a panel that is corroded nearly all over: the colour cannot
    tell.
    """
    height, width = image.shape[:2]
    factor = min(1.0, _COARSE_PX / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    a, b = (np.array([[np.median(plane)]], np.float32)
            for plane in cv2.split(cv2.cvtColor(small, cv2.COLOR_RGB2Lab))[1:])  # fmt: skip
    angle = float(cv2.phase(a, b, angleInDegrees=True)[0, 0])
    return bool(_redder(a, b)[0, 0] > _RUST_COLOURED) and _RUST_DEG[0] < angle < _RUST_DEG[1]


def one_hue_share(image: npt.NDArray[np.uint8], rust: Mask) -> float:
    """Return the share of an RGB image without rust that is of one hue, 0 to 1.

    On a coated panel nearly all is, and its rust can be told by the colour. Where much is not, the
    photograph shows something else besides coating and rust, or rust that the colour misses.

    Parameters
    ----------
    rust:
        (height, width), where the colour finds rust.
    """
    height, width = rust.shape
    factor = min(1.0, _COARSE_PX / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    # Reduced by averaging, so that noise is no hue; what lies beside rust is mixed with it.
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    share = cv2.resize(rust.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    sound = cv2.dilate(share, np.ones((3, 3), np.uint8)) == 0
    if not sound.any():
        return 0.0
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)[sound]
    # Less light scales a* and b* as it does (L* + 16); without that, a shadow is no other hue.
    light = lab[:, :1] + np.float32(_DARK)
    hue = lab[:, 1:] * (np.median(light) / light)
    distance = np.linalg.norm(hue - np.median(hue, axis=0), axis=1)
    return float((distance < _ONE_HUE).mean())


def _pieces(mask: Mask, sure: Mask, smallest_px: int) -> Mask:
    """Return the mask without its specks and without pieces of which too little is sure."""
    n, labels, statistics, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=8
    )
    area = statistics[:, cv2.CC_STAT_AREA]
    kept = (area >= smallest_px) & (np.bincount(labels[sure], minlength=n) > _SURE_SHARE * area)
    kept[0] = False
    result: Mask = kept[labels]
    return result


def _whole_pieces(extent: Mask, found: Mask) -> Mask:
    """Return the pieces of ``extent`` in which something is found."""
    n, labels = cv2.connectedComponents(extent.astype(np.uint8), connectivity=8)
    kept = np.zeros(n, dtype=bool)
    kept[labels[found & extent]] = True
    result: Mask = kept[labels]
    return result
