"""A plain U-Net (Ronneberger, Fischer, Brox 2015), small enough for a processor."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from pitflow.config import Model
from pitflow.segment.networks.sides import check_sides

_PRIOR = 0.01


class UNetConfig(Model):
    """Size of the U-Net."""

    kind: Literal["unet"] = "unet"
    widths: tuple[int, ...] = Field(
        (16, 32, 64, 128), min_length=2, description="feature maps per level, finest first"
    )
    stem: Literal["full", "space_to_depth"] = Field(
        "full",
        description="work at full resolution, or on 2 x 2 blocks of pixels stacked as channels: "
        "four times fewer positions, so about four times as fast, and no pixel is thrown away",
    )
    sides: int = Field(
        0,
        ge=0,
        description="feature maps that each coarser level makes of the image itself, averaged down "
        "to its scale: what is wide and fainter than the noise of a pixel; 0: none",
    )
    channel_dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="chance that an image trains without its channels beyond the first, so that "
        "one network serves with and without them",
    )
    lonely_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="of those images, the share that loses all of its channels beyond the first, "
        "and not one of them",
    )


class ConvBlock(nn.Sequential):
    """Two 3 x 3 convolutions, each with batch norm and ReLU."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(
            nn.Conv2d(channels, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )


class ChannelDropout(nn.Module):
    """Set channels beyond the first to 0 while training: all at once, or one at random.

    What is left is not scaled up: 0 is what a missing channel holds at inference too.
    """

    def __init__(self, chance: float, lonely_share: float = 0.5) -> None:
        super().__init__()
        self.chance, self.lonely_share = chance, lonely_share

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the images with some channels dropped."""
        batch, channels = images.shape[:2]
        if not self.training or self.chance == 0 or channels == 1:
            return images
        draw = torch.rand(batch, 3, device=images.device)
        hit = draw[:, :1] < self.chance
        all_of_them = draw[:, 1:2] < self.lonely_share
        extra = torch.arange(1, channels, device=images.device)
        one = extra == 1 + (draw[:, 2:] * (channels - 1)).long()
        keep = torch.ones(batch, channels, device=images.device, dtype=images.dtype)
        keep[:, 1:] -= (hit & (all_of_them | one)).to(images.dtype)
        return images * keep[:, :, None, None]


class UNetBody(nn.Module):
    """Encoder and decoder with skip connections, two convolutions per level each; no head yet.

    Downsampling is max-pooling by 2, beside which ``sides`` see the image's averages. On the way
    up, features are reduced by a 1 x 1 convolution while still coarse, repeated to twice the size,
    and concatenated with the skip connection.
    """

    def __init__(self, config: UNetConfig, channels: int) -> None:
        super().__init__()
        widths = config.widths
        block = 2 if config.stem == "space_to_depth" else 1
        self.block = block
        self.multiple = block * 2 ** (len(widths) - 1)
        self.halo = receptive_reach(len(widths), block)
        self.dropout = ChannelDropout(config.channel_dropout, config.lonely_share)
        self.sides = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, config.sides, 3, padding=1, bias=False),
                nn.BatchNorm2d(config.sides),
                nn.ReLU(inplace=True),
            )
            for _ in (widths[1:] if config.sides else ())
        )
        inputs = (channels * block**2, *(width + config.sides for width in widths[:-1]))
        self.encoder = nn.ModuleList(
            ConvBlock(before, width) for before, width in zip(inputs, widths, strict=True)
        )
        pairs = list(zip(widths[1:], widths[:-1], strict=True))[::-1]
        self.reduce = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for coarse, fine in pairs)
        self.decoder = nn.ModuleList(ConvBlock(2 * fine, fine) for _, fine in pairs)

    def levels(self, images: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Return the features of the encoder, finest first, and of the decoder, coarsest first.

        Raises
        ------
        ValueError
            If a side is not a multiple of ``multiple``.
        """
        check_sides(images, self.multiple)
        images = self.dropout(images)
        features = images
        if self.block > 1:
            features = functional.pixel_unshuffle(features, self.block)
        scales = averaged(images, self.block, len(self.sides))
        sides = [side(image) for side, image in zip(self.sides, scales, strict=True)]
        skips = []
        for level, encode in enumerate(self.encoder):
            if level:
                features = functional.max_pool2d(features, 2)
            if level and sides:
                features = torch.cat([features, sides[level - 1]], dim=1)
            features = encode(features)
            skips.append(features)
        decoded = []
        for reduce, decode, skip in zip(self.reduce, self.decoder, skips[-2::-1], strict=True):
            coarse = functional.interpolate(reduce(features), scale_factor=2.0, mode="nearest")
            features = decode(torch.cat([coarse, skip], dim=1))
            decoded.append(features)
        return skips, decoded

    def to_pixels(self, maps: torch.Tensor) -> torch.Tensor:
        """Return maps of the finest level at the images' own resolution."""
        return functional.pixel_shuffle(maps, self.block) if self.block > 1 else maps


class UNet(UNetBody):
    """The body with a head of one 1 x 1 convolution."""

    def __init__(self, config: UNetConfig, channels: int, classes: int) -> None:
        super().__init__(config, channels)
        self.head = new_head(config.widths[0], classes * self.block**2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits (batch, classes, height, width).

        Raises
        ------
        ValueError
            If a side is not a multiple of ``multiple``.
        """
        _, decoded = self.levels(images)
        return self.to_pixels(self.head(decoded[-1]))


def averaged(images: torch.Tensor, block: int, levels: int) -> Iterator[torch.Tensor]:
    """Yield images averaged down to the scale of each level behind the finest."""
    share = 2 * block
    for _ in range(levels):
        images = functional.avg_pool2d(images, share)
        yield images
        share = 2


def new_head(width: int, classes: int) -> nn.Conv2d:
    """Return a 1 x 1 convolution to logits that expects little.

    Objects are rare. A network that starts out with even odds spends its first epochs on learning
    that alone.
    """
    head = nn.Conv2d(width, classes, 1)
    nn.init.constant_(head.bias, math.log(_PRIOR / (1 - _PRIOR)))
    return head


def receptive_reach(levels: int, block: int) -> int:
    """Return how many px to either side an answer of the U-Net depends on.

    Each convolution reaches one position further, which is ``block * 2^level`` px; what pooling and
    the stem join lies up to one position of the coarsest grid apart.
    """
    scales: list[int] = [block * 2**level for level in range(levels)]
    return 4 * sum(scales[:-1]) + 3 * scales[-1] - 1
