"""The blocks of GELAN, an efficient layer aggregation network.

Sources: Wang, Yeh, Liao 2024 (YOLOv9: GELAN, SPP-ELAN), Wang et al. 2020 (CSPNet), Ding et al. 2021
(RepVGG: the foldable convolution), Elfwing et al. 2018 (SiLU); paper 001, Fig. 5.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn import functional


class ConvUnit(nn.Sequential):
    """Convolution, batch norm, SiLU (the paper's CBS); keeps the size at stride 1."""

    def __init__(self, channels: int, width: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(channels, width, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(width),
            nn.SiLU(inplace=True),
        )


def fold_into(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """Let a convolution do what the batch norm behind it does in evaluation, too."""
    convolution.weight, convolution.bias = torch.nn.utils.fuse_conv_bn_weights(
        convolution.weight,
        convolution.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
    )


class RepConv(nn.Module):
    """A 3 x 3 and a 1 x 1 convolution side by side, each with batch norm, summed, then SiLU.

    Both are linear at inference, so that ``folded`` gives one convolution that does the same.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.wide = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        )
        self.narrow = nn.Sequential(
            nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width)
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the features of the next layer."""
        return functional.silu(self.wide(features) + self.narrow(features), inplace=True)

    def folded(self) -> nn.Sequential:
        """Return the same as a single convolution with bias, in evaluation."""
        wide, narrow = copy.deepcopy(self.wide[0]), copy.deepcopy(self.narrow[0])
        fold_into(wide, self.wide[1])
        fold_into(narrow, self.narrow[1])
        with torch.no_grad():
            wide.weight += functional.pad(narrow.weight, (1, 1, 1, 1))
            wide.bias += narrow.bias
        return nn.Sequential(wide, nn.SiLU(inplace=True))


class Bottleneck(nn.Module):
    """A foldable and a plain 3 x 3 convolution around which the input passes (Fig. 5c)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(RepConv(width, width), ConvUnit(width, width, 3))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the input plus what the layers make of it."""
        return features + self.layers(features)


class RepNCSP(nn.Module):
    """Half of the features pass through ``depth`` bottlenecks, half by them (Fig. 5b)."""

    def __init__(self, channels: int, width: int, depth: int) -> None:
        super().__init__()
        half = width // 2
        self.through = nn.Sequential(
            ConvUnit(channels, half), *(Bottleneck(half) for _ in range(depth))
        )
        self.past = ConvUnit(channels, half)
        self.join = ConvUnit(2 * half, width)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the joined halves."""
        return self.join(torch.cat([self.through(features), self.past(features)], dim=1))


class RepNCSPELAN4(nn.Module):
    """The GELAN block: every stage of a short chain is kept and all are joined (Fig. 5a).

    Parameters
    ----------
    channels, width, inner, stage:
        Feature maps of the input, the output, the first convolution, and each of two stages.
    depth:
        Bottlenecks per stage.
    """

    def __init__(self, channels: int, width: int, inner: int, stage: int, depth: int) -> None:
        super().__init__()
        self.enter = ConvUnit(channels, inner)
        self.first = nn.Sequential(RepNCSP(inner // 2, stage, depth), ConvUnit(stage, stage, 3))
        self.second = nn.Sequential(RepNCSP(stage, stage, depth), ConvUnit(stage, stage, 3))
        self.join = ConvUnit(inner + 2 * stage, width)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return features of the same size."""
        entered = self.enter(features)
        first = self.first(entered.chunk(2, dim=1)[1])
        return self.join(torch.cat([entered, first, self.second(first)], dim=1))


class ADown(nn.Module):
    """Halve the size: averaged features by convolution, or by their maximum (Fig. 5e)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self._parts = channels - channels // 2, channels // 2
        self.strided = ConvUnit(self._parts[0], width - width // 2, 3, 2)
        self.pooled = ConvUnit(self._parts[1], width // 2)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return features of half the height and width."""
        averaged = functional.avg_pool2d(features, 2, 1)
        one, other = averaged.split(self._parts, dim=1)
        largest = functional.max_pool2d(other, 3, 2, 1)
        return torch.cat([self.strided(one), self.pooled(largest)], dim=1)


class SPPELAN(nn.Module):
    """Spatial pyramid pooling: three chained 5 x 5 maxima, all kept and joined (Fig. 5d)."""

    def __init__(self, channels: int, width: int, inner: int) -> None:
        super().__init__()
        self.enter = ConvUnit(channels, inner)
        self.join = ConvUnit(4 * inner, width)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return features of the same size."""
        levels = [self.enter(features)]
        for _ in range(3):
            levels.append(functional.max_pool2d(levels[-1], 5, 1, 2))
        return self.join(torch.cat(levels, dim=1))
