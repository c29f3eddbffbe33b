"""What the particle network sees of a frame.

A particle is seen by how much it darkens the steel, and by that it was not there before. So the
channels are darkenings relative to the steel around, free of gain and slow shading:

- ``frame``: the frame itself;
- ``background``: the frame minus the empty scene, which shows all that came since;
- ``earlier``: the frame minus one shortly before, or where there is none so early as shortly after,
  which shows what moves.

The empty scene is ``pitflow.segment.classical.ground.Ground``, lit as the frame is. A channel that
cannot be had (a single image has no past) is 0 everywhere. ``raw`` is the plain grey value of paper
002.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from pitflow.frame import Image
from pitflow.segment.tiles import Pixels, TilePlan

Floats = npt.NDArray[np.float32]

LEVEL_PX = 65
"""Side of the window over which the steel's brightness is averaged: wide against a particle."""

_STEEL = 0.6
"""Darker than this share of the median is no steel, but pit."""
_UNIT = 0.1
"""Darkening by this share is 1 in a channel: clear particles are around -1, pits around -10."""
_LIMIT = 10.0
_REDUCED = 4
_FEW = 0.02

EARLIER_FRAMES = 2
"""How long before the frame ``earlier`` is: a particle has then moved by about its size."""


@dataclass(frozen=True, slots=True)
class Views:
    """A frame and what there is to compare it with, (height, width) float32, full scale 1.

    All in the frame's own geometry. None: not to be had.
    """

    frame: Floats
    background: Floats | None = None
    earlier: Floats | None = None


def full_scale(image: Image) -> Floats:
    """Return an image of whole numbers as float32 whose largest possible value is 1."""
    scaled: Floats = np.multiply(image, 1 / np.iinfo(image.dtype).max, dtype=np.float32)
    return scaled


def darkening(image: Floats) -> Floats:
    """Return brightness relative to the steel around: 0 steel, -1 darker by 10 %, -10 black.

    The level of the steel is its mean over a window, pits left out; inside of a large pit it is the
    median of the image.
    """
    return relative_to(steel_scale(image), image)


def relative_to(scale: Floats, image: Image) -> Floats:
    """Return brightness relative to the steel, of an image or a part of it and its scale there."""
    relative: Floats = scale * image
    relative -= np.float32(1 / _UNIT)
    return np.clip(relative, -_LIMIT, _LIMIT, out=relative)


def steel_scale(image: Floats) -> Floats:
    """Return (height, width) what a grey value is multiplied by: that of steel becomes 10."""
    height, width = image.shape
    # The level is so smooth that a reduced image tells it, at a fraction of the time.
    reduced = cv2.resize(
        image, (-(-width // _REDUCED), -(-height // _REDUCED)), interpolation=cv2.INTER_AREA
    )
    typical = float(np.median(reduced)) or 1.0
    steel = (reduced > _STEEL * typical).astype(np.float32)
    side = LEVEL_PX // _REDUCED | 1
    share = cv2.blur(steel, (side, side), borderType=cv2.BORDER_REFLECT_101)
    total = cv2.blur(reduced * steel, (side, side), borderType=cv2.BORDER_REFLECT_101)
    # Where there is next to no steel, the median takes over without a step.
    level = (total + _FEW * typical) / (share + _FEW)
    per_unit = (1 / (_UNIT * np.maximum(level, 1e-6))).astype(np.float32)
    scale: Floats = cv2.resize(per_unit, (width, height), interpolation=cv2.INTER_LINEAR)
    return scale


def make_channels(names: Sequence[str], views: Views) -> Floats:
    """Return the named channels of a frame, (channels, height, width) float32.

    Raises
    ------
    ValueError
        If there is no channel of a name.
    """
    now = darkening(views.frame)
    others = {"background": views.background, "earlier": views.earlier}
    channels = []
    for name in names:
        if name == "frame":
            channels.append(now)
        elif name == "raw":
            channels.append(views.frame)
        elif name not in others:
            raise ValueError(f"no channel is called {name!r}: frame, background, earlier or raw")
        else:
            other = others[name]
            channels.append(np.zeros_like(now) if other is None else now - darkening(other))
    return np.stack(channels)


class TileChannels:
    """The channels of one frame, made only for the tiles that are asked for.

    The same as ``make_channels`` of the whole frame (``pitflow.segment.dense.TileSource``).

    Parameters
    ----------
    names:
        The channels.
    frame:
        (height, width) uint8 or uint16.
    background, earlier:
        What there is to compare it with, in the frame's geometry; any positive unit of brightness.
    """

    def __init__(
        self,
        names: Sequence[str],
        frame: Image,
        background: Image | None = None,
        earlier: Image | None = None,
    ) -> None:
        self._names, self._full_scale = names, np.float32(np.iinfo(frame.dtype).max)
        given = {"frame": frame, "background": background, "earlier": earlier}
        # Channels are differences to the frame's own darkening.
        wanted = {"frame", *names} - {"raw"}
        unknown = wanted - set(given)
        if unknown:
            raise ValueError(
                f"no channel is called {min(unknown)!r}: frame, background, earlier or raw"
            )
        self.shape: tuple[int, int] = (frame.shape[0], frame.shape[1])
        self._images = {name: image for name in wanted if (image := given[name]) is not None}
        self._scales = {
            name: steel_scale(image.astype(np.float32, copy=False))
            for name, image in self._images.items()
        }

    def cut(self, plan: TilePlan, chosen: Sequence[tuple[int, int]]) -> Floats:
        """Return the (n, channels, tile height, tile width) channels of some tiles of a plan."""
        cut = np.zeros((len(chosen), len(self._names), *plan.tile_shape), np.float32)
        for channels, tile in zip(cut, chosen, strict=True):
            rows, columns = plan.rows.pixels(tile[0]), plan.columns.pixels(tile[1])
            now = self._relative("frame", rows, columns)
            for channel, name in zip(channels, self._names, strict=True):
                if name == "frame":
                    channel[...] = now
                elif name == "raw":
                    channel[...] = _part(self._images["frame"], rows, columns) / self._full_scale
                elif name in self._images:
                    np.subtract(now, self._relative(name, rows, columns), out=channel)
        return cut

    def _relative(self, name: str, rows: Pixels, columns: Pixels) -> Floats:
        scale, image = self._scales[name], self._images[name]
        return relative_to(_part(scale, rows, columns), _part(image, rows, columns))


def _part(image: npt.NDArray[Any], rows: Pixels, columns: Pixels) -> npt.NDArray[Any]:
    """Return some rows and columns of an image; as a view where they are without reflection."""
    if isinstance(rows, slice) and isinstance(columns, slice):
        return image[rows, columns]
    return image[rows][:, columns]
