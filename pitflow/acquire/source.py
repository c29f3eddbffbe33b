"""What a recording is to every later step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from pitflow.frame import Image, Quality


class Source(Protocol):
    """A recording that can be read anywhere, by many threads or processes at once."""

    @property
    def path(self) -> Path:
        """The file or folder."""
        ...

    @property
    def files(self) -> list[Path]:
        """The files that its frames are in."""
        ...

    @property
    def n_frames(self) -> int:
        """Frames of the recording, lost ones included."""
        ...

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of every frame, px."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a grey value: uint8 or uint16."""
        ...

    @property
    def fps(self) -> float:
        """Frames per second."""
        ...

    @property
    def notes(self) -> list[str]:
        """What was converted, assumed or lost, one line each."""
        ...

    @property
    def index(self) -> pd.DataFrame:
        """One row per frame: frame, time_s, pts, byte_position, is_key, quality."""
        ...

    def read(self, start: int, stop: int) -> Iterator[tuple[int, Image | None, Quality]]:
        """Yield (number, image, quality) of every frame from ``start`` up to ``stop``, in order.

        A lost frame comes as a gap without an image, and a frame that cannot be decoded soundly as
        damaged, with or without one. Every call opens the recording for itself.

        Raises
        ------
        ValueError
            If the frames are not all within the recording.
        UserError
            If the recording cannot be opened any more, or its size changes.
        """
        ...
