"""Finding blobs of any size in a map of darkening: scale-space maxima, then their outlines.

A blob is a maximum over position and scale of the difference of two Gaussians, one twice the other
(Lindeberg 1998; the difference of Gaussians stands for the scale-normalised Laplacian). Wide scales
are searched on coarser grids, which hold all that is left after the smoothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from pitflow.segment.surroundings import windows_around

Float = npt.NDArray[np.float32]
Ints = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

OUTLINE = 0.3
"""A blob ends where its darkening falls to this share of its peak: where people draw its outline,
measured on hand-labelled frames."""
_NEIGHBOURHOOD = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]
_HALF = 12
"""Outlines are searched in windows of this half width, in pixels of the grid they are drawn on."""
_RIM = np.ones((2 * _HALF + 1, 2 * _HALF + 1), np.bool_)
_RIM[1:-1, 1:-1] = False
_CORE = np.zeros_like(_RIM)
_CORE[_HALF - 1 : _HALF + 2, _HALF - 1 : _HALF + 2] = True
_ONE = np.uint32(1)
_HIGHER_OUTLINE = 0.55
_GAUSSIAN_REACH = 2.2
"""Radius of a Gaussian blob's outline over the scale at which it answers most: a blob of sigma b
answers most at b / sqrt 2, and falls to ``OUTLINE`` of its peak at 1.55 b."""
_BATCH_PX = 1 << 21
_SAMPLED = 20_000
_EXPLAINED = 1.8
"""A response up to this many times what a stronger neighbour predicts there is that neighbour's."""


@dataclass(frozen=True, slots=True)
class Pyramid:
    """An image at doubling Gaussian scales, each on its grid.

    Parameters
    ----------
    smooth:
        Level i: smoothed by ``scale(i)``, every 2^i-th pixel.
    band:
        Level i: smoothed by ``scale(i)`` minus smoothed by twice that, every 2^i-th pixel.
    finest_px:
        Gaussian sigma of level 0.
    """

    smooth: tuple[Float, ...]
    band: tuple[Float, ...]
    finest_px: float

    def scale(self, level: int) -> float:
        """Gaussian sigma of a level, px."""
        return self.finest_px * 2.0**level


@dataclass(frozen=True, slots=True)
class Seeds:
    """Centres of blobs, strongest evidence per blob.

    Parameters
    ----------
    level, row, column:
        (n,) level of the pyramid and position on its grid.
    snr:
        (n,) response over its noise.
    """

    level: Ints
    row: Ints
    column: Ints
    snr: npt.NDArray[np.float64]

    @classmethod
    def none(cls) -> Seeds:
        """Return no seeds."""
        nowhere = np.empty(0, np.intp)
        return cls(nowhere, nowhere, nowhere, np.empty(0))

    def pixels(self) -> tuple[Ints, Ints]:
        """Return (n,) row and column in the image, px."""
        step = 2**self.level
        return self.row * step, self.column * step

    def __getitem__(self, chosen: Ints | Mask) -> Seeds:
        return Seeds(self.level[chosen], self.row[chosen], self.column[chosen], self.snr[chosen])


def joined(first: Seeds, second: Seeds) -> Seeds:
    """Return the seeds of both, in this order."""
    return Seeds(
        np.concatenate([first.level, second.level]),
        np.concatenate([first.row, second.row]),
        np.concatenate([first.column, second.column]),
        np.concatenate([first.snr, second.snr]),
    )


def build_pyramid(image: Float, finest_px: float, n_scales: int) -> Pyramid:
    """Return the pyramid of a float32 image with ``n_scales`` levels."""
    smooth = [_blurred(image, finest_px)]
    band = []
    for level in range(n_scales):
        fine = smooth[level]
        # On the halved grid the fine level's sigma is finest_px / 2 steps, and the next level's is
        # finest_px steps: the same at every level.
        half = np.ascontiguousarray(fine[::2, ::2])
        coarse = _blurred(half, finest_px * float(np.sqrt(1 - 1 / 4)))
        smooth.append(coarse)
        # pyrUp leaves the kept pixels where they are; resize would move them by half a pixel.
        raised = cv2.pyrUp(coarse, dstsize=fine.shape[::-1])
        band.append(cv2.subtract(fine, raised, dst=raised))
    return Pyramid(tuple(smooth[:-1]), tuple(band), finest_px)


def _blurred(image: Float, sigma: float) -> Float:
    side = 2 * int(np.ceil(2.5 * sigma)) + 1
    blurred: Float = cv2.GaussianBlur(image, (side, side), sigma)
    return blurred


def noise_of(band: Float) -> float:
    """Robust standard deviation of a band, from about 20,000 of its pixels."""
    step = max(1, int(np.sqrt(band.size / _SAMPLED)))
    sample = np.ascontiguousarray(band[::step, ::step])
    deviation = np.abs(sample - np.median(sample))
    return 1.4826 * float(np.median(deviation))


class Noise(Protocol):
    """How much a band scatters without blobs."""

    @property
    def floor(self) -> float:
        """Least standard deviation anywhere."""
        ...

    def at(self, row: Ints, column: Ints) -> Float:
        """Return the standard deviation at pixels of the band's grid."""
        ...


def find_seeds(pyramid: Pyramid, noise: Sequence[Noise], threshold: float) -> Seeds:
    """Return the centres of blobs whose response exceeds ``threshold`` times the noise.

    Parameters
    ----------
    pyramid:
        Of the darkening; blobs are positive.
    noise:
        Of each band.
    """
    found = [
        _maxima(band, noise[level], threshold, level) for level, band in enumerate(pyramid.band)
    ]
    seeds = Seeds(
        np.concatenate([seed.level for seed in found]),
        np.concatenate([seed.row for seed in found]),
        np.concatenate([seed.column for seed in found]),
        np.concatenate([seed.snr for seed in found]),
    )
    return _one_per_blob(pyramid, seeds)


def _maxima(band: Float, noise: Noise, threshold: float, level: int) -> Seeds:
    """Return local maxima over 3 x 3 pixels, or as many of them as the frame has."""
    height, width = band.shape
    limit = np.float32(threshold * noise.floor)
    row, column = np.divmod(np.flatnonzero(band > limit), width)
    value = band[row, column]
    highest = np.ones(row.size, np.bool_)
    for dy, dx in _NEIGHBOURHOOD:
        beside = np.clip(row + dy, 0, height - 1), np.clip(column + dx, 0, width - 1)
        outside = (beside[0] != row + dy) | (beside[1] != column + dx)
        neighbour = np.where(outside, -np.inf, band[beside])
        # Of equal neighbours the first in reading order is the maximum.
        highest &= value >= neighbour if (dy, dx) > (0, 0) else value > neighbour
    row, column, value = row[highest], column[highest], value[highest]
    snr = (value / np.maximum(noise.at(row, column), 1e-6)).astype(np.float64)
    # On the border half of what was averaged is the mirror image of the rest.
    snr[(row == 0) | (row == height - 1)] /= np.sqrt(2)
    snr[(column == 0) | (column == width - 1)] /= np.sqrt(2)
    seeds = Seeds(np.full(row.size, level, np.intp), row, column, snr)
    return seeds[snr > threshold]


def _one_per_blob(pyramid: Pyramid, seeds: Seeds) -> Seeds:
    """Drop the seeds that a stronger seed at another scale explains.

    A Gaussian blob of sigma b has the response ``A b^2 (1 / (b^2 + s^2) - 1 / (b^2 + 4 s^2))`` at
    scale s, greatest near s = b / sqrt 2; each seed is taken for a blob of that b.
    """
    if seeds.level.size < 2:
        return seeds
    step = 2.0**seeds.level
    x, y = seeds.column * step, seeds.row * step
    scale = pyramid.finest_px * step
    value = np.empty(seeds.level.size)
    for level, band in enumerate(pyramid.band):
        here = seeds.level == level
        value[here] = band[seeds.row[here], seeds.column[here]]
    kept = np.ones(seeds.level.size, np.bool_)
    tree = cKDTree(np.column_stack([x, y]))
    for level in range(1, len(pyramid.band)):
        wide = np.flatnonzero(seeds.level == level)
        if not wide.size:
            continue
        reach = 1.5 * pyramid.scale(level)
        near = tree.query_ball_point(np.column_stack([x[wide], y[wide]]), reach)
        lengths = np.fromiter(map(len, near), np.intp, wide.size)
        if not lengths.sum():
            continue
        coarse = np.repeat(wide, lengths)
        fine = np.concatenate([np.asarray(members, np.intp) for members in near])
        finer = seeds.level[fine] < level
        coarse, fine = coarse[finer], fine[finer]
        apart = (x[coarse] - x[fine]) ** 2 + (y[coarse] - y[fine]) ** 2
        of_coarse = _predicted(value[coarse], scale[coarse], scale[fine], apart)
        of_fine = _predicted(value[fine], scale[fine], scale[coarse], apart)
        weaker = (value[fine] < value[coarse]) & (value[fine] < _EXPLAINED * of_coarse)
        kept[fine[weaker]] = False
        # Several small blobs add up to a wide response. A dropped seed still explains: it is the
        # better-fitting scale of a blob that a neighbour stands for.
        standing = kept[fine]
        explained = np.bincount(
            coarse[standing], weights=of_fine[standing], minlength=seeds.level.size
        )
        stronger = ~weaker
        np.maximum.at(explained, coarse[stronger], of_fine[stronger])
        kept[wide] &= value[wide] > _EXPLAINED * explained[wide]
    return seeds[kept]


def _predicted(
    value: npt.NDArray[np.float64],
    own_scale: npt.NDArray[np.float64],
    at_scale: npt.NDArray[np.float64],
    apart_squared: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Response at ``at_scale`` and a distance, of a blob with ``value`` at its ``own_scale``."""
    b2, s2 = 2 * own_scale**2, at_scale**2
    centre = 3 * value * b2 * (1 / (b2 + s2) - 1 / (b2 + 4 * s2))
    predicted: npt.NDArray[np.float64] = centre * np.exp(-0.5 * apart_squared / (b2 + s2))
    return predicted


@dataclass(frozen=True, slots=True)
class Outlines:
    """The pixels of blobs.

    Parameters
    ----------
    seed:
        (n,) the seeds that have an outline, by index.
    ground:
        (n,) the image's value around each of them.
    owner, row, column:
        (m,) the pixels, ``owner`` as an index into ``seed``.
    """

    seed: Ints
    ground: Float
    owner: Ints
    row: Ints
    column: Ints


def outline(image: Float, pyramid: Pyramid, seeds: Seeds, *, certain: bool = False) -> Outlines:
    """Return the pixels of each seed's blob, every pixel in at most one blob.

    A blob is what hangs together with its seed above ``OUTLINE`` times its peak. It is drawn on
    a grid on which its scale is one to two steps; a pixel claimed by two blobs goes to the nearer,
    measured in the blobs' own scales.

    Parameters
    ----------
    image:
        (height, width) float32, the darkening.
    pyramid:
        Of that image.
    seeds:
        The blobs' centres.
    certain:
        Whether each seed is known to be a blob: where no outline closes (in a crowd, or on sloping
        ground) it then ends where a Gaussian of its scale would, instead of not being drawn.
    """
    parts = []
    ground = np.zeros(seeds.level.size, np.float32)
    for level in range(len(pyramid.band)):
        members = np.flatnonzero(seeds.level == level)
        grid, step = _drawing_grid(image, pyramid, level)
        # Seeds stand on their level's grid; the drawing grid is as fine or finer.
        ratio = 2**level // step
        side = 2 * _HALF + 1
        batch = max(1, _BATCH_PX // side**2)
        for start in range(0, members.size, batch):
            chosen = members[start : start + batch]
            centre_row, centre_column = seeds.row[chosen] * ratio, seeds.column[chosen] * ratio
            patches = windows_around(grid, centre_row, centre_column, _HALF, "nothing")
            if level == 0:
                patches = _softened(patches)
            # A window reaches four scales out, where the blob itself has faded.
            ground[chosen] = np.median(patches[:, _RIM], axis=1)
            reach = _GAUSSIAN_REACH * pyramid.scale(level) / step if certain else None
            inside = _closed_core(patches - ground[chosen, None, None], reach)
            which, dy, dx = np.nonzero(inside)
            row = (centre_row[which] + dy - _HALF) * step
            column = (centre_column[which] + dx - _HALF) * step
            distance = np.hypot(dy - _HALF, dx - _HALF) * step / pyramid.scale(level)
            parts.append(_expanded(chosen[which], row, column, distance, step))
    if not parts:
        nothing = np.empty(0, np.intp)
        return Outlines(nothing, ground[:0], nothing, nothing, nothing)
    owner, row, column, distance = (np.concatenate(column) for column in zip(*parts, strict=True))
    height, width = image.shape
    on_image = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    owner, row, column = owner[on_image], row[on_image], column[on_image]
    pixel = row * width + column
    order = np.lexsort((distance[on_image], pixel))
    first = np.ones(order.size, np.bool_)
    first[1:] = pixel[order][1:] != pixel[order][:-1]
    chosen = order[first]
    drawn, owner = np.unique(owner[chosen], return_inverse=True)
    return Outlines(drawn, ground[drawn], owner, row[chosen], column[chosen])


def overlapping(seeds: Seeds, others: Seeds) -> Mask:
    """Return (m,) which of the others' outlines can share pixels with those of the seeds."""
    if not seeds.level.size or not others.level.size:
        return np.zeros(others.level.size, np.bool_)
    tree = cKDTree(np.column_stack(seeds.pixels()))
    away = tree.query(np.column_stack(others.pixels()))[0]
    shared: Mask = away <= _outline_reach(others.level) + _outline_reach(seeds.level).max()
    return shared


def _outline_reach(level: Ints) -> npt.NDArray[np.float64]:
    """Return how far from its seed an outline may lie, px."""
    step = 2.0 ** np.maximum(level - 1, 0)
    reach: npt.NDArray[np.float64] = np.sqrt(2) * (_HALF + 1) * step
    return reach


def _drawing_grid(image: Float, pyramid: Pyramid, level: int) -> tuple[Float, int]:
    """Return the image on which blobs of a level are outlined, and the step of its grid."""
    if level == 0:
        return image, 1
    return pyramid.smooth[level - 1], 2 ** (level - 1)


def outline_smoothing(pyramid: Pyramid, level: Ints) -> npt.NDArray[np.float64]:
    """Gaussian sigma of the image on which blobs of each level are outlined, px."""
    finer = pyramid.finest_px * 2.0 ** (level - 1)
    return np.where(level == 0, _SOFTENING_PX, finer)


_SOFTENING_PX = float(np.sqrt(0.5))
"""Sigma of the kernel (1 2 1) / 4."""


def _softened(patches: Float) -> Float:
    padded = np.pad(patches, ((0, 0), (1, 1), (1, 1)), mode="edge")
    down = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    softened: Float = (down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:]) * np.float32(1 / 16)
    return softened


def _closed_core(patches: Float, reach: float | None) -> Mask:
    """Return the pixels of the blobs in the middle of the patches.

    An outline that runs into its window's rim has leaked into a neighbour, and is drawn higher;
    one that still does is sloping ground, not a blob, or ends at a distance of ``reach`` pixels.
    """
    inside = _connected_core(patches, OUTLINE)
    leaked = np.flatnonzero(inside[:, _RIM].any(axis=1))
    if leaked.size:
        higher = _connected_core(patches[leaked], _HIGHER_OUTLINE)
        open_still = higher[:, _RIM].any(axis=1)
        higher[open_still] = False if reach is None else inside[leaked[open_still]] & _disc(reach)
        inside[leaked] = higher
    if reach is not None:
        inside[~inside.any(axis=(1, 2))] = _disc(1.0)
    return inside


def _disc(radius: float) -> Mask:
    """Return the pixels of a window that are as near to its middle as ``radius``."""
    across = np.arange(-_HALF, _HALF + 1)
    disc: Mask = across[:, None] ** 2 + across**2 <= radius**2
    return disc


def _connected_core(patches: Float, share: float) -> Mask:
    """Return the pixels above ``share`` of the peak that hang together with the centre."""
    middle = slice(_HALF - 1, _HALF + 2)
    peak = patches[:, middle, middle].max(axis=(1, 2))
    above = _as_bits((patches > share * peak[:, None, None]) & (patches > 0))
    reached = above & _as_bits(_CORE)
    for _ in range(2 * _HALF):
        grown = reached | (reached << _ONE) | (reached >> _ONE)
        grown[:, 1:] |= reached[:, :-1]
        grown[:, :-1] |= reached[:, 1:]
        grown &= above
        if (grown == reached).all():
            break
        reached = grown
    return _as_mask(reached)


def _as_bits(windows: Mask) -> npt.NDArray[np.uint32]:
    """Return the lines of windows as numbers, so that all of a line spreads at once."""
    padded = np.zeros((*windows.shape[:-1], 32), np.bool_)
    padded[..., : windows.shape[-1]] = windows
    packed: npt.NDArray[np.uint32] = np.packbits(padded, axis=-1).view(">u4")[..., 0]
    return packed.astype(np.uint32)


def _as_mask(lines: npt.NDArray[np.uint32]) -> Mask:
    """Return what ``_as_bits`` was given."""
    bytes_of = lines.astype(">u4")[..., None].view(np.uint8)
    mask: Mask = np.unpackbits(bytes_of, axis=-1, count=2 * _HALF + 1).view(np.bool_)
    return mask


def _expanded(
    owner: Ints, row: Ints, column: Ints, distance: npt.NDArray[np.float64], step: int
) -> tuple[Ints, Ints, Ints, npt.NDArray[np.float64]]:
    """Replace every pixel of a coarse grid by the full-resolution pixels it stands for."""
    if step == 1:
        return owner, row, column, distance
    # A grid pixel is the point-sampled middle of its cell.
    reach = np.arange(step) - step // 2
    rows = (row[:, None, None] + reach[:, None] + np.zeros_like(reach)).ravel()
    columns = (column[:, None, None] + reach[:, None] * 0 + reach).ravel()
    return np.repeat(owner, step**2), rows, columns, np.repeat(distance, step**2)
