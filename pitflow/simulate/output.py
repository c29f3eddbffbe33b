"""Writing frames to a file: one class per kind of container, all used the same way."""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np
import numpy.typing as npt
import tifffile

from pitflow.errors import UserError
from pitflow.frame import Image
from pitflow.simulate.config import Codec, SimulateConfig

CONTAINERS = {".avi": "avi", ".mkv": "matroska", ".mp4": "mp4", ".mov": "mov"}
_BY_SUFFIX: dict[str, Codec] = {
    ".avi": "mjpeg",
    ".mkv": "ffv1",
    ".mp4": "h264",
    ".mov": "mjpeg",
    ".zip": "tiff",
    "": "tiff",
}
_GREY = 128


class Writer(Protocol):
    """Takes the frames in order."""

    def write(self, image: Image) -> None:
        """Append one frame, (h, w) uint8 or uint16."""
        ...

    def close(self) -> None:
        """Finish the file."""
        ...


@dataclass(frozen=True, slots=True)
class _Encoding:
    """How a codec is set up: the encoder, its pixel formats for 8 and 16 bit, its options."""

    encoder: str
    format_8: str
    format_16: str | None
    options: dict[str, str]
    containers: tuple[str, ...]


_ENCODINGS: dict[Codec, _Encoding] = {
    # Full-range YUV whose Y plane is the grey image itself: no level is lost to a conversion.
    "mjpeg": _Encoding(
        "mjpeg", "yuvj420p", None, {"qmin": "2", "qmax": "2"}, (".avi", ".mkv", ".mov")
    ),
    "h264": _Encoding(
        "libx264", "yuvj420p", None, {"crf": "16", "preset": "veryfast"}, (".mp4", ".mkv", ".mov")
    ),
    "ffv1": _Encoding(
        "ffv1", "gray", "gray16le", {"level": "3", "slices": "4", "slicecrc": "1"}, (".avi", ".mkv")
    ),
    "raw": _Encoding("rawvideo", "gray", None, {}, (".avi", ".mkv")),
}


def codec_for(path: Path, config: SimulateConfig) -> Codec:
    """Return the codec for a file, checked against its name, the bits and the size.

    Raises
    ------
    UserError
        If the file's name, the codec, the bit depth and the frame size do not go together.
    """
    suffix = path.suffix.lower()
    if suffix not in _BY_SUFFIX:
        raise UserError(
            f"cannot write {suffix!r} files",
            where=path,
            hint=f"known: {', '.join(s for s in _BY_SUFFIX if s)}, or a folder for TIFF",
        )
    codec = config.codec or _BY_SUFFIX[suffix]
    fitting = (".zip", "") if codec == "tiff" else _ENCODINGS[codec].containers
    if suffix not in fitting:
        names = " or ".join(s or "a folder" for s in fitting)
        raise UserError(
            f"codec {codec} does not go into {suffix or 'a folder'}",
            where=path,
            hint=f"name the file {names}",
        )
    if codec == "tiff":
        return codec
    if config.bits == 16 and _ENCODINGS[codec].format_16 is None:
        raise UserError(
            f"codec {codec} holds 8 bits, not 16",
            where=path,
            hint="16 bits go into ffv1 (.mkv, .avi) or TIFF (.zip)",
        )
    if codec == "h264" and (config.height % 2 or config.width % 2):
        raise UserError(
            f"codec h264 needs even sides, not {config.height}x{config.width}",
            where=path,
            hint="choose an even --size or another codec",
        )
    return codec


@contextmanager
def open_writer(
    path: Path, config: SimulateConfig, workers: int, overwrite: bool = False
) -> Iterator[Writer]:
    """Open ``path`` for the frames of a recording; it appears under its name only when complete.

    Raises
    ------
    UserError
        If the file cannot be written, or is there already and ``overwrite`` is not set.
    """
    codec = codec_for(path, config)
    if path.exists() and not overwrite:
        raise UserError("is there already", where=path, hint="give another name, or --overwrite")
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(partial)
        writer = _writer(partial, path.suffix.lower(), codec, config, workers)
        try:
            yield writer
            writer.close()
            _remove(path)
            partial.replace(path)
        finally:
            _remove(partial)
    except OSError as error:
        raise UserError(f"cannot be written ({error.strerror or error})", where=path) from error


def _writer(
    partial: Path, suffix: str, codec: Codec, config: SimulateConfig, workers: int
) -> Writer:
    if codec == "tiff":
        return _ZipWriter(partial) if suffix == ".zip" else _FolderWriter(partial)
    return _VideoWriter(partial, CONTAINERS[suffix], _ENCODINGS[codec], config, workers)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class _VideoWriter:
    def __init__(
        self, path: Path, container: str, encoding: _Encoding, config: SimulateConfig, workers: int
    ) -> None:
        self._format = encoding.format_8 if config.bits == 8 else encoding.format_16
        self._container = av.open(str(path), "w", format=container)
        rate = Fraction(config.fps).limit_denominator(1000)
        self._stream = self._container.add_stream(
            encoding.encoder, rate=rate, options=dict(encoding.options)
        )
        self._stream.width, self._stream.height = config.width, config.height
        self._stream.pix_fmt = self._format
        self._stream.codec_context.thread_count = workers
        self._stream.codec_context.color_range = 2
        self._count = 0

    def write(self, image: Image) -> None:
        frame = av.VideoFrame(image.shape[1], image.shape[0], self._format)
        frame.color_range = 2
        _fill(frame.planes[0], image)
        for plane in frame.planes[1:]:
            _fill(plane, np.full((plane.height, plane.width), _GREY, dtype=np.uint8))
        frame.pts = self._count
        frame.time_base = 1 / Fraction(self._stream.average_rate or self._stream.base_rate)
        self._count += 1
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()


def _fill(plane: Any, image: npt.NDArray[Any]) -> None:
    """Copy an image into a plane whose lines are longer than its rows."""
    lines = np.frombuffer(plane, dtype=np.uint8).reshape(-1, plane.line_size)
    rows = np.ascontiguousarray(image).view(np.uint8)
    lines[: rows.shape[0], : rows.shape[1]] = rows


class _FolderWriter:
    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder, self._count = folder, 0

    def write(self, image: Image) -> None:
        tifffile.imwrite(self._folder / _snapshot_name(self._count), image)
        self._count += 1

    def close(self) -> None:
        pass


class _ZipWriter:
    def __init__(self, path: Path) -> None:
        self._zip = zipfile.ZipFile(path, "w", zipfile.ZIP_STORED)
        self._count = 0

    def write(self, image: Image) -> None:
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, image)
        self._zip.writestr(_snapshot_name(self._count), buffer.getvalue())
        self._count += 1

    def close(self) -> None:
        self._zip.close()


def _snapshot_name(index: int) -> str:
    return f"frame_{index:06d}.tif"
