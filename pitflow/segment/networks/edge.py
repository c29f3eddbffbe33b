"""The edge-guided U-Net of DeepSC-Edge (paper 000, Fig. 2), after ET-Net (Zhang et al. 2019).

    encoder 1, 2 --> EGM --> edge logits (while training)
        |             |
      U-Net           | features
        |             v
    decoder levels -> WAM --> mask logits

ET-UNet, Guided and S-Guided ET-UNet are this one network; they differ in what they are taught
(``pitflow.segment.training.guidance``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import nn

from pitflow.config import Model
from pitflow.segment.networks.guided import Guided
from pitflow.segment.networks.sides import doubled
from pitflow.segment.networks.unet import UNetBody, UNetConfig, new_head


class EdgeUNetConfig(Model):
    """Size of the edge-guided U-Net."""

    kind: Literal["edge-unet"] = "edge-unet"
    unet: UNetConfig = Field(UNetConfig(), description="encoder and decoder, the plain U-Net's own")
    width: int = Field(64, ge=4, description="feature maps of EGM and WAM")


class EdgeGuidanceModule(nn.Module):
    """EGM: what the two finest encoder levels know of edges.

    Each level passes 1 x 1 and 3 x 3 convolutions at the resolution of the finest; the second is
    enlarged in between, since a 1 x 1 convolution commutes with that and costs a quarter before it.
    """

    def __init__(self, first: int, second: int, width: int, classes: int) -> None:
        super().__init__()
        self.reduce = nn.ModuleList([nn.Conv2d(first, width, 1), nn.Conv2d(second, width, 1)])
        self.convolve = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            )
            for _ in range(2)
        )
        self.features = nn.Conv2d(2 * width, width, 1)
        self.head = new_head(2 * width, classes)

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the features for the WAM; while training also the edge logits."""
        fine = self.convolve[0](self.reduce[0](first))
        coarse = self.convolve[1](doubled(self.reduce[1](second)))
        both = torch.cat([fine, coarse], dim=1)
        return (self.features(both), self.head(both)) if self.training else (self.features(both),)


class Gate(nn.Module):
    """Squeeze and excitation: each channel times a weight that the whole map decides.

    There is no batch norm on the squeezed 1 x 1 map: one image alone could not train it.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.excite = nn.Sequential(
            nn.Conv2d(width, width // 4, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width // 4, width, 1),
            nn.Sigmoid(),
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the features, weighted."""
        weighted: torch.Tensor = features * self.excite(features.mean((-2, -1), keepdim=True))
        return weighted


class WeightedAggregationModule(nn.Module):
    """WAM: the decoder levels, each weighted, summed coarse to fine and joined with the edges."""

    def __init__(self, widths: Sequence[int], width: int, classes: int) -> None:
        super().__init__()
        self.reduce = nn.ModuleList(nn.Conv2d(level, width, 1) for level in widths)
        self.gates = nn.ModuleList(Gate(width) for _ in widths)
        self.head = new_head(2 * width, classes)

    def forward(self, decoded: Sequence[torch.Tensor], edges: torch.Tensor) -> torch.Tensor:
        """Return the mask logits from decoder levels, coarsest first, and the EGM's features."""
        total: torch.Tensor | None = None
        for reduce, gate, level in zip(self.reduce, self.gates, decoded, strict=True):
            weighted = gate(reduce(level))
            total = weighted if total is None else weighted + doubled(total)
        logits: torch.Tensor = self.head(torch.cat([total, edges], dim=1))
        return logits


class EdgeUNet(UNetBody):
    """U-Net with EGM and WAM; gives ``Guided`` while training and mask logits at inference.

    The gates look at the whole tile, so tiles should be as large as those trained on; the halo is
    that of the U-Net.
    """

    def __init__(self, config: EdgeUNetConfig, channels: int, classes: int) -> None:
        super().__init__(config.unet, channels)
        widths, outputs = config.unet.widths, classes * self.block**2
        self.egm = EdgeGuidanceModule(widths[0], widths[1], config.width, outputs)
        self.wam = WeightedAggregationModule(widths[-2::-1], config.width, outputs)

    def forward(self, images: torch.Tensor) -> Guided | torch.Tensor:
        """Return the answers (batch, classes, height, width).

        Raises
        ------
        ValueError
            If a side is not a multiple of ``multiple``.
        """
        encoded, decoded = self.levels(images)
        features, *edges = self.egm(encoded[0], encoded[1])
        logits = self.to_pixels(self.wam(decoded, features))
        return Guided(logits, self.to_pixels(edges[0])) if edges else logits
