"""The CLAHE baseline: local contrast, edges, morphology, contours (paper 002, Fig. 11).

It sees one frame at a time, so it cannot tell a settled speck from a moving particle.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
import numpy.typing as npt

from pitflow.config import ClaheConfig
from pitflow.frame import CLASS_PIT, Frame, Image, as_8_bit
from pitflow.scene import Scene
from pitflow.segment.classical.contours import objects_by_contour
from pitflow.segment.classical.window import windows
from pitflow.segment.objects import empty_detections
from pitflow.segment.pit_map import PitMap
from pitflow.segment.protocol import Segmentation

_CLOSE = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
_OPEN = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
_CANNY_SIGMAS = (3.0, 6.0)


class ClaheSegmenter:
    """Contrast-limited equalisation, Canny edges, closed and filled, then contours."""

    name = "clahe"
    in_order = False

    def __init__(self, config: ClaheConfig, pits: PitMap) -> None:
        self._config = config
        self._pits = pits

    def segment(self, frames: Iterable[Frame], scene: Scene) -> Iterator[Segmentation]:
        """Yield one result per frame."""
        for window in windows(frames, scene):
            state = self._pits.state(window)
            for i, frame in enumerate(window.frames[: window.n]):
                pit = self._pits.draw(state[i], frame, scene.shape)
                if frame.quality == "ok":
                    yield self._frame(frame, pit)
                else:
                    classes = np.where(pit, np.uint8(CLASS_PIT), np.uint8(0))
                    yield Segmentation(frame.index, classes, empty_detections())

    def _frame(self, frame: Frame, pit: npt.NDArray[np.bool_]) -> Segmentation:
        grey = frame.image.astype(np.float32)
        ground = cv2.blur(grey, (2 * self._config.tile_px + 1, 2 * self._config.tile_px + 1))
        darkening = 1 - grey / np.maximum(ground, 1)
        area = self._config.min_area_px, self._config.max_area_px
        return objects_by_contour(frame, self._mask(frame.image), pit, darkening, area)

    def _mask(self, image: Image) -> npt.NDArray[np.uint8]:
        height, width = image.shape
        tiles = max(width // self._config.tile_px, 1), max(height // self._config.tile_px, 1)
        equalised = cv2.createCLAHE(self._config.clip_limit, tiles).apply(as_8_bit(image))
        smooth = cv2.GaussianBlur(equalised, (5, 5), 0)
        # Edges against the frame's own texture, so that no grey level is built in.
        texture = 1.4826 * float(np.median(np.abs(cv2.Laplacian(smooth, cv2.CV_16S))[::4, ::4]))
        low, high = (sigmas * 4 * max(texture, 1.0) for sigmas in _CANNY_SIGMAS)
        edges = cv2.Canny(smooth, low, high)
        closed = cv2.morphologyEx(edges, cv2.MORPH_CLOSE, _CLOSE)
        contours, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        filled = cv2.drawContours(np.zeros_like(closed), contours, -1, 255, cv2.FILLED)
        # Edges run just outside an object; what is not darker than its surroundings is none.
        filled[smooth >= cv2.blur(smooth, (31, 31))] = 0
        opened: npt.NDArray[np.uint8] = cv2.morphologyEx(filled, cv2.MORPH_OPEN, _OPEN)
        return opened
