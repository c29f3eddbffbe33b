"""Video files, read with FFmpeg: the index is made of packets, without decoding them."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd

from pitflow.acquire.grey import conversions, grey_of_frame
from pitflow.acquire.index import DEFAULT_FPS, Facts, kept_index, with_gaps
from pitflow.acquire.numbering import Integers, Numbering, number_frames
from pitflow.acquire.packets import (
    Faults,
    PacketTable,
    decode,
    opened,
    packets_from,
    packets_with_data,
)
from pitflow.errors import UserError
from pitflow.frame import Image, Quality

_PROBED = 64
"""Packets within which a sound frame must come out of the decoder."""
_CHUNK_HEADER = 8
"""Bytes before a packet in an AVI; its index points there."""
_ABSENT = {
    "time_s": np.nan,
    "pts": -1,
    "byte_position": -1,
    "is_key": False,
    "quality": "gap",
    "packet": -1,
}


def open_video(
    path: Path, *, fps: float | None = None, index_file: Path | None = None
) -> VideoSource:
    """Open a video file; its packets are listed, unless ``index_file`` lists them already.

    Raises
    ------
    UserError
        If it is not a video, or holds no frame that can be decoded.
    """
    status = path.stat()
    fingerprint = f"{status.st_size}:{status.st_mtime_ns}"
    known = kept_index(index_file, fingerprint, lambda: _build_index(path, fingerprint))
    return VideoSource(path, *known, fps)


class VideoSource:
    """A video file (``pitflow.acquire.source.Source``).

    Parameters
    ----------
    path:
        The file.
    index, facts:
        What ``open_video`` found. Beside its common columns the index holds ``packet``, the place
        of a frame's data in the order of the file.
    fps:
        Frames per second, in place of what the file states.
    """

    def __init__(self, path: Path, index: pd.DataFrame, facts: Facts, fps: float | None) -> None:
        self.path = path
        self.index = index if fps is None else index.assign(time_s=index["frame"] / fps)
        self.shape = (facts.height, facts.width)
        self.dtype = np.dtype(facts.dtype)
        self.fps = facts.fps if fps is None else fps
        self.notes = list(facts.notes)
        self.n_frames = len(index)
        self._strict = facts.strict
        self._packets = PacketTable(index)

    @property
    def files(self) -> list[Path]:
        """The file."""
        return [self.path]

    def read(self, start: int, stop: int) -> Iterator[tuple[int, Image | None, Quality]]:
        """Yield (number, image, quality) of every frame from ``start`` up to ``stop``, in order."""
        if not 0 <= start <= stop <= self.n_frames:
            raise ValueError(f"frames {start}:{stop} are not within 0:{self.n_frames}")
        wanted = self.index["packet"].to_numpy()[start:stop]
        following = start
        if (wanted >= 0).any():
            first = self._packets.key_before(start + int(np.argmax(wanted >= 0)))
            with packets_from(self.path, self._packets, first) as (stream, packets):
                needed = islice(packets, int(wanted.max()) - first + 1)
                faults = Faults(self._packets)
                for frame in decode(stream, needed, faults.note, strict=self._strict):
                    number = self._packets.frame_of(frame.pts)
                    if not following <= number < stop:
                        continue
                    yield from self._without_image(following, number)
                    yield (
                        number,
                        self._grey(frame, number),
                        "damaged" if faults.touch(frame.pts) else "ok",
                    )
                    following = number + 1
        yield from self._without_image(following, stop)

    def _without_image(self, start: int, stop: int) -> Iterator[tuple[int, None, Quality]]:
        qualities = self.index["quality"].iloc[start:stop]
        for number, quality in zip(range(start, stop), qualities, strict=True):
            yield number, None, "gap" if quality == "gap" else "damaged"

    def _grey(self, frame: av.VideoFrame, number: int) -> Image:
        if (frame.height, frame.width) != self.shape:
            height, width = self.shape
            raise UserError(
                f"frame {number} is {frame.width} x {frame.height} px, the first one "
                f"{width} x {height} px: a recording has one size",
                where=self.path,
            )
        return grey_of_frame(frame)


def _build_index(path: Path, fingerprint: str) -> tuple[pd.DataFrame, Facts]:
    with opened(path) as (container, stream):
        listed = [_row(number, p) for number, p in enumerate(packets_with_data(container, stream))]
        unread = _renumbered(listed, stream) if container.format.name == "avi" else []
        rate = stream.average_rate or stream.guessed_rate
        lasting = _by_duration(container, stream, rate)
        tick, declared = stream.time_base, stream.frames
        # AVI has no time stamps of its own: those of reordered frames only count packets.
        in_file_order = container.format.name == "avi" and stream.codec_context.has_b_frames
    if not listed:
        raise UserError("the video holds no frames", where=path)
    rows = pd.DataFrame(listed)
    every_key = bool(rows["is_key"].all())
    frame, strict = _first_frame(path, every_key=every_key)
    if in_file_order and rows["pts"].is_monotonic_increasing:
        rows["pts"] = _shown_times(path, rows["pts"].to_numpy(), strict)
    rows = pd.concat([rows, pd.DataFrame(unread, columns=rows.columns).astype(rows.dtypes)])
    rows = rows[~rows.pop("is_discarded")].sort_values("pts", kind="stable", ignore_index=True)

    pts = rows["pts"].to_numpy(dtype=np.int64)
    numbering = number_frames(pts, None if not rate else float(1 / (rate * tick)))
    fps = _rate(numbering, pts, rate, tick)
    rows.insert(0, "frame", numbering.numbers)
    rows.insert(1, "time_s", _times(numbering, pts, fps, tick))
    index = with_gaps(rows, _ABSENT)
    index["time_s"] = index["time_s"].interpolate()

    image = grey_of_frame(frame)
    notes = conversions(frame)
    if rate is None and pts[-1] == pts[0]:
        notes.append(f"the file states no frame rate: {fps:g} frames/s assumed")
    elif numbering.step is None and len(pts) > 1:
        notes.append("the frame rate varies: frames are numbered as they come")
    n_gaps = int((index["quality"] == "gap").sum())
    if n_gaps:
        said = "1 frame is missing in the file; it is left out"
        if n_gaps > 1:
            said = f"{n_gaps} frames are missing in the file; they are left out"
        notes.append(said)
    if unread:
        which = "1 frame" if len(unread) == 1 else f"{len(unread)} frames"
        notes.append(f"{which} cannot be found in the file, which is damaged")
    n_known = len(listed) + len(unread) + n_gaps
    if not declared and numbering.step is not None and n_known + 1 < lasting:
        # It may be counted to the time of the last frame, or to its end.
        declared = lasting
    if n_known < declared:
        notes.append(f"the file ends early: {n_known} of its {declared} frames can be read")
    height, width = image.shape
    facts = Facts(fingerprint, height, width, image.dtype.name, fps, strict, tuple(notes))
    return index, facts


def _by_duration(container: Any, stream: Any, rate: Any) -> int:
    """Return how many frames fill the time that a file says it lasts; 0 if it does not say."""
    if stream.duration:
        seconds = float(stream.duration * stream.time_base)
    elif container.duration and len(container.streams) == 1:
        seconds = container.duration / av.time_base
    else:
        return 0
    return round(seconds * float(rate or 0))


def _row(number: int, packet: Any) -> dict[str, Any]:
    stamp = packet.pts if packet.pts is not None else packet.dts
    return {
        "pts": number if stamp is None else stamp,
        "byte_position": -1 if packet.pos is None else packet.pos,
        "is_key": packet.is_keyframe,
        "quality": "damaged" if packet.is_corrupt else "ok",
        "packet": number,
        "is_discarded": packet.is_discard,
    }


def _renumbered(listed: list[dict[str, Any]], stream: Any) -> list[dict[str, Any]]:
    """Give the packets of an AVI the numbers in its index; return a row for each not found.

    AVI has no time stamps: a packet's is how many came before it. Where a stretch of the file is
    damaged beyond recognition, all after it would be counted too low.
    """
    entries = {entry.pos + _CHUNK_HEADER: entry for entry in stream.index_entries if entry.size}
    found = {row["byte_position"] for row in listed}
    if not found < entries.keys() or len(found) < len(listed):
        return []
    for row in listed:
        row["pts"] = entries[row["byte_position"]].timestamp
    return [
        {
            "pts": entry.timestamp,
            "byte_position": position,
            "is_key": False,
            "quality": "damaged",
            "packet": -1,
            "is_discarded": False,
        }
        for position, entry in entries.items()
        if position not in found
    ]


def _first_frame(path: Path, *, every_key: bool) -> tuple[av.VideoFrame, bool]:
    """Return a sound frame, and whether the decoder should be strict with this file.

    It should where every frame stands alone, since such codecs paint over what is missing, unless
    the file is so odd that no frame pleases. Other codecs flag what they paint over, and being
    strict about a trifle would cost all frames up to the next key frame.
    """
    for strict in (True, False) if every_key else (False,):
        with opened(path) as (container, stream):
            packets = islice(enumerate(packets_with_data(container, stream)), _PROBED)
            faults: set[int] = set()
            for frame in decode(stream, packets, faults.add, strict=strict):
                if frame.pts not in faults:
                    return frame, strict
            codec = stream.codec_context.name
    raise UserError(f"no frame can be decoded (codec {codec})", where=path)


def _shown_times(path: Path, stamps: Integers, strict: bool) -> Integers:
    """Give each packet the time at which its frame is shown, by decoding all of them once."""
    with opened(path) as (container, stream):
        packets = enumerate(packets_with_data(container, stream))
        faults: set[int] = set()
        order = [int(f.pts) for f in decode(stream, packets, faults.add, strict=strict)]
    for number in sorted(set(range(len(stamps))) - set(order)):
        order.insert(number, number)
    times = np.empty_like(stamps)
    times[order] = np.sort(stamps)
    return times


def _rate(numbering: Numbering, pts: Integers, stated: Fraction | None, tick: Fraction) -> float:
    """Return frames per second: the stated rate where the time stamps bear it out."""
    distances = np.diff(pts)
    if not (distances > 0).any():
        return DEFAULT_FPS if stated is None else float(stated)
    if numbering.step is None:
        # The mean that a file may state counts pauses in.
        return 1 / float(np.median(distances[distances > 0]) * tick)
    if stated is not None:
        # Stamps are rounded to whole ticks, so a rate is known no better than that.
        drift = (numbering.step - float(1 / (stated * tick))) * float(numbering.numbers[-1])
        if abs(drift) <= 1:
            return float(stated)
    return 1 / (numbering.step * float(tick))


def _times(numbering: Numbering, pts: Integers, fps: float, tick: Fraction) -> Any:
    """Return seconds since the first frame: number over rate where the stamps follow one rate."""
    stamped = (pts - pts[0]) * float(tick)
    even = numbering.numbers / fps
    return even if np.abs(stamped - even).max() <= float(tick) else stamped
