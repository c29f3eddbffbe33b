"""From the seeds of particles to the class map and table of their frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from pitflow.frame import CLASS_PARTICLE, CLASS_PIT
from pitflow.segment.classical.blobs import (
    OUTLINE,
    Outlines,
    Seeds,
    joined,
    outline,
    outline_smoothing,
    overlapping,
)
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
    pixels = outline(darkening.image, darkening.pyramid, seeds, certain=certain)
    objects = _objects(look, darkening, seeds, pixels, score, seen_at)
    owner, row, column = objects.owner, objects.row, objects.column
    classes = _pit_classes(look)
    # What is not darker at all is not measured, and not marked either.
    dark = np.bincount(owner, np.maximum(objects.darkening, 0), objects.n)[owner] > 0
    classes[row[dark], column[dark]] = CLASS_PARTICLE
    particles = measure(look.frame.index, objects)
    bubbles = darkening.bubbles.table(look.frame.index) if len(darkening.bubbles) else None
    return Segmentation(look.frame.index, classes, particles, bubbles=bubbles)


def measure_beside(
    look: Look,
    darkening: Darkening,
    seeds: Seeds,
    score: npt.NDArray[np.float64],
    seen_at: npt.NDArray[np.float64],
    others: Seeds,
) -> pd.DataFrame:
    """Return ``DETECTION_COLUMNS`` of what is not marked, as it lies beside others.

    It lies where it was seen by other evidence, for the darkening of what is faint among others is
    mostly theirs.

    Parameters
    ----------
    look, darkening:
        The frame, and how much darker it is than its ground.
    seeds, score, seen_at:
        As for `mark_particles`.
    others:
        Particles of the frame, which keep the pixels that are theirs.
    """
    n = seeds.level.size
    if not n:
        return empty_detections()
    both = joined(seeds, others[overlapping(seeds, others)])
    pixels = outline(darkening.image, darkening.pyramid, both, certain=True)
    # Outlines are in the order of their seeds.
    own = pixels.owner < np.count_nonzero(pixels.seed < n)
    pixels = Outlines(
        pixels.seed[pixels.seed < n],
        pixels.ground[pixels.seed < n],
        pixels.owner[own],
        pixels.row[own],
        pixels.column[own],
    )
    untold = replace(seeds, snr=np.zeros(n))
    objects = _objects(look, darkening, untold, pixels, score, seen_at)
    return measure(look.frame.index, objects)


def _objects(
    look: Look,
    darkening: Darkening,
    seeds: Seeds,
    pixels: Outlines,
    score: npt.NDArray[np.float64],
    seen_at: npt.NDArray[np.float64] | None,
) -> Objects:
    # A young pit is as small and dark as a particle: it is no less a pit for that.
    own = ~look.pit[pixels.row, pixels.column]
    owner, row, column = pixels.owner[own], pixels.row[own], pixels.column[own]
    lit = np.maximum(darkening.ground[row, column] * np.float32(look.frame.gain), 1)
    return Objects(
        n=pixels.seed.size,
        owner=owner,
        row=row,
        column=column,
        darkening=(darkening.image[row, column] - pixels.ground[owner]) / lit,
        slope=_slope(darkening.pyramid.smooth[0], row, column) / lit,
        score=score[pixels.seed],
        level=OUTLINE,
        smoothing_px=outline_smoothing(darkening.pyramid, seeds.level[pixels.seed]),
        snr=seeds.snr[pixels.seed],
        seen_at=None if seen_at is None else seen_at[pixels.seed],
    )


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
