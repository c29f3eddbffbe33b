"""The one protocol behind which every segmenter stands, classical or learned.

Parameters go to the constructor; ``segment`` takes an iterator of frames and gives one of results.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from pitflow.frame import Frame
from pitflow.scene import Scene
from pitflow.segment.gate import Search

DETECTION_COLUMNS = (
    "frame",
    "x",
    "y",
    "area_px",
    "diameter_px",
    "eccentricity",
    "orientation_deg",
    "contrast",
    "mass",
    "sharpness",
    "score",
    "blur_px",
)
"""What a segmenter measures of each particle, in the meaning and units of the particles table."""


@dataclass(frozen=True, slots=True)
class Segmentation:
    """What a segmenter says of one frame.

    Parameters
    ----------
    frame:
        Index in the recording.
    classes:
        (height, width) uint8: 0 background, 1 particle, 2 pit, in the frame's own geometry.
    particles:
        One row per particle with ``DETECTION_COLUMNS``.
    search:
        How much of the frame was looked at, where that is not all of it.
    glimpses:
        What may be a particle but is too unsure to be one by itself, in rows like those of
        ``particles``; a track that leads there may go on with it. None: nothing was kept.
    bubbles:
        The gas bubbles told from particles, in rows of the table of bubbles. None: there are none,
        or they are not told.
    notes:
        What had to be adapted on the way, one sentence each.
    """

    frame: int
    classes: npt.NDArray[np.uint8]
    particles: pd.DataFrame
    search: Search | None = None
    glimpses: pd.DataFrame | None = None
    bubbles: pd.DataFrame | None = None
    notes: tuple[str, ...] = ()


class Segmenter(Protocol):
    """Frames in, segmentations out, one each and in the same order."""

    @property
    def name(self) -> str:
        """The name by which a user chooses it."""
        ...

    @property
    def in_order(self) -> bool:
        """True if it carries state from frame to frame.

        Such a segmenter must be given every frame once, in order, by one iterator; any other may
        be given the blocks of a recording in parallel, or the windows of a block
        (``pitflow.segment.classical.window``), with the same result.
        """
        ...

    def segment(self, frames: Iterable[Frame], scene: Scene) -> Iterator[Segmentation]:
        """Yield one result per frame. Frames that cannot be trusted yield no particles."""
        ...
