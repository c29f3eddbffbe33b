"""What lies on one body with a particle that has been found is no second particle.

The noise and the edge of a wide particle show blobs within it: of one in focus, and of one out of
focus whose image is flat rather than a Gaussian. Between two particles the darkening is less than
in the fainter of them; where they have run into one, they are longer along the line through both
than across it. A body is as dark between two places as at them, and about as wide as it is long.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

from pitflow.segment.classical.darkening import Darkening

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_REACH_PX = 16.0
"""Places further apart are not told to be on one body."""
_DARK = 0.3
"""A body in focus darkens the steel by this share; whatever its shape, nothing else is on it."""
_EVEN = 0.9
"""On a body it is nowhere between two places fainter than this share of the fainter of them..."""
_WIDE_PX, _WIDER = 10.0, 1.2
"""...and half way at least this wide, and so many times as wide as they are apart."""
_ALIKE = 0.7
"""Out of focus the fainter is besides not fainter than this share of the other: what shows on the
flank of a particle that is not flat is a neighbour;"""
_LONGER = 0.25
"""and along the line through both it is longer than wide by less than this share of their distance:
two equal Gaussians one sigma apart are longer than wide by a quarter of that."""
_STEPS = 21
_ACROSS_PX, _ACROSS_STEP_PX = 24.0, 0.5


def on_body_of(places: Floats, others: Floats, darkening: Darkening) -> Mask:
    """Return which of some places lie on one body with any of some others.

    Parameters
    ----------
    places, others:
        (n, 2) and (m, 2) x and y, px.
    darkening:
        Of the frame.

    Returns
    -------
    mask:
        (n,).
    """
    within = np.zeros(len(places), np.bool_)
    if not len(places) or not len(others):
        return within
    near = cKDTree(others).query_ball_point(places, _REACH_PX)
    which = np.repeat(np.arange(len(places)), [len(members) for members in near])
    there = np.concatenate([np.asarray(members, np.intp) for members in near])
    pairs = _Pairs(places[which], others[there], darkening)
    within[which[pairs.on_one_body() & (pairs.alike_and_round() | pairs.in_focus())]] = True
    return within


def one_of_each_body(places: Floats, darkening: Darkening) -> Mask:
    """Return which of some places lie on no body with one that comes before them and is kept.

    Parameters
    ----------
    places:
        (n, 2) x and y, px, the surest first.
    darkening:
        Of the frame.

    Returns
    -------
    mask:
        (n,).
    """
    kept = np.ones(len(places), np.bool_)
    if len(places) < 2:
        return kept
    pairs = cKDTree(places).query_pairs(_REACH_PX, output_type="ndarray")
    seen = _Pairs(places[pairs[:, 0]], places[pairs[:, 1]], darkening)
    pairs = pairs[seen.on_one_body() & seen.alike_and_round()]
    for first, second in sorted(map(tuple, np.sort(pairs, axis=1).tolist())):
        kept[second] &= not kept[first]
    return kept


class _Pairs:
    """Pairs of places, (n, 2) x and y each, and what lies between them."""

    def __init__(self, here: Floats, there: Floats, darkening: Darkening) -> None:
        smooth = darkening.pyramid.smooth[0]
        self._shape = smooth.shape
        self._lit = _at(darkening.ground, here)
        self._middle, along = (here + there) / 2, there - here
        steps = np.linspace(0, 1, _STEPS)[:, None]
        between = _at(smooth, here[:, None] + steps * along[:, None])
        self._least = between.min(axis=1)
        self._lesser, self._darker = np.sort(between[:, [0, -1]], axis=1).T
        self._apart = np.hypot(*along.T)
        along = along / np.maximum(self._apart, 1e-9)[:, None]
        across = np.column_stack([-along[:, 1], along[:, 0]])
        self._width, self._length = (
            _width(smooth, self._middle, direction) for direction in (across, along)
        )

    def on_one_body(self) -> Mask:
        """Return where it is as dark between the two as at them, and wide."""
        wide = np.maximum(_WIDE_PX, _WIDER * self._apart)
        one: Mask = (self._least >= _EVEN * self._lesser) & (self._width >= wide)
        return one

    def in_focus(self) -> Mask:
        """Return which darken the steel as only what is in focus does."""
        dark: Mask = self._darker > _DARK * self._lit
        return dark

    def alike_and_round(self) -> Mask:
        """Return which are about as dark as one another, and not longer together than wide."""
        alike = self._lesser >= _ALIKE * self._darker
        # How long it is beyond the border is not known.
        last = np.array(self._shape[::-1]) - self._width[:, None]
        cut = ((self._middle < self._width[:, None]) | (self._middle >= last)).any(axis=1)
        single: Mask = alike & ((self._length - self._width < _LONGER * self._apart) | cut)
        return single


def _at(image: npt.NDArray[np.float32], places: Floats) -> Floats:
    """Return an image at (..., 2) x and y; beyond its border as on it."""
    found: Floats = ndimage.map_coordinates(
        image, [places[..., 1], places[..., 0]], np.float64, order=1, mode="nearest"
    )
    return found


def _width(image: npt.NDArray[np.float32], middle: Floats, direction: Floats) -> Floats:
    """Return how far in a direction it is half as dark as in the middle or darker, px."""
    steps = np.arange(_ACROSS_STEP_PX, _ACROSS_PX, _ACROSS_STEP_PX)[:, None]
    half = _at(image, middle)[:, None] / 2
    width = np.zeros(len(middle))
    for side in (-1, 1):
        dark = _at(image, middle[:, None] + side * steps * direction[:, None]) > half
        width += np.cumprod(dark, axis=1).sum(axis=1) * _ACROSS_STEP_PX
    return width
