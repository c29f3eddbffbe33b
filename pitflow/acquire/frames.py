"""The frames of a recording as later steps read them, stored or not."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import zarr

from pitflow.acquire.source import Source
from pitflow.acquire.store import read_frame
from pitflow.frame import SOUND, Frame, Image
from pitflow.scene import Scene


class FrameReader:
    """Gives the sound frames, with what acquire measured of them; may be used by many threads.

    Gaps and damaged frames are left out: there is nothing in them to analyse. They keep their
    rows in the ``frames`` table.

    Parameters
    ----------
    source:
        The recording, which is decoded again where ``video`` is None.
    video:
        (n_frames, height, width), the stored frames.
    frames:
        The ``frames`` table.
    """

    def __init__(
        self, source: Source | None, video: zarr.Array[Any] | None, frames: pd.DataFrame
    ) -> None:
        if source is None and video is None:
            raise ValueError("neither a recording nor stored frames to read from")
        self._source = source
        self._video = video
        self._frames = frames[frames["quality"].isin(SOUND)].set_index("frame")

    def sound(self, start: int, stop: int) -> list[int]:
        """Return the numbers of the sound frames from ``start`` up to ``stop``."""
        numbers: list[int] = self._frames.loc[start : stop - 1].index.tolist()
        return numbers

    def last(self, n: int, stop: int) -> list[Frame]:
        """Return the last ``n`` sound frames up to ``stop``; fewer if there are no more."""
        numbers = self.sound(0, stop)[-n:]
        return list(self.read(numbers[0], stop)) if numbers else []

    def read(self, start: int, stop: int) -> Iterator[Frame]:
        """Yield the sound frames from ``start`` up to ``stop``, in order."""
        known = self._frames.loc[start : stop - 1]
        measured = dict(
            zip(
                known.index,
                known[["quality", "shift_x_px", "shift_y_px", "gain"]].itertuples(index=False),
                strict=True,
            )
        )
        for number, image in self._images(np.array(known.index, dtype=np.int64)):
            row = measured[number]
            yield Frame(number, image, row.quality, (row.shift_x_px, row.shift_y_px), row.gain)

    def _images(self, numbers: Any) -> Iterator[tuple[int, Image]]:
        if self._video is not None:
            for number in numbers:
                yield int(number), read_frame(self._video, int(number), written=True)
        elif self._source is not None and len(numbers):
            wanted = set(numbers.tolist())
            for number, image, _ in self._source.read(int(numbers[0]), int(numbers[-1]) + 1):
                if number in wanted and image is not None:
                    yield number, image


def frames_of_block(reader: FrameReader, scene: Scene, block: int) -> Iterator[Frame]:
    """Yield the sound frames of a block, in order."""
    numbers = scene.frames["frame"].tolist()
    first, beyond = (bisect_left(numbers, edge, key=scene.block_of) for edge in (block, block + 1))
    if first == beyond:
        return iter(())
    return reader.read(numbers[first], numbers[beyond - 1] + 1)
