"""What lies on one wide, dark body with a particle that has been found is no second particle.

The noise and the edge of a particle that is wide and in focus show blobs within it. Between two
particles the darkening is less than in the fainter of them, or it is narrow there, where they
touch; a body is as dark between two places as at them, and wide.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

from pitflow.segment.classical.darkening import Darkening

Floats = npt.NDArray[np.float64]

_REACH_PX = 16.0
"""Places further apart are not told to be on one body."""
_DARK = 0.3
"""A body in focus darkens the steel by this share. Two particles out of focus that overlap look
like one, and are left to the network."""
_EVEN = 0.9
"""On a body it is nowhere between two places fainter than this share of the fainter of them..."""
_WIDE_PX, _WIDER = 10.0, 1.2
"""...and half way at least this wide, and so many times as wide as they are apart."""
_STEPS = 21
_ACROSS_PX, _ACROSS_STEP_PX = 16.0, 0.5


def on_body_of(places: Floats, others: Floats, darkening: Darkening) -> npt.NDArray[np.bool_]:
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
    here, there = places[which], others[[member for members in near for member in members]]
    smooth = darkening.pyramid.smooth[0]
    at_both = np.stack([_at(smooth, here), _at(smooth, there)])
    lit = _at(darkening.ground, here)
    middle = (here + there) / 2
    steps = np.linspace(0, 1, _STEPS)[:, None]
    between = _at(smooth, here[:, None] + steps * (there - here)[:, None])
    apart = np.hypot(*(there - here).T)
    width = _width(smooth, middle, there - here)
    one_body = (at_both.max(axis=0) > _DARK * lit) & (
        between.min(axis=1) >= _EVEN * at_both.min(axis=0)
    )
    one_body &= (width >= _WIDE_PX) & (width >= _WIDER * apart)
    within[which[one_body]] = True
    return within


def _at(image: npt.NDArray[np.float32], places: Floats) -> Floats:
    """Return an image at (..., 2) x and y; beyond its border as on it."""
    found: Floats = ndimage.map_coordinates(
        image, [places[..., 1], places[..., 0]], np.float64, order=1, mode="nearest"
    )
    return found


def _width(image: npt.NDArray[np.float32], middle: Floats, along: Floats) -> Floats:
    """Return how far it is half as dark as in the middle or darker, across a direction, px."""
    across = np.column_stack([-along[:, 1], along[:, 0]])
    across /= np.maximum(np.hypot(*across.T), 1e-9)[:, None]
    steps = np.arange(_ACROSS_STEP_PX, _ACROSS_PX, _ACROSS_STEP_PX)[:, None]
    half = _at(image, middle)[:, None] / 2
    width = np.zeros(len(middle))
    for side in (-1, 1):
        dark = _at(image, middle[:, None] + side * steps * across[:, None]) > half
        width += np.cumprod(dark, axis=1).sum(axis=1) * _ACROSS_STEP_PX
    return width
