"""What is known of a recording beyond the frame at hand; acquire makes it, segmenters read it."""

from __future__ import annotations

from typing import Protocol

import pandas as pd

from pitflow.frame import Image


class Scene(Protocol):
    """The empty scene around any frame, and the recording's constants.

    Reference geometry is that of the first good frame; a frame's ``shift`` leads from there to it.
    """

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in px."""
        ...

    @property
    def levels(self) -> int:
        """Grey levels of the recording: 256 for 8 bit, 65536 for 16 bit."""
        ...

    @property
    def first(self) -> Image:
        """The first good frame."""
        ...

    @property
    def n_blocks(self) -> int:
        """Number of time blocks with a background of their own."""
        ...

    def background(self, block: int) -> Image:
        """Median image of a block, in reference geometry, at the reference's brightness."""
        ...

    def block_of(self, frame: int) -> int:
        """Return the block that holds ``frame``."""
        ...

    @property
    def frames(self) -> pd.DataFrame:
        """The ``frames`` table as acquire wrote it (quality, gain, shifts)."""
        ...
