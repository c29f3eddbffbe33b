"""Medical Transformer (MedT): gated axial attention, global and local (Valanarasu et al. 2021).

The baseline that paper 000 compares with. A global branch of few blocks sees the whole image, a
local branch of more blocks each patch of a grid alone; their features are added.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import nn
from torch.nn import functional

from pitflow.config import Model
from pitflow.segment.networks.sides import check_sides, doubled
from pitflow.segment.networks.unet import new_head


class MedTConfig(Model):
    """Size of the Medical Transformer."""

    kind: Literal["medt"] = "medt"
    width: int = Field(16, ge=4, description="feature maps of the first block, doubled by the next")
    heads: int = Field(4, ge=1, description="attention heads; width is a multiple of twice as many")
    global_blocks: int = Field(2, ge=1, description="blocks of the branch that sees the image")
    local_blocks: int = Field(4, ge=1, description="blocks of the branch that sees patches")
    grid: int = Field(4, ge=1, description="patches along each side of the image")
    span: int = Field(
        32, ge=2, description="positions (of 2 px and more) up to which distances are told apart"
    )

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> MedTConfig:
        if self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} is no multiple of 2 x {self.heads} heads")
        return self


class GatedAxialAttention(nn.Module):
    """Self-attention along one axis, with gated relative positions (MedT, eq. 4).

    The gates say how far learned positions are trusted; little data cannot learn them well.
    Distances beyond ``span`` share one encoding, so images may be of any size.

    Parameters
    ----------
    axis:
        -2 attends along columns, -1 along rows.
    """

    def __init__(self, width: int, heads: int, span: int, axis: Literal[-2, -1]) -> None:
        super().__init__()
        self.heads, self.span, self.axis = heads, span, axis
        self.depth = width // heads
        self.qkv = nn.Sequential(
            nn.Conv2d(width, 2 * width, 1, bias=False), nn.BatchNorm2d(2 * width)
        )
        scale = self.depth**-0.5
        self.positions = nn.Parameter(scale * torch.randn(2 * self.depth, 2 * span - 1))
        self.gates = nn.Parameter(torch.tensor([0.1, 0.1, 1.0, 0.1]))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return (batch, width, height, width) features of the same shape."""
        qkv = self.qkv(features)
        if self.axis == -2:
            qkv = qkv.transpose(-2, -1)
        batch, channels, lines, length = qkv.shape
        split = qkv.reshape(batch, self.heads, channels // self.heads, lines, length)
        half = self.depth // 2
        query, key, value = split.split((half, half, self.depth), dim=2)
        where_query, where_key, where_value = self._encodings(length).split(
            (half, half, self.depth)
        )
        to_query, to_key, content, place = self.gates
        alike = torch.einsum("bhcnl,bhcnm->bhnlm", query, key)
        alike = alike + to_query * torch.einsum("bhcnl,clm->bhnlm", query, where_query)
        alike = alike + to_key * torch.einsum("bhcnm,clm->bhnlm", key, where_key)
        weight = (alike * half**-0.5).softmax(dim=-1)
        answer = content * torch.einsum("bhnlm,bhcnm->bhcnl", weight, value)
        answer = answer + place * torch.einsum("bhnlm,clm->bhcnl", weight, where_value)
        answer = answer.reshape(batch, channels // 2, lines, length)
        return answer.transpose(-2, -1) if self.axis == -2 else answer

    def _encodings(self, length: int) -> torch.Tensor:
        """Return the encoding of each pair of positions, (2 depth, length, length)."""
        place = torch.arange(length, device=self.positions.device)
        apart = (place[None, :] - place[:, None]).clamp(1 - self.span, self.span - 1)
        return self.positions[:, apart + self.span - 1]


class AxialBlock(nn.Module):
    """1 x 1 convolution, attention along columns and rows, 1 x 1 convolution, and a short cut."""

    def __init__(self, inputs: int, width: int, config: MedTConfig, *, halve: bool) -> None:
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )
        self.attend = nn.Sequential(
            GatedAxialAttention(width, config.heads, config.span, -2),
            GatedAxialAttention(width, config.heads, config.span, -1),
            nn.ReLU(inplace=True),
        )
        self.up = nn.Sequential(nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width))
        self.short = nn.Sequential(nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width))
        self.halve = halve

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return features, at half the resolution if the block halves it."""
        answer = self.attend(self.down(features))
        if self.halve:
            answer, features = functional.avg_pool2d(answer, 2), functional.avg_pool2d(features, 2)
        return functional.relu(self.up(answer) + self.short(features))


class Branch(nn.Module):
    """A stem that halves the resolution, axial blocks down, convolutions up with short cuts."""

    def __init__(self, channels: int, blocks: int, config: MedTConfig) -> None:
        super().__init__()
        width = config.width
        self.stem = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )
        widths = [width * 2**level for level in range(blocks)]
        self.blocks = nn.ModuleList(
            AxialBlock(before, after, config, halve=level > 0)
            for level, (before, after) in enumerate(zip([width, *widths[:-1]], widths, strict=True))
        )
        self.decoder = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(coarse, fine, 3, padding=1, bias=False),
                nn.BatchNorm2d(fine),
                nn.ReLU(inplace=True),
            )
            for coarse, fine in list(zip(widths[1:], widths[:-1], strict=True))[::-1]
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return (batch, width, height / 2, width / 2) features."""
        features = self.stem(images)
        levels = []
        for block in self.blocks:
            features = block(features)
            levels.append(features)
        for convolve, level in zip(self.decoder, levels[-2::-1], strict=True):
            features = doubled(convolve(features)) + level
        return features


class MedT(nn.Module):
    """Global and local branch, their features added; attention reaches over the whole tile."""

    def __init__(self, config: MedTConfig, channels: int, classes: int) -> None:
        super().__init__()
        self.grid = config.grid
        self.multiple = max(2**config.global_blocks, config.grid * 2**config.local_blocks)
        self.halo = 0
        self.whole = Branch(channels, config.global_blocks, config)
        self.patches = Branch(channels, config.local_blocks, config)
        self.join = nn.Sequential(
            nn.Conv2d(config.width, config.width, 3, padding=1, bias=False),
            nn.BatchNorm2d(config.width),
            nn.ReLU(inplace=True),
        )
        self.head = new_head(config.width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits (batch, classes, height, width).

        Raises
        ------
        ValueError
            If a side is not a multiple of ``multiple``.
        """
        check_sides(images, self.multiple)
        local = join_patches(self.patches(cut_patches(images, self.grid)), self.grid)
        logits: torch.Tensor = self.head(self.join(doubled(self.whole(images) + local)))
        return logits


def cut_patches(images: torch.Tensor, grid: int) -> torch.Tensor:
    """Return the patches of a ``grid`` x ``grid`` division as a batch, row by row."""
    batch, channels, height, width = images.shape
    split = images.reshape(batch, channels, grid, height // grid, grid, width // grid)
    return split.permute(0, 2, 4, 1, 3, 5).reshape(-1, channels, height // grid, width // grid)


def join_patches(patches: torch.Tensor, grid: int) -> torch.Tensor:
    """Return the images that ``cut_patches`` cut."""
    _, channels, height, width = patches.shape
    split = patches.reshape(-1, grid, grid, channels, height, width)
    return split.permute(0, 3, 1, 4, 2, 5).reshape(-1, channels, grid * height, grid * width)
