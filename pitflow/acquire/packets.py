"""The packets of a video file: listed in order, reached by a seek, decoded.

A packet's number is its place in the file. It travels through the decoder as the time stamp, so
every decoded frame says which packet it came from, whatever order the codec keeps and whatever
time stamps the file holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd

from pitflow.errors import UserError

_KINDS = "give an AVI, MP4, MKV or MOV file, or a folder or zip of TIFF or PNG images"
_STRICT = {"err_detect": "explode"}
"""Has a decoder report what it would otherwise paint over."""


class PacketTable:
    """Where the packet of each frame stands.

    Parameters
    ----------
    index:
        The index of a video, with ``packet`` (-1 for a gap).
    """

    def __init__(self, index: pd.DataFrame) -> None:
        there = index[index["packet"] >= 0].sort_values("packet")
        self._frame = there["frame"].to_numpy(dtype=np.int64)
        self._packet = there["packet"].to_numpy(dtype=np.int64)
        self._position = there["byte_position"].to_numpy(dtype=np.int64)
        self._pts = there["pts"].to_numpy(dtype=np.int64)
        self._is_key = there["is_key"].to_numpy(dtype=bool)

    def key_before(self, frame: int) -> int:
        """Return the packet at which decoding must start to reach ``frame``."""
        keys = self._packet[self._is_key & (self._frame <= frame)]
        if not len(keys):
            return 0
        key = keys[-1]
        # Frames shown before the key frame and stored after it lean on the stretch before. Starting
        # there, the decoder finds no fault with them.
        leading = (self._packet > key) & (self._frame < self.frame_of(key))
        return int(keys[-2]) if leading.any() and len(keys) > 1 else int(key)

    def key_frame_after(self, packet: int) -> float:
        """Return the first frame after ``packet`` that leans on no other, infinity if none."""
        keys = self._frame[self._is_key & (self._packet > packet)]
        return int(keys[0]) if len(keys) else np.inf

    def frame_of(self, packet: int) -> int:
        """Return the number of the frame in a packet, -1 if none of the recording is in it."""
        at = int(np.searchsorted(self._packet, packet))
        found = at < len(self._packet) and self._packet[at] == packet
        return int(self._frame[at]) if found else -1

    def pts_of(self, packet: int) -> int:
        """Return the time stamp of a frame's packet."""
        return int(self._pts[np.searchsorted(self._packet, packet)])

    def position_of(self, packet: int) -> int:
        """Return the byte position of a packet, or of the one before it that holds a frame."""
        at = int(np.searchsorted(self._packet, packet, side="right")) - 1
        return int(self._position[max(at, 0)])

    def at(self, position: int) -> int:
        """Return the packet at a byte position, -1 unless there is exactly one."""
        found = np.flatnonzero(self._position == position)
        return int(self._packet[found[0]]) if len(found) == 1 else -1


@contextmanager
def opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """Open a file and its first video stream, to be decoded by the calling thread alone.

    Raises
    ------
    UserError
        If it is not a video, or there is no decoder for it.
    """
    try:
        # A playlist or a script in place of a video must not make FFmpeg open anything else.
        container = av.open(
            # By its protocol, or FFmpeg would look for one in a name with a colon.
            f"file:{path}",
            options={"protocol_whitelist": "file"},
            metadata_errors="ignore",
        )
    except PermissionError:
        raise
    except av.error.FFmpegError as error:
        raise UserError("not a video that can be read", where=path, hint=_KINDS) from error
    with container:
        if not container.streams.video:
            raise UserError("the file holds no video", where=path, hint=_KINDS)
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise UserError("there is no decoder for this video", where=path, hint=_KINDS)
        stream.codec_context.thread_count = 1
        yield container, stream


def packets_with_data(container: Any, stream: Any) -> Iterator[Any]:
    """Yield the packets that hold data, in the order of the file, up to where it can be read."""
    try:
        for packet in container.demux(stream):
            if packet.size:
                yield packet
    except av.error.FFmpegError:
        # The end of a file that was cut off; the index tells what is lost.
        return


@contextmanager
def packets_from(
    path: Path, table: PacketTable, first: int
) -> Iterator[tuple[Any, Iterator[tuple[int, Any]]]]:
    """Open a file at packet ``first``: give its stream, and its packets with their numbers."""
    if first > 0:
        with opened(path) as (container, stream):
            if stream.format.has_palette:
                # The palette comes with the first packet alone; the decoder keeps it.
                stream.codec_context.decode(next(packets_with_data(container, stream)))
            _seek(container, stream, table, first)
            following = packets_with_data(container, stream)
            head = next(following, None)
            number = -1 if head is None else table.at(head.pos)
            if 0 <= number <= first:
                numbered = enumerate(chain([head], following), number)
                yield stream, islice(numbered, first - number, None)
                return
    # Some files cannot be searched; reading them up to the packet always works.
    with opened(path) as (container, stream):
        yield stream, islice(enumerate(packets_with_data(container, stream)), first, None)


def _seek(container: Any, stream: Any, table: PacketTable, packet: int) -> None:
    """Go to a packet or somewhat before it, if the file can be searched."""
    with suppress(av.error.FFmpegError):
        if container.format.name == "avi" and len(stream.index_entries) <= packet:
            # An AVI that was cut off has lost the list by which it is searched for a time. The
            # search for a byte ends at the next packet behind it, but image data may look like the
            # head of a packet of any size, so it is for want of the list only.
            position = table.position_of(packet - 1)
            container.seek(position, stream=stream, unsupported_byte_offset=True)
        else:
            container.seek(table.pts_of(packet), stream=stream)


class Faults:
    """Which frames a decoder's faults touch.

    A fault spreads from its packet to every frame shown before the next key frame.

    Parameters
    ----------
    table:
        The packets of the file.
    """

    def __init__(self, table: PacketTable) -> None:
        self._table = table
        self._spans: list[tuple[int, float]] = []

    def note(self, packet: int) -> None:
        """Take note of a fault in a packet."""
        self._spans.append((packet, self._table.key_frame_after(packet)))

    def touch(self, packet: int) -> bool:
        """Whether the frame of a packet is spoilt."""
        frame = self._table.frame_of(packet)
        return any(packet >= start and frame < end for start, end in self._spans)


def decode(
    stream: Any,
    packets: Iterable[tuple[int, Any]],
    on_fault: Callable[[int], object],
    *,
    strict: bool,
) -> Iterator[av.VideoFrame]:
    """Decode numbered packets into frames, in the order in which they are shown.

    Parameters
    ----------
    stream:
        A stream just opened.
    packets:
        (number, packet), from one at which decoding can start.
    on_fault:
        Told the number of every packet with a fault, before its frame, if there comes one at all.
    strict:
        Whether the decoder is to report faults that it could paint over.

    Yields
    ------
    av.VideoFrame
        A frame with the number of its packet as its ``pts``.
    """
    codec = stream.codec_context
    if strict:
        codec.options = _STRICT
    for number, packet in chain(packets, [(-1, None)]):
        if packet is not None:
            packet.pts = number
            if packet.is_corrupt:
                on_fault(number)
        try:
            frames = codec.decode(packet)
        except av.error.FFmpegError:
            on_fault(number)
            continue
        for frame in frames:
            if frame.is_corrupt:
                on_fault(frame.pts)
            yield frame
