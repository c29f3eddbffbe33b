"""Polished steel: light that falls off, oblique polishing scratches, grain and dark specks.

All of it is static: it is there from the first frame on. Values are shares of the camera's range.
"""

from __future__ import annotations

import cv2
import numpy as np

from pitflow.simulate.config import SteelConfig
from pitflow.simulate.optics import N_FOOTPRINTS, darkening
from pitflow.simulate.plane import Plane, darken

_OPTICS_SIGMA_PX = 0.65
_SCRATCHES_PER_MPX = 380.0

_BRUSH_TILES = ((1024, -1.2), (900, 1.7))
"""Side in px and direction off the polishing's, deg."""

_STREAKS = ((5.0, 0.6, 0.0040), (25.0, 0.7, 0.0050), (120.0, 0.9, 0.0042), (60.0, 6.0, 0.0015))
"""Length and width (Gaussian sigma) in px, and strength (standard deviation, share)."""


def steel(config: SteelConfig, height: int, width: int, rng: np.random.Generator) -> Plane:
    """Return the steel without pits and particles, (height, width) float32 in [0, 1]."""
    surface = _brush(height, width, config.scratch_deg, rng)
    surface += _grain(height, width, rng)
    _draw_scratches(surface, config.scratch_deg, rng)
    cv2.GaussianBlur(surface, (0, 0), _OPTICS_SIGMA_PX, dst=surface)
    surface *= np.float32(config.scratches)
    surface += 1.0
    surface *= _light(config, height, width, rng)
    _draw_specks(surface, config.specks_per_mpx, rng)
    np.clip(surface, 0.02, 1.0, out=surface)
    return surface


def _light(config: SteelConfig, height: int, width: int, rng: np.random.Generator) -> Plane:
    """Return the brightness of even steel: a tilt, a bowl and faint wide blotches."""
    y, x = np.linspace(-1, 1, 64)[:, None], np.linspace(-1, 1, 64)[None, :]
    turn, centre = rng.uniform(0, 2 * np.pi), rng.uniform(-0.5, 0.5, 2)
    tilt = np.cos(turn) * x + np.sin(turn) * y
    bowl = (x - centre[0]) ** 2 + (y - centre[1]) ** 2
    blotches = cv2.GaussianBlur(rng.normal(0, 1, (64, 64)), (0, 0), 3.0)
    shape = 0.5 * tilt - 0.45 * bowl
    shape = (shape - shape.mean()) / max(float(np.ptp(shape)), 1e-9)
    low = 1 + config.shading * 1.6 * shape + 0.05 * config.shading * blotches / blotches.std()
    plane = (config.brightness * low).astype(np.float32)
    large: Plane = cv2.resize(plane, (width, height), interpolation=cv2.INTER_CUBIC)
    return large


def _brush(height: int, width: int, angle_deg: float, rng: np.random.Generator) -> Plane:
    """Return the fine brushed structure along the polishing direction."""
    surface = np.zeros((height, width), dtype=np.float32)
    # Two tiles of different period and direction, so that no repetition shows.
    for period, off_deg in _BRUSH_TILES:
        # A small frame needs no large tile.
        side = min(period, max(128, height + width))
        tile = sum(
            (_streaks(side, *size, rng) for size in _STREAKS), start=np.zeros((1, 1), np.float32)
        )
        turn = np.radians(angle_deg + off_deg)
        cos, sin = np.cos(turn), np.sin(turn)
        surface += cv2.warpAffine(
            tile,
            np.array([[cos, sin, 0.0], [-sin, cos, 0.0]]),
            (width, height),
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_WRAP,
        )
    return surface


def _streaks(
    side: int, along_px: float, across_px: float, strength: float, rng: np.random.Generator
) -> Plane:
    """Return a (side, side) tile of horizontal streaks that repeats without a seam."""
    noise = rng.standard_normal((side, side), dtype=np.float32)
    # Multiplied in frequency, the blur wraps around by itself.
    along = np.exp(-2 * (np.pi * along_px * np.fft.rfftfreq(side)) ** 2)
    across = np.exp(-2 * (np.pi * across_px * np.fft.fftfreq(side)) ** 2)
    blurred = np.fft.irfft2(np.fft.rfft2(noise) * along[None, :] * across[:, None], s=(side, side))
    return np.asarray(blurred * (strength / blurred.std()), dtype=np.float32)


def _grain(height: int, width: int, rng: np.random.Generator) -> Plane:
    """Return the structure without direction: fine grain and faint stains."""
    surface = np.zeros((height, width), dtype=np.float32)
    for step, strength in ((1, 0.0075), (3, 0.0040), (10, 0.0030)):
        shape = (width // step + 2, height // step + 2)
        noise = cv2.GaussianBlur(rng.standard_normal(shape[::-1], dtype=np.float32), (0, 0), 1.0)
        noise *= np.float32(strength / max(float(noise.std()), 1e-9))
        if step > 1:
            size = (shape[0] * step, shape[1] * step)
            noise = cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC)
        surface += noise[:height, :width]
    return surface


def _draw_scratches(surface: Plane, angle_deg: float, rng: np.random.Generator) -> None:
    """Add single scratches in place: most faint, a few deep, nearly all along the polishing."""
    height, width = surface.shape
    count = int(rng.poisson(_SCRATCHES_PER_MPX * height * width * 1e-6))
    for _ in range(count):
        astray = rng.random() < 0.02
        angle = rng.uniform(0, 180) if astray else angle_deg + 1.2 * rng.standard_t(3)
        length = float(np.clip(rng.lognormal(5.2, 1.1), 25, 2500))
        depth = float(np.clip(rng.lognormal(-3.95, 0.95), 0.004, 0.22))
        if astray:
            depth = min(depth, 0.02)
        sign = 1.0 if rng.random() < 0.85 else -0.5
        _draw_scratch(
            surface,
            centre=(rng.uniform(0, width), rng.uniform(0, height)),
            angle_deg=angle,
            length=length,
            depth=depth * sign,
            half_width=rng.uniform(0.35, 0.8) * (1 + 3.0 * depth),
            rng=rng,
        )


def _draw_scratch(
    surface: Plane,
    centre: tuple[float, float],
    angle_deg: float,
    length: float,
    depth: float,
    half_width: float,
    rng: np.random.Generator,
) -> None:
    """Add one slightly bent scratch whose depth fades at its ends and varies along it."""
    turn = np.radians(angle_deg)
    steep = abs(np.sin(turn)) > abs(np.cos(turn))
    # Followed along the axis to which it is nearer, so that each step is one row or column.
    plane = surface.T if steep else surface
    x0, y0 = centre[::-1] if steep else centre
    along, slope = (np.sin(turn), 1 / np.tan(turn)) if steep else (np.cos(turn), np.tan(turn))
    reach = 0.5 * length * abs(along)
    x = np.arange(max(0, int(x0 - reach)), min(plane.shape[1], int(x0 + reach) + 1))
    if x.size == 0:
        return
    share = (x - x0) / max(reach, 1.0)
    y = y0 + slope * (x - x0) + rng.normal(0, 0.004) * reach * share**2
    knots = max(2, int(length / 18))
    texture = np.interp(
        np.linspace(0, 1, x.size), np.linspace(0, 1, knots), rng.gamma(2.5, 0.4, knots)
    )
    profile = depth * np.clip(1 - share**2, 0, None) ** 0.6 * np.minimum(texture, 2.0)
    sigma = half_width / abs(along)
    row = np.floor(y).astype(np.int64)
    span = int(np.ceil(3 * sigma))
    for step in range(-span, span + 2):
        at = row + step
        inside = (at >= 0) & (at < plane.shape[0])
        gauss = np.exp(-0.5 * ((at - y) / sigma) ** 2)
        plane[at[inside], x[inside]] -= (profile * gauss)[inside].astype(np.float32)


def _draw_specks(surface: Plane, per_mpx: float, rng: np.random.Generator) -> None:
    """Darken the surface in place by specks: dots, smudges, little rows of dots, a few rings."""
    height, width = surface.shape
    count = int(rng.poisson(per_mpx * height * width * 1e-6))
    x, y = rng.uniform(0, width, count), rng.uniform(0, height, count)
    kind = rng.random(count)
    for number in range(count):
        centre = (float(x[number]), float(y[number]))
        if kind[number] < 0.0015:
            _draw_ring(surface, centre, rng)
        elif kind[number] < 0.09:
            _draw_row(surface, centre, rng)
        elif kind[number] < 0.17:
            _draw_speck(surface, centre, rng.uniform(2.0, 5.0), rng.uniform(0.03, 0.14),
                        rng.uniform(1.5, 4.0), rng)  # fmt: skip
        else:
            radius = float(np.clip(rng.lognormal(0.1, 0.38), 0.5, 3.5))
            _draw_speck(surface, centre, radius, rng.beta(1.3, 2.2), rng.uniform(0.8, 1.2), rng)


def _draw_speck(
    surface: Plane,
    centre: tuple[float, float],
    radius: float,
    opacity: float,
    sigma: float,
    rng: np.random.Generator,
) -> None:
    footprint, turn = int(rng.integers(N_FOOTPRINTS)), float(rng.uniform(0, 360))
    darken(surface, *darkening(footprint, radius, opacity * np.pi * radius**2, turn, sigma, centre))


def _draw_row(surface: Plane, centre: tuple[float, float], rng: np.random.Generator) -> None:
    """Draw a few dots close together."""
    x, y = centre
    for _ in range(int(rng.integers(3, 7))):
        _draw_speck(surface, (x, y), rng.uniform(0.6, 1.5), rng.uniform(0.1, 0.5), 0.9, rng)
        x, y = x + rng.normal(0, 7), y + rng.normal(0, 4)


def _draw_ring(surface: Plane, centre: tuple[float, float], rng: np.random.Generator) -> None:
    """Draw the dark outline of a small bubble."""
    radius, depth = rng.uniform(2.5, 6.5), rng.uniform(0.12, 0.45)
    left, top = int(centre[0]) - 12, int(centre[1]) - 12
    y, x = np.mgrid[top : top + 25, left : left + 25]
    away = np.hypot(x - centre[0], y - centre[1])
    patch = depth * np.exp(-0.5 * ((away - radius) / 0.9) ** 2)
    patch -= 0.05 * np.exp(-0.5 * (away / (0.5 * radius)) ** 2)
    darken(surface, left, top, patch.astype(np.float32))
