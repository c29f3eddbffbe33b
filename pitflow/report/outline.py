"""The outlines of the pits as they were in a given frame."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from pitflow.report.data import Floats, ReportData, by_pit, ints

Outline = list[Floats]


def pit_outlines(data: ReportData, frame: int) -> dict[int, Outline]:
    """Return, per pit that exists in ``frame``, its closed outlines as (n, 2) x, y in that frame.

    Fragments of fewer than 4 px of outline are left out unless nothing else is there.
    """
    pixels = data.tables["pit_pixels"]
    pixels = pixels[pixels["frame"] <= frame]
    shift = np.array(data.shift(frame))
    outlines: dict[int, Outline] = {}
    for pit, own in by_pit(pixels):
        outlines[pit] = [line + shift for line in outline(ints(own, "x"), ints(own, "y"))]
    return outlines


def outline(x: npt.NDArray[np.int64], y: npt.NDArray[np.int64]) -> Outline:
    """Return the closed outer outlines of a set of pixels, as (n, 2) arrays of x, y."""
    x0, y0 = int(x.min()), int(y.min())
    mask = np.zeros((int(y.max()) - y0 + 1, int(x.max()) - x0 + 1), np.uint8)
    mask[y - y0, x - x0] = 1
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    large = [contour for contour in contours if len(contour) >= 4] or list(contours)
    return [
        np.concatenate([line, line[:1]])
        for line in (np.asarray(contour[:, 0] + [x0, y0], np.float64) for contour in large)
    ]
