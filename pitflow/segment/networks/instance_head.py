"""From features to instances: a class, a box and mask coefficients at every position.

A mask is a sum of prototypes, which the whole image shares, weighted by the instance's coefficients
(Bolya et al. 2019, YOLACT): ``mask = sigmoid(coefficients . prototypes)``, cropped to the box.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

from pitflow.segment.networks.elan import ConvUnit

PROTOTYPE_STRIDE = 4

PROTOTYPE_PX = PROTOTYPE_STRIDE // 2
"""Of the pixels of a prototype's cell, counted from 0, the one whose label it learns."""

_PRIOR = 0.01
_REACH = 6.0
"""Boxes end at most exp(6), about 400, positions from where they are predicted."""


class Predictions(NamedTuple):
    """What is predicted at the n positions of all scales of a batch.

    Parameters
    ----------
    scores:
        (batch, n, classes) logits.
    boxes:
        (batch, n, 4) left, top, right, bottom in px; a pixel covers [i, i + 1).
    coefficients:
        (batch, n, prototypes).
    prototypes:
        (batch, prototypes, height / 4, width / 4).
    points:
        (n, 2) x and y of the positions, px.
    strides:
        (n,) px between positions of the same scale.
    """

    scores: torch.Tensor
    boxes: torch.Tensor
    coefficients: torch.Tensor
    prototypes: torch.Tensor
    points: torch.Tensor
    strides: torch.Tensor


class Prototypes(nn.Sequential):
    """Prototypes at stride 4 from features at stride 8."""

    def __init__(self, channels: int, width: int, count: int) -> None:
        super().__init__(
            ConvUnit(channels, width, 3),
            # Its gradient is the same every time, also on a GPU; that of bilinear is not.
            nn.Upsample(scale_factor=2, mode="nearest"),
            ConvUnit(width, width, 3),
            nn.Conv2d(width, count, 1),
        )


class InstanceHead(nn.Module):
    """Predict class, box and coefficients at every position of every scale, and the prototypes.

    Parameters
    ----------
    widths:
        Feature maps of each scale, finest first; the finest has a stride of 8 px, each next twice
        the one before.
    classes:
        Number of classes.
    prototypes:
        Number of prototypes.
    """

    def __init__(self, widths: Sequence[int], classes: int, prototypes: int) -> None:
        super().__init__()
        self.score = nn.ModuleList(_branch(width, widths[0], classes) for width in widths)
        self.box = nn.ModuleList(_branch(width, widths[0] // 2, 4) for width in widths)
        self.coefficient = nn.ModuleList(
            _branch(width, widths[0] // 2, prototypes) for width in widths
        )
        self.prototypes = Prototypes(widths[0], widths[0], prototypes)
        for score, box in zip(self.score, self.box, strict=True):
            # Instances are rare, and about four positions wide.
            nn.init.constant_(score[-1].bias, math.log(_PRIOR / (1 - _PRIOR)))
            nn.init.constant_(box[-1].bias, math.log(2.0))

    def forward(self, scales: Sequence[torch.Tensor]) -> Predictions:
        """Return the predictions from the features of every scale, finest first."""
        grids = [_grid(features, 8 * 2**level) for level, features in enumerate(scales)]
        points = torch.cat([points for points, _ in grids])
        strides = torch.cat([strides for _, strides in grids])
        scores, reaches, coefficients = (
            _flat([branch(features) for branch, features in zip(branches, scales, strict=True)])
            for branches in (self.score, self.box, self.coefficient)
        )
        # Half precision holds a position in a large image to a few px only.
        distances = reaches.float().clamp(-_REACH, _REACH).exp() * strides[:, None]
        boxes = torch.cat([points - distances[..., :2], points + distances[..., 2:]], dim=-1)
        prototypes = self.prototypes(scales[0])
        return Predictions(scores, boxes, coefficients, prototypes, points, strides)


def mask_logits(
    coefficients: torch.Tensor, prototypes: torch.Tensor, box: Sequence[int]
) -> torch.Tensor:
    """Return the mask logits of one instance at every pixel of a box.

    Parameters
    ----------
    coefficients:
        (prototypes,) of the instance.
    prototypes:
        (prototypes, height / 4, width / 4) of its image.
    box:
        Left, top, right, bottom: whole px inside the image, ends excluded.

    Returns
    -------
    (bottom - top, right - left): bilinear between the pixels whose labels the prototypes learned.
    """
    left, top, right, bottom = box
    height, width = prototypes.shape[-2:]
    x0, y0 = max(left // PROTOTYPE_STRIDE - 1, 0), max(top // PROTOTYPE_STRIDE - 1, 0)
    x1 = min(-(-right // PROTOTYPE_STRIDE) + 1, width)
    y1 = min(-(-bottom // PROTOTYPE_STRIDE) + 1, height)
    coarse = torch.einsum("c,chw->hw", coefficients, prototypes[:, y0:y1, x0:x1])
    rows = _between(coarse, top - PROTOTYPE_STRIDE * y0, bottom - top, y1 - y0)
    columns = _between(coarse, left - PROTOTYPE_STRIDE * x0, right - left, x1 - x0)
    return rows @ coarse @ columns.T


def _between(like: torch.Tensor, first: int, size: int, cells: int) -> torch.Tensor:
    """Return the share of each cell in ``size`` pixels from pixel ``first`` on, (size, cells)."""
    pixels = torch.arange(first, first + size, device=like.device, dtype=like.dtype)
    place = ((pixels - PROTOTYPE_PX) / PROTOTYPE_STRIDE).clamp(0, cells - 1)
    cell = torch.arange(cells, device=like.device, dtype=like.dtype)
    return (1 - (place[:, None] - cell).abs()).clamp(min=0)


def _branch(channels: int, width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        ConvUnit(channels, width, 3), ConvUnit(width, width, 3), nn.Conv2d(width, outputs, 1)
    )


def _grid(features: torch.Tensor, stride: int) -> tuple[torch.Tensor, torch.Tensor]:
    height, width = features.shape[-2:]
    rows, columns = (
        (torch.arange(size, device=features.device, dtype=torch.float32) + 0.5) * stride
        for size in (height, width)
    )
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    points = torch.stack([x, y], dim=-1).reshape(-1, 2)
    return points, torch.full((height * width,), float(stride), device=features.device)


def _flat(maps: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return (batch, positions of all maps, channels)."""
    return torch.cat([one.flatten(2).transpose(1, 2) for one in maps], dim=1)
