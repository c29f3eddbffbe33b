"""Objects from a binary mask: the last step of the chains that threshold."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from pitflow.frame import CLASS_PARTICLE, CLASS_PIT, Frame
from pitflow.segment.objects import Objects, measure
from pitflow.segment.pit_map import with_rim
from pitflow.segment.protocol import Segmentation

_EDGE_LEVEL = 0.5
"""A threshold cuts a blurred object at about half its peak."""


def objects_by_contour(
    frame: Frame,
    mask: npt.NDArray[np.uint8],
    pit: npt.NDArray[np.bool_],
    darkening: npt.NDArray[np.float32],
    area_px: tuple[float, float],
) -> Segmentation:
    """Return the result for one frame: the mask's connected parts outside pits, of allowed area.

    Parameters
    ----------
    frame:
        The frame.
    mask:
        (height, width) uint8, non-zero where a particle may be.
    pit:
        (height, width) pits in this frame.
    darkening:
        (height, width) how much darker than the background, as a fraction of it.
    area_px:
        Smallest and largest area kept, px^2.
    """
    outside = np.where(with_rim(pit), np.uint8(0), mask)
    _, parts, stats, _ = cv2.connectedComponentsWithStats(outside, connectivity=8)
    area = stats[:, cv2.CC_STAT_AREA]
    kept = (area >= area_px[0]) & (area <= area_px[1])
    # What is brighter than its surroundings is no particle.
    row, column = np.nonzero(kept[parts])
    positive = np.maximum(darkening[row, column], 0)
    kept &= np.bincount(parts[row, column], positive, area.size) > 0
    kept[0] = False
    number = np.cumsum(kept) - 1
    row, column = np.nonzero(kept[parts])
    classes = np.where(pit, np.uint8(CLASS_PIT), np.uint8(0))
    classes[row, column] = CLASS_PARTICLE
    gx = cv2.Sobel(darkening, cv2.CV_32F, 1, 0, ksize=3, scale=0.125)
    gy = cv2.Sobel(darkening, cv2.CV_32F, 0, 1, ksize=3, scale=0.125)
    total = int(np.count_nonzero(kept))
    objects = Objects(
        n=total,
        owner=number[parts[row, column]],
        row=row,
        column=column,
        darkening=darkening[row, column],
        slope=np.hypot(gx[row, column], gy[row, column]),
        # These chains decide by yes or no; a larger object is the surer one.
        score=area[kept] / (area[kept] + area_px[0]),
        level=_EDGE_LEVEL,
        smoothing_px=np.zeros(total),
    )
    return Segmentation(frame.index, classes, measure(frame.index, objects))
