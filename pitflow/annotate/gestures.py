"""What the user can do to a canvas with the mouse: each tool turns one gesture into one edit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pitflow.annotate.canvas import (
    HINT_GROUND,
    HINT_OBJECT,
    LARGEST_LABEL,
    Box,
    Canvas,
    Hints,
    Mask,
)
from pitflow.annotate.grabcut import grab_cut
from pitflow.annotate.marching import march
from pitflow.annotate.shapes import Points, box_of, loop, stroke
from pitflow.errors import UserError
from pitflow.frame import Image

LARGEST_RADIUS_PX = 500.0


class Prompted(Protocol):
    """A model that outlines what it is pointed at, such as Segment Anything."""

    def segment(self, image: Image, box: Box | None, points: Points) -> Mask:
        """Return (height, width) bool: the object in the box, or at the points."""
        ...


@dataclass(frozen=True, slots=True)
class Gesture:
    """One press, drag and release.

    Parameters
    ----------
    tool:
        One of ``TOOLS``.
    points:
        Where the mouse went.
    radius_px:
        Of the pencil.
    label:
        The object that is drawn.
    erase:
        Take away instead of adding: the pencil's and loop's pixels, or hints that are background.
    """

    tool: str
    points: Points
    radius_px: float = 3.0
    label: int = 1
    erase: bool = False

    def __post_init__(self) -> None:
        if self.tool not in TOOLS:
            raise UserError(f"unknown tool {self.tool!r}", hint=f"known: {', '.join(TOOLS)}")
        if not self.points or not np.isfinite(np.asarray(self.points, np.float64)).all():
            raise UserError("a gesture needs points")
        if not 0 <= self.radius_px <= LARGEST_RADIUS_PX:
            raise UserError(f"a pencil of {self.radius_px} px", hint=f"0 to {LARGEST_RADIUS_PX:g}")
        if not 1 <= self.label <= LARGEST_LABEL:
            raise UserError(f"label {self.label}", hint=f"1 to {LARGEST_LABEL}")


class Desk:
    """An image, its canvas, and the tools.

    Parameters
    ----------
    image:
        uint8, grey or BGR.
    canvas:
        What is drawn on.
    prompted:
        Model behind the tool ``sam``, if there is one.

    Attributes
    ----------
    note:
        What the user should know of the last gesture, or nothing.
    """

    def __init__(self, image: Image, canvas: Canvas, prompted: Prompted | None = None) -> None:
        self.image, self.canvas, self._prompted = image, canvas, prompted
        self.note = ""

    def do(self, gesture: Gesture) -> None:
        """Carry out a gesture as one step of the canvas.

        Raises
        ------
        UserError
            If the tool needs something that is not there.
        """
        self.note = ""
        TOOLS[gesture.tool](self, gesture)

    def _pencil(self, gesture: Gesture) -> None:
        mask = stroke(self.canvas.shape, gesture.points, gesture.radius_px)
        self.canvas.draw(mask, 0 if gesture.erase else gesture.label)

    def _loop(self, gesture: Gesture) -> None:
        mask = loop(self.canvas.shape, gesture.points)
        self.canvas.draw(mask, 0 if gesture.erase else gesture.label)

    def _grab(self, gesture: Gesture) -> None:
        box = box_of(gesture.points, self.canvas.shape)
        hints = self.canvas.hints.copy()
        hints[box] = 0
        self._cut(box, gesture, hints)

    def _hint(self, gesture: Gesture) -> None:
        box = self.canvas.box
        if box is None:
            raise UserError("strokes refine a box: draw a box around the object first")
        hints = self.canvas.hints.copy()
        marked = stroke(self.canvas.shape, gesture.points, gesture.radius_px)
        hints[marked] = HINT_GROUND if gesture.erase else HINT_OBJECT
        self._cut(_joined(box, marked), gesture, hints)

    def _cut(self, box: Box, gesture: Gesture, hints: Hints) -> None:
        found = grab_cut(self.image, box, hints)
        self.canvas.redraw(found, box, gesture.label, hints)
        if not found.any():
            self.note = "Nothing in the box stands out: stroke over the object with Refine (G)"

    def _march(self, gesture: Gesture) -> None:
        mask = march(self.image, gesture.points[0], gesture.points[-1])
        if not gesture.erase:
            mask &= self.canvas.labels == 0
        self.canvas.draw(mask, 0 if gesture.erase else gesture.label)

    def _prompt(self, gesture: Gesture) -> None:
        if self._prompted is None:
            raise UserError(
                "no Segment Anything checkpoint is loaded", hint="start with --sam CHECKPOINT"
            )
        box = box_of(gesture.points, self.canvas.shape)
        large = min(side.stop - side.start for side in box) > 2
        mask = self._prompted.segment(
            self.image, box if large else None, () if large else gesture.points[:1]
        )
        self.canvas.draw(mask & (self.canvas.labels == 0), gesture.label)


TOOLS: dict[str, Callable[[Desk, Gesture], None]] = {
    "pencil": Desk._pencil,
    "loop": Desk._loop,
    "box": Desk._grab,
    "hint": Desk._hint,
    "front": Desk._march,
    "sam": Desk._prompt,
}
"""Tools by the name the page uses."""


def _joined(box: Box, marked: Mask) -> Box:
    """Return the box widened to hold all marked pixels."""
    rows, columns = np.nonzero(marked)
    if not rows.size:
        return box
    return (
        slice(min(box[0].start, int(rows.min())), max(box[0].stop, int(rows.max()) + 1)),
        slice(min(box[1].start, int(columns.min())), max(box[1].stop, int(columns.max()) + 1)),
    )
