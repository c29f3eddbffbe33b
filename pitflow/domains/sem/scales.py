"""Objects of any size, with a network that has learned them at one.

Micrographs are taken at any magnification, so that pixels say nothing about an object's size. The
network therefore learns every micrograph at the zoom at which its median object has a set diameter.
To find objects it looks at the micrograph as it is and from farther away, and, where it sees
nothing, or what it sees is small or large even so, from nearer or from farther still. Each object
counts from where it has about the size that was learned.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from pitflow.frame import Image
from pitflow.segment.instance import Instance, trimmed

FARTHEST, NEAREST = 0.4, 3.0
"""Least and largest zoom, but for a last look at what is very large."""

_LAST = 0.1
"""No look is from farther than this."""

_TOO_SMALL, _TOO_LARGE = 0.75, 1.5
"""What is seen at less or more than these shares of the learned diameter is looked at again."""

_SURE = 0.5
"""Median score above which what a look from nearer finds are objects, of which smaller ones may
still be unseen. In texture less sure things come up, ever smaller ones the nearer the look."""

_SMALLER, _LARGER = 30.0, 70.0
"""Percentiles of the diameters that are such shares."""

_TOLERANCE = math.log(2.5)
"""An object this factor larger or smaller than learned counts for exp(-1/2) of its score."""

_TAKEN = 0.5
"""An object of which better ones have more than this share is not one of its own."""

Look = Callable[[Image], Sequence[Instance]]
"""Finds the instances in an image as it is."""


def usual_zoom(labels: npt.NDArray[np.integer], object_px: float) -> float:
    """Return the zoom at which the median object of a label image has a diameter; 1 without any."""
    areas = np.bincount(labels.ravel())[1:]
    areas = areas[areas > 0]
    if len(areas) == 0:
        return 1.0
    return _limited(object_px / (2 * math.sqrt(float(np.median(areas)) / math.pi)))


def find_at_scales(look: Look, image: Image, object_px: float, min_score: float) -> list[Instance]:
    """Return the instances in an image, best first, from two to five zooms.

    Parameters
    ----------
    look:
        Finds instances of a diameter of about ``object_px``.
    min_score:
        Least score; it falls with the difference from that diameter.
    """
    seen = [*_at_zoom(look, image, 1.0, object_px), *_at_zoom(look, image, FARTHEST, object_px)]
    first = best = _undisputed(seen, image.shape)
    if (zoom := _nearer(best, 1.0, object_px)) > 1:
        seen += _at_zoom(look, image, zoom, object_px)
        best = _undisputed(seen, image.shape)
        sure = bool(best) and np.median([one.score for one in best]) > _SURE
        if sure and (nearer := _nearer(best, zoom, object_px)) > zoom:
            seen += _at_zoom(look, image, nearer, object_px)
            best = _undisputed(seen, image.shape)
    if first:
        large = float(np.percentile([_diameter(one) for one in first], _LARGER))
        if large * FARTHEST > _TOO_LARGE * object_px:
            seen += _at_zoom(look, image, max(object_px / large, _LAST), object_px)
            best = _undisputed(seen, image.shape)
    return [one for one in best if one.score >= min_score]


def _nearer(found: Sequence[Instance], nearest: float, object_px: float) -> float:
    """Return the zoom of a look from nearer than ``nearest``; that itself if there is no need.

    Where nothing is seen, all may be too small to be seen.
    """
    if not found:
        return NEAREST
    small = float(np.percentile([_diameter(one) for one in found], _SMALLER))
    return nearest if small * nearest >= _TOO_SMALL * object_px else _limited(object_px / small)


def _at_zoom(look: Look, image: Image, zoom: float, object_px: float) -> list[Instance]:
    """Return what is seen at a zoom, in the coordinates of the image."""
    height, width = image.shape
    size = (max(round(width * zoom), 1), max(round(height * zoom), 1))
    smooth = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
    zoomed = image if zoom == 1 else cv2.resize(image, size, interpolation=smooth)
    found = []
    for one in look(zoomed):
        off = math.log(_diameter(one) / object_px) / _TOLERANCE
        score = one.score * math.exp(-(off**2) / 2)
        placed = one if zoom == 1 else _rescaled(one, size, (width, height))
        if placed is not None:
            found.append(replace(placed, score=score))
    return found


def _rescaled(one: Instance, size: tuple[int, int], whole: tuple[int, int]) -> Instance | None:
    """Bring an instance from an image of one size (width, height) to that of another."""
    across, down = whole[0] / size[0], whole[1] / size[1]
    left, right = math.floor(one.left * across), min(math.ceil(one.right * across), whole[0])
    top, bottom = math.floor(one.top * down), min(math.ceil(one.bottom * down), whole[1])
    # Pixel centres: (i + 0.5) of one image is (i + 0.5) / zoom of the other.
    matrix = np.array(
        [
            [1 / across, 0, (left + 0.5) / across - 0.5 - one.left],
            [0, 1 / down, (top + 0.5) / down - 0.5 - one.top],
        ]
    )
    mask = cv2.warpAffine(
        one.mask.astype(np.float32),
        matrix,
        (right - left, bottom - top),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    )
    return trimmed(top, left, mask > 0.5, one.score, one.kind)


def _undisputed(seen: Sequence[Instance], shape: tuple[int, ...]) -> list[Instance]:
    """Return the instances, best first, that better ones do not cover by half or more."""
    taken = np.zeros(shape, dtype=bool)
    kept = []
    for one in sorted(seen, key=lambda one: -one.score):
        window = taken[one.top : one.bottom, one.left : one.right]
        if np.count_nonzero(window & one.mask) <= _TAKEN * np.count_nonzero(one.mask):
            kept.append(one)
            window |= one.mask
    return kept


def _diameter(one: Instance) -> float:
    return 2 * math.sqrt(np.count_nonzero(one.mask) / math.pi)


def _limited(zoom: float) -> float:
    return min(max(zoom, FARTHEST), NEAREST)
