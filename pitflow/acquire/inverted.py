"""A recording with its grey values turned round: bright particles on dark ground become dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pitflow.acquire.source import Source
from pitflow.frame import Image, Quality


class Inverted:
    """Another source, inverted (``pitflow.acquire.source.Source``).

    White becomes black. White is the top of the type; where samples of 10 or 12 bits lie in 16, the
    top of the least number of bits, 8 or more, that holds the first image.

    Parameters
    ----------
    source:
        The recording as it is.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._top = int(np.iinfo(source.dtype).max)
        if source.dtype != np.uint8:
            images = (image for _, image, _ in source.read(0, source.n_frames))
            first = next((image for image in images if image is not None), None)
            if first is not None:
                self._top = (1 << max(8, int(first.max()).bit_length())) - 1

    @property
    def path(self) -> Path:
        """The file or folder."""
        return self._source.path

    @property
    def files(self) -> list[Path]:
        """The files that its frames are in."""
        return self._source.files

    @property
    def n_frames(self) -> int:
        """Frames of the recording, lost ones included."""
        return self._source.n_frames

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of every frame, px."""
        return self._source.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a grey value: uint8 or uint16."""
        return self._source.dtype

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self._source.fps

    @property
    def notes(self) -> list[str]:
        """What was converted, assumed or lost, one line each."""
        return [*self._source.notes, f"grey values inverted: 0 became {self._top}"]

    @property
    def index(self) -> pd.DataFrame:
        """One row per frame: frame, time_s, pts, byte_position, is_key, quality."""
        return self._source.index

    def read(self, start: int, stop: int) -> Iterator[tuple[int, Image | None, Quality]]:
        """Yield what the recording does, inverted."""
        top = self._source.dtype.type(self._top)
        for number, image, quality in self._source.read(start, stop):
            yield number, None if image is None else top - np.minimum(image, top), quality
