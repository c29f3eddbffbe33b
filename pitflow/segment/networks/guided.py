"""What a network gives while it trains, if it is also taught the edges."""

from __future__ import annotations

from typing import NamedTuple

import torch


class Guided(NamedTuple):
    """Two answers to the same images, (batch, classes, height, width) logits each.

    Parameters
    ----------
    mask:
        Of the mask: all that the network gives at inference.
    edges:
        Of the mask's edges; only there to be trained on.
    """

    mask: torch.Tensor
    edges: torch.Tensor
