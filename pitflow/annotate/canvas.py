"""One image under the pencil: its labels, its hints, and every state it has been in."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.uint16]
Hints = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Box = tuple[slice, slice]
"""Rows and columns."""

HINT_OBJECT, HINT_GROUND = 1, 2
"""What the user said of a pixel by hand: that it is object, that it is not; 0 nothing."""
LARGEST_LABEL = np.iinfo(np.uint16).max

_STATES_KEPT = 200


@dataclass(frozen=True, slots=True)
class _State:
    """Labels and hints, packed, since most of both is 0; and the box of the last cut."""

    labels: bytes
    hints: bytes
    box: Box | None


class Canvas:
    """Labels of an image with undo and redo.

    Parameters
    ----------
    labels:
        (height, width) what is there to begin with: 0 background, else the number of an object.
    """

    def __init__(self, labels: Labels) -> None:
        self.labels: Labels = labels.astype(np.uint16)
        self.hints: Hints = np.zeros(labels.shape, np.uint8)
        self.box: Box | None = None
        self._past: list[_State] = []
        self._future: list[_State] = []

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in px."""
        return self.labels.shape[0], self.labels.shape[1]

    @property
    def can_undo(self) -> bool:
        """Whether there is a state before this one."""
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        """Whether there is a state after this one."""
        return bool(self._future)

    @property
    def next_label(self) -> int:
        """The lowest number above those in use."""
        return min(int(self.labels.max()) + 1, LARGEST_LABEL)

    def draw(self, mask: Mask, label: int) -> None:
        """Give the pixels of ``mask`` to an object; 0 takes them from whatever they belong to."""
        self._keep()
        self.labels[mask] = label

    def redraw(self, mask: Mask, box: Box, label: int, hints: Hints) -> None:
        """Replace an object inside a box by ``mask``; other objects keep their pixels.

        ``hints`` and ``box`` are those that led to it, kept for the next refinement.
        """
        self._keep()
        old = self.labels[box]
        free = (old == 0) | (old == label)
        old[old == label] = 0
        old[mask[box] & free] = label
        self.hints, self.box = hints, box

    def undo(self) -> None:
        """Go back to the state before; nothing if there is none."""
        if self._past:
            self._future.append(self._packed())
            self._restore(self._past.pop())

    def redo(self) -> None:
        """Take an undo back; nothing if there is none."""
        if self._future:
            self._past.append(self._packed())
            self._restore(self._future.pop())

    def _keep(self) -> None:
        self._past.append(self._packed())
        del self._past[:-_STATES_KEPT]
        self._future.clear()

    def _packed(self) -> _State:
        labels, hints = (zlib.compress(array.tobytes(), 1) for array in (self.labels, self.hints))
        return _State(labels, hints, self.box)

    def _restore(self, state: _State) -> None:
        labels = np.frombuffer(zlib.decompress(state.labels), np.uint16)
        self.labels = labels.reshape(self.shape).copy()
        hints = np.frombuffer(zlib.decompress(state.hints), np.uint8)
        self.hints = hints.reshape(self.shape).copy()
        self.box = state.box
