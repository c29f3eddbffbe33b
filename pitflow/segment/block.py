"""One block of a recording from frames to class maps and tables: the unit of parallel work."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from pitflow.frame import CLASS_PIT, Frame
from pitflow.scene import Scene
from pitflow.schema import BUBBLES, empty_table
from pitflow.segment.gate import Search
from pitflow.segment.objects import empty_detections
from pitflow.segment.pit_map import NEVER, PitMap
from pitflow.segment.protocol import Segmenter


class MaskArray(Protocol):
    """What is needed of ``masks.zarr``: images written by frame number."""

    def __setitem__(self, frame: int, classes: npt.NDArray[np.uint8], /) -> None:
        """Store one class map."""
        ...


@dataclass(frozen=True, slots=True)
class BlockResult:
    """What one block adds to the run.

    Parameters
    ----------
    detections:
        One row per particle with the protocol's ``DETECTION_COLUMNS``, ordered by frame.
    arrival:
        (m,) first frame of the block in which each pixel of the pit map is pit, ``NEVER`` for none.
    glimpses:
        What is too unsure to be a particle by itself, in rows like those of ``detections``.
    bubbles:
        Rows of the table of bubbles.
    searches:
        How the frames were searched, those that were searched in part or to compare.
    notes:
        What had to be adapted, one sentence each.
    """

    detections: pd.DataFrame
    arrival: npt.NDArray[np.int64]
    glimpses: pd.DataFrame
    bubbles: pd.DataFrame
    searches: tuple[Search, ...] = ()
    notes: tuple[str, ...] = ()


def segment_block(
    segmenter: Segmenter,
    pits: PitMap,
    frames: Iterable[Frame],
    scene: Scene,
    masks: MaskArray | None = None,
    n_frames: int | None = None,
) -> BlockResult:
    """Segment the frames of a block (or of a whole recording, in order) and write their class maps.

    Parameters
    ----------
    segmenter:
        Made with the same ``pits``.
    pits:
        The recording's pits.
    frames:
        The block's frames, in order; read once and not kept.
    scene:
        The recording's backgrounds.
    masks:
        Where class maps are written, or None to keep none.
    n_frames:
        So many of the frames are segmented; those after them are looked at only. None: all.
    """
    arrival = np.full(pits.row.size, NEVER, np.int64)
    tables: list[pd.DataFrame] = []
    glimpses: list[pd.DataFrame] = []
    bubbles = [empty_table(BUBBLES)]
    searches: list[Search] = []
    notes: list[str] = []
    pending: list[Frame] = []
    for result in itertools.islice(segmenter.segment(_noted(frames, pending), scene), n_frames):
        frame = pending.pop(0)
        state = pits.sample(result.classes, frame) == CLASS_PIT
        arrival[state] = np.minimum(arrival[state], result.frame)
        if masks is not None:
            masks[result.frame] = result.classes
        notes += result.notes
        if result.search is not None:
            searches.append(result.search)
        tables.append(result.particles)
        if result.glimpses is not None:
            glimpses.append(result.glimpses)
        if result.bubbles is not None:
            bubbles.append(result.bubbles)
    return BlockResult(
        _joined(tables),
        arrival,
        _joined(glimpses),
        pd.concat(bubbles[1:] or bubbles, ignore_index=True),
        tuple(searches),
        tuple(notes),
    )


def combine_arrivals(arrivals: Iterable[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    """Return the first arrival over any blocks, in any order and grouping.

    One at a time is held beside the result.

    Raises
    ------
    ValueError
        If there are none.
    """
    one_by_one = iter(arrivals)
    earliest = next(one_by_one, None)
    if earliest is None:
        raise ValueError("no arrivals to combine: give at least one block's")
    earliest = earliest.copy()
    for arrival in one_by_one:
        np.minimum(earliest, arrival, out=earliest)
    return earliest


def _joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else empty_detections()


def _noted(frames: Iterable[Frame], pending: list[Frame]) -> Iterator[Frame]:
    """Pass frames on, keeping those whose result is still to come; their poses are needed then."""
    for frame in frames:
        pending.append(frame)
        yield frame
