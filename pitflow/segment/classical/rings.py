"""What lies on a ring about a common middle is one particle, which is in the middle.

Diffraction and spherical aberration make a ring of a particle out of focus, often with a faint
middle or a second ring, and each dark stretch of it looks like a particle. A ring is told by its
profile: the median over all directions about the middle. It rises to the ring and falls beyond it,
by more than noise does, and nearly all directions show it; separate particles that stand around a
common middle leave gaps, where the median sees the ground.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pitflow.segment.centres import Centres
from pitflow.segment.classical.blobs import noise_of
from pitflow.segment.classical.darkening import Darkening

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
Image = npt.NDArray[np.float32]

_LEAST_PX, _REACH_PX = 4, 32
"""Radii of the rings that are looked for, and how far their profile is followed, px."""
_SECTORS = 24
_ANGLES = np.arange(_SECTORS) * (2 * np.pi / _SECTORS)
_WAYS = np.column_stack([np.cos(_ANGLES), np.sin(_ANGLES)])
_CLEAR = 5.0
"""By so many standard deviations of the profile a ring stands out from its middle and beyond..."""
_DIP = 0.25
"""...and by this share of its darkness."""
_CLOSED = 0.8
"""In this share of all directions it is at least half as dark as the profile says..."""
_UNEVEN, _QUARTILES = 0.25, 1.349
"""...and from one to another it differs, beside the noise, by less than this share: the distance
between the quartiles of normal values is so many standard deviations."""
_GIVE_PX = 2
"""A ring's radius may differ by this from one direction to another."""
_LIKE, _SCATTERED = 1.5, 2.0
"""What is darker than this many times the profile, and so many standard deviations of the noise, is
a particle that lies on the ring."""
_FADED = 0.15
"""Where the profile falls below this share of the ring, nothing is of the ring."""
_SEVERAL = 2
"""What is marked once, by the network as by its blobs, is counted once without its ring."""
_ROUNDS = 3
_SAME = 0.7
"""Two rings whose middles are nearer than this share of the radius are one."""
_ROWS = 2**14
"""OpenCV numbers the rows of a map in 16 bits."""


@dataclass(frozen=True, slots=True)
class Rings:
    """Rings of a frame.

    Parameters
    ----------
    middle:
        (n, 2) x and y, px.
    radius:
        (n,) where each is darkest, px.
    profile:
        (n, radii) median darkening at each whole radius from 0 on, grey levels.
    noise:
        Standard deviation of the smoothed darkening, grey levels.
    """

    middle: Floats
    radius: Ints
    profile: Floats
    noise: float

    def __getitem__(self, chosen: Ints) -> Rings:
        return Rings(self.middle[chosen], self.radius[chosen], self.profile[chosen], self.noise)

    def owner(self, places: Floats, darkening: Darkening) -> Ints:
        """Return (m,) the ring on which each of (m, 2) x and y lies, -1 for none.

        What is clearly darker than the profile of the ring there is a particle of its own.
        """
        owner = np.full(len(places), -1, np.intp)
        # The profiles, as dark as they are within a ring's give.
        darkest = ndimage.maximum_filter1d(self.profile, 2 * _GIVE_PX + 1, axis=1, mode="nearest")
        for ring, radius in enumerate(self.radius):
            away = np.hypot(*(places - self.middle[ring]).T)
            near = np.flatnonzero((away <= _REACH_PX - 1) & (owner < 0))
            if not near.size:
                continue
            dark = darkest[ring, np.rint(away[near]).astype(np.intp)]
            seen = dark >= _FADED * self.profile[ring, radius]
            shown = _at(darkening.pyramid.smooth[0], *places[near].T.astype(np.float32))
            alike = shown <= _LIKE * dark + _SCATTERED * self.noise
            owner[near[((away[near] <= radius) | seen) & alike]] = ring
        return owner

    def gathered(self, peaks: Centres, darkening: Darkening) -> tuple[Centres, Ints]:
        """Return the peaks with one in the middle of each ring instead of those on it.

        The second is (m,) the ring of each, -1 for none.

        Parameters
        ----------
        peaks:
            The surest first; so they are returned.
        """
        owner = self.owner(peaks.place.astype(np.float64), darkening)
        # The first on each ring stands for it.
        ring, first = np.unique(owner, return_index=True)
        ring, first = ring[ring >= 0], first[ring >= 0]
        place, row, column = peaks.place.copy(), peaks.row.copy(), peaks.column.copy()
        place[first] = self.middle[ring]
        column[first], row[first] = np.rint(self.middle[ring]).astype(np.intp).T
        stands = owner < 0
        stands[first] = True
        return Centres(row, column, peaks.score, place)[stands], owner[stands]


def find_rings(places: Floats, blobs: Floats, darkening: Darkening) -> Rings:
    """Return the rings that are marked at several places.

    Parameters
    ----------
    places, blobs:
        (n, 2) and (m, 2) x and y of what a network marks and of the blobs of the darkening, px.
    darkening:
        Of the frame.
    """
    smooth = darkening.pyramid.smooth[0]
    noise = max(noise_of(smooth), 1e-6)
    if not len(places):
        return Rings(places, np.empty(0, np.intp), np.empty((0, _REACH_PX + 1)), noise)
    middle = np.concatenate([places, _likely_middles(places, darkening)])
    for _ in range(_ROUNDS):
        polar = _polar(smooth, middle)
        radius, height = _ring_of(_profile(polar))
        # What does not stand out at all is not looked at again.
        likely = height >= 2 * _scatter(noise, radius)
        middle = (middle + _off_middle(polar, radius))[likely]
    inside = ((middle >= 0) & (middle <= np.array(smooth.shape[::-1]) - 1)).all(axis=1)
    middle = middle[inside]
    polar = _polar(smooth, middle)
    profile = _profile(polar)
    radius, height = _ring_of(profile)
    dark = profile[np.arange(len(middle)), radius]
    strength = np.minimum(height, dark) / _scatter(noise, radius)
    around = radius[:, None] + np.arange(-1, 2)
    at_ring = np.take_along_axis(polar, around[:, None, :], axis=2).max(axis=2)
    closed = (at_ring >= dark[:, None] / 2).mean(axis=1)
    quartiles = np.quantile(at_ring, [0.25, 0.75], axis=1)
    uneven = np.sqrt(np.maximum((np.diff(quartiles, axis=0)[0] / _QUARTILES) ** 2 - noise**2, 0))
    found = (
        (strength >= _CLEAR)
        & (height >= _DIP * dark)
        & (closed >= _CLOSED)
        & (uneven <= _UNEVEN * dark)
    )
    kept: list[int] = []
    for ring in sorted(np.flatnonzero(found).tolist(), key=lambda ring: -strength[ring]):
        away = np.hypot(*(middle[kept] - middle[ring]).T)
        if (away > _SAME * radius[kept]).all():
            kept.append(ring)
    rings = Rings(middle[kept], radius[kept], profile[kept], noise)
    counts = []
    for marks in (places, blobs):
        owner = rings.owner(marks, darkening)
        counts.append(np.bincount(owner[owner >= 0], minlength=len(kept)))
    peaks, most = counts[0], np.maximum(*counts)
    return rings[np.flatnonzero((peaks > 0) & (most >= _SEVERAL))]


def _scatter(noise: float, radius: Ints) -> Floats:
    """Return the standard deviation of a profile at some radii where there is noise alone.

    Directions that are nearer to one another than the smoothing reaches tell the same.
    """
    scatter: Floats = noise / np.sqrt(np.minimum(_SECTORS, 1.5 * radius))
    return scatter


def _likely_middles(places: Floats, darkening: Darkening) -> Floats:
    """Return where wide blobs answer most, as near to a place as a middle is to its ring."""
    found = [np.empty((0, 2))]
    for level in (2, 3):
        if level >= len(darkening.pyramid.band):
            continue
        band, step = darkening.pyramid.band[level], 2**level
        height, width = band.shape
        around = np.arange(-1 - _REACH_PX // 2 // step, 2 + _REACH_PX // 2 // step)
        near = np.rint(places / step).astype(np.intp)
        row = np.clip(near[:, 1, None] + around, 0, height - 1)[:, :, None]
        column = np.clip(near[:, 0, None] + around, 0, width - 1)[:, None, :]
        seen = band[row, column]
        highest = (seen == ndimage.maximum_filter(seen, (1, 3, 3))) & (seen > 0)
        # On its border a window does not tell.
        number, i, j = np.nonzero(highest[:, 1:-1, 1:-1])
        peaks = np.column_stack([column[number, 0, j + 1], row[number, i + 1, 0]])
        found.append(np.unique(peaks, axis=0).astype(np.float64) * step)
    return np.concatenate(found)


def _polar(image: Image, middle: Floats) -> Floats:
    """Return (n, sectors, radii) of an image about some middles."""
    away = _WAYS.T[:, :, None] * np.arange(_REACH_PX + 1.0)
    x, y = middle.T[:, :, None, None].astype(np.float32) + away.astype(np.float32)[:, None]
    return _at(image, x, y)


def _profile(polar: Floats) -> Floats:
    """Return (n, radii) medians over the sectors."""
    # Of so few numbers, side by side, sorting is several times as fast as numpy's median.
    ordered = np.sort(np.ascontiguousarray(polar.transpose(0, 2, 1), np.float32), axis=2)
    middle: Floats = ordered[:, :, _SECTORS // 2 - 1 : _SECTORS // 2 + 1].mean(
        axis=2, dtype=np.float64
    )
    return middle


def _ring_of(profile: Floats) -> tuple[Ints, Floats]:
    """Return the radius that stands out most from what lies within and beyond, and by how much."""
    n = profile.shape[1]
    within = np.minimum.accumulate(profile, axis=1)
    height = np.full(profile.shape, -np.inf)
    for radius in range(_LEAST_PX, n - 4):
        beyond = profile[:, radius : min(n, round(1.6 * radius) + 4)].min(axis=1)
        height[:, radius] = profile[:, radius] - np.maximum(within[:, radius], beyond)
    best = height.argmax(axis=1)
    return best, height[np.arange(len(profile)), best]


def _off_middle(polar: Floats, radius: Ints) -> Floats:
    """Return (n, 2) by how far the darkest of every direction lies off a circle about a middle."""
    reach = 3
    steps = np.arange(-reach, reach + 1)
    at = np.clip(radius[:, None] + steps, 0, polar.shape[2] - 1)
    window = np.take_along_axis(polar, at[:, None, :], axis=2)
    off = steps[window.argmax(axis=2)]
    shift: Floats = 2 * (off[:, :, None] * _WAYS).mean(axis=1)
    return shift


def _at(image: Image, x: Image, y: Image) -> Floats:
    """Return an image at (n, ...) x and y; beyond its border as on it."""
    found = np.empty((len(x), x[0].size) if len(x) else (0, 0), np.float32)
    for start in range(0, len(x), _ROWS):
        part = slice(start, start + _ROWS)
        found[part] = cv2.remap(
            image,
            x[part].reshape(-1, found.shape[1]),
            y[part].reshape(-1, found.shape[1]),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
    return found.reshape(x.shape).astype(np.float64)
