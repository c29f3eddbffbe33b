"""From the pixels of objects to one row of measures each, for every segmenter alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pitflow.schema import PARTICLES
from pitflow.segment.protocol import DETECTION_COLUMNS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]

_PIXEL_VARIANCE = 1 / 12
"""Variance that a square pixel adds to every measured spread, px^2."""
_SMALLEST_SIGMA = 0.3
_BLUR_ITERATIONS = 4
_SEEN_ERROR_PX = 0.2
"""How far off a network sees a particle, px: on simulated frames its place and the centroid are
equally good where the blur over the signal to noise is this."""


@dataclass(frozen=True, slots=True)
class Objects:
    """The pixels of ``n`` objects as parallel arrays; a pixel belongs to one object.

    Parameters
    ----------
    n:
        Number of objects.
    owner:
        (m,) object of each pixel, 0 to n - 1.
    row, column:
        (m,) position of each pixel.
    darkening:
        (m,) how much darker than the background, as a fraction of it.
    slope:
        (m,) steepness of the darkening there, 1/px.
    score:
        (n,) confidence, 0 to 1.
    level:
        Share of an object's peak at which its pixels end.
    smoothing_px:
        (n,) Gaussian sigma of the smoothing in which they end there.
    snr, seen_at:
        (n,) signal to noise of each, and (n, 2) its x and y in px by other evidence, NaN for none;
        both None where there is none.
    """

    n: int
    owner: Ints
    row: Ints
    column: Ints
    darkening: npt.NDArray[np.float32]
    slope: npt.NDArray[np.float32]
    score: Floats
    level: float
    smoothing_px: Floats
    snr: Floats | None = None
    seen_at: Floats | None = None


def empty_detections() -> pd.DataFrame:
    """Return the table of detections without rows, typed."""
    types = {column.name: column.dtype for column in PARTICLES}
    return pd.DataFrame({name: pd.Series(dtype=types[name]) for name in DETECTION_COLUMNS})


def measure(frame: int, objects: Objects) -> pd.DataFrame:
    """Return one row of ``DETECTION_COLUMNS`` per object, in the objects' order.

    Position is the centroid, weighted by the darkening and by a Gaussian of the object's shape. The
    second moments are those of an elliptical Gaussian cut off where the object's pixels end, and
    are corrected for the cut: inside ``r^2 = 2 u sigma^2`` a Gaussian's variance is
    ``sigma^2 (1 - e^-u (1 + u)) / (1 - e^-u)``.
    Contrast is the least-squares amplitude of that Gaussian, so a single bright or dark pixel
    does not decide it; mass is the darkening of the pixels plus the Gaussian's tail beyond them.
    Objects without any net darkening are left out.

    The noise of the image moves the centroid of a faint, wide object far: by about its width over
    its signal to noise. Where it was seen by other evidence too, the position is the mean of both
    places, weighted by their variances.
    """
    if objects.n == 0:
        return empty_detections()

    def total(values: npt.NDArray[Any]) -> Floats:
        return np.bincount(objects.owner, values, objects.n).astype(np.float64)

    owner = objects.owner
    weight = np.maximum(objects.darkening, 0).astype(np.float64)
    area = total(np.ones(owner.size))
    summed = total(weight)
    safe = np.maximum(summed, 1e-12)
    x, y = total(weight * objects.column) / safe, total(weight * objects.row) / safe
    dx, dy = objects.column - x[owner], objects.row - y[owner]
    xx = total(weight * dx * dx) / safe
    yy = total(weight * dy * dy) / safe
    xy = total(weight * dx * dy) / safe

    # Moments along the principal axes, freed of the pixel's own size and of the cut.
    middle, spread = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    cut = _kept_variance(middle, objects.level, objects.smoothing_px)
    wide = np.maximum((middle + spread - _PIXEL_VARIANCE) / cut, _SMALLEST_SIGMA**2)
    narrow = np.maximum((middle - spread - _PIXEL_VARIANCE) / cut, _SMALLEST_SIGMA**2)
    axis = np.arctan2(2 * xy, xx - yy) / 2
    along = dx * np.cos(axis)[owner] + dy * np.sin(axis)[owner]
    across = dy * np.cos(axis)[owner] - dx * np.sin(axis)[owner]
    profile = np.exp(-0.5 * (along**2 / wide[owner] + across**2 / narrow[owner]))
    amplitude = total(objects.darkening * profile) / np.maximum(total(profile**2), 1e-12)
    # The plain centroid depends on which pixels just make it inside. Weighted by the profile they
    # hardly count; a product of two equal Gaussians lies half way between them, so the step is
    # twice what is left over.
    weighted = objects.darkening * profile
    norm = np.maximum(total(weighted), 1e-12)
    limit = np.sqrt(narrow) / 2
    x = x + np.clip(2 * total(weighted * dx) / norm, -limit, limit)
    y = y + np.clip(2 * total(weighted * dy) / norm, -limit, limit)
    contrast = np.clip(amplitude, 1e-6, 1.0)
    inside = np.minimum(total(profile), 2 * np.pi * np.sqrt(wide * narrow))
    tail = contrast * (2 * np.pi * np.sqrt(wide * narrow) - inside)
    steepest = np.zeros(objects.n)
    np.maximum.at(steepest, owner, objects.slope)

    blur = np.sqrt((wide + narrow) / 2)
    if objects.seen_at is not None and objects.snr is not None:
        x, y = _seen_twice(x, y, blur / np.maximum(objects.snr, 1e-6), objects.seen_at)

    table = pd.DataFrame(
        {
            "frame": np.full(objects.n, frame, np.int64),
            "x": x,
            "y": y,
            "area_px": area,
            "diameter_px": 2 * np.sqrt(area / np.pi),
            "eccentricity": np.sqrt(1 - narrow / np.maximum(wide, narrow)),
            "orientation_deg": np.degrees(axis) % 180.0,
            "contrast": contrast,
            "mass": total(objects.darkening) + tail,
            "sharpness": steepest / contrast,
            "score": objects.score,
            "blur_px": blur,
        }
    )
    if (summed > 0).all():
        return table
    return table[summed > 0].reset_index(drop=True)


def _seen_twice(x: Floats, y: Floats, error_px: Floats, seen_at: Floats) -> tuple[Floats, Floats]:
    """Return the mean of the centroids and of where the objects were seen otherwise."""
    share = error_px**2 / (error_px**2 + _SEEN_ERROR_PX**2)
    away = np.nan_to_num(seen_at - np.column_stack([x, y]))
    return x + share * away[:, 0], y + share * away[:, 1]


def _kept_variance(variance: Floats, level: float, smoothing_px: Floats) -> Floats:
    """Share of a Gaussian's variance that remains inside the objects' outlines."""
    # The outline is drawn on a smoothed image, so it lies further out the smaller the object is.
    kept = np.full_like(variance, _variance_inside(np.log(1 / level)))
    for _ in range(_BLUR_ITERATIONS):
        own = np.maximum(variance / kept, _SMALLEST_SIGMA**2)
        kept = _variance_inside(np.log(1 / level) * (1 + smoothing_px**2 / own))
    return kept


def _variance_inside(u: Any) -> Any:
    outside = np.exp(-u)
    return (1 - outside * (1 + u)) / (1 - outside)
