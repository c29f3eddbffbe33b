"""Snapshots as a recording: a folder or a zip of images, or a TIFF stack.

Every image is read in memory; nothing is extracted to disk.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Protocol

import numpy as np
import pandas as pd

from pitflow.acquire.index import DEFAULT_FPS, Facts, kept_index, with_gaps
from pitflow.acquire.numbering import Integers, number_frames
from pitflow.acquire.snapshot import Pages, UnreadableError, UnsupportedError, open_pages
from pitflow.errors import UserError
from pitflow.frame import Image, Quality
from pitflow.image_file import IMAGE_SUFFIXES, is_image, not_read

_LABELS = ("_mask", "_labels")
"""Ends of the names of images that hold labels of another one."""
_MOST_MISSING = 0.25
"""Counters in file names that leave out more than this are not counters of frames."""
_IN_MEMORY = 1 << 28
"""Members of a zip larger than this are read through the zip, not loaded whole (bytes)."""
_ABSENT = {
    "time_s": np.nan,
    "pts": -1,
    "byte_position": -1,
    "is_key": False,
    "quality": "gap",
    "file": "",
    "page": -1,
}


def is_images(path: Path) -> bool:
    """Whether ``path`` is a folder, a zip or an image file."""
    return path.is_dir() or path.suffix.lower() in (".zip", *IMAGE_SUFFIXES)


def open_images(
    path: Path, *, fps: float | None = None, index_file: Path | None = None
) -> ImageSource:
    """Open a folder or zip of images, or a TIFF stack; files are sorted by the numbers in them.

    A file that is called like another image and ``_mask`` or ``_labels`` is not a frame.

    Raises
    ------
    UserError
        If there are no images in it, or not all are alike in size and type.
    """
    files = _files(path)
    fingerprint = files.fingerprint()
    known = kept_index(index_file, fingerprint, lambda: _build_index(path, files, fingerprint))
    return ImageSource(path, *known, fps)


class ImageSource:
    """Snapshots in the order of their names (``pitflow.acquire.source.Source``).

    Parameters
    ----------
    path:
        The folder, zip or TIFF stack.
    index, facts:
        What ``open_images`` found. Beside its common columns the index holds ``file`` and
        ``page``, where a frame is.
    fps:
        Frames per second; the files seldom tell.
    """

    def __init__(self, path: Path, index: pd.DataFrame, facts: Facts, fps: float | None) -> None:
        self.path = path
        self.index = index if fps is None else index.assign(time_s=index["frame"] / fps)
        self.shape = (facts.height, facts.width)
        self.dtype = np.dtype(facts.dtype)
        self.fps = facts.fps if fps is None else fps
        self.notes = [n for n in facts.notes if fps is None or n != _ASSUMED_RATE]
        self.n_frames = len(index)

    @property
    def files(self) -> list[Path]:
        """The images, or the zip or stack they are in."""
        if not self.path.is_dir():
            return [self.path]
        return [self.path / name for name in self.index["file"].unique() if name]

    def read(self, start: int, stop: int) -> Iterator[tuple[int, Image | None, Quality]]:
        """Yield (number, image, quality) of every frame from ``start`` up to ``stop``, in order."""
        if not 0 <= start <= stop <= self.n_frames:
            raise ValueError(f"frames {start}:{stop} are not within 0:{self.n_frames}")
        rows = self.index.iloc[start:stop]
        places = zip(rows["frame"], rows["file"], rows["page"], rows["quality"], strict=True)
        with _files(self.path) as files, ExitStack() as stack:
            opened_name, pages = "", None
            for frame, name, page, quality in places:
                if quality == "gap":
                    yield int(frame), None, "gap"
                    continue
                if name != opened_name:
                    stack.close()
                    opened_name, pages = name, _try_open(files, name, stack)
                image = None if pages is None else self._image(pages, int(page), name)
                yield int(frame), image, "damaged" if image is None else "ok"

    def _image(self, pages: Pages, page: int, name: str) -> Image | None:
        try:
            image = pages.read(page)
        except UnreadableError:
            return None
        if image.shape != self.shape or image.dtype != self.dtype:
            raise _unlike(self.path, name, image.shape, image.dtype, self.shape, self.dtype)
        return image


class _Files(Protocol):
    """Named files in a folder or a zip."""

    def __enter__(self) -> _Files: ...
    def __exit__(self, *error: object) -> None: ...
    def names(self) -> list[str]: ...
    def open(self, name: str) -> BinaryIO: ...
    def fingerprint(self) -> str: ...


@dataclass(frozen=True, slots=True)
class _Folder:
    path: Path
    only: str | None = None

    def __enter__(self) -> _Folder:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def names(self) -> list[str]:
        if self.only is not None:
            return [self.only]
        return [p.name for p in self.path.iterdir() if p.is_file()]

    def open(self, name: str) -> BinaryIO:
        return (self.path / name).open("rb")

    def fingerprint(self) -> str:
        status = {name: (self.path / name).stat() for name in sorted(self.names())}
        listing = repr([(n, s.st_size, s.st_mtime_ns) for n, s in status.items()])
        return hashlib.sha256(listing.encode()).hexdigest()


class _Zip:
    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._archive = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise UserError(f"not a zip file ({error})", where=path) from error

    def __enter__(self) -> _Zip:
        return self

    def __exit__(self, *error: object) -> None:
        self._archive.close()

    def names(self) -> list[str]:
        members = (info for info in self._archive.infolist() if not info.is_dir())
        return [m.filename for m in members if not m.filename.startswith("__MACOSX/")]

    def open(self, name: str) -> BinaryIO:
        try:
            if self._archive.getinfo(name).file_size > _IN_MEMORY:
                return self._archive.open(name)  # type: ignore[return-value]
            return io.BytesIO(self._archive.read(name))
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
            raise UnreadableError(str(error)) from error
        except (RuntimeError, NotImplementedError) as error:
            raise UserError(f"{name} cannot be unpacked ({error})", where=self._path) from error

    def fingerprint(self) -> str:
        status = self._path.stat()
        return f"{status.st_size}:{status.st_mtime_ns}"


def _files(path: Path) -> _Files:
    if path.is_dir():
        return _Folder(path)
    return _Zip(path) if path.suffix.lower() == ".zip" else _Folder(path.parent, path.name)


def _try_open(files: _Files, name: str, stack: ExitStack) -> Pages | None:
    """Open an image file until ``stack`` is closed; None if it is damaged."""
    try:
        file = stack.enter_context(files.open(name))
        return stack.enter_context(open_pages(file, PurePosixPath(name).suffix))
    except UnreadableError:
        return None


_VIDEOS = (".avi", ".mkv", ".mp4", ".mov", ".m4v", ".wmv", ".mpg", ".webm")

_ASSUMED_RATE = f"the images tell no frame rate: {DEFAULT_FPS:g} frames/s assumed"


def _what_instead(path: Path) -> str:
    """Return what to give in place of a folder without images."""
    if (path / "run.json").exists():
        return "it is a run: give its recording, or see `pitflow report`"
    names = sorted(one.name for one in path.iterdir()) if path.is_dir() else []
    if videos := [name for name in names if name.lower().endswith(_VIDEOS)]:
        end = Path(videos[0]).suffix
        return f"it holds {videos[0]}: give the videos themselves, as {path.name}/*{end}"
    return not_read(names) or f"frames are files that end in {', '.join(sorted(IMAGE_SUFFIXES))}"


def _build_index(path: Path, files: _Files, fingerprint: str) -> tuple[pd.DataFrame, Facts]:
    with files:
        all_names = files.names()
        names, skipped = _frames_among(all_names)
        if not names:
            raise UserError("no images in it", where=path, hint=_what_instead(path))
        folders = sorted({str(PurePosixPath(name).parent) for name in names})
        if len(folders) > 1:
            raise UserError(
                f"images in several folders: {', '.join(folders[:5])}",
                where=path,
                hint="give one recording at a time",
            )
        rows: list[dict[str, Any]] = []
        first: tuple[str, Pages] | None = None
        notes: list[str] = []
        interval = None
        shape, dtype = (0, 0), np.dtype(np.uint8)
        for name in names:
            with ExitStack() as stack:
                try:
                    pages = _try_open(files, name, stack)
                except UnsupportedError as error:
                    raise UserError(f"{name}: {error}", where=path) from error
                if pages is None:
                    rows.append({"file": name, "page": 0, "quality": "damaged"})
                    continue
                if first is None:
                    first = name, pages
                    shape, dtype, interval = pages.shape, pages.dtype, pages.interval_s
                    notes += pages.conversions()
                elif (pages.shape, pages.dtype) != (shape, dtype):
                    raise _unlike(path, name, pages.shape, pages.dtype, shape, dtype)
                rows += [{"file": name, "page": i, "quality": "ok"} for i in range(pages.n)]
    if first is None:
        raise UserError("none of the images in it can be read", where=path)

    n_damaged = sum(row["quality"] == "damaged" for row in rows)
    if n_damaged:
        said = "1 image cannot be read and counts as a damaged frame"
        if n_damaged > 1:
            said = f"{n_damaged} images cannot be read and count as damaged frames"
        notes.append(said)
    if skipped:
        kinds = Counter(_label_end(name) for name in skipped)
        ends = ", ".join(f"*{end}" for end in sorted(kinds))
        notes.append(f"{len(skipped)} label images ({ends}) are not frames and were skipped")
    if unread := not_read(all_names):
        notes.append(f"left out {unread}")
    index = pd.DataFrame(rows)
    index.insert(0, "frame", _numbers([row["file"] for row in rows]))
    n_gaps = int(index["frame"].iloc[-1]) + 1 - len(index)
    if n_gaps:
        notes.append(f"{n_gaps} numbers are missing in the names of the files: gaps")
    if interval is None:
        notes.append(_ASSUMED_RATE)
    fps = DEFAULT_FPS if interval is None else 1 / interval
    index = index.assign(time_s=np.nan, pts=-1, byte_position=-1, is_key=True)
    index = with_gaps(index[["frame", *_ABSENT]], _ABSENT)
    index["time_s"] = index["frame"] / fps
    height, width = shape
    return index, Facts(fingerprint, height, width, dtype.name, fps, True, tuple(notes))


def _frames_among(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the names that are frames, in natural order, and those that are their labels."""
    images = [name for name in names if is_image(PurePosixPath(name).name)]
    stems = {_stem(name) for name in images}
    labels = [n for n in images if _label_end(n) and _stem(n)[: -len(_label_end(n))] in stems]
    frames = sorted(set(images) - set(labels), key=_natural)
    return frames, labels


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))


def _label_end(name: str) -> str:
    return next((end for end in _LABELS if _stem(name).endswith(end)), "")


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Sort key by which img10 comes after img9."""
    parts = re.split(r"(\d+)", name)
    return [(i % 2, int(part) if i % 2 else 0, part.casefold()) for i, part in enumerate(parts)]


def _numbers(names: Sequence[str]) -> Integers:
    """Return frame numbers: by the counter in the names, where there is one, or as they come."""
    n = len(names)
    parts = [re.split(r"(\d+)", PurePosixPath(name).stem) for name in names]
    in_order = np.arange(n, dtype=np.int64)
    if len({(len(p), *p[::2]) for p in parts}) != 1 or len(set(names)) != n:
        return in_order
    fields = np.array([[int(number) for number in p[1::2]] for p in parts], dtype=object)
    varying = [column for column in fields.T if len(set(column)) > 1] if fields.size else []
    if len(varying) != 1 or max(varying[0]) > np.iinfo(np.int64).max:
        return in_order
    numbers = number_frames(varying[0].astype(np.int64)).numbers
    return numbers if numbers[-1] + 1 <= (1 + _MOST_MISSING) * n else in_order


def _unlike(
    path: Path,
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    first_shape: tuple[int, int],
    first_dtype: np.dtype[Any],
) -> UserError:
    return UserError(
        f"{name} is {shape[1]} x {shape[0]} px {dtype}, the first image "
        f"{first_shape[1]} x {first_shape[0]} px {first_dtype}: a recording has one size and type",
        where=path,
    )
