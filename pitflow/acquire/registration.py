"""Where the scene stands in a frame: translation and brightness relative to the reference frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import scipy.fft

from pitflow.frame import Image
from pitflow.translation import translated

Float = npt.NDArray[np.float32]

_COARSE_SIDE = 256
"""The overview on which the whole-pixel shift is found is about this wide."""
_TILE = 128
"""Side of the full-resolution tiles on which the shift is refined, px."""
_HANNING = np.outer(np.hanning(_TILE), np.hanning(_TILE)).astype(np.float32)
_TILES_PER_AXIS = 3
_INSET_PX = 40
_FINE_SIGMA, _LOCAL_PX = 1.2, 21
"""Band of the tiles' texture: above noise and compression, below light and halos (px)."""
_MARGIN = 14
_REACH_PX = 8.0
_ITERATIONS = 5
_CONVERGED_PX = 0.005
_MIN_CORRELATION = 0.1
_CLEAR_CORRELATION = 0.5
"""Textures this much alike leave no doubt that the shift is the right one."""
_MAX_ERROR_PX = 0.1


@dataclass(frozen=True, slots=True)
class Pose:
    """Shift and brightness of a frame relative to the reference.

    Parameters
    ----------
    dx, dy:
        How far the scene has moved right and down, px.
    gain:
        Brightness over the reference's, about 1.
    """

    dx: float = 0.0
    dy: float = 0.0
    gain: float = 1.0


class Registration:
    """Measures the pose of frames against one reference frame.

    A correlation of small overviews finds the shift to a few px; a Gauss-Newton fit with
    Tukey weights on nine full-resolution tiles refines it (inverse compositional alignment, Baker
    and Matthews 2004, with translation only). Moving particles and growing pits are outliers of
    that fit. The shift is 0 where the two frames have no common texture to measure it by.

    Parameters
    ----------
    reference:
        (height, width) uint8 or uint16.
    """

    def __init__(self, reference: Image) -> None:
        self._shape = (reference.shape[0], reference.shape[1])
        self._factor = max(1, max(self._shape) // _COARSE_SIDE)
        self._overview = self._shrink(reference)
        self._window = cv2.createHanningWindow(self._overview.shape[::-1], cv2.CV_32F)
        self._spectrum = self._transform(self._overview)
        self._corners = _tile_corners(reference)
        if self._corners:
            self._strip = _texture(_cut(reference, self._corners))
            self._fixed: dict[tuple[int, ...], _Fixed] = {}

    def measure(self, image: Image) -> Pose:
        """Return the pose of ``image``, which must have the reference's shape and type."""
        overview = self._shrink(image)
        gain = _brightness_ratio(overview, self._overview)
        if not self._corners:
            return Pose(0.0, 0.0, gain)
        shift = self._refine(image, self._coarse_shift(overview), gain)
        if shift is None:
            return Pose(0.0, 0.0, gain)
        return Pose(shift[0], shift[1], gain)

    def _shrink(self, image: Image) -> Float:
        height, width = self._shape
        size = (max(1, width // self._factor), max(1, height // self._factor))
        # Area averages of whole cells, so that the overview has exactly one scale.
        whole = image[: size[1] * self._factor, : size[0] * self._factor]
        overview: Float = cv2.resize(whole, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        return overview

    def _transform(self, overview: Float) -> npt.NDArray[np.complex64]:
        flat = _clipped(overview - cv2.GaussianBlur(overview, (0, 0), 3.0))
        spectrum: npt.NDArray[np.complex64] = scipy.fft.rfft2(flat * self._window)
        return spectrum

    def _coarse_shift(self, overview: Float) -> tuple[float, float]:
        cross = self._transform(overview) * np.conj(self._spectrum)
        surface = scipy.fft.irfft2(cross, s=overview.shape)
        dx, dy = _peak(surface)
        return float(dx * self._factor), float(dy * self._factor)

    def _refine(
        self, image: Image, start: tuple[float, float], gain: float
    ) -> tuple[float, float] | None:
        best: tuple[float, tuple[float, float]] | None = None
        for base in self._hypotheses(image, start):
            fitted = self._fit(image, base, gain)
            if fitted is not None and (best is None or fitted[0] > best[0]):
                best = fitted
            if best is not None and best[0] > _CLEAR_CORRELATION:
                break
        return None if best is None else best[1]

    def _hypotheses(self, image: Image, start: tuple[float, float]) -> Iterator[tuple[int, int]]:
        """Yield whole-pixel shifts to start from, the likeliest first.

        Each peak may be a wrong one on poor texture, so what the tiles say is tried about no shift
        first, then no shift itself, then the same about what the overview says.
        """
        tried: set[tuple[int, int]] = set()
        for base in dict.fromkeys([(0, 0), (round(start[0]), round(start[1]))]):
            strip, fixed = self._pair(image, base)
            jump = _whole_shift(strip, fixed) if fixed is not None else (0, 0)
            for shift in ((base[0] + jump[0], base[1] + jump[1]), base):
                if shift not in tried:
                    tried.add(shift)
                    yield shift

    def _fit(
        self, image: Image, base: tuple[int, int], gain: float
    ) -> tuple[float, tuple[float, float]] | None:
        """Return (correlation, shift) at the fitted shift, None where the fit means nothing."""
        strip, fixed = self._pair(image, base)
        if fixed is None:
            return None
        strip /= np.float32(gain)
        reference, gx, gy = fixed.inner, fixed.gx, fixed.gy
        hx = hy = None
        dx = dy = 0.0
        for _ in range(_ITERATIONS):
            sampled = translated(strip, -dx, -dy, negligible_px=0.0)
            moved = _inner(sampled)
            residual = moved - reference
            weight = _tukey(residual)
            wx, wy = weight * gx, weight * gy
            if hx is None or hy is None:
                # The gradients of two frames have independent noise, so their product is that of
                # the texture alone: noise does not shorten the step.
                hx, hy = _gradient(sampled)
            normal = np.array([[wx @ hx, wx @ hy], [wy @ hx, wy @ hy]], dtype=np.float64)
            normal = (normal + normal.T) / 2
            stiffness = np.linalg.eigvalsh(normal)[0]
            spread = float(weight @ (residual * residual)) / max(float(weight.sum()), 1.0)
            if stiffness <= 0 or spread / stiffness > _MAX_ERROR_PX**2:
                return None
            step = np.linalg.solve(normal, np.array([wx @ residual, wy @ residual]))
            dx, dy = dx - float(step[0]), dy - float(step[1])
            if max(abs(dx), abs(dy)) > _REACH_PX:
                return None
            if np.hypot(step[0], step[1]) < _CONVERGED_PX:
                break
        correlation = _common_texture(moved, reference)
        if correlation < _MIN_CORRELATION:
            return None
        return correlation, (base[0] + dx, base[1] + dy)

    def _pair(self, image: Image, base: tuple[int, int]) -> tuple[Float, _Fixed | None]:
        """Return tiles of the image moved by ``base`` (dx, dy) and the reference's, alike."""
        height, width = self._shape
        corners, tiles = [], []
        for index, (y, x) in enumerate(self._corners):
            top, left = y + base[1], x + base[0]
            if 0 <= top <= height - _TILE and 0 <= left <= width - _TILE:
                corners.append((top, left))
                tiles.append(index)
        if not corners:
            return np.empty((0, _TILE), np.float32), None
        return _texture(_cut(image, corners)), self._fixed_tiles(tuple(tiles))

    def _fixed_tiles(self, tiles: tuple[int, ...]) -> _Fixed:
        # Nearly always all of them, or all but those at one edge.
        if tiles not in self._fixed:
            rows = [self._strip[tile * _TILE : (tile + 1) * _TILE] for tile in tiles]
            self._fixed[tiles] = _Fixed.of(np.concatenate(rows))
        return self._fixed[tiles]


@dataclass(frozen=True, slots=True)
class _Fixed:
    """Tiles of the reference, and what the search needs of them.

    Parameters
    ----------
    spectrum:
        Of each tile.
    inner, gx, gy:
        Values and gradients without the tiles' margins.
    """

    spectrum: npt.NDArray[np.complex64]
    inner: Float
    gx: Float
    gy: Float

    @classmethod
    def of(cls, strip: Float) -> _Fixed:
        """Prepare tiles that stand one below the other."""
        return cls(_spectrum(strip), _inner(strip), *_gradient(strip))


def _tile_corners(reference: Image) -> list[tuple[int, int]]:
    """Top-left corners of the tiles: in each cell of a grid, where texture fixes both axes best."""
    height, width = reference.shape
    if min(height, width) < _TILE:
        return []
    texture = _texture(reference.astype(np.float32))
    gx = cv2.Sobel(texture, cv2.CV_32F, 1, 0, ksize=1)
    gy = cv2.Sobel(texture, cv2.CV_32F, 0, 1, ksize=1)
    # A single pit or speck must not stand for a tile full of texture.
    limit = 6 * max(float(np.median(np.abs(gx[::4, ::4]))), 1e-6)
    gx, gy = np.clip(gx, -limit, limit), np.clip(gy, -limit, limit)
    side = (_TILE, _TILE)
    xx, xy, yy = (
        cv2.boxFilter(product, cv2.CV_32F, side, anchor=(0, 0))
        for product in (gx * gx, gx * gy, gy * gy)
    )
    weakest = (xx + yy) / 2 - np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
    corners = []
    for top, bottom in _cells(height):
        for left, right in _cells(width):
            cell = weakest[top : bottom - _TILE + 1, left : right - _TILE + 1]
            y, x = np.unravel_index(int(np.argmax(cell)), cell.shape)
            corners.append((top + int(y), left + int(x)))
    return corners


def _cells(length: int) -> list[tuple[int, int]]:
    """Start and end of equal cells along an axis, off its ends so that tiles can move."""
    inset = min(_INSET_PX, (length - _TILE) // 2)
    inside = length - 2 * inset
    n = min(_TILES_PER_AXIS, inside // _TILE)
    return [(inset + i * inside // n, inset + (i + 1) * inside // n) for i in range(n)]


def _cut(image: Image, corners: list[tuple[int, int]]) -> Float:
    """Return the tiles at ``corners``, one below the other."""
    tiles = [image[y : y + _TILE, x : x + _TILE] for y, x in corners]
    return np.concatenate(tiles).astype(np.float32)


def _texture(strip: Float) -> Float:
    fine = cv2.GaussianBlur(strip, (0, 0), _FINE_SIGMA)
    texture: Float = fine - cv2.blur(strip, (_LOCAL_PX, _LOCAL_PX))
    return texture


def _whole_shift(strip: Float, fixed: _Fixed) -> tuple[int, int]:
    """Shift (dx, dy) in whole px by the correlation summed over the tiles.

    The texture is band-passed and clipped already; to whiten it further, as phase correlation does,
    would give the noise of empty frequencies the same say.
    """
    cross = (_spectrum(strip) * np.conj(fixed.spectrum)).sum(axis=0)
    return _peak(scipy.fft.irfft2(cross, s=(_TILE, _TILE)))


def _spectrum(strip: Float) -> npt.NDArray[np.complex64]:
    tiles = _clipped(strip).reshape(-1, _TILE, _TILE) * _HANNING
    spectrum: npt.NDArray[np.complex64] = scipy.fft.rfft2(tiles)
    return spectrum


def _peak(surface: Float) -> tuple[int, int]:
    """Return (dx, dy) of the highest value of a periodic correlation surface."""
    row, column = np.unravel_index(int(np.argmax(surface)), surface.shape)
    height, width = surface.shape
    dy = (int(row) + height // 2) % height - height // 2
    dx = (int(column) + width // 2) % width - width // 2
    return dx, dy


def _inner(strip: Float) -> Float:
    """Return the values of the tiles without their margins."""
    tiles = strip.reshape(-1, _TILE, _TILE)
    return tiles[:, _MARGIN:-_MARGIN, _MARGIN:-_MARGIN].ravel()


def _gradient(strip: Float) -> tuple[Float, Float]:
    gx = cv2.Sobel(strip, cv2.CV_32F, 1, 0, ksize=1, scale=0.5)
    gy = cv2.Sobel(strip, cv2.CV_32F, 0, 1, ksize=1, scale=0.5)
    return _inner(gx), _inner(gy)


def _tukey(residual: Float) -> Float:
    # Every 16th value tells the spread well enough.
    spread = 1.4826 * float(np.median(np.abs(residual[::16])))
    scaled = residual * np.float32(1 / (4.685 * max(spread, 1e-3)))
    weight: Float = np.maximum(1 - scaled * scaled, 0)
    weight *= weight
    return weight


def _clipped(texture: Float) -> Float:
    limit = 4 * float(np.median(np.abs(texture.ravel()[::16])))
    return np.clip(texture, -limit, limit)


def _common_texture(moved: Float, reference: Float) -> float:
    """Correlation of two textures, each clipped so that no single object decides it."""
    a, b = _clipped(moved), _clipped(reference)
    return float(a @ b) / max(float(np.sqrt(float(a @ a) * float(b @ b))), 1e-12)


def _brightness_ratio(image: Float, reference: Float) -> float:
    """Ratio of summed brightness over the part of the frame that most of it agrees on."""
    lit = reference > 0
    if not lit.any():
        return 1.0
    image, reference = image[lit], reference[lit]
    ratio = image / reference
    centre = float(np.median(ratio))
    away = np.abs(ratio - centre)
    near = away <= 3 * 1.4826 * float(np.median(away))
    gain = float(image[near].sum(dtype=np.float64) / reference[near].sum(dtype=np.float64))
    return gain if gain > 0 else 1.0
