"""The empty scene around a frame: one median image per block of time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd

from pitflow.acquire.registration import Pose
from pitflow.frame import SOUND, Image
from pitflow.median import median_image
from pitflow.translation import rescaled, translated

_CACHED = 8
"""Of a block and three to either side, which is what the ground of one asks for, and one more."""
_NEGLIGIBLE_GAIN = 0.001


def median_background(images: Sequence[Image], poses: Sequence[Pose]) -> Image:
    """Return the per-pixel median of a block's sampled frames, as the reference frame shows it.

    Each image is moved back by its pose and divided by its gain first, so drift of the stage and
    of the light neither blurs nor biases the median.

    Parameters
    ----------
    images:
        (height, width) uint8 or uint16 frames, all alike; at least one.
    poses:
        The pose of each, relative to the reference frame.

    Returns
    -------
    Image
        (height, width), of the images' type. With an even number of images, the mean of the two
        middle values, rounded down.

    Raises
    ------
    ValueError
        If there are no images, or not as many poses.
    """
    if not images or len(images) != len(poses):
        raise ValueError(f"{len(images)} images and {len(poses)} poses: need one pose per image")
    aligned = [_as_reference(image, pose) for image, pose in zip(images, poses, strict=True)]
    return median_image(aligned)


class StoredScene:
    """The scene of a recording whose block backgrounds are stored (``pitflow.scene.Scene``).

    May be read by many threads; a few backgrounds are kept in memory.

    Parameters
    ----------
    backgrounds:
        (n_blocks, height, width) array on disk, such as ``background.zarr``.
    frames:
        The ``frames`` table.
    first:
        The first good frame, (height, width).
    block_frames:
        Frames per block; blocks start at the first row of ``frames``.
    """

    def __init__(
        self, backgrounds: BackgroundArray, frames: pd.DataFrame, first: Image, block_frames: int
    ) -> None:
        self._backgrounds = backgrounds
        self._frames = frames
        self._first = first
        self._start = int(frames["frame"].iloc[0])
        self._block_frames = block_frames
        self._shown_by = self._nearest_sound()
        self._cache: OrderedDict[int, Image] = OrderedDict()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what belongs to this process."""
        state = self.__dict__.copy()
        del state["_lock"], state["_cache"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state | {"_lock": threading.Lock(), "_cache": OrderedDict()}

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in px."""
        return self._first.shape[0], self._first.shape[1]

    @property
    def levels(self) -> int:
        """Grey levels: 256 for 8 bit, 65536 for 16 bit."""
        return int(np.iinfo(self._first.dtype).max) + 1

    @property
    def first(self) -> Image:
        """The first good frame."""
        return self._first

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return int(self._backgrounds.shape[0])

    @property
    def frames(self) -> pd.DataFrame:
        """The ``frames`` table."""
        return self._frames

    def block_of(self, frame: int) -> int:
        """Return the block that holds ``frame``; the last one for frames of a shorter tail."""
        block = (frame - self._start) // self._block_frames
        return max(0, min(block, self.n_blocks - 1))

    def background(self, block: int) -> Image:
        """Return the median image of ``block``, not to be written to.

        Of a block without a sound frame it is that of the nearest one with some.
        """
        block = self._shown_by[block]
        with self._lock:
            if block in self._cache:
                self._cache.move_to_end(block)
                return self._cache[block]
        # Read outside the lock: a second reader of the same block costs less than all waiting.
        image: Image = np.asarray(self._backgrounds[block])
        image.flags.writeable = False
        with self._lock:
            self._cache[block] = image
            while len(self._cache) > _CACHED:
                self._cache.popitem(last=False)
        return image

    def _nearest_sound(self) -> list[int]:
        """Return the block that tells how the scene looks in each, the earlier of two as near."""
        sound = self._frames.loc[self._frames["quality"].isin(SOUND), "frame"]
        known = np.array(sorted({self.block_of(int(frame)) for frame in sound}) or [0])
        return [int(known[np.abs(known - block).argmin()]) for block in range(self.n_blocks)]


class BackgroundArray(Protocol):
    """What ``StoredScene`` needs of a zarr array: a shape, and images by index."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_blocks, height, width)."""
        ...

    def __getitem__(self, block: int, /) -> Any:
        """Return one image."""
        ...


def _as_reference(image: Image, pose: Pose) -> Image:
    moved = translated(image, -pose.dx, -pose.dy)
    if abs(pose.gain - 1) < _NEGLIGIBLE_GAIN:
        return moved
    return rescaled(moved, 1 / pose.gain, image.dtype)
