"""From the seeds of particles to the class map and table of their frame."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pitflow.frame import CLASS_PARTICLE, CLASS_PIT
from pitflow.segment.classical.blobs import OUTLINE, Seeds, outline, outline_smoothing
from pitflow.segment.classical.darkening import Darkening, Look
from pitflow.segment.objects import Objects, empty_detections, measure
from pitflow.segment.protocol import Segmentation

Float = npt.NDArray[np.float32]
Ints = npt.NDArray[np.intp]


def without_particles(look: Look) -> Segmentation:
    """Return the segmentation of a frame that shows pits alone."""
    return Segmentation(look.frame.index, _pit_classes(look), empty_detections())


def mark_particles(
    look: Look,
    darkening: Darkening,
    seeds: Seeds,
    score: npt.NDArray[np.float64],
    *,
    certain: bool = False,
    seen_at: npt.NDArray[np.float64] | None = None,
) -> Segmentation:
    """Outline and measure the particles around their seeds.

    Parameters
    ----------
    look, darkening:
        The frame, and how much darker it is than its ground.
    seeds:
        One per particle.
    score:
        (n,) confidence in each, between 0 and 1.
    certain:
        Whether each seed is a particle even where it has no outline of its own.
    seen_at:
        (n, 2) x and y of each in px by other evidence than the darkening, NaN for none.
    """
    ground, frame = darkening.ground, look.frame
    pixels = outline(darkening.image, darkening.pyramid, seeds, certain=certain)
    row, column = pixels.row, pixels.column
    lit = np.maximum(ground[row, column] * np.float32(frame.gain), 1)
    depth = (darkening.image[row, column] - pixels.ground[pixels.owner]) / lit
    objects = Objects(
        n=pixels.seed.size,
        owner=pixels.owner,
        row=row,
        column=column,
        darkening=depth,
        slope=_slope(darkening.pyramid.smooth[0], row, column) / lit,
        score=score[pixels.seed],
        level=OUTLINE,
        smoothing_px=outline_smoothing(darkening.pyramid, seeds.level[pixels.seed]),
        snr=seeds.snr[pixels.seed],
        seen_at=None if seen_at is None else seen_at[pixels.seed],
    )
    classes = _pit_classes(look)
    # What is not darker at all is not measured, and not marked either.
    dark = np.bincount(pixels.owner, np.maximum(depth, 0), pixels.seed.size)[pixels.owner] > 0
    classes[row[dark], column[dark]] = CLASS_PARTICLE
    return Segmentation(frame.index, classes, measure(frame.index, objects))


def _pit_classes(look: Look) -> npt.NDArray[np.uint8]:
    classes = np.zeros(look.pit.shape, np.uint8)
    classes.ravel()[np.flatnonzero(look.pit)] = CLASS_PIT
    return classes


def _slope(smooth: Float, row: Ints, column: Ints) -> Float:
    height, width = smooth.shape
    up, down = np.maximum(row - 1, 0), np.minimum(row + 1, height - 1)
    left, right = np.maximum(column - 1, 0), np.minimum(column + 1, width - 1)
    gx = (smooth[row, right] - smooth[row, left]) / 2
    gy = (smooth[down, column] - smooth[up, column]) / 2
    steepness: Float = np.hypot(gx, gy)
    return steepness
