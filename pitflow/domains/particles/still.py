"""The classical segmenters on single images, for comparison with the network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pitflow import schema
from pitflow.config import SegmentConfig
from pitflow.frame import CLASS_PARTICLE, Frame, Image
from pitflow.segment.score import Mask


@dataclass(frozen=True, slots=True)
class StillScene:
    """A recording of one frame, whose background is the frame itself (``pitflow.scene.Scene``)."""

    first: Image
    n_blocks: int = 1

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in px."""
        return self.first.shape[0], self.first.shape[1]

    @property
    def levels(self) -> int:
        """Grey levels: 256 for 8 bit, 65536 for 16 bit."""
        return int(np.iinfo(self.first.dtype).max) + 1

    @property
    def frames(self) -> pd.DataFrame:
        """A ``frames`` table without rows: nothing was measured."""
        return schema.empty_table(schema.FRAMES)

    def background(self, block: int) -> Image:
        """Return the frame."""
        return self.first

    def block_of(self, frame: int) -> int:
        """Return the only block."""
        return 0


def classical_mask(image: Image, config: SegmentConfig) -> Mask:
    """Return the (height, width) particles that ``clahe`` finds in one image.

    The other classical segmenters compare frames, and find nothing in a single one.
    """
    from pitflow.segment.classical.clahe import ClaheSegmenter
    from pitflow.segment.pits import find_pits

    scene = StillScene(image)
    segmenter = ClaheSegmenter(config.clahe, find_pits(scene, config.pits))
    (result,) = segmenter.segment([Frame(0, image)], scene)
    mask: Mask = result.classes == CLASS_PARTICLE
    return mask
