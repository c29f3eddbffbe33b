"""Any pixel format to grey values as the camera saw them."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt

from pitflow.frame import Image

_LIMITED, _FULL = 1, 2
"""FFmpeg's colour ranges: black to white is 16 to 235 (of 255), or 0 to 255."""
_NEUTRAL = 3
"""Colour channels that differ by no more than this many grey levels (of 255) are grey."""


def grey_of_frame(frame: av.VideoFrame) -> Image:
    """Return the grey values of a decoded frame.

    The luma plane where there is one, its limited range (16 to 235) spread over the full one; of
    RGB and palette frames the luma of ITU-R BT.601.

    Returns
    -------
    Image
        (height, width) uint8, or uint16 where a sample has more than 8 bits.
    """
    if frame.format.has_palette:
        indexed: Image = cv2.LUT(_plane(frame, 0), grey_of_rgb(_palette(frame)[None])[0])
        return indexed
    if frame.format.is_rgb:
        return grey_of_rgb(_rgb(frame))
    frame = _luma_frame(frame)
    luma = _plane(frame, 0)
    if _is_limited(frame):
        table = _full_range(frame.format.components[0].bits)
        full: Image = cv2.LUT(luma, table) if luma.dtype == np.uint8 else table[luma]
        return full
    # Detached from the decoder's buffer, which the frame gives back.
    return luma.copy()


def grey_of_rgb(pixels: Image) -> Image:
    """Return the BT.601 luma, 0.299 R + 0.587 G + 0.114 B, of (height, width, 3 or 4) pixels."""
    grey: Image = cv2.cvtColor(np.ascontiguousarray(pixels[..., :3]), cv2.COLOR_RGB2GRAY)
    return grey


def is_coloured(pixels: Image) -> bool:
    """Whether (height, width, 3 or 4) RGB pixels hold more than grey."""
    tolerance = _NEUTRAL / 255 * np.iinfo(pixels.dtype).max
    channels = pixels[..., :3]
    # Noise and compression give single pixels a tint; an object's colour covers more.
    spread = np.ptp(channels.astype(np.int32), axis=-1)
    return bool((spread > tolerance).mean() > 0.001)


def conversions(frame: av.VideoFrame) -> list[str]:
    """Say in plain words what ``grey_of_frame`` converts in a frame like this one."""
    notes = []
    if frame.format.has_palette or frame.format.is_rgb:
        rgb = _palette(frame)[_plane(frame, 0)] if frame.format.has_palette else _rgb(frame)
        if is_coloured(rgb):
            notes.append("colour converted to grey (BT.601 luma)")
        return notes
    frame = _luma_frame(frame)
    bits = frame.format.components[0].bits
    chroma = [_plane(frame, i) for i, c in enumerate(frame.format.components[:3]) if c.is_chroma]
    neutral, tolerance = 1 << (bits - 1), _NEUTRAL * (1 << (bits - 8))
    if any(
        (np.abs(plane.astype(np.int32) - neutral) > tolerance).mean() > 0.001 for plane in chroma
    ):
        notes.append("colour converted to grey (its luma)")
    if _is_limited(frame):
        top = (1 << bits) - 1
        notes.append(f"limited-range video spread over the full range of grey levels, 0 to {top}")
    if 8 < bits < 16:
        notes.append(f"{bits}-bit grey levels kept as they are, in 16 bits")
    return notes


def _palette(frame: av.VideoFrame) -> Image:
    """Return the (256, 3) colours of a frame of indices; grey levels where the file has none."""
    colours = np.frombuffer(frame.planes[1], dtype="=u4")
    if (colours == colours[0]).all():
        return np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    return np.stack([colours >> shift & 255 for shift in (16, 8, 0)], axis=1).astype(np.uint8)


def _rgb(frame: av.VideoFrame) -> Image:
    deep = max(component.bits for component in frame.format.components) > 8
    # swscale is asked for one thread: as many frames as there are workers are under way already.
    rgb = frame.reformat(format="rgb48le" if deep else "rgb24", threads=1)
    samples = _plane(rgb, 0, channels=3)
    return samples.reshape(frame.height, frame.width, 3)


def _luma_frame(frame: av.VideoFrame) -> av.VideoFrame:
    """Return the frame with its luma alone in plane 0."""
    name, bits = frame.format.name, frame.format.components[0].bits
    if name.startswith(("gray", "yuv", "nv")):
        return frame
    deep = f"{bits}le" if bits > 8 else ""
    if len(frame.format.components) <= 2:
        return frame.reformat(format="gray16le" if deep else "gray", threads=1)
    return frame.reformat(format=f"yuv444p{deep}", threads=1)


def _is_limited(frame: av.VideoFrame) -> bool:
    # Untold means limited for YUV, as every player takes it, and full for grey.
    name = frame.format.name
    if int(frame.color_range) == _FULL or name.startswith("yuvj"):
        return False
    return int(frame.color_range) == _LIMITED or not name.startswith("gray")


def _plane(frame: av.VideoFrame, index: int, channels: int = 1) -> npt.NDArray[Any]:
    """Return a plane as (height, width * channels), without the padding that ends its rows.

    It is a view into the decoder's memory, valid as long as ``frame`` is.
    """
    plane = frame.planes[index]
    deep = frame.format.components[0].bits > 8
    order = ">" if frame.format.is_big_endian else "<"
    dtype = np.dtype(f"{order}u2" if deep else np.uint8)
    if plane.line_size > 0:
        samples = np.frombuffer(plane, dtype=dtype)
        rows = samples.reshape(plane.height, plane.line_size // dtype.itemsize)
    else:
        # Of rows stored bottom up the buffer begins with the last in memory, and PyAV's own view
        # runs past the end.
        line = -plane.line_size
        start = plane.buffer_ptr - line * (plane.height - 1)
        memory = (ctypes.c_ubyte * (line * plane.height)).from_address(start)
        rows = np.frombuffer(memory, dtype=dtype).reshape(plane.height, line // dtype.itemsize)
        rows = rows[::-1]
    return rows[:, : plane.width * channels].astype(rows.dtype.newbyteorder("="), copy=False)


@cache
def _full_range(bits: int) -> Image:
    """Return the table from limited-range luma to the full range (ITU-R BT.601 and BT.709)."""
    step = 1 << (bits - 8)
    levels = np.arange(1 << bits, dtype=np.float64)
    full = (levels - 16 * step) / (219 * step) * ((1 << bits) - 1)
    dtype = np.uint8 if bits == 8 else np.uint16
    return np.rint(np.clip(full, 0, (1 << bits) - 1)).astype(dtype)
