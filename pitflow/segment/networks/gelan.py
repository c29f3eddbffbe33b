"""GELAN with a PAN neck, texture refinement and a mask head: the network of paper 001.

    image -> backbone -> neck -> texture refinement -> head      at strides 8, 16, 32
                |
                +-> auxiliary branch -> its own head             in training only

Written from the papers (001; Wang, Yeh, Liao 2024); no code of any YOLO is in it.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from pitflow.config import Model
from pitflow.segment.instance import Instance, Limits
from pitflow.segment.networks.elan import SPPELAN, ADown, ConvUnit, RepNCSPELAN4
from pitflow.segment.networks.instance_head import InstanceHead, Predictions
from pitflow.segment.networks.reversible import AuxiliaryBranch
from pitflow.segment.networks.sides import check_sides
from pitflow.segment.networks.suppression import best_instances
from pitflow.segment.networks.texture import TextureRefinement


class GelanConfig(Model):
    """Size of the network; the default is the smallest of its family."""

    kind: Literal["gelan"] = "gelan"
    stem: tuple[int, int] = Field((16, 32), description="feature maps at strides 2 and 4")
    widths: tuple[int, int, int] = Field(
        (64, 96, 128), description="feature maps at strides 8, 16 and 32; multiples of 4"
    )
    depth: int = Field(1, ge=1, description="bottlenecks per stage of a block")
    prototypes: int = Field(32, ge=1, description="mask prototypes")
    texture: Literal["spatial", "channel", "none"] = Field(
        "spatial", description="texture refinement: per position, per feature map, or none"
    )
    auxiliary: bool = Field(
        True, description="train with the auxiliary branch; False in finished models"
    )


class Answer(NamedTuple):
    """What the network says in training."""

    main: Predictions
    auxiliary: Predictions | None


class Backbone(nn.Module):
    """Features of the image at strides 8, 16 and 32."""

    def __init__(
        self, channels: int, stem: tuple[int, int], widths: Sequence[int], depth: int
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            ConvUnit(channels, stem[0], 3, 2),
            ConvUnit(stem[0], stem[1], 3, 2),
            RepNCSPELAN4(stem[1], stem[1], stem[1], stem[1] // 2, depth),
        )
        before = (stem[1], *widths[:-1])
        self.stages = nn.ModuleList(
            nn.Sequential(
                ADown(inside, width), RepNCSPELAN4(width, width, width, width // 2, depth)
            )
            for inside, width in zip(before, widths, strict=True)
        )
        self.pool = SPPELAN(widths[-1], widths[-1], widths[-1] // 2)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return the features, finest first."""
        features = self.stem(images)
        scales = []
        for stage in self.stages:
            features = stage(features)
            scales.append(features)
        scales[-1] = self.pool(scales[-1])
        return scales


class Neck(nn.Module):
    """Path aggregation: what coarse scales know goes to the fine ones, and back again."""

    def __init__(self, widths: Sequence[int], depth: int) -> None:
        super().__init__()

        def block(channels: int, width: int) -> RepNCSPELAN4:
            return RepNCSPELAN4(channels, width, width, width // 2, depth)

        fine, middle, coarse = widths
        self.up = nn.ModuleList([block(coarse + middle, middle), block(middle + fine, fine)])
        self.down = nn.ModuleList([ADown(fine, middle // 2), ADown(middle, coarse // 2)])
        self.back = nn.ModuleList(
            [block(middle // 2 + middle, middle), block(coarse // 2 + coarse, coarse)]
        )

    def forward(self, scales: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return features of the same sizes and widths."""
        fine, middle, coarse = scales
        middle = self.up[0](torch.cat([_twice(coarse), middle], dim=1))
        fine = self.up[1](torch.cat([_twice(middle), fine], dim=1))
        middle = self.back[0](torch.cat([self.down[0](fine), middle], dim=1))
        coarse = self.back[1](torch.cat([self.down[1](middle), coarse], dim=1))
        return [fine, middle, coarse]


class Gelan(nn.Module):
    """The network; in training it answers with both heads, in evaluation with the main one."""

    multiple = 32
    single_precision = False

    def __init__(self, config: GelanConfig, channels: int, classes: int) -> None:
        super().__init__()
        widths = config.widths
        self.backbone = Backbone(channels, config.stem, widths, config.depth)
        self.neck = Neck(widths, config.depth)
        over = config.texture
        self.texture = nn.ModuleList(
            nn.Identity() if over == "none" else TextureRefinement(width, over) for width in widths
        )
        self.head = InstanceHead(widths, classes, config.prototypes)
        self.auxiliary: AuxiliaryBranch | None = None
        self.auxiliary_head: InstanceHead | None = None
        if config.auxiliary:
            self.auxiliary = AuxiliaryBranch(channels, config.stem, widths, config.depth)
            self.auxiliary_head = InstanceHead(widths, classes, config.prototypes)

    def forward(self, images: torch.Tensor) -> Answer | Predictions:
        """Return ``Answer`` in training, ``Predictions`` in evaluation.

        Raises
        ------
        ValueError
            If a side is not a multiple of 32.
        """
        check_sides(images, self.multiple)
        scales = self.backbone(images)
        fused = self.neck(scales)
        main = self.head([refine(one) for refine, one in zip(self.texture, fused, strict=True)])
        if not self.training:
            predictions: Predictions = main
            return predictions
        if self.auxiliary is None or self.auxiliary_head is None:
            return Answer(main, None)
        return Answer(main, self.auxiliary_head(self.auxiliary(images, scales)))

    def detect(self, images: torch.Tensor, limits: Limits) -> list[list[Instance]]:
        """Return the instances in each image, best first."""
        predictions = self(images)
        shape = images.shape[-2], images.shape[-1]
        return [best_instances(predictions, k, shape, limits) for k in range(len(images))]

    def without_auxiliary(self) -> Gelan:
        """Return the network without what inference does not need; it shares the other parts."""
        bare = copy.copy(self)
        bare._modules = dict(self._modules)
        bare.auxiliary = bare.auxiliary_head = None
        return bare


def _twice(features: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(features, scale_factor=2.0, mode="nearest")
