"""How wrong a prediction is: pure functions of (logits, truth, known).

All take logits and truth (batch, classes, height, width), truth in [0, 1]. ``known`` is of the same
shape and is 0 where nobody knows the truth: such pixels count nowhere. Every loss is computed per
image and class and then averaged over those that have known pixels, so that an image with many
particles does not outweigh one with few.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from pydantic import Field
from torch.nn import functional

from pitflow.config import Model

Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], torch.Tensor]
"""Logits, truth and known in, a scalar out."""

_SMOOTH = 1.0


class LossTerm(Model):
    """One term of a loss."""

    name: Literal["bce", "dice", "tversky", "focal_tversky"]
    weight: float = Field(1.0, gt=0, description="factor of this term in the sum")
    alpha: float = Field(
        0.5, ge=0, le=1, description="Tversky: weight of missed pixels; 1 - alpha of false ones"
    )
    beta: float = Field(1.0, gt=0, description="focal Tversky: (1 - TI)^(1 / beta)")


def binary_cross_entropy(
    logits: torch.Tensor, truth: torch.Tensor, known: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the mean cross entropy of the known pixels, in nats."""
    known = torch.ones_like(logits) if known is None else known
    pixels = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    return _mean((pixels * known).sum((-2, -1)) / known.sum((-2, -1)).clamp(min=1), known)


def tversky_index(
    logits: torch.Tensor, truth: torch.Tensor, known: torch.Tensor, alpha: float
) -> torch.Tensor:
    """Return TP / (TP + alpha FN + (1 - alpha) FP) of each image and class, (batch, classes).

    Counts are sums of probabilities. One pixel is added to numerator and denominator, so an image
    without truth scores 1 if nothing is predicted, and falls with every false pixel.
    """
    probability = logits.sigmoid() * known
    truth = truth * known
    hit = (probability * truth).sum((-2, -1))
    missed = truth.sum((-2, -1)) - hit
    false = probability.sum((-2, -1)) - hit
    return (hit + _SMOOTH) / (hit + alpha * missed + (1 - alpha) * false + _SMOOTH)


def tversky(
    logits: torch.Tensor,
    truth: torch.Tensor,
    known: torch.Tensor | None = None,
    *,
    alpha: float = 0.5,
) -> torch.Tensor:
    """Return 1 - TI; ``alpha`` weighs missed pixels (Salehi et al. 2017 call it beta)."""
    return focal_tversky(logits, truth, known, alpha=alpha, beta=1.0)


def dice(
    logits: torch.Tensor, truth: torch.Tensor, known: torch.Tensor | None = None
) -> torch.Tensor:
    """Return 1 - 2 TP / (2 TP + FN + FP): Tversky's with both errors alike."""
    return tversky(logits, truth, known, alpha=0.5)


def focal_tversky(
    logits: torch.Tensor,
    truth: torch.Tensor,
    known: torch.Tensor | None = None,
    *,
    alpha: float = 0.7,
    beta: float = 4.0 / 3.0,
) -> torch.Tensor:
    """Return (1 - TI)^(1 / beta) (Abraham, Khan 2019; paper 000); ``alpha`` weighs missed pixels.

    1 - TI is kept off 0, where the slope of its power would be infinite.
    """
    known = torch.ones_like(logits) if known is None else known
    index = tversky_index(logits.float(), truth.float(), known.float(), alpha)
    return _mean((1 - index).clamp(1e-6, 1.0) ** (1 / beta), known)


def build_loss(terms: Sequence[LossTerm]) -> Loss:
    """Return the weighted sum of the terms as one function."""

    def loss(logits: torch.Tensor, truth: torch.Tensor, known: torch.Tensor | None) -> torch.Tensor:
        total = logits.new_zeros(())
        for term in terms:
            total = total + term.weight * _term(term)(logits, truth, known)
        return total

    return loss


def _term(term: LossTerm) -> Loss:
    if term.name == "bce":
        return binary_cross_entropy
    if term.name == "dice":
        return dice
    beta = term.beta if term.name == "focal_tversky" else 1.0
    return lambda logits, truth, known: focal_tversky(
        logits, truth, known, alpha=term.alpha, beta=beta
    )


def _mean(values: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Average (batch, classes) values over those with known pixels; 0 without any."""
    counts = (known.sum((-2, -1)) > 0).to(values.dtype)
    return (values * counts).sum() / counts.sum().clamp(min=1)
