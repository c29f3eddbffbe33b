"""Blocks of frames: decode, check, store, measure the pose of each and the background of all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import numpy as np
import pandas as pd
import zarr

from pitflow.acquire.background import median_background
from pitflow.acquire.blocks import Block
from pitflow.acquire.quality import FrameCheck, Overview, is_same
from pitflow.acquire.registration import Pose, Registration
from pitflow.acquire.source import Source
from pitflow.acquire.store import write_frame
from pitflow.config import AcquireConfig
from pitflow.errors import UserError
from pitflow.frame import SOUND, Image, Quality
from pitflow.schema import FRAMES, validate_table

_CANDIDATES = 5
_USUAL_BRIGHTNESS = 0.25
"""A first frame this far from the usual brightness was taken before the light was steady."""

_AROUND, _STRAY_PX = 15, 4.0
"""A shift strays where it is this far from the median of so many frames, px."""


def first_good_frame(source: Source, start: int, stop: int) -> tuple[int, Image]:
    """Return the number and image of the first frame that can stand for the recording.

    It is sound, not flat, and as bright as the few frames around it.

    Raises
    ------
    UserError
        If there is none from ``start`` up to ``stop``.
    """
    found: list[tuple[int, Image]] = []
    for before, frame, after in _in_company(source, start, stop):
        if frame.image is None or frame.overview is None or frame.overview.is_flat.all():
            continue
        # What is checked against it later must not find fault with it.
        if _quality(frame, before, after, FrameCheck(frame.image)) in SOUND:
            found.append((frame.number, frame.image))
        if len(found) == _CANDIDATES:
            break
    if not found:
        raise UserError(f"no sound frame from {start} to {stop - 1}", where=source.path)
    levels = np.array([np.median(Overview.of(image).cells) for _, image in found])
    usual = float(np.median(levels))
    steady = np.abs(levels - usual) <= _USUAL_BRIGHTNESS * usual
    return found[int(np.argmax(steady))]


def acquire_blocks(
    source: Source,
    blocks: Sequence[Block],
    config: AcquireConfig,
    registration: Registration,
    check: FrameCheck,
    video: zarr.Array[Any] | None,
    background: zarr.Array[Any],
) -> pd.DataFrame:
    """Acquire neighbouring blocks: one task.

    The result for a frame depends on it and its two neighbours in time only, and that for a
    block's background on its own frames, so how blocks are grouped changes nothing.

    Parameters
    ----------
    source:
        The recording.
    blocks:
        Blocks that follow each other.
    config:
        How many frames make a background.
    registration, check:
        Both made from the reference frame.
    video:
        (n_frames, height, width), written at the frames' numbers; None: frames are not stored.
    background:
        (n_blocks, height, width), written at the blocks' numbers. A block without a single sound
        frame has the reference frame for its background.

    Returns
    -------
    pandas.DataFrame
        The ``frames`` table of these blocks. Gain and shift of a frame that is a gap or damaged
        are empty. No particles are counted yet.
    """
    rows: list[tuple[int, Quality, Pose]] = []
    frames = checked_frames(source, blocks[0].start, blocks[-1].stop, check)
    for block in blocks:
        samples: list[Image] = []
        poses: list[Pose] = []
        due = block.sample_frames(config.background_samples)
        for number, image, quality in islice(frames, len(block)):
            if image is not None and video is not None:
                write_frame(video, number, image)
            pose = _UNKNOWN
            if image is not None and quality in SOUND:
                pose = registration.measure(image)
                # Of each even share of the block, the first sound frame.
                if len(samples) < len(due) and number >= due[len(samples)]:
                    samples.append(image)
                    poses.append(pose)
            rows.append((number, quality, pose))
        background[block.number] = median_background(samples, poses) if samples else check.reference
    return _frames_table(rows, source)


def stray_frames(frames: pd.DataFrame) -> list[int]:
    """Return the numbers of frames whose shift is not that of the frames around them.

    A drift, and a jump after which the stage stays where it is, leave none.

    Parameters
    ----------
    frames:
        The ``frames`` table of a recording.
    """
    shifts = frames.set_index("frame")[["shift_x_px", "shift_y_px"]].dropna()
    usual = shifts.rolling(_AROUND, center=True, min_periods=1).median()
    away = (shifts - usual).abs().max(axis=1)
    return [int(number) for number in away.index[away > _STRAY_PX]]


def checked_frames(
    source: Source, start: int, stop: int, check: FrameCheck
) -> Iterator[tuple[int, Image | None, Quality]]:
    """Yield (number, image, quality) of every frame from ``start`` up to ``stop``, checked."""
    for before, frame, after in _in_company(source, start, stop):
        yield frame.number, frame.image, _quality(frame, before, after, check)


_UNKNOWN = Pose(np.nan, np.nan, np.nan)


@dataclass(frozen=True, slots=True)
class _Seen:
    number: int
    image: Image | None
    quality: Quality
    overview: Overview | None


def _in_company(
    source: Source, start: int, stop: int
) -> Iterator[tuple[_Seen | None, _Seen, _Seen | None]]:
    """Yield each frame from ``start`` up to ``stop`` with those before and after it."""
    first, last = max(start - 1, 0), min(stop + 1, source.n_frames)
    before, frame = None, None
    for after in chain(_looked_at(source, first, last), [None]):
        if frame is not None and start <= frame.number < stop:
            yield before, frame, after
        before, frame = frame, after


def _looked_at(source: Source, start: int, stop: int) -> Iterator[_Seen]:
    for number, image, quality in source.read(start, stop):
        overview = None if image is None or quality != "ok" else Overview.of(image)
        yield _Seen(number, image, quality, overview)


def _quality(frame: _Seen, before: _Seen | None, after: _Seen | None, check: FrameCheck) -> Quality:
    if frame.overview is None or frame.image is None:
        return frame.quality
    neighbours = [None if other is None else other.overview for other in (before, after)]
    if check.is_damaged(frame.overview, *neighbours):
        return "damaged"
    if before is not None and before.image is not None and is_same(frame.image, before.image):
        return "duplicate"
    return "ok"


def _frames_table(rows: list[tuple[int, Quality, Pose]], source: Source) -> pd.DataFrame:
    numbers = [number for number, _, _ in rows]
    table = pd.DataFrame(
        {
            "frame": numbers,
            "time_s": source.index["time_s"].to_numpy()[numbers],
            "quality": [quality for _, quality, _ in rows],
            "gain": [pose.gain for _, _, pose in rows],
            "n_particles": 0,
            "shift_x_px": [pose.dx for _, _, pose in rows],
            "shift_y_px": [pose.dy for _, _, pose in rows],
        }
    )
    return validate_table(table, FRAMES)
