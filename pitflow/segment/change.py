"""Moving particles: blobs that are darker than what lies under them.

Time is information: ``ground`` tells what each frame would show without particles, from what its
place shows before and after, and ``blobs`` finds what is darker, at any size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pitflow.config import ChangeConfig
from pitflow.frame import CLASS_PARTICLE, CLASS_PIT, Frame
from pitflow.scene import Scene
from pitflow.segment.blobs import (
    OUTLINE,
    Pyramid,
    build_pyramid,
    find_seeds,
    noise_of,
    outline,
    outline_smoothing,
)
from pitflow.segment.ground import SHIFT_STEP, Ground
from pitflow.segment.objects import Objects, empty_detections, measure
from pitflow.segment.pits import PitMap, with_rim
from pitflow.segment.protocol import Segmentation
from pitflow.segment.window import Window, windows

Float = npt.NDArray[np.float32]
Ints = npt.NDArray[np.intp]

_BRIGHTER_SIGMAS = 3.0
"""What is brighter than the background is no particle, and is cut off here."""
_3X3 = np.ones((3, 3), np.uint8)
_STRUCTURE_SHARE = 0.03
"""Residual of structure that no shift explains: compression, focus, exposure."""


class Structure:
    """What a background's own structure can leave behind in one band of the difference.

    Parameters
    ----------
    band:
        Of the background's pyramid.
    """

    def __init__(self, band: Float) -> None:
        gx = cv2.Sobel(band, cv2.CV_32F, 1, 0, ksize=1, scale=0.5)
        gy = cv2.Sobel(band, cv2.CV_32F, 0, 1, ksize=1, scale=0.5)
        self._steep = cv2.dilate(cv2.magnitude(gx, gy), _3X3).astype(np.float16)
        self._strong = cv2.dilate(np.abs(band), _3X3).astype(np.float16)
        sample = self._steep[::4, ::4].astype(np.float32)
        steepest = np.nonzero(sample >= np.percentile(sample, 98))
        self._steepest = steepest[0] * 4, steepest[1] * 4
        self._typical = max(float(np.median(sample[steepest])), 1e-6)

    def noise(self, band: Float) -> StructuredNoise:
        """Return the noise of a difference's band.

        How far the background is misplaced is measured in the frame: by how much more the band
        scatters where the background is steepest.
        """
        flat = noise_of(band)
        scatter = 1.4826 * float(np.median(np.abs(band[self._steepest])))
        misplaced = np.sqrt(max(scatter**2 - flat**2, 0.0)) / self._typical
        return StructuredNoise(flat, float(misplaced), self._steep, self._strong)


@dataclass(frozen=True, slots=True)
class StructuredNoise:
    """Even noise, and more where the background has structure.

    Parameters
    ----------
    floor:
        Standard deviation away from structure.
    misplaced_px:
        Error of the background's position.
    steep, strong:
        (height, width) float16: the background's slope and size in this band.
    """

    floor: float
    misplaced_px: float
    steep: npt.NDArray[np.float16]
    strong: npt.NDArray[np.float16]

    def at(self, row: Ints, column: Ints) -> Float:
        """Return the standard deviation at pixels."""
        misplaced = self.steep[row, column].astype(np.float32) * np.float32(self.misplaced_px)
        unlike = self.strong[row, column].astype(np.float32) * np.float32(_STRUCTURE_SHARE)
        sigma: Float = np.sqrt(np.float32(self.floor**2) + misplaced**2 + unlike**2)
        return sigma


class ChangeSegmenter:
    """The default segmenter: time-local background difference and scale-space blobs.

    Parameters
    ----------
    config:
        Threshold and scales.
    pits:
        The recording's pits.
    """

    name = "change"
    in_order = False

    def __init__(self, config: ChangeConfig, pits: PitMap) -> None:
        self._config = config
        self._pits = pits

    def segment(self, frames: Iterable[Frame], scene: Scene) -> Iterator[Segmentation]:
        """Yield one result per frame."""
        for window in windows(frames, scene):
            yield from self._window(window, scene)

    def _window(self, window: Window, scene: Scene) -> Iterator[Segmentation]:
        state = self._pits.state(window)
        ground = Ground(window, scene, self._pits)
        structure = self._structure(ground)
        for i, frame in enumerate(window.frames[: window.n]):
            pit = self._pits.draw(state[i], frame, scene.shape)
            yield self._frame(frame, ground.at(i), pit, structure)

    def _structure(self, ground: Ground) -> list[Structure]:
        return [Structure(band) for band in self._pyramid(ground.middle).band]

    def _pyramid(self, image: Float) -> Pyramid:
        return build_pyramid(image, self._config.smallest_scale_px, self._config.n_scales)

    def _frame(
        self,
        frame: Frame,
        ground: Float,
        pit: npt.NDArray[np.bool_],
        structure: list[Structure],
    ) -> Segmentation:
        classes = np.zeros(pit.shape, np.uint8)
        classes.ravel()[np.flatnonzero(pit)] = CLASS_PIT
        if frame.quality != "ok":
            return Segmentation(frame.index, classes, empty_detections())
        darker = cv2.addWeighted(ground, frame.gain, frame.image, -1, 0, dtype=cv2.CV_32F)
        _clear_margins(darker, frame.shift)
        darker.ravel()[np.flatnonzero(with_rim(pit))] = 0
        lowest = float(np.median(darker[::8, ::8])) - _BRIGHTER_SIGMAS * noise_of(darker)
        np.maximum(darker, np.float32(lowest), out=darker)
        pyramid = self._pyramid(darker)
        noise = [part.noise(band) for part, band in zip(structure, pyramid.band, strict=True)]
        seeds = find_seeds(pyramid, noise, self._config.threshold)
        pixels = outline(darker, pyramid, seeds)
        seeds = seeds[pixels.seed]
        lit = np.maximum(ground[pixels.row, pixels.column] * np.float32(frame.gain), 1)
        objects = Objects(
            n=seeds.level.size,
            owner=pixels.owner,
            row=pixels.row,
            column=pixels.column,
            darkening=(darker[pixels.row, pixels.column] - pixels.ground[pixels.owner]) / lit,
            slope=_slope(pyramid.smooth[0], pixels.row, pixels.column) / lit,
            score=seeds.snr**2 / (seeds.snr**2 + self._config.threshold**2),
            level=OUTLINE,
            smoothing_px=outline_smoothing(pyramid, seeds.level),
        )
        classes[pixels.row, pixels.column] = CLASS_PARTICLE
        return Segmentation(frame.index, classes, measure(frame.index, objects))


def _clear_margins(darker: Float, shift: tuple[float, float]) -> None:
    """Blank the rim of the frame that the reference frame did not see."""
    height, width = darker.shape
    for axis, (moved, length) in enumerate(((shift[1], height), (shift[0], width))):
        if abs(moved) < SHIFT_STEP:
            continue
        depth = min(int(np.ceil(abs(moved))) + 1, length)
        rim = slice(0, depth) if moved > 0 else slice(length - depth, length)
        darker[(rim, slice(None)) if axis == 0 else (slice(None), rim)] = 0


def _slope(smooth: Float, row: Ints, column: Ints) -> Float:
    height, width = smooth.shape
    up, down = np.maximum(row - 1, 0), np.minimum(row + 1, height - 1)
    left, right = np.maximum(column - 1, 0), np.minimum(column + 1, width - 1)
    gx = (smooth[row, right] - smooth[row, left]) / 2
    gy = (smooth[down, column] - smooth[up, column]) / 2
    steepness: Float = np.hypot(gx, gy)
    return steepness
