"""What each particle is: its outline, size and opacity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pitflow.simulate.config import OpticsConfig
from pitflow.simulate.optics import N_FOOTPRINTS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_WIDEST = 2.2
"""Radii are drawn to within this many spreads of the median."""


@dataclass(frozen=True, slots=True)
class Bodies:
    """What each particle is, by its number.

    Parameters
    ----------
    footprint:
        (n,) outline in the library of footprints.
    radius_px, opacity, rotation_deg, mass:
        (n,) radius of the circle of its area, darkening where it covers the steel, turn of its
        outline, and opacity times area (px^2).
    """

    footprint: Ints
    radius_px: Floats
    opacity: Floats
    rotation_deg: Floats
    mass: Floats


def draw_bodies(optics: OpticsConfig, n: int, rng: np.random.Generator) -> Bodies:
    """Draw n particles: lognormal radii, even opacities, any turn."""
    radius = optics.radius_px * np.exp(
        np.clip(rng.normal(0, 1, n), -_WIDEST, _WIDEST) * optics.radius_spread
    )
    opacity = rng.uniform(*optics.opacity, n)
    return Bodies(
        footprint=rng.integers(0, N_FOOTPRINTS, n),
        radius_px=radius,
        opacity=opacity,
        rotation_deg=rng.uniform(0, 360, n),
        mass=opacity * np.pi * radius**2,
    )
