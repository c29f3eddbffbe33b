"""Texture refinement: features scaled and shifted by what is learned from them (paper 001).

    TR(f) = gamma * f + beta

The modulation is that of Zhao et al. 2022 (the paper's reference 31). A pit whose grey level is
that of the steel around it differs in texture; gamma raises the features that tell them apart.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn


class TextureRefinement(nn.Module):
    """Scale and shift features by gamma and beta, computed from them by conv-BN layers.

    It starts as the identity: gamma is 1 and beta 0 for any input, until training has moved the
    last batch norms away from zero. So it can be put into a trained network.

    Parameters
    ----------
    width:
        Feature maps.
    over:
        "spatial": gamma and beta at every position; "channel": their mean over all positions, one
        number per feature map and image.
    """

    def __init__(self, width: int, over: Literal["spatial", "channel"]) -> None:
        super().__init__()
        self.over = over
        self.shared = _conv_norm(width)
        self.gamma = _conv_norm(width)
        self.beta = _conv_norm(width)
        self.activation = nn.SiLU()
        for branch, start in ((self.gamma, 1.0), (self.beta, 0.0)):
            nn.init.zeros_(branch[1].weight)
            nn.init.constant_(branch[1].bias, start)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the refined features, of the same shape."""
        seen = self.activation(self.shared(features))
        gamma, beta = self.gamma(seen), self.beta(seen)
        if self.over == "channel":
            gamma, beta = (part.mean(dim=(-2, -1), keepdim=True) for part in (gamma, beta))
        return gamma * features + beta


def _conv_norm(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))
