"""The scribe of a coated panel: a straight cut through the coating, from which corrosion creeps."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pitflow.errors import UserError


@dataclass(frozen=True, slots=True)
class Scribe:
    """A line from (x0, y0) to (x1, y1), px, on the axis of the cut.

    Its sides are called left and right as on the screen, whichever end is first; of a scribe that
    lies flatter than 45 degrees, left is above and right below.
    """

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def length_px(self) -> float:
        """Length in px."""
        return math.hypot(self.x1 - self.x0, self.y1 - self.y0)

    @property
    def along(self) -> tuple[float, float]:
        """Unit vector (x, y) from the first end to the second."""
        return (self.x1 - self.x0) / self.length_px, (self.y1 - self.y0) / self.length_px

    @property
    def to_the_right(self) -> tuple[float, float]:
        """Unit vector (x, y) perpendicular to it, towards its right side."""
        x, y = self.along
        towards = 1.0 if (-y if abs(y) >= abs(x) else x) > 0 else -1.0
        return -towards * y, towards * x

    def __str__(self) -> str:
        return ",".join(f"{value:.1f}" for value in (self.x0, self.y0, self.x1, self.y1))


def parse_scribe(text: str) -> Scribe:
    """Return the scribe that "x0,y0,x1,y1" (px) says.

    Raises
    ------
    UserError
        If it says none.
    """
    try:
        x0, y0, x1, y1 = (float(part) for part in text.split(","))
    except ValueError as error:
        raise _no_scribe(text) from error
    scribe = Scribe(x0, y0, x1, y1)
    if not all(math.isfinite(value) for value in (x0, y0, x1, y1)) or scribe.length_px < 2:
        raise _no_scribe(text)
    return scribe


def _no_scribe(text: str) -> UserError:
    return UserError(
        f"{text!r} is no line",
        where="--scribe",
        hint="write x0,y0,x1,y1 in px, as in 320,40,320,600, or auto",
    )
