"""The channels of a whole frame, made where the network is: on a GPU.

There it costs next to nothing, and a tenth as much is to be sent (of 8-bit recordings): the images
instead of the channels, and each frame once although seven see it. The same as
``pitflow.domains.particles.channels.make_channels``.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from pitflow.domains.particles.relative import LIMIT, UNIT, Floats
from pitflow.frame import Image
from pitflow.segment.devices import Execution
from pitflow.translation import Part, Resampling, Translated, as_it_is, resampling

_NOT_MOVED = resampling(0.0, 0.0)


class DeviceChannels:
    """A frame and its company, ready to be sent.

    Parameters
    ----------
    names:
        The channels.
    frame:
        (height, width) uint8 or uint16.
    company:
        What there is to compare it with, by channel.
    scales:
        For the frame and for those of its company that are darkenings of their own, what a grey
        value is multiplied by, at a quarter of the size.
    light:
        For the others, the neighbours, what makes them as bright as the frame.
    seen:
        By channel, the part of the frame that its company shows; elsewhere it is 0.
    """

    def __init__(
        self,
        names: Sequence[str],
        frame: Image,
        company: Mapping[str, Image | Translated],
        scales: Mapping[str, Floats],
        light: Mapping[str, float],
        seen: Mapping[str, Part],
    ) -> None:
        self._names, self._dtype = names, frame.dtype
        self._frame = _sent_once(frame)
        self._scales = {name: _staged(scale) for name, scale in scales.items()}
        self._others = {
            name: _staged(as_it_is(company[name])) for name in self._scales if name != "frame"
        }
        self._neighbours = {name: _sent_once(as_it_is(company[name])) for name in light}
        self._moves = {
            name: other.how if isinstance(other := company[name], Translated) else _NOT_MOVED
            for name in light
        }
        self._light = dict(light)
        self._seen = dict(seen)

    def on(self, execution: Execution) -> torch.Tensor:
        """Return (channels, height, width) on a device, in its precision."""
        sent = execution.send
        frame = _plain(self._frame.on(execution))
        scales = {
            name: _full_size(sent(scale), frame.shape) for name, scale in self._scales.items()
        }
        now = _relative(frame, scales["frame"])
        moved = {
            name: _moved(_plain(image.on(execution)), self._moves[name], self._dtype)
            for name, image in self._neighbours.items()
        }
        shape = len(self._names), *frame.shape
        channels = torch.zeros(shape, device=execution.device, dtype=execution.dtype)
        for channel, name in zip(channels, self._names, strict=True):
            if name == "frame":
                channel.copy_(now)
            elif name == "raw":
                channel.copy_(frame / float(np.iinfo(self._dtype).max))
            elif name in moved:
                light = self._light[name]
                channel.copy_((frame - moved[name] * light) * scales["frame"])
            elif name in self._others:
                other = _plain(sent(self._others[name]))
                channel.copy_(now - _relative(other, scales[name]))
            if name in self._seen:
                for lines, part in zip((channel, channel.T), self._seen[name], strict=True):
                    lines[: part.start] = 0
                    lines[part.stop :] = 0
        return channels


class _SentOnce:
    """An image of a recording: to be sent when a frame first sees it, and kept for the next."""

    def __init__(self, image: Image) -> None:
        self._waiting: torch.Tensor | None = _staged(image)
        self._there: torch.Tensor | None = None

    def on(self, execution: Execution) -> torch.Tensor:
        """Return it on a device."""
        if self._there is None:
            assert self._waiting is not None
            self._there = execution.send(self._waiting)
            self._waiting = None
        return self._there.to(execution.device)


_SENT: dict[int, tuple[weakref.ref[Image], _SentOnce]] = {}
"""By identity, for arrays have no hash; an image leaves the GPU with the array."""


def _sent_once(image: Image) -> _SentOnce:
    number = id(image)
    known = _SENT.get(number)
    if known is not None and known[0]() is image:
        return known[1]
    sent = _SentOnce(image)
    _SENT[number] = weakref.ref(image, lambda gone: _forget(number, gone)), sent
    return sent


def _forget(number: int, gone: weakref.ref[Image]) -> None:
    # The number may be another image's by now.
    if number in _SENT and _SENT[number][0] is gone:
        del _SENT[number]


def _staged(image: npt.NDArray[Any]) -> torch.Tensor:
    """Return a copy of an image in memory that a GPU reads by itself, where there is one so."""
    cuda = torch.cuda.is_available()
    # Other devices do not know all types.
    plain = np.float32 if image.dtype == np.uint16 and not cuda else image.dtype
    dtype = torch.from_numpy(np.empty(0, plain)).dtype
    try:
        staged = torch.empty(image.shape, dtype=dtype, pin_memory=cuda)
    except RuntimeError:
        # There is a limit to such memory; any other is only slower.
        staged = torch.empty(image.shape, dtype=dtype)
    np.copyto(staged.numpy(), image)
    return staged


def _plain(image: torch.Tensor) -> torch.Tensor:
    return image.to(torch.float32)


def _full_size(reduced: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    return functional.interpolate(reduced[None, None], tuple(shape), mode="bilinear")[0, 0]


def _relative(image: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    return (image * scale - 1 / UNIT).clamp_(-LIMIT, LIMIT)


def _moved(image: torch.Tensor, move: Resampling, dtype: np.dtype[Any]) -> torch.Tensor:
    """Return a (height, width) image translated, rounded as ``dtype`` is."""
    height, width = image.shape
    reach = 0 if move.kernels is None else len(move.kernels[0]) // 2
    down, across = (
        _source(size, reach, shift, image.device)
        for size, shift in ((height, move.whole[1]), (width, move.whole[0]))
    )
    around = image.index_select(0, down).index_select(1, across)
    if move.kernels is None:
        return around
    # Not as a convolution, for which GPUs shorten single precision.
    along_x, along_y = (kernel.tolist() for kernel in move.kernels)
    rows = torch.zeros_like(around[:, :width])
    for step, weight in enumerate(along_x):
        rows.add_(around[:, step : step + width], alpha=weight)
    moved = torch.zeros_like(image)
    for step, weight in enumerate(along_y):
        moved.add_(rows[step : step + height], alpha=weight)
    return moved.round_().clamp_(0, float(np.iinfo(dtype).max))


def _source(size: int, reach: int, shift: int, device: torch.device) -> torch.Tensor:
    """Return which pixel stands at each place of a moved side and ``reach`` px around it."""
    inside = torch.arange(-reach, size + reach, device=device).clamp_(0, size - 1)
    return (inside - shift).clamp_(0, size - 1)
