"""Particles in a single image, against their surroundings: for stacks in which nothing moves.

A run tells a particle from a static speck by time; in a z-stack both are seen, and both serve. What
is measured of them (`objects.measure`) and how they are outlined (`blobs`) is as in a run, so that
a blur means the same in both.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from pitflow.config import ChangeConfig
from pitflow.frame import Image
from pitflow.segment.classical.blobs import (
    OUTLINE,
    build_pyramid,
    find_seeds,
    noise_of,
    outline,
    outline_smoothing,
)
from pitflow.segment.objects import Objects, measure

_LEAST_NOISE = 0.1 / 255.0
"""Share of the camera's range below which a band's noise is that of rounding to grey levels."""


@dataclass(frozen=True, slots=True)
class EvenNoise:
    """The same noise everywhere (`pitflow.segment.classical.blobs.Noise`)."""

    floor: float

    def at(
        self, row: npt.NDArray[np.intp], column: npt.NDArray[np.intp]
    ) -> npt.NDArray[np.float32]:
        """Return the standard deviation at pixels."""
        return np.full(row.shape, self.floor, np.float32)


def measure_still(frame: int, image: Image, config: ChangeConfig) -> pd.DataFrame:
    """Return one row of ``DETECTION_COLUMNS`` per dark blob of an image.

    Blobs that reach within three times their blur of the image's edge are left out: what is cut off
    would make them narrower.

    Parameters
    ----------
    frame:
        Its number.
    image:
        (height, width) uint8 or uint16.
    config:
        Threshold and scales, as in a run.
    """
    levels = float(np.iinfo(image.dtype).max)
    light = float(np.median(image))
    darker = np.float32(light) - image.astype(np.float32)
    pyramid = build_pyramid(darker, config.smallest_scale_px, config.n_scales)
    floors = [max(noise_of(band), _LEAST_NOISE * levels) for band in pyramid.band]
    seeds = find_seeds(pyramid, [EvenNoise(floor) for floor in floors], config.threshold)
    pixels = outline(darker, pyramid, seeds)
    seeds = seeds[pixels.seed]
    # The light around each blob: the image's own level, less what is dark about its surroundings.
    lit = np.maximum(light - pixels.ground[pixels.owner], 1.0)
    gx = cv2.Sobel(pyramid.smooth[0], cv2.CV_32F, 1, 0, ksize=1, scale=0.5)
    gy = cv2.Sobel(pyramid.smooth[0], cv2.CV_32F, 0, 1, ksize=1, scale=0.5)
    objects = Objects(
        n=seeds.level.size,
        owner=pixels.owner,
        row=pixels.row,
        column=pixels.column,
        darkening=(darker[pixels.row, pixels.column] - pixels.ground[pixels.owner]) / lit,
        slope=np.hypot(gx, gy)[pixels.row, pixels.column] / lit,
        score=seeds.snr**2 / (seeds.snr**2 + config.threshold**2),
        level=OUTLINE,
        smoothing_px=outline_smoothing(pyramid, seeds.level),
    )
    found = measure(frame, objects)
    height, width = image.shape
    x, y = found["x"].to_numpy(), found["y"].to_numpy()
    inside = np.minimum.reduce([x, y, width - 1 - x, height - 1 - y])
    whole: pd.DataFrame = found[inside > 3.0 * found["blur_px"].to_numpy()].reset_index(drop=True)
    return whole
