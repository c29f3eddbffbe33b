"""Where the scene stands in a frame: translation and brightness relative to the reference frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial

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
_OVERLAP = 0.5
"""The tiles of a row or column may have up to this share of a tile in common, all together."""
_INSET_PX = 40
_FINE_SIGMA, _LOCAL_PX = 1.2, 21
"""Band of the tiles' texture: above noise and compression, below light and halos (px)."""
_MARGIN = 14
_REACH_PX = 8.0
_ITERATIONS = 8
_CONVERGED_PX = 0.005
_FRESH_PX = 0.5
"""A longer step has changed the gradients so much that they are taken anew."""
_MIN_AGREEMENT = 0.2
"""Of a fit that means something. Noise reaches 0.1, since the weights prefer what is alike."""
_FAR_AGREEMENT, _NEAR_PX = 0.4, 3
"""The same of a fit that is not this near to either no shift or what the overview says clearly."""
_CLEAR_AGREEMENT = 0.8
"""Textures this much alike leave no doubt, unless the correlation has other peaks."""
_NEAR_TIE = 0.01
"""Of fits whose agreement differs by no more, the one with the least motion is taken."""
_RIVAL, _RIVALS, _APART_PX = 0.6, 4, 9
"""Peaks of a correlation are looked at from this share of the highest on, so many, so far apart."""
_OVERVIEW_CORRELATION, _OVERVIEW_RIVAL = 0.12, 0.8
"""Overviews this much alike say something: the shift itself where the tiles cannot, if no other
peak is as high. Of overviews that have nothing in common the highest peak is chance."""
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


Shift = tuple[int, int]


class Registration:
    """Measures the pose of frames against one reference frame.

    A correlation of small overviews finds the shift to a few px; a Gauss-Newton fit with
    Tukey weights on nine full-resolution tiles refines it (inverse compositional alignment, Baker
    and Matthews 2004, with translation only). Moving particles and growing pits are outliers of
    that fit. Texture that resembles itself, such as grain, has several shifts to which the search
    may lead: of these, the one is taken at which the textures agree best where they agree at all,
    by the same weights, so that what has changed has no say in it. Where the tiles are lost under
    pits, the shift is that of the overviews, and it is 0 where these have no texture in common.

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
        surface = self._correlate(overview)
        start = self._whole(_peak(surface))
        is_alike = bool(surface.max() >= _OVERVIEW_CORRELATION)
        expected = [(0, 0), start] if is_alike else [(0, 0)]
        fits = self._fits(cache(partial(self._pair, image)), start, expected, gain)
        if fits:
            likeliest = _likeliest(fits)
            return Pose(likeliest.dx, likeliest.dy, gain)
        if not is_alike or len(_peaks(surface, _OVERVIEW_RIVAL)) > 1:
            return Pose(0.0, 0.0, gain)
        return Pose(float(start[0]), float(start[1]), gain)

    def _shrink(self, image: Image) -> Float:
        height, width = self._shape
        size = (max(1, width // self._factor), max(1, height // self._factor))
        # Area averages of whole cells, so that the overview has exactly one scale.
        whole = image[: size[1] * self._factor, : size[0] * self._factor]
        overview: Float = cv2.resize(whole, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        return overview

    def _transform(self, overview: Float) -> npt.NDArray[np.complex64]:
        flat = _clipped(overview - cv2.GaussianBlur(overview, (0, 0), 3.0)) * self._window
        flat /= max(float(np.linalg.norm(flat)), 1e-6)
        spectrum: npt.NDArray[np.complex64] = scipy.fft.rfft2(flat)
        return spectrum

    def _correlate(self, overview: Float) -> Float:
        """Return the correlation of the overviews, 1 where they are the same, at every shift."""
        cross = self._transform(overview) * np.conj(self._spectrum)
        surface: Float = scipy.fft.irfft2(cross, s=overview.shape)
        return surface

    def _whole(self, shift: Shift) -> Shift:
        """Return a shift of the overview in px of the frame."""
        return shift[0] * self._factor, shift[1] * self._factor

    def _fits(
        self, pair: _Look, start: Shift, expected: Sequence[Shift], gain: float
    ) -> list[_Fit]:
        """Return what the tiles say of the shift, all there is unless the first leaves no doubt."""
        fits: list[_Fit] = []
        for base, is_alone in _hypotheses(pair, start):
            fit = _fit(*pair(base), base, gain)
            if fit is None or not (is_alone or self._is_credible(fit, expected)):
                continue
            fits.append(fit)
            if is_alone and fit.agreement > _CLEAR_AGREEMENT:
                break
        return fits

    def _is_credible(self, fit: _Fit, expected: Sequence[Shift]) -> bool:
        """Tell a fit from one of the many that chance allows among all the shifts tried."""
        near = _NEAR_PX + self._factor
        return fit.agreement > _FAR_AGREEMENT or any(
            np.hypot(fit.dx - x, fit.dy - y) < near for x, y in expected
        )

    def _pair(self, image: Image, base: Shift) -> tuple[Float, _Fixed | None]:
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


@dataclass(frozen=True, slots=True)
class _Fit:
    """A shift that fits, px, and how far the textures agree there, from 0.2 to 1."""

    dx: float
    dy: float
    agreement: float


_Look = Callable[[Shift], tuple[Float, _Fixed | None]]
"""Gives the tiles of an image moved by a whole shift, and those of the reference."""


def _hypotheses(pair: _Look, start: Shift) -> Iterator[tuple[Shift, bool]]:
    """Yield shifts to start a fit from, the likeliest first, and whether they have no rival.

    Each peak may be a wrong one on poor texture, so what the tiles say is tried about no shift
    first, then no shift itself, then the same about what the overview says.
    """
    tried: set[Shift] = set()
    for base in dict.fromkeys([(0, 0), start]):
        strip, fixed = pair(base)
        jumps = [] if fixed is None else _whole_shifts(strip, fixed)
        for jump in (*jumps, (0, 0)):
            shift = base[0] + jump[0], base[1] + jump[1]
            if shift not in tried:
                tried.add(shift)
                yield shift, len(jumps) == 1


def _likeliest(fits: list[_Fit]) -> _Fit:
    best = max(fit.agreement for fit in fits)
    near = [fit for fit in fits if fit.agreement >= best - _NEAR_TIE]
    return min(near, key=lambda fit: float(np.hypot(fit.dx, fit.dy)))


def _fit(strip: Float, fixed: _Fixed | None, base: Shift, gain: float) -> _Fit | None:
    """Return the shift that fits best about ``base``, None where it means nothing.

    Parameters
    ----------
    strip, fixed:
        Tiles of the image moved by ``base`` (dx, dy), and of the reference.
    """
    if fixed is None:
        return None
    strip = strip * np.float32(1 / gain)
    reference, gx, gy = fixed.inner, fixed.gx, fixed.gy
    dx = dy = 0.0
    moved_px = np.inf
    for _ in range(_ITERATIONS):
        sampled = translated(strip, -dx, -dy, negligible_px=0.0)
        moved = _inner(sampled)
        residual = moved - reference
        weight = _tukey(residual)
        wx, wy = weight * gx, weight * gy
        if moved_px > _FRESH_PX:
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
        moved_px = float(np.hypot(step[0], step[1]))
        if moved_px < _CONVERGED_PX:
            break
    agreement = _agreement(moved, reference, weight)
    if moved_px > _MAX_ERROR_PX or agreement < _MIN_AGREEMENT:
        return None
    return _Fit(base[0] + dx, base[1] + dy, agreement)


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
    """Start and end of equal cells along an axis, off its ends so that tiles can move.

    Where the frame is small they overlap, so that no single pit covers all the tiles there are.
    """
    inset = min(_INSET_PX, (length - _TILE) // 2)
    inside = length - 2 * inset
    n = min(_TILES_PER_AXIS, max(int(inside / _TILE + _OVERLAP), 1))
    side = max(inside // n, _TILE)
    starts = [inset + i * (inside - side) // max(n - 1, 1) for i in range(n)]
    return [(start, start + side) for start in starts]


def _cut(image: Image, corners: list[tuple[int, int]]) -> Float:
    """Return the tiles at ``corners``, one below the other."""
    tiles = [image[y : y + _TILE, x : x + _TILE] for y, x in corners]
    return np.concatenate(tiles).astype(np.float32)


def _texture(strip: Float) -> Float:
    fine = cv2.GaussianBlur(strip, (0, 0), _FINE_SIGMA)
    texture: Float = fine - cv2.blur(strip, (_LOCAL_PX, _LOCAL_PX))
    return texture


def _whole_shifts(strip: Float, fixed: _Fixed) -> list[Shift]:
    """Shifts (dx, dy) in whole px by the correlation summed over the tiles, the likeliest first.

    The texture is band-passed and clipped already; to whiten it further, as phase correlation does,
    would give the noise of empty frequencies the same say.
    """
    cross = (_spectrum(strip) * np.conj(fixed.spectrum)).sum(axis=0)
    peaks = _peaks(scipy.fft.irfft2(cross, s=(_TILE, _TILE)))
    nearest = sorted(peaks, key=lambda peak: float(np.hypot(*peak)))[:1]
    return list(dict.fromkeys([*peaks[:_RIVALS], *nearest]))


def _spectrum(strip: Float) -> npt.NDArray[np.complex64]:
    tiles = _clipped(strip).reshape(-1, _TILE, _TILE) * _HANNING
    spectrum: npt.NDArray[np.complex64] = scipy.fft.rfft2(tiles)
    return spectrum


def _peak(surface: Float) -> Shift:
    """Return (dx, dy) of the highest value of a periodic correlation surface."""
    row, column = np.unravel_index(int(np.argmax(surface)), surface.shape)
    height, width = surface.shape
    dy = (int(row) + height // 2) % height - height // 2
    dx = (int(column) + width // 2) % width - width // 2
    return dx, dy


def _peaks(surface: Float, share: float = _RIVAL) -> list[Shift]:
    """Return (dx, dy) of such a surface's peaks from ``share`` of the highest on, highest first."""
    middle = np.fft.fftshift(surface)
    around = cv2.dilate(middle, np.ones((_APART_PX, _APART_PX), np.uint8))
    high = max(share * float(middle.max()), 1e-12)
    rows, columns = np.nonzero((middle == around) & (middle >= high))
    height, width = surface.shape
    order = np.argsort(-middle[rows, columns], kind="stable")
    return [(int(columns[i]) - width // 2, int(rows[i]) - height // 2) for i in order]


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


def _agreement(moved: Float, reference: Float, weight: Float) -> float:
    """Correlation of two textures with the weights of their fit.

    Pits that have grown since have no weight. The textures are clipped so that no single object
    decides it.
    """
    a, b = _clipped(moved), _clipped(reference)
    wa, wb = weight * a, weight * b
    return float(wa @ b) / max(float(np.sqrt(float(wa @ a) * float(wb @ b))), 1e-12)


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
