"""The mean of several networks alike, as one network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from pitflow.config import Model
from pitflow.segment.networks.axial import MedTConfig
from pitflow.segment.networks.edge import EdgeUNetConfig
from pitflow.segment.networks.smp import SmpConfig
from pitflow.segment.networks.unet import UNetConfig

MemberConfig = UNetConfig | EdgeUNetConfig | MedTConfig | SmpConfig

_LEAST = 1e-6
"""Probabilities are kept this far from 0 and 1, where logits are infinite."""


class EnsembleConfig(Model):
    """How many networks, and of which kind."""

    kind: Literal["ensemble"] = "ensemble"
    members: int = Field(ge=1, description="number of networks")
    member: Annotated[MemberConfig, Field(discriminator="kind")]


class Ensemble(nn.Module):
    """Networks of one kind that were trained on different shares of the data.

    Where they err differently their mean errs less (the folds' networks of nnU-Net; Isensee et al.
    2021). The answer is the logit of the mean of their probabilities.

    Parameters
    ----------
    members:
        At least one; all of one kind.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.multiple = int(self.members[0].multiple)
        self.halo = int(self.members[0].halo)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits (batch, classes, height, width), float32.

        Raises
        ------
        ValueError
            If a side is not a multiple of ``multiple``.
        """
        probabilities = [member(images).float().sigmoid() for member in self.members]
        return torch.logit(torch.stack(probabilities).mean(dim=0), eps=_LEAST)
