"""What a recording is to every later step, and how a path becomes one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from pitflow.acquire.images import is_images, open_images
from pitflow.acquire.inverted import Inverted
from pitflow.acquire.video import open_video
from pitflow.errors import UserError
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


def open_source(
    path: Path | str,
    *,
    fps: float | None = None,
    index_file: Path | None = None,
    invert: bool = False,
) -> Source:
    """Open a recording: a video, a folder or zip of snapshots, or a TIFF stack.

    Parameters
    ----------
    path:
        The file or folder.
    fps:
        Frames per second, in place of what the recording states.
    index_file:
        Where the index is kept; it is used again as long as the recording stays as it is.
    invert:
        Turn the grey values round.

    Raises
    ------
    UserError
        If there is nothing at ``path``, it may not be read, or it holds no frames.
    """
    path = Path(path)
    try:
        exists = path.exists()
    except PermissionError as error:
        raise UserError("may not be read", where=path, hint="check its permissions") from error
    if not exists:
        raise UserError("no such file or folder", where=path)
    if path.is_file() and path.stat().st_size == 0:
        raise UserError("the file is empty", where=path)
    open_it = open_images if is_images(path) else open_video
    try:
        source: Source = open_it(path, fps=fps, index_file=index_file)
    except PermissionError as error:
        raise UserError("may not be read", where=path, hint="check its permissions") from error
    return Inverted(source) if invert else source
