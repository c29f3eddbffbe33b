"""The U-Net in whole numbers, for processors: 8 bits per weight and per feature.

Twice as fast as in single precision, also where there are no instructions made for it. The first
convolution, those at the sides and the head stay in single precision, for of what goes in, a faint
particle is a hundredth of what a pit is.

A feature f is stored as ``round(f / step) + zero``, between 0 and 255.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import NamedTuple, TypeGuard

import torch
from torch import nn
from torch.nn import functional

from pitflow.segment.networks.sides import check_sides
from pitflow.segment.networks.unet import UNet, averaged

Range = tuple[float, float]
Ranges = Mapping[str, Range]
"""Least and greatest feature behind each convolution, by the name of the convolution."""

_MOST = 255
_MOST_WEIGHT = 63
"""Half of what 8 bits hold: where there are no instructions for whole numbers (VNNI), two products
are added in 16 bits."""
_FIRST, _HEAD = "encoder.0.0", "head"


def can_quantise(network: nn.Module, ranges: Ranges) -> TypeGuard[UNet]:
    """Return whether this machine runs a network of these ranges in whole numbers."""
    if not isinstance(network, UNet) or not _has_kernels():
        return False
    return set(ranges) == {name for name, _ in _convolutions(network)}


@cache
def _has_kernels() -> bool:
    """Return whether a convolution of whole numbers gives the right answer here.

    The kernels are of x86, and no promise of torch; the largest numbers show whether sums fit.
    """
    if platform.machine().lower() not in {"x86_64", "amd64"}:
        return False
    conv = nn.Conv2d(16, 16, 3, padding=1)
    nn.init.constant_(conv.weight, 1.0)
    features = torch.full((1, 16, 4, 4), _MOST, dtype=torch.uint8)
    numbers = _Numbers(1.0, 0), _Numbers(9 * 16 * 1.1, 0)
    try:
        with torch.inference_mode():
            found = numbers[1].read(
                _Convolution(conv, *numbers, rectified=True)(
                    features.contiguous(memory_format=torch.channels_last)
                )
            )
            exact = conv(features.float())
    except (AttributeError, RuntimeError, TypeError):
        return False
    return bool((found - exact).abs().max() <= numbers[1].step)


def measure_ranges(
    network: UNet, batches: Iterable[torch.Tensor], initial: Ranges | None = None
) -> dict[str, Range]:
    """Return what the features of a network reach on (n, channels, height, width) images.

    Parameters
    ----------
    network:
        With its batch norms folded.
    initial:
        What they have reached before; the answer is no narrower.
    """
    found = dict(initial or {})

    def watch(name: str, conv: nn.Conv2d) -> torch.utils.hooks.RemovableHandle:
        def note(_: nn.Module, given: object, maps: torch.Tensor) -> None:
            low, high = (float(end) for end in torch.aminmax(maps))
            if _is_rectified(name):
                low, high = 0.0, max(high, 0.0)
            before = found.get(name, (low, high))
            found[name] = min(low, before[0]), max(high, before[1])

        return conv.register_forward_hook(note)

    handles = [watch(name, conv) for name, conv in _convolutions(network)]
    try:
        with torch.inference_mode():
            for images in batches:
                network(images)
    finally:
        for handle in handles:
            handle.remove()
    return found


class _Numbers(NamedTuple):
    """How features are stored."""

    step: float
    zero: int

    @classmethod
    def holding(cls, *ranges: Range) -> _Numbers:
        low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
        step = max(high - low, 1e-6) / _MOST
        return cls(step, round(-low / step))

    def store(self, features: torch.Tensor) -> torch.Tensor:
        """Return features as whole numbers; what lies beyond their range is cut off."""
        scaled = features * (1 / self.step)
        # Conversion cuts the decimals off.
        return scaled.add_(self.zero + 0.5).clamp_(0, _MOST).to(torch.uint8)

    def read(self, stored: torch.Tensor) -> torch.Tensor:
        """Return whole numbers as features."""
        return (stored.to(torch.float32) - self.zero).mul_(self.step)


class QuantisedUNet(nn.Module):
    """A trained U-Net for inference on a processor; ``can_quantise`` says on which.

    Parameters
    ----------
    network:
        With its batch norms folded.
    ranges:
        What its features reach (``measure_ranges``).
    """

    def __init__(self, network: UNet, ranges: Ranges) -> None:
        super().__init__()
        self.block, self.multiple, self.halo = network.block, network.multiple, network.halo
        convs = dict(_convolutions(network))
        self._first, self._head = convs.pop(_FIRST), network.head
        self._sides = network.sides
        self._levels = len(network.encoder)
        # What is concatenated is stored alike.
        alike = {name: {name} for name in ranges}
        for level in range(self._levels - 1):
            parts = {f"encoder.{level}.3", f"reduce.{self._levels - 2 - level}"}
            parts |= {_side(level)} & set(ranges)
            alike |= dict.fromkeys(parts, parts)
        self._stored = {
            name: _Numbers.holding(*(ranges[each] for each in alike[name])) for name in ranges
        }
        before, self._convs = _FIRST, {}
        for name in _order(self._levels):
            numbers = self._stored[before], self._stored[name]
            self._convs[name] = _Convolution(convs[name], *numbers, rectified=_is_rectified(name))
            before = name

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits (batch, classes, height, width).

        Raises
        ------
        ValueError
            If a side is not a multiple of ``multiple``.
        """
        check_sides(images, self.multiple)
        scales = averaged(images, self.block, len(self._sides))
        sides = [
            self._stored[_side(level)].store(side(image))
            for level, (side, image) in enumerate(zip(self._sides, scales, strict=True))
        ]
        if self.block > 1:
            images = functional.pixel_unshuffle(images, self.block)
        images = images.contiguous(memory_format=torch.channels_last)
        features = self._stored[_FIRST].store(self._first(images))
        features = self._convs["encoder.0.3"](features)
        skips = [features]
        for level in range(1, self._levels):
            features = _halved(features)
            if sides:
                features = torch.cat([features, sides[level - 1]], dim=1)
            features = self._twice(f"encoder.{level}", features)
            skips.append(features)
        for k, skip in enumerate(skips[-2::-1]):
            coarse = functional.interpolate(
                self._convs[f"reduce.{k}"](features), scale_factor=2.0, mode="nearest"
            )
            features = self._twice(f"decoder.{k}", torch.cat([coarse, skip], dim=1))
        maps = self._head(self._stored[f"decoder.{self._levels - 2}.3"].read(features))
        return functional.pixel_shuffle(maps, self.block) if self.block > 1 else maps

    def _twice(self, name: str, features: torch.Tensor) -> torch.Tensor:
        return self._convs[f"{name}.3"](self._convs[f"{name}.0"](features))


class _Convolution:
    """A convolution of whole numbers, and the rectifier behind it if there is one."""

    def __init__(
        self, conv: nn.Conv2d, given: _Numbers, stored: _Numbers, *, rectified: bool
    ) -> None:
        self._given, self._stored = given, stored
        weight = conv.weight.detach().float()
        self._steps = weight.abs().amax(dim=(1, 2, 3)).clamp_min(1e-8) / _MOST_WEIGHT
        whole = (weight / self._steps[:, None, None, None]).round().to(torch.int8)
        self._zeros = torch.zeros(len(weight), dtype=torch.int32)
        self._how = [*conv.stride], [*conv.padding], [*conv.dilation], conv.groups
        # Laid out for the processor once.
        self._weight = torch.ops.onednn.qconv_prepack(whole, self._steps, *given, *self._how, None)
        self._bias = None if conv.bias is None else conv.bias.detach().float()
        self._rectified = "relu" if rectified else "none"

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = torch.ops.onednn.qconv2d_pointwise(
            features,
            *self._given,
            self._weight,
            self._steps,
            self._zeros,
            self._bias,
            *self._how,
            *self._stored,
            torch.uint8,
            self._rectified,
            [],
            "",
        )
        return answer


def _convolutions(network: UNet) -> Iterator[tuple[str, nn.Conv2d]]:
    """Yield all but the head."""
    for name, part in network.named_modules():
        if isinstance(part, nn.Conv2d) and name != _HEAD:
            yield name, part


def _side(level: int) -> str:
    """Return the convolution whose answer joins that of a level on the way down."""
    return f"sides.{level}.0"


def _is_rectified(name: str) -> bool:
    """Return whether a rectifier follows a convolution."""
    return not name.startswith("reduce")


def _order(levels: int) -> Iterator[str]:
    """Yield the convolutions behind the first, each behind the one whose answer it is given."""
    yield "encoder.0.3"
    for level in range(1, levels):
        yield from (f"encoder.{level}.0", f"encoder.{level}.3")
    for k in range(levels - 1):
        yield from (f"reduce.{k}", f"decoder.{k}.0", f"decoder.{k}.3")


def _halved(features: torch.Tensor) -> torch.Tensor:
    """Return the greatest of every 2 x 2."""
    rows = torch.maximum(features[:, :, ::2], features[:, :, 1::2])
    return torch.maximum(rows[..., ::2], rows[..., 1::2])
