"""What a particle looks like: an irregular footprint, blurred by its height.

A particle covers a footprint of area pi R^2 with opacity a, so it darkens the steel by
``mass = a pi R^2`` in total, wherever it is. Out of focus the footprint is blurred, with a variance
along each axis of ``sigma0^2 + (k z)^2``: mass stays, peak darkening (contrast) falls. The blur in
focus is a Gaussian; what height adds is one, too, unless it has the shape of an aperture
(``pitflow.simulate.aperture``).

A footprint is a cloud of equal point masses. Blurred by sigma, it is a sum of Gaussians, whose
integrals over pixels are products of error functions: exact at any subpixel position, with the mass
conserved exactly. Peak, area and edge slope depend on sigma / R alone (with an aperture on
sigma0 / R and sigma / sigma0), so they are tabulated once per footprint.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates
from scipy.special import ndtr

from pitflow.simulate.aperture import FLAT, RIMMED, Aperture
from pitflow.simulate.config import OpticsConfig

Floats = npt.NDArray[np.float64]

MASK_LEVEL = 0.25
"""A particle's mask holds the pixels that it darkens by at least this share of its peak."""

N_FOOTPRINTS = 32
_POINTS = 61
_FOOTPRINT_SEED = 20260
_RATIOS = np.geomspace(0.1, 40.0, 40)
_WIDENINGS = np.array([1.0, 1.1, 1.3, 1.6, 2.0, 2.6, 3.4, 4.5, 6.0, 9.0, 14.0, 20.0, 40.0])
"""Values of sigma / sigma0 at which the looks through an aperture are tabulated."""
_SHARP_RATIOS = np.geomspace(0.1, 4.0, 10)
"""Values of sigma0 / R at which they are."""
_REACH_SIGMAS = 3.5
_SHARPEST = 1.6 / np.sqrt(_POINTS)
"""Least sigma / R at which the points of a footprint run into one even patch."""


@dataclass(frozen=True, slots=True)
class Footprints:
    """The library of footprints, scaled to R = 1.

    Parameters
    ----------
    points:
        (n, m, 2) positions (x, y) of the point masses, their mean at the origin.
    covariance:
        (n, 2, 2) of those positions.
    ratios:
        (r,) values of sigma / R at which the looks are tabulated, ascending.
    peak, area, slope:
        (n, r) greatest darkening over opacity; mask area over R^2; steepest slope over peak,
        times R.
    """

    points: Floats
    covariance: Floats
    ratios: Floats
    peak: Floats
    area: Floats
    slope: Floats


@lru_cache(maxsize=1)
def footprints() -> Footprints:
    """Return the library; the same in every process."""
    rng = np.random.default_rng(_FOOTPRINT_SEED)
    points = np.stack([_footprint(rng) for _ in range(N_FOOTPRINTS)])
    covariance = np.einsum("nki,nkj->nij", points, points) / _POINTS
    looks = np.array([[_look(shape, ratio) for ratio in _RATIOS] for shape in points])
    return Footprints(points, covariance, _RATIOS, looks[..., 0], looks[..., 1], looks[..., 2])


@dataclass(frozen=True, slots=True)
class Lens:
    """What blurs: a Gaussian in focus, and an aperture that spreads what is out of it.

    Parameters
    ----------
    sigma0_px:
        The Gaussian's.
    aperture:
        Takes the rest of a blur: sqrt(sigma^2 - sigma0^2).
    """

    sigma0_px: float
    aperture: Aperture

    def spread_px(self, sigma_px: float) -> float:
        """Return what the aperture adds to a blur, standard deviation along an axis, px."""
        return float(np.sqrt(max(sigma_px**2 - self.sigma0_px**2, 0.0)))


_APERTURES = {"disc": FLAT, "ring": RIMMED}


def lens(config: OpticsConfig) -> Lens | None:
    """Return the lens of a configuration; None where all blur is Gaussian."""
    if config.defocus == "gaussian":
        return None
    return Lens(config.sigma0_px, _APERTURES[config.defocus])


def blur_px(z_um: Floats, sigma0_px: float, k_px_per_um: float) -> Floats:
    """Return the blur of a particle at a height, standard deviation: sqrt(sigma0^2 + (k z)^2)."""
    return np.hypot(sigma0_px, k_px_per_um * z_um)


@dataclass(frozen=True, slots=True)
class Looks:
    """How particles appear, one entry each; units and meanings of the particles table."""

    contrast: Floats
    area_px: Floats
    sharpness: Floats
    eccentricity: Floats
    orientation_deg: Floats


def looks(
    footprint: npt.NDArray[np.int64],
    radius_px: Floats,
    opacity: Floats,
    rotation_deg: Floats,
    sigma_px: Floats,
    lens: Lens | None = None,
) -> Looks:
    """Return how particles appear at a blur, without rendering them; arrays are (n,).

    Without a ``lens`` all blur is Gaussian.
    """
    library = footprints()
    if lens is None:
        tables = library.peak, library.area, library.slope
        entry = [footprint, _between(np.log(sigma_px / radius_px), np.log(library.ratios))]
    else:
        tables = _looks_through(lens.aperture)
        sharp = _between(np.log(lens.sigma0_px / radius_px), np.log(_SHARP_RATIOS))
        entry = [footprint, sharp, _between(sigma_px / lens.sigma0_px, _WIDENINGS)]

    def at(table: Floats) -> Floats:
        result: Floats = np.exp(map_coordinates(np.log(table), entry, order=1, mode="nearest"))
        return result

    peak, area, slope = (at(table) for table in tables)
    spread, axes = np.linalg.eigh(library.covariance)
    wide = spread[footprint, 1] * radius_px**2 + sigma_px**2
    narrow = spread[footprint, 0] * radius_px**2 + sigma_px**2
    axis = axes[footprint, :, 1]
    orientation = np.degrees(np.arctan2(axis[:, 1], axis[:, 0])) + rotation_deg
    return Looks(
        contrast=opacity * peak,
        area_px=area * radius_px**2,
        sharpness=slope / radius_px,
        eccentricity=np.sqrt(1 - narrow / wide),
        orientation_deg=orientation % 180.0,
    )


def darkening(
    footprint: int,
    radius_px: float,
    mass: float,
    rotation_deg: float,
    sigma_px: float,
    centre: tuple[float, float],
    lens: Lens | None = None,
) -> tuple[int, int, npt.NDArray[np.float32]]:
    """Return one particle's darkening (share of the background) on the pixels around it.

    Parameters
    ----------
    centre:
        (x, y) in px.
    lens:
        None: all blur is Gaussian.

    Returns
    -------
    left, top, patch
        Column and row of the patch's first pixel, and the (h, w) float32 darkening, which sums to
        ``mass`` but for the tails cut at 3.5 sigma.
    """
    spread = 0.0 if lens is None else lens.spread_px(sigma_px)
    if lens is not None:
        sigma_px = lens.sigma0_px
    sigma_px = max(sigma_px, _SHARPEST * radius_px)
    turn = np.radians(rotation_deg)
    cos, sin = np.cos(turn), np.sin(turn)
    px, py = footprints().points[footprint].T * radius_px
    x, y = centre[0] + cos * px - sin * py, centre[1] + sin * px + cos * py
    reach = _REACH_SIGMAS * sigma_px + 0.5
    if lens is not None:
        reach += lens.aperture.radius_px(spread)
    left, top = int(np.floor(x.min() - reach)), int(np.floor(y.min() - reach))
    right, bottom = int(np.ceil(x.max() + reach)), int(np.ceil(y.max() + reach))
    columns = _pixel_shares(x, sigma_px, left, right)
    rows = _pixel_shares(y, sigma_px, top, bottom)
    patch = (rows.T @ columns) * np.float32(mass / _POINTS)
    if lens is not None and spread > 0:
        wide = lens.aperture.blurred(patch.astype(np.float64), spread)
        patch = np.maximum(wide, 0).astype(np.float32)
    return left, top, patch


def _pixel_shares(position: Floats, sigma: float, first: int, last: int) -> npt.NDArray[np.float32]:
    """Return (points, pixels): the share of each point's Gaussian that falls on each pixel."""
    edges = np.arange(first, last + 2) - 0.5
    below = ndtr((edges[None, :] - position[:, None]) / sigma)
    shares: npt.NDArray[np.float32] = np.diff(below, axis=1).astype(np.float32)
    return shares


def _footprint(rng: np.random.Generator) -> Floats:
    """Return (m, 2) points that fill one irregular outline of area pi, their mean at 0."""
    angle = np.linspace(0, 2 * np.pi, 256, endpoint=False)
    outline = np.ones_like(angle)
    for order in (2, 3, 4, 5):
        size, phase = rng.normal(0, 0.3 / order), rng.uniform(0, 2 * np.pi)
        outline = outline + size * np.cos(order * angle + phase)
    outline = np.clip(outline, 0.4, None)
    # Most are compact; a few are rods.
    stretch = rng.uniform(1.3, 1.9) if rng.random() < 0.15 else np.exp(abs(rng.normal(0, 0.1)))
    # A golden-angle spiral fills the disc evenly; the outline then bends it.
    index = np.arange(_POINTS)
    turn = index * np.pi * (3 - np.sqrt(5))
    distance = np.sqrt((index + 0.5) / _POINTS) * np.interp(
        turn % (2 * np.pi), angle, outline, period=2 * np.pi
    )
    points = np.column_stack([distance * np.cos(turn) * stretch, distance * np.sin(turn) / stretch])
    points /= np.sqrt(np.mean(outline**2))
    result: Floats = points - points.mean(axis=0)
    return result


def _between(value: Floats, knots: Floats) -> Floats:
    """Return where values lie among ascending knots, as fractional indices."""
    return np.interp(value, knots, np.arange(knots.size))


@lru_cache(maxsize=2)
def _looks_through(aperture: Aperture) -> tuple[Floats, Floats, Floats]:
    """Return peak, area and slope as in ``Footprints``, (n, sigma0 / R, sigma / sigma0) each."""
    points = footprints().points
    rim = float(np.abs(points).max())
    table = np.empty((N_FOOTPRINTS, _SHARP_RATIOS.size, _WIDENINGS.size, 3))
    for i, ratio in enumerate(_SHARP_RATIOS):
        sharp = max(ratio, _SHARPEST)
        for j, wider in enumerate(_WIDENINGS):
            spread = ratio * np.sqrt(wider**2 - 1)
            grid = np.linspace(-1, 1, 128) * (rim + 3 * sharp + aperture.radius_px(spread))
            step = grid[1] - grid[0]
            images = np.stack([_image(shape, sharp, grid) for shape in points])
            images = aperture.blurred(images, spread / step)
            table[:, i, j] = [_seen(image, step) for image in images]
    return table[..., 0], table[..., 1], table[..., 2]


def _look(points: Floats, sigma: float) -> tuple[float, float, float]:
    """Return (peak over opacity, mask area, steepest slope over peak) at R = 1."""
    sigma = max(sigma, _SHARPEST)
    reach = float(np.abs(points).max()) + 3 * sigma
    grid = np.linspace(-reach, reach, 61)
    return _seen(_image(points, sigma, grid), grid[1] - grid[0])


def _image(points: Floats, sigma: float, grid: Floats) -> Floats:
    """Return a footprint of opacity 1 blurred by sigma, on a square grid (R = 1)."""
    columns = np.exp(-0.5 * ((grid[None, :] - points[:, :1]) / sigma) ** 2)
    rows = np.exp(-0.5 * ((grid[None, :] - points[:, 1:]) / sigma) ** 2)
    image: Floats = rows.T @ columns * (np.pi / _POINTS / (2 * np.pi * sigma**2))
    return image


def _seen(image: Floats, step: float) -> tuple[float, float, float]:
    """Return (peak over opacity, mask area, steepest slope over peak) of an image at R = 1."""
    peak = float(image.max())
    area = float(np.count_nonzero(image >= MASK_LEVEL * peak)) * step**2
    gradient = np.hypot(*np.gradient(image, step))
    return min(peak, 1.0), area, float(gradient.max()) / peak
