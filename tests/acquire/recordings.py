"""Recordings written for the tests, small and with known frames."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np


def scene_frames(n: int = 20, shape: tuple[int, int] = (64, 97), seed: int = 0) -> list[np.ndarray]:
    """Textured steel with noise and a dark spot that moves; all grey levels well inside 16..235."""
    rng = np.random.default_rng(seed)
    steel = 150 + 400 * cv2.GaussianBlur(rng.normal(0, 0.1, shape), (0, 0), 2.0)
    frames = []
    for i in range(n):
        image = steel + rng.normal(0, 2, shape)
        cv2.circle(image, (10 + 3 * i % shape[1], shape[0] // 2), 5, 60, -1)
        frames.append(np.clip(image, 20, 230).astype(np.uint8))
    return frames


def write_video(
    path: Path,
    frames: Sequence[np.ndarray],
    codec: str,
    pix_fmt: str,
    *,
    source_format: str = "gray",
    rate: int = 15,
    options: dict[str, str] | None = None,
    times: Sequence[int] | None = None,
) -> Path:
    """Encode with PyAV; ``times`` gives each frame's time in frame periods."""
    height, width = frames[0].shape[:2]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        for i, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format=source_format)
            if pix_fmt != source_format:
                frame = frame.reformat(format=pix_fmt)
            frame.pts = i if times is None else times[i]
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def packets_of(path: Path) -> list[tuple[int, int]]:
    """Byte position and size of the packets of a file."""
    with av.open(str(path)) as container:
        return [(p.pos, p.size) for p in container.demux(video=0) if p.size]


def damage(path: Path, packet: int, how: str = "zero") -> None:
    """Spoil the second half of a packet in place."""
    position, size = packets_of(path)[packet]
    data = bytearray(path.read_bytes())
    start, end = position + size // 2, position + size
    data[start:end] = (
        bytes(end - start) if how == "zero" else bytes(b ^ 0xA5 for b in data[start:end])
    )
    path.write_bytes(data)


def write_imagej_avi(
    path: Path,
    frames: Sequence[np.ndarray],
    *,
    palette: np.ndarray | None = None,
    with_palette: bool = True,
    lost: Sequence[int] = (),
    with_index: bool = True,
) -> Path:
    """Write an uncompressed AVI byte by byte, rows bottom up and padded to 4 bytes.

    Grey frames are indices into a palette (256, 3), colour frames (height, width, 3) are RGB.
    """
    height, width = frames[0].shape[:2]
    depth = frames[0][0, 0].size
    padding = b"\0" * (-width * depth % 4)
    size = height * (width * depth + len(padding))
    colours = b""
    if depth == 1 and with_palette:
        grey = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
        bgr = (grey if palette is None else palette)[:, ::-1]
        colours = np.pad(bgr, ((0, 0), (0, 1))).tobytes()
    main = struct.pack(
        "<14I", 1_000_000 // 15, 15 * size, 0, 0x10, len(frames), 0, 1, 0, width, height, 0, 0, 0, 0
    )
    stream = b"vidsDIB " + struct.pack(
        "<3I8I4h", 0, 0, 0, 1, 15, 0, len(frames), size, 0xFFFFFFFF, 0, 0, 0, 0, width, height
    )
    used = len(colours) // 4
    bitmap = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8 * depth, 0, size, 0, 0, used, used)
    header = _list(
        b"hdrl",
        _chunk(b"avih", main)
        + _list(b"strl", _chunk(b"strh", stream) + _chunk(b"strf", bitmap + colours)),
    )
    movie, index = b"", b""
    for i, image in enumerate(frames):
        rows = image[::-1] if depth == 1 else image[::-1, :, ::-1]
        data = b"" if i in lost else b"".join(row.tobytes() + padding for row in rows)
        index += b"00db" + struct.pack("<3I", 0x10, len(movie) + 4, len(data))
        movie += _chunk(b"00db", data)
    body = header + _list(b"movi", movie) + (_chunk(b"idx1", index) if with_index else b"")
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(body)) + b"AVI " + body)
    return path


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def _list(kind: bytes, data: bytes) -> bytes:
    return _chunk(b"LIST", kind + data)
