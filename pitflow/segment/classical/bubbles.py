"""Gas bubbles: circles whose rim is dark and whose middle is as bright as the steel.

Light that meets the steep side of a bubble does not come back, so it has a dark rim. Each stretch
of that looks like a particle, and a particle out of focus may be a ring, too. But such a ring is at
least as wide as the particle in focus, and no darker in all than that was; a bubble's rim is far
darker than any particle of its width could make it.

Where it may be one is seen on a coarse grid: much that is darker than the steel and hangs together.
There every edge points to the middles of the circles it may belong to (Duda and Hart 1972, Kimme
et al. 1975), and about the likeliest the rim is told by its profile: the median over all
directions, which must rise to the rim and fall beyond it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from pitflow.frame import Frame, Image

Float = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]
Box = tuple[slice, slice]

LEAST_PX, MOST_PX = 10, 100
"""Radii of the bubbles that are told, px."""
_GRID_PX = 4
"""Step of the coarse grid, px."""
_DARK = 0.05
_AROUND = 15
"""A rim is darker by this share of the steel than what lies around, in a box of so many steps of
the coarse grid; the halos of pits are wider."""
_STEP_PX = 2
"""Step of the grid on which edges are followed, px."""
_EDGE = 0.01
"""Slope of an edge, 1/px of that grid."""
_LIKELY = 12
"""So many middles of a place are looked at..."""
_TOWARDS, _COMPASS, _NEARLY = 0.9, 16, 0.8
"""...to which edges point with this cosine, from enough of so many directions at one distance; at
several, if this share of the most."""
_SECTORS = 48
_ANGLES = np.arange(_SECTORS) * (2 * np.pi / _SECTORS)
_WAYS = np.column_stack([np.cos(_ANGLES), np.sin(_ANGLES)])
_3X3, _7X7 = np.ones((3, 3), np.uint8), np.ones((7, 7), np.uint8)
_REACH_PX = MOST_PX + 40
_GIVE_PX = 2
"""A rim is looked for so far from where the profile says, px."""
_CLEAR = 0.04
"""By this share of the steel a rim stands out of what lies within and beyond..."""
_DIP = 0.5
"""...and by this share of its own darkness."""
_KNOWN, _CLOSED = 0.5, 0.8
"""Of the directions this share is seen; of these in this share it is half as dark as in the
median..."""
_UNEVEN = 0.2
"""...and in three of four not fainter by more than this share, as a crowd is. Where rims meet, they
are darker."""
_BLACKER = 0.25
"""Darkness times radius over width of a rim. A black disc whose light is spread over a ring as wide
as itself has 1/8, and no particle more."""
_STAYS, _GROWS = 0.9, 1.1
"""Of a pit that looks like one, this share of the dark pixels stays dark, and their number grows so
many times."""
_SAME = 0.25
"""Bubbles whose middles are nearer than this share of the larger one's radius are one."""


@dataclass(frozen=True, slots=True)
class Bubbles:
    """Bubbles of a frame.

    Parameters
    ----------
    middle:
        (n, 2) x and y in the frame, px.
    inner, outer:
        (n,) radii between which the rim is at least half as dark as where it is darkest, px.
    """

    middle: Floats
    inner: Floats
    outer: Floats

    @classmethod
    def none(cls) -> Bubbles:
        """Return no bubbles."""
        return cls(np.empty((0, 2)), np.empty(0), np.empty(0))

    def __len__(self) -> int:
        return len(self.middle)

    def __getitem__(self, which: slice | Mask) -> Bubbles:
        return Bubbles(self.middle[which], self.inner[which], self.outer[which])

    def table(self, frame: int) -> pd.DataFrame:
        """Return the table of bubbles of the frame with this index."""
        x, y = self.middle.T
        rows = {"frame": frame, "x": x, "y": y, "diameter_px": 2 * self.outer}
        return pd.DataFrame(rows)

    @property
    def _reach(self) -> Floats:
        """(n,) radius with the soft edge of the rim, px."""
        return self.outer + (self.outer - self.inner) / 2

    def cover(self, places: npt.NDArray[np.floating]) -> Mask:
        """Return which of (m, 2) x and y lie under one, px."""
        away = np.hypot(*(places[:, None] - self.middle).transpose(2, 0, 1))
        covered: Mask = (away <= self._reach).any(axis=1)
        return covered

    def draw(self, image: npt.NDArray[Any], value: int) -> None:
        """Write a value where a bubble covers an image."""
        for (x, y), reach in zip(self.middle, self._reach, strict=True):
            cv2.circle(image, (round(x), round(y)), round(reach), value, cv2.FILLED)

    def that_do_not_stay_and_grow(self, dark: Mask, later: Mask) -> Bubbles:
        """Return these without young pits that are open in the middle.

        The dark rim of a bubble leaves, moves on as the bubble grows, or sits there unchanged.

        Parameters
        ----------
        dark, later:
            (height, width) what is as dark as a pit where they were found, and a while later, but
            for what always is.
        """
        is_pit = np.zeros(len(self), np.bool_)
        for i in range(len(self)):
            here = np.zeros(dark.shape, np.uint8)
            self[i : i + 1].draw(here, 1)
            n = cv2.countNonZero(here & dark)
            n_stay, n_later = cv2.countNonZero(here & dark & later), cv2.countNonZero(here & later)
            is_pit[i] = n > 0 and n_stay >= _STAYS * n and n_later >= _GROWS * n
        return self[~is_pit]

    def clear_rims(self, mask: Mask) -> None:
        """Write False on the rims."""
        for (x, y), inner, outer in zip(self.middle, self.inner, self.outer, strict=True):
            middle, radius, width = (round(x), round(y)), (inner + outer) / 2, 2 * (outer - inner)
            cv2.circle(mask.view(np.uint8), middle, round(radius), 0, math.ceil(width))


class Steel:
    """What the steel of a block shows where no bubble is.

    A bubble is dark in the background of the block in which it sits and leaves or grows on: what
    is brightest before, meanwhile and after is the steel.

    Parameters
    ----------
    backgrounds:
        (height, width) images in reference geometry, at the reference's brightness.

    Attributes
    ----------
    image:
        (height, width) float32: the steel.
    """

    def __init__(self, backgrounds: list[Image]) -> None:
        steel = backgrounds[0].astype(np.float32)
        for other in backgrounds[1:]:
            np.maximum(steel, other, out=steel, casting="unsafe")
        self.image = np.maximum(steel, 1)
        self._coarse = _coarse(self.image)

    def bubbles(self, frame: Frame, hidden: Mask) -> Bubbles:
        """Return the bubbles of a frame.

        Parameters
        ----------
        frame:
            Of the block.
        hidden:
            (height, width) what is dark for another reason: pits and their edges.
        """
        dx, dy = (moved / _GRID_PX for moved in frame.shift)
        coarse = _coarse(frame.image)
        steel = self._coarse
        if dx or dy:
            move = np.array([[1, 0, dx], [0, 1, dy]])
            steel = cv2.warpAffine(steel, move, steel.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
        share = cv2.divide(coarse, steel, scale=1 / frame.gain)
        around = cv2.blur(share, (_AROUND, _AROUND))
        dark = cv2.compare(share, cv2.subtract(around, _DARK), cv2.CMP_LT)
        height, width = dark.shape
        beside = hidden[_GRID_PX // 2 :: _GRID_PX, _GRID_PX // 2 :: _GRID_PX][:height, :width]
        dark[cv2.dilate(beside.view(np.uint8), _3X3) > 0] = 0
        found = [
            _bubbles_in(self._darker(frame, box), hidden[box], box)
            for box in _places(dark, frame.image.shape)
        ]
        return _apart([bubble for bubbles in found for bubble in bubbles])

    def _darker(self, frame: Frame, box: Box) -> Float:
        """Return by which share of the steel a part of a frame is darker."""
        rows, columns = box
        size = columns.stop - columns.start, rows.stop - rows.start
        middle = np.array([columns.start + columns.stop - 1, rows.start + rows.stop - 1]) / 2
        steel = cv2.getRectSubPix(self.image, size, tuple(middle - frame.shift))
        share: Float = cv2.divide(frame.image[box].astype(np.float32), steel, scale=-1 / frame.gain)
        share += 1
        return share


@dataclass(frozen=True, slots=True)
class _Bubble:
    x: float
    y: float
    inner: float
    outer: float
    strength: float


def _apart(bubbles: list[_Bubble]) -> Bubbles:
    """Return the bubbles, of those that are one the clearest."""
    kept: list[_Bubble] = []
    for one in sorted(bubbles, key=lambda bubble: -bubble.strength):
        if all(
            np.hypot(one.x - other.x, one.y - other.y) >= _SAME * max(one.outer, other.outer)
            for other in kept
        ):
            kept.append(one)
    if not kept:
        return Bubbles.none()
    table = np.array([(one.x, one.y, one.inner, one.outer) for one in kept])
    return Bubbles(table[:, :2], table[:, 2], table[:, 3])


def _coarse(image: Image) -> Float:
    # Halving twice is far quicker for OpenCV than averaging four by four.
    for _ in range(2):
        size = max(image.shape[1] // 2, 1), max(image.shape[0] // 2, 1)
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return image.astype(np.float32)


def _places(dark: npt.NDArray[np.uint8], shape: tuple[int, ...]) -> list[Box]:
    """Return the boxes around what is dark on the coarse grid and as large as a bubble."""
    boxes = [cv2.boundingRect(part) for part in _outlines(dark)]
    large = [box for box in boxes if min(box[2:]) >= 2 * LEAST_PX // _GRID_PX]
    if not large:
        return []
    # What lies side by side may be parts of one.
    near = np.zeros_like(dark)
    for left, top, width, height in large:
        more = max(width, height) // 2
        rows = slice(max(top - more, 0), top + height + more)
        near[rows, max(left - more, 0) : left + width + more] = 1
    return [
        (
            slice(top * _GRID_PX, min((top + height + 1) * _GRID_PX, shape[0])),
            slice(left * _GRID_PX, min((left + width + 1) * _GRID_PX, shape[1])),
        )
        for left, top, width, height in map(cv2.boundingRect, _outlines(near))
    ]


def _outlines(mask: npt.NDArray[np.uint8]) -> Sequence[npt.NDArray[Any]]:
    return cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]


def _bubbles_in(darker: Float, hidden: Mask, box: Box) -> list[_Bubble]:
    """Return the bubbles of a part of a frame."""
    darker[hidden] = 0
    circles = _circles(darker)
    if not len(circles):
        return []
    smooth = cv2.GaussianBlur(darker, (0, 0), 1.0)
    polar = _polar(smooth, ~hidden, circles[:, :2])
    found = []
    for (x, y, radius), seen, profile in zip(circles, polar, _profile(polar), strict=True):
        rim = _rim_of(profile, seen, radius)
        if rim is not None:
            found.append(_Bubble(x + box[1].start, y + box[0].start, *rim))
    return found


def _circles(darker: Float) -> Floats:
    """Return (n, 3) x, y and radius of circles on which many outer edges of what is dark lie."""
    height, width = darker.shape[0] // _STEP_PX, darker.shape[1] // _STEP_PX
    small = cv2.resize(darker, (width, height), interpolation=cv2.INTER_AREA)
    place, way = _edges(cv2.GaussianBlur(small, (0, 0), 1.0))
    # From its outer edge a rim grows darker towards the middle.
    away = np.arange(LEAST_PX // _STEP_PX, MOST_PX // _STEP_PX, dtype=np.float32)
    x, y = np.rint(place.T[:, :, None] + way.T[:, :, None] * away).astype(np.int32)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    votes = np.bincount((y * width + x)[inside], minlength=height * width)
    votes = cv2.GaussianBlur(votes.reshape(height, width).astype(np.float32), (0, 0), 1.5)
    highest = np.flatnonzero((votes == cv2.dilate(votes, _7X7)) & (votes > 0))
    best = highest[np.argsort(-votes.ravel()[highest], kind="stable")[:_LIKELY]]
    middle = np.column_stack(np.divmod(best, width)[::-1]).astype(np.float32)
    fitted = [_fitted(place[on]) for on in _circled(middle, place, way)]
    circles: Floats = np.array(fitted).reshape(-1, 3) * _STEP_PX
    circles[:, :2] += (_STEP_PX - 1) / 2
    return circles


def _edges(image: Float) -> tuple[Float, Float]:
    """Return (n, 2) x and y of the edges in an image, and in which direction it rises there."""
    gx = cv2.Sobel(image, cv2.CV_32F, 1, 0, scale=0.125)
    gy = cv2.Sobel(image, cv2.CV_32F, 0, 1, scale=0.125)
    slope = cv2.magnitude(gx, gy)
    steepest = (slope == cv2.dilate(slope, _3X3[:1])) | (slope == cv2.dilate(slope, _3X3[:, :1]))
    row, column = np.nonzero(steepest & (slope > _EDGE))
    ways = np.column_stack([gx[row, column], gy[row, column]]) / slope[row, column, None]
    return np.column_stack([column, row]).astype(np.float32), ways


def _circled(middle: Float, place: Float, way: Float) -> list[Mask]:
    """Return, for each middle to which edges point from most directions and one distance, which."""
    off = middle[:, None] - place
    away = np.hypot(off[..., 0], off[..., 1])
    reach = MOST_PX // _STEP_PX
    near = (away < reach) & (np.einsum("ijk,jk->ij", off, way) >= _TOWARDS * away)
    number, edge = np.nonzero(near)
    direction = np.arctan2(off[number, edge, 1], off[number, edge, 0]) * (_COMPASS / (2 * np.pi))
    seen = np.zeros((len(middle), reach + 2, _COMPASS), np.bool_)
    ring = np.rint(away[number, edge]).astype(np.intp)
    seen[number, ring, np.floor(direction).astype(np.intp) % _COMPASS] = True
    around = (seen[:, :-2] | seen[:, 1:-1] | seen[:, 2:]).sum(axis=2)
    around[:, : LEAST_PX // _STEP_PX - 2] = 0
    most = around.max(axis=1)
    # Of several rings the outermost: the inner ones are of its middle.
    radius = around.shape[1] - 1 - (around >= _NEARLY * most[:, None])[:, ::-1].argmax(axis=1)
    radii = np.maximum(radius[:, None] - np.arange(3), 0)
    radius -= np.take_along_axis(around, radii, axis=1).argmax(axis=1)
    likely = most >= _KNOWN * _COMPASS
    on: Mask = near & (np.abs(away - (radius[:, None] + 1)) <= 1.5)
    return list(on[likely])


def _fitted(place: Float) -> tuple[float, float, float]:
    """Return x, y and radius of the circle through places, by Kasa's fit (1976).

    Of all circles x^2 + y^2 = 2 a x + 2 b y + c it is the one with the least squares.
    """
    x, y = place.T.astype(np.float64)
    of_circle = np.column_stack([2 * x, 2 * y, np.ones_like(x)])
    a, b, c = np.linalg.lstsq(of_circle, x * x + y * y, rcond=None)[0]
    return float(a), float(b), float(np.sqrt(max(c + a * a + b * b, 0)))


def _polar(image: Float, known: Mask, middle: Floats) -> Float:
    """Return (n, sectors, radii) of an image about some middles, NaN where it is not known."""
    away = _WAYS.T[:, None, :, None] * np.arange(_REACH_PX + 1.0)
    x, y = (middle.T[:, :, None, None] + away).astype(np.float32)
    flat = x.reshape(-1, x.shape[-1]), y.reshape(-1, x.shape[-1])
    seen = cv2.remap(known.view(np.uint8), *flat, cv2.INTER_NEAREST, borderValue=0)
    polar: Float = cv2.remap(image, *flat, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    polar[seen == 0] = np.nan
    return polar.reshape(x.shape)


def _profile(polar: Float) -> Float:
    """Return (n, radii) medians over the sectors that are known, NaN where too few are."""
    # NaN comes last.
    ordered = np.sort(polar, axis=1)
    n = np.isfinite(polar).sum(axis=1)
    at = np.maximum(n - 1, 0) // 2
    middle: Float = np.take_along_axis(ordered, at[:, None], axis=1)[:, 0]
    middle[n < _KNOWN * _SECTORS] = np.nan
    return middle


def _rim_of(profile: Float, polar: Float, radius: float) -> tuple[float, float, float] | None:
    """Return the inner and outer radius of a bubble's rim, and how clear it is; None: it is none.

    Parameters
    ----------
    profile, polar:
        (radii,) and (sectors, radii) darkness about its middle.
    radius:
        Of its outer edge, about.
    """
    first, last = round(0.5 * radius), round(radius) + 2 * _GIVE_PX
    if last > MOST_PX or not np.isfinite(profile[first : last + 1]).any():
        return None
    at = first + int(np.nanargmax(profile[first : last + 1]))
    dark = float(profile[at])
    within = np.fmin.reduce(profile[: at + 1])
    beyond = np.fmin.reduce(profile[at : round(1.4 * at) + 6])
    height = dark - max(float(within), float(beyond))
    if height < max(_CLEAR, _DIP * dark):
        return None
    faded = ~(profile >= dark / 2)
    inner = at - int(np.argmax(faded[at::-1])) + 1
    outer = at + int(np.argmax(faded[at:])) - 1
    ring = np.fmax.reduce(polar[:, max(at - _GIVE_PX, 0) : at + _GIVE_PX + 1], axis=1)
    ring = ring[np.isfinite(ring)]
    if (
        len(ring) < _KNOWN * _SECTORS
        or (ring >= dark / 2).mean() < _CLOSED
        or np.quantile(ring, 0.25) < (1 - _UNEVEN) * np.median(ring)
        or outer < LEAST_PX - 1
        or dark * at < _BLACKER * (outer - inner + 1)
    ):
        return None
    return inner - 0.5, outer + 0.5, height * at
