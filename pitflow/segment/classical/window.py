"""A few frames at a time: enough to tell a change that stays from something passing by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pitflow.frame import SOUND, Frame
from pitflow.scene import Scene

_WINDOW_BYTES = 116 << 20
_SHORTEST, _LONGEST = 8, 48
AHEAD = 4
"""Frames after a window that are looked at, but not part of it."""
DOUBT = 2.0
"""A change inside a window must be borne out by more than this many frames."""


@dataclass(frozen=True, slots=True)
class Window:
    """Consecutive frames of one block.

    Parameters
    ----------
    block:
        The block they belong to.
    frames:
        The frames; those beyond the first ``n`` belong to the next window and are here only to
        look ahead.
    n:
        Number of frames that are the window's own.
    """

    block: int
    frames: tuple[Frame, ...]
    n: int

    @property
    def trusted(self) -> npt.NDArray[np.bool_]:
        """(len(frames),) whether each image can be trusted."""
        return np.array([frame.quality == "ok" for frame in self.frames])


def window_frames(scene: Scene, frame: int) -> int:
    """Return how many frames of their own the windows of a frame's block have.

    As many as fit a bounded memory, but so that all windows of the block are about equally long: of
    a few frames nobody can tell what stands still. The last window may have more, by less than
    ``AHEAD``, or fewer.
    """
    height, width = scene.shape
    bytes_each = height * width * (1 if scene.levels <= 256 else 2)
    most = int(np.clip(_WINDOW_BYTES // bytes_each, _SHORTEST, _LONGEST))
    first, last = block_span(scene, frame)
    table = scene.frames
    own = slice(*table["frame"].searchsorted([first, last + 1]))
    n = max(int(table["quality"].iloc[own].isin(SOUND).sum()), 1)
    n_windows = max(-(-(n - AHEAD + 1) // most), 1)
    length, left = divmod(n, n_windows)
    return length if left < AHEAD else length + 1


def block_span(scene: Scene, frame: int) -> tuple[int, int]:
    """Return the first and last frame of a frame's block."""
    block, numbers = scene.block_of(frame), scene.frames["frame"]
    least, most = (numbers.iloc[0], numbers.iloc[-1]) if len(numbers) else (frame, frame)
    first = last = frame
    while first > least and scene.block_of(first - 1) == block:
        first -= 1
    while last < most and scene.block_of(last + 1) == block:
        last += 1
    return first, last


def windows(frames: Iterable[Frame], scene: Scene) -> Iterator[Window]:
    """Split frames into windows that do not cross blocks and need bounded memory.

    What would be looked at anyway is the last window's own. The split depends on the frames' size,
    numbers and quality only, so the blocks of a recording give the same windows alone and together.
    """
    length = 0
    held: list[Frame] = []
    block = -1
    for frame in frames:
        if scene.block_of(frame.index) != block:
            if held:
                yield Window(block, tuple(held), len(held))
            block, held = scene.block_of(frame.index), []
            length = window_frames(scene, frame.index)
        held.append(frame)
        if len(held) == length + AHEAD:
            yield Window(block, tuple(held), length)
            held = held[length:]
    if held:
        yield Window(block, tuple(held), len(held))


def change_point(
    evidence: npt.NDArray[np.float32], *, doubt: float = DOUBT, earlier_is_sure: bool = False
) -> npt.NDArray[np.intp]:
    """Return the frame from which each pixel is in its later state.

    The least-squares step: with ``e`` the evidence for the later state, the change ``t`` maximises
    ``sum(e[t:]) - sum(e[:t])``. Something that passes over the pixel for a frame or two does not
    move it.

    Parameters
    ----------
    evidence:
        (n_frames, m) in [-1, 1]: 1 where a frame shows the later state, -1 the earlier, 0 neither.
    doubt:
        A change must be borne out by more than this many frames.
    earlier_is_sure:
        Nothing that passes looks like the earlier state, so it may be that of the first frame
        alone.

    Returns
    -------
    ndarray
        (m,) in 0 (later state from the start) to n_frames (not within these frames).
    """
    n, m = evidence.shape
    before = np.zeros((n + 1, m), np.float32)
    np.cumsum(evidence, axis=0, out=before[1:])
    score = before[-1] - 2 * before
    # Without support from several frames there is no change inside the window.
    doubtful = score[1:-1] - 2 * doubt <= score[-1]
    score[1:-1] -= np.where(doubtful | (not earlier_is_sure), np.float32(2 * doubt), 0)
    # Of equal changes the latest: what passes by at the end has not come to stay.
    latest: npt.NDArray[np.intp] = n - np.argmax(score[::-1], axis=0)
    return latest
