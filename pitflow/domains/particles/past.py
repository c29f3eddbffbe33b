"""The frame with which a frame is compared to see what moves."""

from __future__ import annotations

from pitflow.domains.particles.channels import EARLIER_FRAMES
from pitflow.frame import Frame, Image
from pitflow.segment.classical.window import Window
from pitflow.translation import translated


def neighbour(window: Window, i: int) -> Frame | None:
    """Return the frame with which frame ``i`` of a window is compared: its ``earlier`` one.

    Where the window holds none so early, the frame as long after tells the same.
    """
    for j in (i - EARLIER_FRAMES, i + EARLIER_FRAMES):
        if 0 <= j < len(window.frames) and window.frames[j].quality == "ok":
            return window.frames[j]
    return None


def aligned(other: Frame, frame: Frame) -> Image:
    """Return the image of another frame in the geometry of ``frame``."""
    return translated(other.image, frame.shift[0] - other.shift[0], frame.shift[1] - other.shift[1])
