"""Programmable gradient information: an auxiliary branch that exists in training only.

The deep features of a small network have lost much of the image. A second branch begins with the
image again, takes in what the main branch knows at every scale, and makes predictions of its own;
their gradients reach the main branch through what was taken in, and tell it what the target needs.
At inference the branch is left out (Wang, Yeh, Liao 2024, section 4.1; paper 001, Fig. 4).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from pitflow.segment.networks.elan import ADown, ConvUnit, RepNCSPELAN4


class CBLinear(nn.Module):
    """One 1 x 1 convolution whose answer is split by channel, a piece for every scale it serves."""

    def __init__(self, channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.conv = nn.Conv2d(channels, sum(widths), 1)

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the pieces, (batch, width, height, width of the features) each."""
        pieces: tuple[torch.Tensor, ...] = self.conv(features).split(self.widths, dim=1)
        return pieces


class CBFuse(nn.Module):
    """The sum of features and of pieces brought to their size (nearest neighbour)."""

    def forward(self, features: torch.Tensor, pieces: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return features of the same shape."""
        size = list(features.shape[-2:])
        for piece in pieces:
            features = features + functional.interpolate(piece, size, mode="nearest")
        return features


class AuxiliaryBranch(nn.Module):
    """A backbone of its own from the image, with the main branch's scales fused into it.

    Parameters
    ----------
    channels:
        Channels of the image.
    stem, widths, depth:
        As of the main branch.
    """

    def __init__(
        self, channels: int, stem: tuple[int, int], widths: Sequence[int], depth: int
    ) -> None:
        super().__init__()
        self.linear = nn.ModuleList(
            CBLinear(width, widths[: level + 1]) for level, width in enumerate(widths)
        )
        self.fuse = CBFuse()
        self.stem = nn.Sequential(
            ConvUnit(channels, stem[0], 3, 2),
            ConvUnit(stem[0], stem[1], 3, 2),
            RepNCSPELAN4(stem[1], stem[1], stem[1], stem[1] // 2, depth),
        )
        before = (stem[1], *widths[:-1])
        self.down = nn.ModuleList(ADown(*pair) for pair in zip(before, widths, strict=True))
        self.stages = nn.ModuleList(
            RepNCSPELAN4(width, width, width, width // 2, depth) for width in widths
        )

    def forward(self, images: torch.Tensor, main: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return features at the scales of ``main``, finest first."""
        pieces = [linear(features) for linear, features in zip(self.linear, main, strict=True)]
        features = self.stem(images)
        scales = []
        for level, (down, stage) in enumerate(zip(self.down, self.stages, strict=True)):
            # Scale `level` is served by itself and by everything coarser.
            fused = self.fuse(down(features), [served[level] for served in pieces[level:]])
            features = stage(fused)
            scales.append(features)
        return scales
