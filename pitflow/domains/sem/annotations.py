"""What is drawn into a micrograph: scale bars, boxes, text and arrows of microscope or author.

Drawn things are white or black (or coloured, in a grey image), of one grey all over, and end
within a pixel or two, while what a beam of electrons shows fades over more of them. Pits may be
black and steep too, so that shape decides: boxes are rectangles, bars are straight, letters are
thin, jagged and in line. White strokes are single letters and arrows too; black ones may be cracks.
Where more than that is of such a grey, it is the grey of the specimen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pitflow.domains.sem.data_bar import find_data_bar
from pitflow.frame import Image

Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int32]

_ALIKE = (0.0, 0.04, 0.08)
"""Greys of ink differ by no more than one of these shares of the range: by nothing as drawn, by
something where the format of the file has blurred it."""

_STEEP = 0.3
"""Least difference, as a share of the range, of ink from most of what is two pixels away."""

_COLOURED = 0.25
"""Least difference between the colours of a pixel that is not grey, as a share of the range."""

_GREY = 0.04
"""Largest difference between the colours of a pixel that is grey, as a share of the range."""

_MOSTLY_GREY = 0.9
"""Where a smaller share of the image is grey, as in a photograph, colour is no ink."""

_MOST_DRAWN = 0.1
"""Lines, letters and arrows never take a larger share of the image."""

_LEAST_PX = 5
"""Smaller pieces of ink are noise."""

_MOST_PIECES = 1000
"""An ink with more pieces is the image's own grey."""

_MARGIN_PX = 2
"""So far around what is drawn, it is blurred or framed."""

_RECTANGULAR = 0.96
"""Least share that a box, writing included, has in common with a rectangle; ..."""

_BLANK = 0.4
"""... and least share of it that is blank."""

_BOX_PX = (10, 16)
"""Least height and width of a box."""

_LARGEST_BOX = 0.2
"""Largest share of the image that a box takes; a background takes more."""

_STRAIGHT = 0.9
"""Least share that a bar has in common with a rectangle; ..."""

_SLENDER = 3.0
"""... it is this many times longer than wide, ..."""

_LONG = 0.03
"""... and as long as this share of the image is wide."""

_THIN = 0.5
"""Largest thickness of a letter or arrow, as a share of its larger side."""

_JAGGED = 0.85
"""A piece that fills less than this share of its convex hull is no convex body."""

_HIGHEST, _WIDEST = 0.15, 0.25
"""Largest height and width of a letter (of a bar, thickness), as shares of those of the image."""

_AS_HIGH = 2.0
"""Letters in line differ in height by less than this factor."""

_LINE_HIGH = 1.6
"""A line of text is at most this many times as high as its highest letter."""

_ALONE, _AT_BAR = 3, 2
"""Least number of letters in a line of text, and in one beside a bar."""

_WITHIN = 0.95
"""Of a mark and what is not clearly another grey, this share is within two pixels of ink, ..."""

_INKED = 0.3
"""... and this share is ink: the rest are its edges."""

_ESTABLISHED = 0.5
"""Least share of the thin pieces of an ink that are bars and text; of all that have ink, marks."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """Connected ink: its bounding box, thickness, and likeness to its hull and to a rectangle."""

    top: int
    left: int
    bottom: int
    right: int
    thickness: float
    solidity: float
    straight: float

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def is_thin(self) -> bool:
        return self.thickness <= _THIN * max(self.height, self.width)


def find_annotations(image: Image, coloured: Mask | None = None) -> Mask:
    """Return where an image is drawn upon, (height, width).

    Parameters
    ----------
    image:
        (height, width) grey, without the data bar below; one above is found here.
    coloured:
        Its coloured pixels (``coloured_pixels``).
    """
    drawn = np.zeros(image.shape, dtype=bool)
    drawn[: len(image) - find_data_bar(image[::-1])] = True
    low, high = float(image.min()), float(image.max())
    if low == high:
        return drawn
    grey = image.astype(np.float32)
    for level in (low, high):
        away = np.abs(grey - level) / (high - low)
        for alike in _ALIKE:
            drawn |= _drawn_in(away <= alike, away >= _STEEP)
    # Only white: slits and cracks are black strokes.
    below = (high - grey) / (high - low)
    for alike in _ALIKE:
        drawn |= _marks(below <= alike, below < _STEEP)
    if coloured is not None and coloured.any():
        outlined = cv2.dilate(_filled(coloured), np.ones((3, 3), np.uint8)) > 0
        drawn |= outlined | _drawn_in(coloured, ~coloured)
    return drawn


def coloured_pixels(pixels: npt.NDArray[np.generic]) -> Mask | None:
    """Return which pixels of an image, as it is in the file, are coloured; None if it is grey.

    Where it is not grey for the most part, as in a photograph, none count.
    """
    if pixels.ndim != 3 or pixels.shape[2] < 3:
        return None
    colours = pixels[..., :3].astype(np.float32)
    apart = np.ptp(colours, axis=2) / max(float(np.ptp(colours)), 1e-12)
    coloured: Mask = apart > _COLOURED
    return coloured if coloured.any() and (apart <= _GREY).mean() >= _MOSTLY_GREY else None


def _drawn_in(ink: Mask, other: Mask) -> Mask:
    """Return what is drawn in one ink.

    Parameters
    ----------
    ink, other:
        Pixels of the ink's grey, and those of clearly another.
    """
    drawn = np.zeros(ink.shape, dtype=bool)
    boxes, pieces = _boxes_and_pieces(ink, other)
    for box in boxes:
        _fill(drawn, [box])
    bars = [piece for piece in pieces if _is_bar(piece, ink.shape)]
    letters = [one for one in pieces if one not in bars and _may_be_letter(one, ink.shape)]
    groups = [[bar] for bar in bars] + [line for line in _lines(letters) if _is_text(line, bars)]
    thin = sum(piece.is_thin for piece in pieces)
    if sum(piece.is_thin for group in groups for piece in group) < _ESTABLISHED * thin:
        return drawn
    lines = np.zeros(ink.shape, dtype=bool)
    for group in groups:
        _fill(lines, group)
    return drawn | lines if lines.mean() <= _MOST_DRAWN else drawn


def _boxes_and_pieces(ink: Mask, other: Mask) -> tuple[list[_Piece], list[_Piece]]:
    """Return the boxes, and what else of the ink ends in a step (none if that is too much)."""
    count, labels, found, _ = cv2.connectedComponentsWithStats(ink.astype(np.uint8), connectivity=8)
    _, _, width, height, area = found.T
    sides = np.maximum(height, width)
    steep = (sides >= _LEAST_PX) & _steep(labels, other, count)
    boxes = (height >= _BOX_PX[0]) & (width >= _BOX_PX[1]) & (area >= _BLANK * height * width)
    boxes &= height * width <= _LARGEST_BOX * ink.size
    # 0 is what is no ink.
    steep[0] = boxes[0] = False
    if np.count_nonzero(steep) > _MOST_PIECES:
        steep[:] = False
    found_as = {number: _piece(labels, found, number) for number in np.flatnonzero(boxes | steep)}
    rectangles = {n for n, one in found_as.items() if boxes[n] and one.straight >= _RECTANGULAR}
    pieces = [one for n, one in found_as.items() if steep[n] and n not in rectangles]
    return [found_as[n] for n in rectangles], pieces


def _marks(ink: Mask, like: Mask) -> Mask:
    """Return what is drawn with white strokes: single letters, arrows, rings.

    Parameters
    ----------
    ink, like:
        White pixels, and those not clearly of another grey.
    """
    greys = like.astype(np.uint8)
    count, labels, found, _ = cv2.connectedComponentsWithStats(greys, connectivity=8)
    _, _, width, height, area = found.T
    near = cv2.dilate(ink.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    inked, close = (np.bincount(labels[where], minlength=count) for where in (ink, near))
    sides = np.maximum(height, width)
    has_ink = (inked > 0) & (sides >= _LEAST_PX)
    may_be = has_ink & (inked >= _INKED * area) & (close >= _WITHIN * area)
    may_be &= sides <= _WIDEST * max(ink.shape)
    # 0 is what is clearly another grey.
    has_ink[0] = may_be[0] = False
    if np.count_nonzero(may_be) > _MOST_PIECES:
        may_be[:] = False
    pieces = {number: _piece(labels, found, number) for number in np.flatnonzero(may_be)}
    marks = [n for n, one in pieces.items() if one.is_thin and one.solidity < _JAGGED]
    drawn = np.isin(labels, marks)
    if len(marks) < _ESTABLISHED * np.count_nonzero(has_ink) or drawn.mean() > _MOST_DRAWN:
        drawn[:] = False
    grown: Mask = cv2.dilate(drawn.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return grown


def _piece(labels: Labels, found: Labels, number: np.intp) -> _Piece:
    """Measure a label whose window (left, top, width, height) is row ``number`` of ``found``."""
    left, top, width, height = (int(value) for value in found[number, :4])
    own = labels[top : top + height, left : left + width] == number
    depth = cv2.distanceTransform(np.pad(own, 1).astype(np.uint8), cv2.DIST_L2, 3)
    straight, core = _straight(own)
    if straight < _STRAIGHT:
        core = 0, height, 0, width
    return _Piece(
        top=top + core[0],
        left=left + core[2],
        bottom=top + core[1],
        right=left + core[3],
        thickness=2 * float(depth.max()) - 1,
        solidity=_solidity(own),
        straight=straight,
    )


def _steep(labels: Labels, other: Mask, count: int) -> Mask:
    """Return which labels have, two pixels away, mostly pixels that are clearly other."""
    # Labels of two pieces that come near: the larger number, in both.
    numbers = labels.astype(np.float32)
    near, far = (cv2.dilate(numbers, np.ones((side, side), np.uint8)) for side in (3, 7))
    ring = (near == 0) & (far > 0)
    around = far[ring].astype(np.int64)
    total = np.bincount(around, minlength=count)
    clear = np.bincount(around, weights=other[ring], minlength=count)
    steep: Mask = clear > 0.5 * total
    return steep


def _solidity(mask: Mask) -> float:
    lines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    hull = cv2.convexHull(np.concatenate(lines))
    # Contours run through the centres of pixels.
    around = cv2.contourArea(hull) + cv2.arcLength(hull, True) / 2 + 1
    return float(np.count_nonzero(mask) / around)


def _is_bar(piece: _Piece, shape: tuple[int, ...]) -> bool:
    longer, shorter = max(piece.height, piece.width), min(piece.height, piece.width)
    is_slender = longer >= max(_SLENDER * shorter, _LONG * shape[1])
    return is_slender and shorter <= _HIGHEST * shape[0] and piece.straight >= _STRAIGHT


def _may_be_letter(piece: _Piece, shape: tuple[int, ...]) -> bool:
    height, width = shape[:2]
    return piece.is_thin and piece.height <= _HIGHEST * height and piece.width <= _WIDEST * width


def _straight(mask: Mask) -> tuple[float, tuple[int, int, int, int]]:
    """Return the share that a mask, with what it encloses, and a rectangle have in common.

    The rectangle, from row to row and column to column, leaves out specks that touch the mask.
    """
    filled = _filled(mask)
    rows, columns = (np.flatnonzero(filled.mean(axis=axis) >= 0.5) for axis in (1, 0))
    if rows.size == 0 or columns.size == 0:
        return 0.0, (0, 0, 0, 0)
    bounds = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    core = filled[bounds[0] : bounds[1], bounds[2] : bounds[3]]
    return float(core.sum() / (core.size + filled.sum() - core.sum())), bounds


def _filled(mask: Mask) -> npt.NDArray[np.uint8]:
    """Return a mask, as 0 and 1, with what it encloses."""
    lines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros(mask.shape, dtype=np.uint8)
    cv2.drawContours(filled, lines, -1, 1, cv2.FILLED)
    return filled


def _lines(letters: Sequence[_Piece]) -> list[list[_Piece]]:
    """Return letters side by side, of about one height, as lines."""
    lines: list[list[_Piece]] = []
    for letter in sorted(letters, key=lambda piece: piece.left):
        near = [line for line in lines if any(_in_line(one, letter) for one in line)]
        lines = [line for line in lines if line not in near]
        lines.append([one for line in near for one in line] + [letter])
    return lines


def _in_line(one: _Piece, other: _Piece) -> bool:
    lower, higher = sorted((one.height, other.height))
    common = min(one.bottom, other.bottom) - max(one.top, other.top)
    gap = max(one.left, other.left) - min(one.right, other.right)
    return higher <= _AS_HIGH * lower and common >= 0.5 * lower and gap <= higher


def _is_text(line: Sequence[_Piece], bars: Sequence[_Piece]) -> bool:
    """Return whether letters make a line of text: several, and jagged for the most part."""
    letter = max(piece.height for piece in line)
    top, bottom = min(piece.top for piece in line), max(piece.bottom for piece in line)
    left, right = min(piece.left for piece in line), max(piece.right for piece in line)
    jagged = sum(piece.solidity < _JAGGED for piece in line)
    if bottom - top > _LINE_HIGH * letter or 2 * jagged < len(line):
        return False
    at_bar = any(
        bar.left <= right + 2 * letter
        and bar.right >= left - 2 * letter
        and bar.top <= bottom + 2 * letter
        and bar.bottom >= top - 2 * letter
        for bar in bars
    )
    return len(line) >= (_AT_BAR if at_bar else _ALONE)


def _fill(drawn: Mask, pieces: Sequence[_Piece]) -> None:
    """Mark the bounding box of some pieces, and a margin around for what is blurred."""
    top, left = min(p.top for p in pieces) - _MARGIN_PX, min(p.left for p in pieces) - _MARGIN_PX
    bottom, right = max(p.bottom for p in pieces), max(p.right for p in pieces)
    drawn[max(top, 0) : bottom + _MARGIN_PX, max(left, 0) : right + _MARGIN_PX] = True
