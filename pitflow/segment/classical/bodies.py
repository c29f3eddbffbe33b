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

_REACH_PX = 16.0
"""Places further apart are not told to be on one body."""
_EVEN = 0.9
"""On a body it is nowhere between two places fainter than this share of the fainter of them..."""
_ALIKE = 0.7
"""...and the fainter not fainter than this share of the other: what shows on the flank of a
particle that is not flat is a neighbour;"""
_WIDE_PX, _WIDER = 7.0, 1.2
"""...and half way it is at least this wide, and so many times as wide as they are apart..."""
_LONGER = 0.25
"""...and along the line through both longer than that by less than this share of their distance:
two equal Gaussians one sigma apart are longer than wide by a quarter of that."""
_STEPS = 21
_ACROSS_PX, _ACROSS_STEP_PX = 24.0, 0.5


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
    there = np.concatenate([np.asarray(members, np.intp) for members in near])
    within[which[_one_body(places[which], others[there], darkening)]] = True
    return within


def one_of_each_body(places: Floats, darkening: Darkening) -> npt.NDArray[np.bool_]:
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
    pairs = pairs[_one_body(places[pairs[:, 0]], places[pairs[:, 1]], darkening)]
    for first, second in sorted(map(tuple, np.sort(pairs, axis=1).tolist())):
        kept[second] &= not kept[first]
    return kept


def _one_body(here: Floats, there: Floats, darkening: Darkening) -> npt.NDArray[np.bool_]:
    """Return which pairs of places, (n, 2) x and y each, lie on one body."""
    smooth = darkening.pyramid.smooth[0]
    middle, along = (here + there) / 2, there - here
    steps = np.linspace(0, 1, _STEPS)[:, None]
    between = _at(smooth, here[:, None] + steps * along[:, None])
    apart = np.hypot(*along.T)
    along = along / np.maximum(apart, 1e-9)[:, None]
    across = np.column_stack([-along[:, 1], along[:, 0]])
    ends = np.sort(between[:, [0, -1]], axis=1)
    even = (between.min(axis=1) >= _EVEN * ends[:, 0]) & (ends[:, 0] >= _ALIKE * ends[:, 1])
    width, length = (_width(smooth, middle, direction) for direction in (across, along))
    wide = (width >= _WIDE_PX) & (width >= _WIDER * apart)
    # How long it is beyond the border is not known.
    height, across_px = smooth.shape
    cut = (middle < width[:, None]) | (middle >= np.array([across_px, height]) - width[:, None])
    round_ = (length - width < _LONGER * apart) | cut.any(axis=1)
    one: npt.NDArray[np.bool_] = even & wide & round_
    return one


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
