"""What the classical baselines make of a crop, for the report's side-by-side (Figs. 11, 13, 14)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from pitflow.acquire.frames import FrameReader
from pitflow.config import SegmentConfig
from pitflow.frame import CLASS_PIT, Frame, Image
from pitflow.report.window import Window
from pitflow.scene import Scene
from pitflow.segment.pit_map import no_pits
from pitflow.segmenters import create_segmenter

ClassMap = npt.NDArray[np.uint8]

BASELINES = {"clahe": 1, "report": 48}
"""Segmenters shown, and how many frames each needs to see up to the one that is shown."""


@dataclass(frozen=True)
class CroppedScene:
    """A window of a scene, for segmenters that need the first frame and its size only."""

    scene: Scene
    window: Window

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the window."""
        return self.window.height, self.window.width

    @property
    def levels(self) -> int:
        """Grey levels of the recording."""
        return self.scene.levels

    @property
    def first(self) -> Image:
        """The first good frame's part."""
        return self.window.of(self.scene.first)

    @property
    def n_blocks(self) -> int:
        """Number of blocks of the recording."""
        return self.scene.n_blocks

    def background(self, block: int) -> Image:
        """Return a block's background in the window."""
        return self.window.of(self.scene.background(block))

    def block_of(self, frame: int) -> int:
        """Return the block that holds ``frame``."""
        return self.scene.block_of(frame)

    @property
    def frames(self) -> pd.DataFrame:
        """The ``frames`` table."""
        return self.scene.frames


def crop_baselines(
    scene: Scene, reader: FrameReader, mask_at: Callable[[int], ClassMap], config: SegmentConfig
) -> Callable[[int, Window], Mapping[str, ClassMap]]:
    """Return a function of (frame, window) that gives each baseline's class map of that window.

    The pits are those of the run, so that the maps differ in the particles alone.
    """

    def compute(index: int, window: Window) -> dict[str, ClassMap]:
        pit = window.of(mask_at(index)) == CLASS_PIT
        part = CroppedScene(scene, window)
        maps: dict[str, ClassMap] = {}
        for name, n_frames in BASELINES.items():
            chosen = config.model_copy(update={"segmenter": name})
            segmenter = create_segmenter(chosen, no_pits(part.shape))
            start = max(index - n_frames + 1, 0)
            for result in segmenter.segment(_cropped(reader, start, index + 1, window), part):
                if result.frame == index:
                    maps[name] = np.where(pit, np.uint8(CLASS_PIT), result.classes)
        return maps

    return compute


def _cropped(reader: FrameReader, start: int, stop: int, window: Window) -> Iterator[Frame]:
    for frame in reader.read(start, stop):
        yield replace(frame, image=np.ascontiguousarray(window.of(frame.image)))
