"""How a path becomes a recording."""

from __future__ import annotations

from pathlib import Path

from pitflow.acquire.images import is_images, open_images
from pitflow.acquire.inverted import Inverted
from pitflow.acquire.source import Source
from pitflow.acquire.video import open_video
from pitflow.errors import UserError


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
