"""The paper's chain: first-frame difference, histogram equalisation, MOG2, opening, contours.

Paper 002, Fig. 2b, step by step. MOG2 (Zivkovic 2004) carries a mixture of Gaussians per pixel from
frame to frame, so frames must come once and in order; pixels do not know of each other, so bands of
rows may be processed at the same time with the same result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from pitflow.config import ReportChainConfig
from pitflow.frame import CLASS_PIT, Frame, as_8_bit
from pitflow.scene import Scene
from pitflow.segment.classical.contours import objects_by_contour
from pitflow.segment.classical.window import windows
from pitflow.segment.objects import empty_detections
from pitflow.segment.pit_map import PitMap
from pitflow.segment.protocol import Segmentation

_BANDS = 4


class ReportSegmenter:
    """|frame - frame 0|, equalised, through MOG2; the moving pixels' contours are particles.

    Nothing corrects for drift of the stage or of the light: this is the published method.
    """

    name = "report"
    in_order = True

    def __init__(self, config: ReportChainConfig, pits: PitMap) -> None:
        self._config = config
        self._pits = pits

    def segment(self, frames: Iterable[Frame], scene: Scene) -> Iterator[Segmentation]:
        """Yield one result per frame; frames that cannot be trusted do not reach MOG2."""
        moving = BandedMog2(scene.shape[0], self._config)
        first = as_8_bit(scene.first)
        ground = np.maximum(scene.first.astype(np.float32), 1)
        with moving:
            for window in windows(frames, scene):
                state = self._pits.state(window)
                for i, frame in enumerate(window.frames[: window.n]):
                    pit = self._pits.draw(state[i], frame, scene.shape)
                    if frame.quality != "ok":
                        classes = np.where(pit, np.uint8(CLASS_PIT), np.uint8(0))
                        yield Segmentation(frame.index, classes, empty_detections())
                        continue
                    difference = cv2.equalizeHist(cv2.absdiff(as_8_bit(frame.image), first))
                    darkening = np.abs(1 - frame.image / ground)
                    area = self._config.min_area_px, self._config.max_area_px
                    mask = self._opened(moving.apply(difference))
                    yield objects_by_contour(frame, mask, pit, darkening, area)

    def _opened(self, moving: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        # Equalisation makes camera noise as strong as particles; single pixels of it are not kept.
        side = (self._config.opening_px, self._config.opening_px)
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, side)
        opened: npt.NDArray[np.uint8] = cv2.morphologyEx(moving, cv2.MORPH_OPEN, kernel)
        return opened


class BandedMog2:
    """OpenCV's MOG2 over bands of rows in threads; equals one over the whole frame exactly.

    A context manager: leaving it ends its threads.
    """

    def __init__(self, height: int, config: ReportChainConfig, bands: int = _BANDS) -> None:
        edges = np.linspace(0, height, min(bands, height) + 1).round().astype(int)
        self._rows = [slice(a, b) for a, b in pairwise(edges)]
        self._models = [
            cv2.createBackgroundSubtractorMOG2(
                history=config.history, varThreshold=config.var_threshold, detectShadows=False
            )
            for _ in self._rows
        ]
        self._pool = ThreadPoolExecutor(len(self._rows), thread_name_prefix="mog2")

    def __enter__(self) -> BandedMog2:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown()

    def apply(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return the (height, width) foreground, 0 or 255, and learn from the image."""
        bands = self._pool.map(
            lambda model, rows: model.apply(image[rows]), self._models, self._rows
        )
        return np.concatenate(list(bands))
