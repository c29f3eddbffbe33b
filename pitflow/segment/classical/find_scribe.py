"""Finding the scribe: the long straight cut through a panel's coating.

A cut is a ridge of the image: bright or dark, or the middle of a band of rust. Every pixel on a
ridge votes for the lines through it that run along the ridge (Hough 1962), so a long straight one
wins over any texture; its ends are where the ridge ends. Edges of the panel are steps, not ridges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from pitflow.scribe import Scribe

Floats = npt.NDArray[np.float32]

_SIDE_PX = 400
_SCALES_PX = (1.0, 2.0, 4.0, 8.0)
_BANDS_PX = (4.0, 8.0, 16.0, 32.0)
_LONG = 2.5
_ANGLES = 360
_STEEP = 3.0
_TOLERANCE_DEG = 5.0
_FULL = 0.9
_OUTSIDE = 0.3
_FAINTEST = 0.05
_BORDER = 0.02
_NEAR_PX = 2.5
_SHORTEST = 0.2
_GAP = 0.06
_WINDOW = 9
_FILLED = 0.5
_LEAST_CROSSING_DEG = 20.0
_LIKE = 0.5
_BAND = 0.1
_LEAST_REACH_PX = 4
_BARE_CUT_PX = 7
_SKEW_PX = 20
_CUT_PX = (1.0, 1.5)
_SEEN = 8.0
_PIECES = 16


@dataclass(frozen=True, slots=True)
class _Ridges:
    """Pixels on ridges: place, direction across the ridge (rad), and strength in (0, 1]."""

    x: Floats
    y: Floats
    across: Floats
    strength: Floats

    def only(self, chosen: npt.NDArray[np.bool_]) -> _Ridges:
        return _Ridges(self.x[chosen], self.y[chosen], self.across[chosen], self.strength[chosen])

    def weighted(self, factor: npt.NDArray[np.floating]) -> _Ridges:
        strength = (self.strength * factor).astype(np.float32)
        return _Ridges(self.x, self.y, self.across, strength)


def find_scribes(
    image: npt.NDArray[np.uint8], corroded: npt.NDArray[np.bool_] | None = None
) -> tuple[Scribe, ...]:
    """Return the scribe of an RGB image (height, width, 3): one line, the two of an X-cut, or none.

    It is at least a fifth of the image's shorter side long. Within a band of rust, the cut is the
    narrow straight line that remains when the band is averaged along its length. Where none does,
    it is the middle of the band: the mean creep then holds, its two sides do not.

    A second line belongs to it only if both cross in their middle halves, at 20 degrees or more,
    and it is at least half as long and as strong: of parallel cuts, only the strongest is found.

    Parameters
    ----------
    corroded:
        (height, width) mask, if it is known: lines within it count more, since a scribe is where
        corrosion begins.
    """
    height, width = image.shape[:2]
    scale = min(1.0, _SIDE_PX / max(height, width))
    size = max(8, round(width * scale)), max(8, round(height * scale))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    ridges = _ridges(small)
    plain: tuple[_Ridges, ...] = (ridges,)
    rust = np.zeros(small.shape[:2], dtype=bool)
    if corroded is not None and corroded.any():
        rust = cv2.resize(corroded.astype(np.uint8), size) > 0
        near = cv2.dilate(rust.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        inside = near[ridges.y.astype(int), ridges.x.astype(int)]
        # A cut that shows steel between its rusty sides is no sound coating.
        rust = _closed(rust)
        bands = _bands(rust)
        ridges = _joined([ridges.weighted(np.where(inside, 1.0, _OUTSIDE)), bands])
        plain = (*plain, bands)
    first = _strongest(ridges, plain, rust)
    if first is None:
        return ()
    others = tuple(_across(kind, first) for kind in plain)
    second = _strongest(_across(ridges, first), others, rust)
    crossed = second is not None and _is_x_cut(first, second)
    arms = [first, second] if second is not None and crossed else [first]
    planes = cv2.split(cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2Lab))
    arms = [_whole(_on_the_cut(arm, planes), plain, rust) for arm in arms]
    # Pixel centres of the small image lie between those of the large one.
    sx, sy = width / size[0], height / size[1]
    scribes = []
    for arm in arms:
        (xa, ya), (xb, yb) = sorted(map(arm.line.at, (arm.begin, arm.end)), key=lambda p: p[::-1])
        ends = ((xa, sx), (ya, sy), (xb, sx), (yb, sy))
        scribes.append(Scribe(*(float((v + 0.5) * s - 0.5) for v, s in ends)))
    return tuple(scribes)


def _closed(rust: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    kernel = np.ones((_BARE_CUT_PX, _BARE_CUT_PX), np.uint8)
    closed: npt.NDArray[np.bool_] = (
        cv2.morphologyEx(rust.astype(np.uint8), cv2.MORPH_CLOSE, kernel) > 0
    )
    return closed


@dataclass(frozen=True, slots=True)
class _Line:
    """A point on the line and its unit direction."""

    x: float
    y: float
    ux: float
    uy: float

    def at(self, s: Any) -> tuple[Any, Any]:
        return self.x + s * self.ux, self.y + s * self.uy

    def along(self, ridges: _Ridges) -> Floats:
        return (ridges.x - self.x) * self.ux + (ridges.y - self.y) * self.uy

    def across(self, ridges: _Ridges) -> Floats:
        return (ridges.y - self.y) * self.ux - (ridges.x - self.x) * self.uy


@dataclass(frozen=True, slots=True)
class _Segment:
    """A stretch of a line, and the strength of the ridge per px of it."""

    line: _Line
    begin: float
    end: float
    strength: float

    @property
    def length(self) -> float:
        return self.end - self.begin


def _strongest(
    ridges: _Ridges, plain: Sequence[_Ridges], rust: npt.NDArray[np.bool_]
) -> _Segment | None:
    """Return the line with most votes, from end to end; None if none stands out.

    Parameters
    ----------
    plain:
        The ridges that tell its ends: of the image, as strong as they are, since a cut goes on
        where nothing has crept from it, and else of the bands of rust.
    """
    if ridges.x.size < 20:
        return None
    height, width = rust.shape
    angle, offset = _best_line(ridges, (width, height))
    fitted = _fitted(ridges, angle, offset)
    if fitted is None:
        return None
    line, on_line = fitted
    ends = _stretch(line, plain, rust)
    if ends is None:
        return None
    begin, end = ends
    along = line.along(on_line)
    within = (along >= begin) & (along <= end)
    return _Segment(line, begin, end, float(on_line.strength[within].sum()) / (end - begin))


def _whole(arm: _Segment, plain: Sequence[_Ridges], rust: npt.NDArray[np.bool_]) -> _Segment:
    """Return the segment as long as its ridge is: along the cut more of it is seen than beside."""
    ends = _stretch(arm.line, plain, rust)
    if ends is None or ends[1] - ends[0] <= arm.length:
        return arm
    return _Segment(arm.line, *ends, arm.strength)


def _stretch(
    line: _Line, plain: Sequence[_Ridges], rust: npt.NDArray[np.bool_]
) -> tuple[float, float] | None:
    """Return where the ridge on a line begins and ends, by the first of ``plain`` that tells."""
    shortest, gap = _SHORTEST * min(rust.shape), _GAP * max(rust.shape)
    for kind in plain:
        ends = _ends(_near(kind, line, _NEAR_PX), line, rust, shortest=shortest, gap=gap)
        if ends is not None:
            return _through_the_rust(line, ends, rust)
    return None


def _across(ridges: _Ridges, first: _Segment) -> _Ridges:
    """Return the ridges that could be the other arm of an X-cut: those that run across it."""
    normal = np.arctan2(first.line.ux, -first.line.uy)
    turned = np.abs((ridges.across - normal + np.pi / 2) % np.pi - np.pi / 2)
    return ridges.only(turned >= np.radians(_LEAST_CROSSING_DEG))


def _is_x_cut(first: _Segment, second: _Segment) -> bool:
    """Return whether two segments cross in their middle halves and are of like length, strength."""
    a, b = first.line, second.line
    sine = a.ux * b.uy - a.uy * b.ux
    if abs(sine) < np.sin(np.radians(_LEAST_CROSSING_DEG)):
        return False
    dx, dy = b.x - a.x, b.y - a.y
    places = (dx * b.uy - dy * b.ux) / sine, (dx * a.uy - dy * a.ux) / sine
    shares = [(s - arm.begin) / arm.length for s, arm in zip(places, (first, second), strict=True)]
    return (
        all(0.25 <= share <= 0.75 for share in shares)
        and second.length >= _LIKE * first.length
        and second.strength >= _LIKE * first.strength
    )


def _on_the_cut(arm: _Segment, planes: Sequence[Floats]) -> _Segment:
    """Return the segment moved to the cut within its band of rust, if the cut can still be seen.

    A cut is a narrow line at one place all along; texture and the fronts of corrosion are here and
    there. It is looked for at small angles to the line, in a band of a tenth of the image on either
    side.
    """
    reach = max(_LEAST_REACH_PX, round(_BAND * max(planes[0].shape)))
    t = np.arange(-reach, reach + 1, dtype=np.float32)[:, None]
    n = _PIECES * max(2, round(arm.length / _PIECES))
    s = np.linspace(arm.begin, arm.end, n, dtype=np.float32)[None, :]
    x, y = arm.line.at(s)
    best, place, skew = _SEEN, 0.0, 0.0
    for skewed in range(-_SKEW_PX, _SKEW_PX + 1):
        off = t + skewed * (s - s.mean()) / arm.length
        at = x - off * arm.line.uy, y + off * arm.line.ux
        for plane in planes:
            strip = cv2.remap(plane, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            pieces = strip.reshape(len(t), _PIECES, -1).mean(axis=2)
            height, where = _narrow_line(pieces)
            if height > best:
                best, place, skew = height, where - reach, float(skewed)
    if best == _SEEN:
        return arm
    x0, y0 = arm.line.at((arm.begin + arm.end) / 2)
    turn = np.arctan2(skew, arm.length)
    cosine, sine = float(np.cos(turn)), float(np.sin(turn))
    ux, uy = arm.line.ux, arm.line.uy
    line = _Line(
        float(x0 - place * uy),
        float(y0 + place * ux),
        cosine * ux - sine * uy,
        cosine * uy + sine * ux,
    )
    return _Segment(line, -arm.length / 2, arm.length / 2, arm.strength)


def _narrow_line(pieces: Floats) -> tuple[float, float]:
    """Return how surely a narrow ridge runs through all pieces at one place, and that place.

    Parameters
    ----------
    pieces:
        (across, pieces): the profile across the line in each piece of its length.

    Returns
    -------
    The mean curvature less a third of the slope (a step has both), in units of its standard error,
    where that is largest.
    """
    best, place = 0.0, 0.0
    for sigma in _CUT_PX:
        smooth = cv2.GaussianBlur(pieces, (1, 2 * round(3 * sigma) + 1), sigma)
        slope = np.gradient(smooth, axis=0)
        curve = sigma * np.gradient(slope, axis=0)
        mean = curve.mean(axis=1)
        error = (curve.std(axis=1) + _FAINTEST) / np.sqrt(_PIECES)
        ridge = (np.abs(mean) - np.abs(slope.mean(axis=1))) / error
        top = int(np.argmax(ridge[3:-3])) + 3
        if ridge[top] > best:
            low, high = np.abs(mean[[top - 1, top + 1]])
            best = float(ridge[top])
            bend = 2 * abs(float(mean[top])) - low - high
            place = top + (0.5 * float(high - low) / bend if bend > 0 else 0.0)
    return best, place


def _ridges(image: npt.NDArray[np.uint8]) -> _Ridges:
    """Return the crests of ridges of all widths, in brightness and both hues."""
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    return _joined([_crests(plane, sigma) for plane in cv2.split(lab) for sigma in _SCALES_PX])


def _bands(rust: npt.NDArray[np.bool_]) -> _Ridges:
    """Return the middles of bands of rust, which may be far wider than any ridge of the image.

    A piece of rust is a band, or an X of two, if its area is that of one much longer than wide.
    """
    n, labels, statistics, _ = cv2.connectedComponentsWithStats(rust.astype(np.uint8))
    half_width = np.zeros(n)
    np.maximum.at(half_width, labels, _room(rust))
    band = statistics[:, cv2.CC_STAT_AREA] >= _LONG * (2 * half_width) ** 2
    band[0] = False
    plane = 100 * band[labels].astype(np.float32)
    return _joined([_crests(plane, sigma) for sigma in _BANDS_PX])


def _room(rust: npt.NDArray[np.bool_]) -> Floats:
    """Return how far it is from each pixel of rust to where none is, px."""
    padded = np.pad(rust, 1).astype(np.uint8)
    room: Floats = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    return room


def _joined(parts: Sequence[_Ridges]) -> _Ridges:
    return _Ridges(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in _Ridges.__slots__)
    )


def _crests(plane: Floats, sigma: float) -> _Ridges:
    """Return the crests of ridges of one width: strong second derivative across, hardly a slope.

    On a ridge the slope vanishes. Beside a step of the same blur both are of one size, and only far
    out, where little is left of either, is the slope a third of the curvature. A crest is one px
    wide whatever the ridge, and counts fully from a strength that a tenth of all crests exceed, so
    that a narrow faint cut weighs as much as the wide band of rust around it.
    """
    smooth = cv2.GaussianBlur(plane, (0, 0), sigma)
    gy, gx = np.gradient(smooth)
    hyy, hyx = np.gradient(gy)
    hxx = np.gradient(gx, axis=1)
    half, middle = np.hypot((hxx - hyy) / 2, hyx), (hxx + hyy) / 2
    curved = 2 * np.minimum(np.abs(middle), half)
    strength = (sigma * curved - _STEEP * np.hypot(gx, gy)).astype(np.float32)
    across = 0.5 * np.arctan2(2 * hyx, hxx - hyy) + np.where(middle < 0, np.pi / 2, 0)
    y, x = np.indices(plane.shape, dtype=np.float32)
    dx, dy = np.cos(across).astype(np.float32), np.sin(across).astype(np.float32)
    crest = strength > _FAINTEST
    for side in (-1, 1):
        crest &= strength >= cv2.remap(strength, x + side * dx, y + side * dy, cv2.INTER_LINEAR)
    rim = max(1, round(_BORDER * max(plane.shape)))
    crest[:rim], crest[-rim:], crest[:, :rim], crest[:, -rim:] = False, False, False, False
    rows, columns = np.nonzero(crest)
    full = np.quantile(strength[crest], _FULL) if rows.size else 1.0
    return _Ridges(
        columns.astype(np.float32),
        rows.astype(np.float32),
        across[crest].astype(np.float32),
        np.minimum(strength[crest] / full, 1.0).astype(np.float32),
    )


def _best_line(ridges: _Ridges, size: tuple[int, int]) -> tuple[float, float]:
    """Return the line with most votes: the angle of its normal (rad) and its offset (px)."""
    reach = int(np.ceil(np.hypot(*size)))
    votes = np.zeros((_ANGLES, 2 * reach + 1), dtype=np.float32)
    nearest = np.rint(ridges.across / np.pi * _ANGLES).astype(int)
    spread = round(_TOLERANCE_DEG / 180 * _ANGLES)
    for shift in range(-spread, spread + 1):
        index = (nearest + shift) % _ANGLES
        angle = index * np.pi / _ANGLES
        offset = np.rint(ridges.x * np.cos(angle) + ridges.y * np.sin(angle)).astype(int) + reach
        flat = np.bincount(index * votes.shape[1] + offset, ridges.strength, minlength=votes.size)
        votes += flat.reshape(votes.shape).astype(np.float32)
    votes = cv2.GaussianBlur(votes, (5, 1), 0)
    best, offset = np.unravel_index(int(np.argmax(votes)), votes.shape)
    return float(best) * np.pi / _ANGLES, float(offset) - reach


def _fitted(ridges: _Ridges, angle: float, offset: float) -> tuple[_Line, _Ridges] | None:
    """Return the line that fits the ridge pixels near it best, and those pixels."""
    nx, ny = np.cos(angle), np.sin(angle)
    line = _Line(offset * nx, offset * ny, -ny, nx)
    # First all that voted, then only the narrow core of the ridge.
    for near in (2 * _NEAR_PX, _NEAR_PX, _NEAR_PX):
        found = _near(ridges, line, near)
        if found.x.size < 10:
            return None
        weight = found.strength / found.strength.sum()
        x, y = float(weight @ found.x), float(weight @ found.y)
        spread = np.cov(np.stack([found.x, found.y]), aweights=weight)
        ux, uy = np.linalg.eigh(spread)[1][:, -1]
        line = _Line(x, y, float(ux), float(uy))
    return line, found


def _near(ridges: _Ridges, line: _Line, near: float) -> _Ridges:
    """Return the ridge pixels that lie within ``near`` px of a line and run along it."""
    normal = np.arctan2(line.ux, -line.uy)
    off = np.abs((ridges.across - normal + np.pi / 2) % np.pi - np.pi / 2)
    on = (np.abs(line.across(ridges)) <= near) & (off <= np.radians(2 * _TOLERANCE_DEG))
    return ridges.only(on)


def _through_the_rust(
    line: _Line, ends: tuple[float, float], rust: npt.NDArray[np.bool_]
) -> tuple[float, float]:
    """Return the ends moved on through rust, as far as it must hide the cut.

    Rust creeps past the end of a cut about as far as past its sides.
    """
    room = _room(rust)
    height, width = rust.shape
    steps = np.arange(height + width, dtype=np.float64)
    begin, end = ends
    on = []
    for start, sign in ((begin, -1), (end, 1)):
        x, y = (np.rint(values).astype(int) for values in line.at(start + sign * steps))
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        free = np.zeros(steps.size)
        free[inside] = room[y[inside], x[inside]]
        on.append(max(0.0, float(np.argmin(free > 0) - free[0])))
    return begin - on[0], end + on[1]


def _ends(
    found: _Ridges, line: _Line, rust: npt.NDArray[np.bool_], *, shortest: float, gap: float
) -> tuple[float, float] | None:
    """Return where the longest stretch of ridge on the line begins and ends.

    It may be interrupted by gaps, and wherever rust hides the cut.
    """
    if found.x.size == 0:
        return None
    along = line.along(found)
    first = float(np.floor(along.min()))
    covered = np.zeros(int(along.max() - first) + 2 * _WINDOW)
    full = float(np.quantile(found.strength, _FULL))
    np.maximum.at(covered, np.rint(along - first).astype(int), found.strength / full)
    dense = np.flatnonzero(np.convolve(covered, np.ones(_WINDOW) / _WINDOW, "same") >= _FILLED)
    if dense.size == 0:
        return None
    x, y = line.at(first + np.arange(covered.size))
    rows, columns = (np.rint(v).astype(int).clip(0, n - 1)
                     for v, n in zip((y, x), rust.shape, strict=True))  # fmt: skip
    clean = np.append(0, np.cumsum(~rust[rows, columns]))
    breaks = (np.diff(dense) > gap) & (np.diff(clean[dense]) > gap / 4)
    stretches = np.split(dense, np.flatnonzero(breaks) + 1)
    longest = max(stretches, key=lambda stretch: int(stretch[-1] - stretch[0]))
    begin, end = int(longest[0]), int(longest[-1])
    if end - begin < shortest:
        return None
    return first + begin, first + end
