"""A photograph with what was found drawn over it."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from pitflow.domains.panels.measure import PanelNumbers
from pitflow.domains.panels.pictures import Colours, Mask

AT_SCRIBE, ELSEWHERE, SCRIBE = (213, 94, 0), (240, 228, 66), (0, 114, 178)
"""Okabe and Ito's vermilion, yellow and blue."""

_TINT = 0.30


def draw_overlay(image: Colours, mask: Mask, numbers: PanelNumbers) -> Colours:
    """Return the photograph with corrosion outlined, the scribe, and where creep is largest.

    Corrosion that touches the scribe is vermilion, other corrosion yellow, the scribe's axis blue;
    a white bar marks the largest creep.
    """
    pen = max(1, round(max(image.shape[:2]) / 500))
    drawn = image.copy()
    for part, ink in ((numbers.at_scribe, AT_SCRIBE), (mask & ~numbers.at_scribe, ELSEWHERE)):
        drawn[part] = ((1 - _TINT) * drawn[part] + _TINT * np.array(ink)).astype(np.uint8)
        outlines, _ = cv2.findContours(part.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(drawn, outlines, -1, ink, pen)
    for scribe in numbers.scribes:
        ends = _at(scribe.x0, scribe.y0), _at(scribe.x1, scribe.y1)
        cv2.line(drawn, *ends, (255, 255, 255), pen + 3, cv2.LINE_AA)
        cv2.line(drawn, *ends, SCRIBE, pen + 1, cv2.LINE_AA)
    bar = _largest_creep(numbers)
    if bar is not None:
        cv2.line(drawn, *bar, (0, 0, 0), pen + 3, cv2.LINE_AA)
        cv2.line(drawn, *bar, (255, 255, 255), pen + 1, cv2.LINE_AA)
    return drawn


def _largest_creep(numbers: PanelNumbers) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Return the two ends of the largest creep: on the rim of the cut, and on the outline."""
    best: float = 0.0
    bar: tuple[tuple[int, int], tuple[int, int]] | None = None
    for scribe, profile in zip(numbers.scribes, numbers.profiles, strict=True):
        (ax, ay), (nx, ny) = scribe.along, scribe.to_the_right
        for sign, side in ((-1, profile.left_mm), (1, profile.right_mm)):
            if not np.isfinite(side).any() or np.nanmax(side) <= best:
                continue
            place = int(np.nanargmax(side))
            best = float(side[place])
            along = profile.position_mm[place]
            ends = [
                _at(
                    scribe.x0 + (along * ax + sign * out * nx) / numbers.mm_per_px,
                    scribe.y0 + (along * ay + sign * out * ny) / numbers.mm_per_px,
                )
                for out in (numbers.half_width_mm, numbers.half_width_mm + best)
            ]
            bar = ends[0], ends[1]
    return bar


def _at(x: float, y: float) -> tuple[int, int]:
    return round(x), round(y)


def png_bytes(image: npt.NDArray[np.uint8]) -> bytes:
    """Return a grey or RGB image as a PNG file."""
    plane = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".png", plane)
    return encoded.tobytes()
