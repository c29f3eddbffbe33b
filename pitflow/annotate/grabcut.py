"""GrabCut from a box and strokes (Rother, Kolmogorov, Blake 2004), cleaned as in paper 000.

The labels of the panels were made so: a box around the corrosion, refinement by hand, then a median
filter and morphology against salt and pepper.
"""

from __future__ import annotations

import cv2
import numpy as np

from pitflow.annotate.canvas import HINT_GROUND, HINT_OBJECT, Box, Hints, Mask
from pitflow.frame import Image

_ITERATIONS = 4
_MARGIN = 0.3
"""The ground is learnt from this much around the box, as a share of its sides."""
_LEAST_MARGIN_PX = 12
_LARGEST_PX = 400_000
"""A larger cut is made on a coarser grid first; graph cuts take seconds beyond this."""
_MEDIAN_PX = 5
_CLEANED_FROM_PX = 40
"""In smaller boxes the filters would take the object itself."""


def grab_cut(image: Image, box: Box, hints: Hints) -> Mask:
    """Return the object inside a box.

    Parameters
    ----------
    image:
        (height, width) or (height, width, 3) uint8.
    box:
        Rows and columns that hold the object; outside of them nothing is object.
    hints:
        (height, width) what the user said of single pixels, which is obeyed.

    Returns
    -------
    (height, width) bool.
    """
    rows, columns = box
    result = np.zeros(image.shape[:2], np.bool_)
    if rows.stop - rows.start < 2 or columns.stop - columns.start < 2:
        return result
    around = _widened(rows, image.shape[0]), _widened(columns, image.shape[1])
    part = image[around] if image.ndim == 3 else cv2.cvtColor(image[around], cv2.COLOR_GRAY2BGR)
    inside = np.zeros(part.shape[:2], np.bool_)
    inside[
        rows.start - around[0].start : rows.stop - around[0].start,
        columns.start - around[1].start : columns.stop - around[1].start,
    ] = True
    told = np.where(inside, hints[around], HINT_GROUND)
    found = _cut(np.ascontiguousarray(part), inside, told)
    if min(inside.any(axis=1).sum(), inside.any(axis=0).sum()) >= _CLEANED_FROM_PX:
        found = _cleaned(found)
        found = (found & (told != HINT_GROUND)) | (told == HINT_OBJECT)
    result[around] = found
    return result


def _widened(side: slice, size: int) -> slice:
    margin = max(_LEAST_MARGIN_PX, round(_MARGIN * (side.stop - side.start)))
    return slice(max(side.start - margin, 0), min(side.stop + margin, size))


def _cut(part: Image, inside: Mask, told: Hints) -> Mask:
    shrink = np.sqrt(part.shape[0] * part.shape[1] / _LARGEST_PX)
    marks = np.where(inside, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    marks[told == HINT_OBJECT] = cv2.GC_FGD
    marks[told == HINT_GROUND] = cv2.GC_BGD
    if shrink > 1:
        size = max(1, round(part.shape[1] / shrink)), max(1, round(part.shape[0] / shrink))
        small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
        coarse = _run(small, cv2.resize(marks, size, interpolation=cv2.INTER_NEAREST))
        share = cv2.resize(coarse.astype(np.float32), part.shape[1::-1])
        found: Mask = (share > 0.5) & inside
        return found
    return _run(part, marks)


def _run(part: Image, marks: Hints) -> Mask:
    known_object: Mask = (marks == cv2.GC_FGD) | (marks == cv2.GC_PR_FGD)
    if known_object.all() or not known_object.any():
        # There is nothing to tell the one from the other by.
        return known_object
    models = np.zeros((1, 65)), np.zeros((1, 65))
    # Its clusters start at random; the same box must give the same cut.
    cv2.setRNGSeed(0)
    cv2.grabCut(part, marks, None, *models, _ITERATIONS, cv2.GC_INIT_WITH_MASK)
    found: Mask = (marks == cv2.GC_FGD) | (marks == cv2.GC_PR_FGD)
    return found


def _cleaned(mask: Mask) -> Mask:
    smooth = cv2.medianBlur(mask.astype(np.uint8), _MEDIAN_PX)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    opened: Mask = cv2.morphologyEx(smooth, cv2.MORPH_OPEN, disc).astype(np.bool_)
    return opened
