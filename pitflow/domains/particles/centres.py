"""The middles of particles: small discs that stay apart where the particles themselves touch.

Two particles whose outlines have run together are one region of pixels, but two middles. So the
network learns the middles as a class of their own, and it is they that are counted.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

SHARE = 0.2
"""Radius of the disc over the diameter: two particles that overlap by half still show two discs."""
NARROWEST_PX, WIDEST_PX = 1.5, 3.0
"""A narrower disc is lost between pixels; a wider one only blurs the position."""


def draw_centres(
    shape: tuple[int, ...],
    x: Floats,
    y: Floats,
    diameter_px: Floats,
    *,
    scale: float = SHARE,
    widest_px: float | None = WIDEST_PX,
) -> Mask:
    """Return the (height, width) mask of a disc about each particle's centre.

    Parameters
    ----------
    x, y, diameter_px:
        (n,) centre and diameter of each, px; those out of view are left out.
    scale:
        Radius of the disc over the diameter.
    widest_px:
        Largest radius, px.
    """
    mask = np.zeros(shape, dtype=bool)
    radii = np.clip(scale * diameter_px, NARROWEST_PX, widest_px)
    for column, row, radius in zip(x, y, radii, strict=True):
        top, bottom = max(int(row - radius), 0), min(int(row + radius) + 2, shape[0])
        left, right = max(int(column - radius), 0), min(int(column + radius) + 2, shape[1])
        if top >= bottom or left >= right:
            continue
        rows, columns = np.ogrid[top:bottom, left:right]
        mask[top:bottom, left:right] |= (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
    return mask


def centres_of(particles: Mask) -> Mask:
    """Return the discs of the 8-connected parts of a mask, taking each for one particle."""
    labels, n = ndimage.label(particles, np.ones((3, 3)))
    if n == 0:
        return np.zeros_like(particles)
    numbers = np.arange(1, n + 1)
    middles = np.array(ndimage.center_of_mass(particles, labels, numbers))
    area = np.bincount(labels.ravel(), minlength=n + 1)[1:]
    return draw_centres(particles.shape, middles[:, 1], middles[:, 0], 2 * np.sqrt(area / np.pi))
