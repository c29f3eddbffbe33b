"""The frames around a frame, with which it is compared to see what moves."""

from __future__ import annotations

from collections.abc import Iterable

from pitflow.domains.particles.channels import NEIGHBOURS
from pitflow.frame import Frame
from pitflow.segment.classical.window import Window
from pitflow.translation import Translated

_NEGLIGIBLE_PX = 0.05
"""Of a drift below this, moved steel shows less than the noise of the camera, and resampling six
frames costs more than all else that a network is given."""


def neighbours(window: Window, i: int, names: Iterable[str] = NEIGHBOURS) -> dict[str, Translated]:
    """Return the frames around frame ``i`` of a window, moved into its geometry, by channel.

    Where the window holds no sound frame so early (or late), the one as long after (or before)
    tells the same. Names of other channels are passed over.
    """
    frame = window.frames[i]
    images: dict[str, Translated] = {}
    for name in names:
        if name not in NEIGHBOURS:
            continue
        for j in (i + NEIGHBOURS[name], i - NEIGHBOURS[name]):
            if 0 <= j < len(window.frames) and window.frames[j].quality == "ok":
                images[name] = _aligned(window.frames[j], frame)
                break
    return images


def _aligned(other: Frame, frame: Frame) -> Translated:
    """Return the image of another frame, to be moved into the geometry of ``frame``."""
    dx, dy = (here - there for here, there in zip(frame.shift, other.shift, strict=True))
    return Translated(other.image, dx, dy, _NEGLIGIBLE_PX)
