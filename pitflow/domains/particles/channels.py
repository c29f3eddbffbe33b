"""What the particle network sees of a frame.

A particle is seen by how much it darkens the steel, and by that it was not there before. So the
channels are darkenings relative to the steel around, free of gain and slow shading:

- ``frame``: the frame itself;
- ``background``: the frame minus the empty scene, which shows all that came since;
- ``earlier``, ``previous``, ``next``, ``later``: the frame minus the one two frames before, one
  before, one after and two after, which show what moves. A particle too faint for one frame is
  there in all of them, further along its way;
- ``before``, ``after``: the frame minus the one eight frames before and after, when a wide or slow
  particle was not there yet or has left.

The empty scene is ``pitflow.segment.classical.ground.Ground``, lit as the frame is. A channel that
cannot be had (a single image has no past) is 0 everywhere. ``raw`` is the plain grey value of paper
002.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from pitflow.domains.particles.relative import (
    Floats,
    darkening,
    full_size,
    reduced_scale,
    relative_to,
    steel_scale,
)
from pitflow.frame import Image
from pitflow.segment.tiles import Pixels, TilePlan
from pitflow.translation import Part, Translated, as_it_is

if TYPE_CHECKING:
    from pitflow.domains.particles.device_channels import DeviceChannels

NEIGHBOURS = {"before": -8, "earlier": -2, "previous": -1, "next": 1, "later": 2, "after": 8}
"""The frames around that are channels, and how long after the frame each is: in two frames a sharp
particle moves by about its size, in eight a wide one."""

Ints = npt.NDArray[np.intp]

_ENOUGH_PX = 1_000_000
"""Of two frames of the same steel, rows with so many pixels tell which is brighter."""

COMPANY = ("background", *NEIGHBOURS)
"""What a frame may be compared with."""
KNOWN = ("frame", *COMPANY, "raw")
"""The channels."""


@dataclass(frozen=True, slots=True)
class Views:
    """A frame and what there is to compare it with, (height, width) float32, full scale 1.

    Parameters
    ----------
    frame:
        The frame.
    company:
        Those of ``COMPANY`` that can be had, by name, in the frame's own geometry.
    """

    frame: Floats
    company: Mapping[str, Floats] = field(default_factory=dict)


def make_channels(names: Sequence[str], views: Views) -> Floats:
    """Return the named channels of a frame, (channels, height, width) float32.

    Raises
    ------
    ValueError
        If there is no channel of a name.
    """
    _check_names(names)
    scale = steel_scale(views.frame)
    now = relative_to(scale, views.frame)
    brightness = _brightness(views.frame)
    channels = []
    for name in names:
        if name == "frame":
            channels.append(now)
        elif name == "raw":
            channels.append(views.frame)
        elif (other := views.company.get(name)) is None:
            channels.append(np.zeros_like(now))
        elif name == "background":
            channels.append(now - darkening(other))
        else:
            since = np.empty_like(now)
            _change(scale, views.frame, other, _same_light(brightness, other), since)
            channels.append(since)
    return np.stack(channels)


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if name not in KNOWN:
            raise ValueError(f"no channel is called {name!r}: {', '.join(KNOWN)}")


def _same_light(brightness: float, other: Image) -> float:
    """Return what a neighbour is multiplied by to be as bright as the frame is in the mean.

    The two show the same steel, so one factor is enough, and no level of its own is needed.
    """
    return brightness / max(_brightness(other), 1e-6)


def _brightness(image: Image) -> float:
    return float(cv2.mean(image[:: max(1, image.size // _ENOUGH_PX)])[0])


def _change(scale: Floats, frame: Image, other: Image, light: float, out: Floats) -> None:
    """Write how much brighter a frame is than a neighbour, in the unit of the channels.

    All are (..., height, width) and of one shape.
    """
    flat, other_flat = (image.reshape(-1, image.shape[-1]) for image in (frame, other))
    # One pass in place of the two of numpy.
    brighter = cv2.addWeighted(flat, 1, other_flat, -light, 0, dtype=cv2.CV_32F)
    np.multiply(scale, brighter.reshape(scale.shape), out=out)


class TileChannels:
    """The channels of one frame, made only for the tiles that are asked for.

    The same as ``make_channels`` of the whole frame, except that the light of an image is measured
    before it is moved (``pitflow.segment.dense_work.TileSource``).

    Parameters
    ----------
    names:
        The channels.
    frame:
        (height, width) uint8 or uint16.
    company:
        What there is to compare it with (``COMPANY``), in the frame's geometry or to be moved
        there; any positive unit of brightness.
    seen:
        By name, the part of the frame that its company shows. Elsewhere the channel is 0, as if it
        could not be had. Not given: all of it.
    """

    def __init__(
        self,
        names: Sequence[str],
        frame: Image,
        company: Mapping[str, Image | Translated] | None = None,
        seen: Mapping[str, Part] | None = None,
    ) -> None:
        _check_names(names)
        self._seen = {} if seen is None else seen
        self._names, self._full_scale = names, np.float32(np.iinfo(frame.dtype).max)
        self.shape: tuple[int, int] = (frame.shape[0], frame.shape[1])
        given = {} if company is None else company
        # Channels are differences to the frame's own darkening.
        self._images = {name: image for name, image in given.items() if name in names}
        self._images["frame"] = self._frame = frame
        neighbours = [name for name in self._images if name in NEIGHBOURS]
        self._reduced_scales = {
            name: reduced_scale(as_it_is(image))
            for name, image in self._images.items()
            if name not in neighbours
        }
        brightness = _brightness(frame) if neighbours else 0.0
        # Moving an image by a few pixels does not change its mean.
        self._light = {
            name: _same_light(brightness, as_it_is(self._images[name])) for name in neighbours
        }

    @cached_property
    def _scales(self) -> dict[str, Floats]:
        return {
            name: full_size(reduced, self.shape) for name, reduced in self._reduced_scales.items()
        }

    def staged(self) -> DeviceChannels:
        """Return the same channels, of the whole frame, to be made on a GPU."""
        # Torch is loaded only where it is used.
        from pitflow.domains.particles.device_channels import DeviceChannels

        return DeviceChannels(
            self._names,
            self._frame,
            self._images,
            self._reduced_scales,
            self._light,
            self._seen,
        )

    def cut(self, plan: TilePlan, chosen: Sequence[tuple[int, int]]) -> Floats:
        """Return the (n, channels, tile height, tile width) channels of some tiles of a plan."""
        tiles = _Tiles.of(plan, chosen)
        cut = np.zeros((len(chosen), len(self._names), *plan.tile_shape), np.float32)
        scale, frame = tiles.cut(self._scales["frame"]), tiles.cut(self._images["frame"])
        now = relative_to(scale, frame)
        for place, name in enumerate(self._names):
            channel = cut[:, place]
            if name == "frame":
                channel[...] = now
            elif name == "raw":
                channel[...] = frame / self._full_scale
            elif name in self._light:
                _change(scale, frame, tiles.cut(self._images[name]), self._light[name], channel)
            elif name in self._scales:
                ground_scale, ground = tiles.cut(self._scales[name]), tiles.cut(self._images[name])
                np.subtract(now, relative_to(ground_scale, ground), out=channel)
            if name in self._seen:
                for tile in tiles.beyond(self._seen[name]):
                    _clear_unseen(channel[tile], self._seen[name], *tiles.pixels[tile])
        return cut


@dataclass(frozen=True, slots=True)
class _Tiles:
    """Some tiles of a plan, to be cut out of several images alike.

    Parameters
    ----------
    top, left:
        (n,) first row and column of each, px; outside of the image where it reaches beyond.
    shape:
        (height, width) of a tile, px.
    pixels:
        Which pixels of the image each sees.
    """

    top: Ints
    left: Ints
    shape: tuple[int, int]
    pixels: Sequence[tuple[Pixels, Pixels]]

    @classmethod
    def of(cls, plan: TilePlan, chosen: Sequence[tuple[int, int]]) -> _Tiles:
        """Return the chosen tiles."""
        return cls(
            np.array([plan.rows.starts[row] for row, _ in chosen], np.intp),
            np.array([plan.columns.starts[column] for _, column in chosen], np.intp),
            plan.tile_shape,
            [(plan.rows.pixels(row), plan.columns.pixels(column)) for row, column in chosen],
        )

    def cut(self, image: Image | Translated) -> npt.NDArray[Any]:
        """Return (n, tile height, tile width) of an image, all at once but at its edge."""
        still = as_it_is(image)
        moved = image if isinstance(image, Translated) else Translated(still, 0, 0)
        inside = self._within(*moved.far_from_edge)
        cut = np.empty((len(self.top), *self.shape), still.dtype)
        if inside.any():
            cut[inside] = moved.parts(self.top[inside], self.left[inside], self.shape)
        for tile in np.flatnonzero(~inside).tolist():
            cut[tile] = _part(image, *self.pixels[tile])
        return cut

    def beyond(self, part: Part) -> Ints:
        """Return which tiles reach beyond a part of the image."""
        return np.flatnonzero(~self._within(*part))

    def _within(self, rows: slice, columns: slice) -> npt.NDArray[np.bool_]:
        height, width = self.shape
        within: npt.NDArray[np.bool_] = (self.top >= rows.start) & (self.top + height <= rows.stop)
        within &= (self.left >= columns.start) & (self.left + width <= columns.stop)
        return within


def _clear_unseen(channel: Floats, seen: Part, rows: Pixels, columns: Pixels) -> None:
    """Set a channel to 0 where its tile lies outside of what is seen."""
    for lines, part, pixels in ((channel, seen[0], rows), (channel.T, seen[1], columns)):
        first, last = (
            (pixels.start, pixels.stop - 1)
            if isinstance(pixels, slice)
            else (pixels.min(), pixels.max())
        )
        if part.start <= first and last < part.stop:
            continue
        index = np.arange(first, last + 1) if isinstance(pixels, slice) else pixels
        lines[(index < part.start) | (index >= part.stop)] = 0


def _part(image: Image | Translated, rows: Pixels, columns: Pixels) -> npt.NDArray[Any]:
    """Return some rows and columns of an image; as a view where they are without reflection."""
    (run_of_rows, own_rows), (run_of_columns, own_columns) = _run(rows), _run(columns)
    if isinstance(image, Translated):
        part = image.part(run_of_rows, run_of_columns)
    else:
        part = image[run_of_rows, run_of_columns]
    return part[own_rows][:, own_columns]


def _run(pixels: Pixels) -> tuple[slice, Pixels]:
    """Return the run of pixels that holds some, and which of it they are."""
    if isinstance(pixels, slice):
        return pixels, slice(None)
    start = int(pixels.min())
    return slice(start, int(pixels.max()) + 1), pixels - start
