"""Edge guidance: the losses of ET-UNet, Guided and S-Guided ET-UNet (paper 000, eqs. 2 to 6).

    loss = mask + lambda * edge + weight * mask edge

Each of the three is the same sum of terms (cross entropy and Dice or focal Tversky): ``mask`` of
the mask, ``edge`` of the edges that the network answers with, ``mask edge`` of the edges of the
mask that it answers with. All are pure functions of (answer, truth, known).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from pydantic import Field, model_validator

from pitflow.config import Model
from pitflow.segment.networks.guided import Guided
from pitflow.segment.training.losses import LossTerm, build_loss

MASK, EDGE, MASK_EDGE, WEIGHT = "mask", "edge", "mask edge", "weight of the mask edge"
"""The terms of a guided loss, each with its weight, and what is noted beside them."""

_EPSILON = 1e-4


class Guidance(Model):
    """How strongly edges are taught beside the mask; the defaults are ET-UNet's."""

    edge: float = Field(0.5, ge=0, description="lambda: weight of the network's own edges")
    mask_edge: float = Field(
        0.0, ge=0, description="gamma: (largest) weight of the edges of the predicted mask"
    )
    theta: float | None = Field(
        None, ge=0, description="loss of the mask above which that weight falls (S-Guided)"
    )
    theta_share: float | None = Field(
        None, gt=0, description="theta as a share of the mask's mean loss in the first epoch"
    )

    @model_validator(mode="after")
    def _one_theta(self) -> Guidance:
        if self.theta is not None and self.theta_share is not None:
            raise ValueError("theta and theta_share exclude each other")
        return self


def canny_edges(truth: torch.Tensor) -> torch.Tensor:
    """Return the lines, one pixel wide, that Canny's operator finds in masks.

    Parameters
    ----------
    truth:
        (batch, classes, height, width), 0 or 1.
    """
    masks = (truth.detach().cpu().numpy() > 0.5).astype(np.uint8) * np.uint8(255)
    lines = [[cv2.Canny(mask, 100, 200) for mask in image] for image in masks]
    return torch.from_numpy(np.asarray(lines) > 0).to(truth)


def soft_edge(probability: torch.Tensor) -> torch.Tensor:
    """Return how much a map changes within each pixel's 3 x 3 neighbourhood, in [0, 1].

    The largest minus the smallest value, which has a gradient where Canny's operator has none. Of
    a mask it is the band of the pixels on both sides of the outline. The border of the image is no
    edge.
    """
    return _largest_near(probability) + _largest_near(-probability)


def _largest_near(maps: torch.Tensor) -> torch.Tensor:
    """Return the largest value of each 3 x 3 neighbourhood, by rows and then by columns.

    It is max-pooling, whose own kernel takes many times as long on maps of one channel.
    """
    for axis in (-2, -1):
        size = maps.shape[axis]
        first, last = maps.narrow(axis, 0, 1), maps.narrow(axis, size - 1, 1)
        padded = torch.cat([first, maps, last], dim=axis)
        before, after = padded.narrow(axis, 0, size), padded.narrow(axis, 2, size)
        maps = torch.maximum(torch.maximum(before, maps), after)
    return maps


def guidance_weight(
    mask_loss: torch.Tensor, theta: float | None, largest: float = 1.0
) -> torch.Tensor:
    """Return the weight of the mask's edges, largest / (max(mask_loss - theta, 0) + 1) (eq. 6).

    It is ``largest`` at and below ``theta`` (the caption of the paper's Fig. 2 says 0; the equation
    and the text say this), and constant without a ``theta`` (eq. 5). It is a number to the
    gradient: otherwise a larger loss of the mask would pay by making its edges cheaper.
    """
    if theta is None:
        return torch.full_like(mask_loss.detach(), largest)
    return largest / ((mask_loss.detach() - theta).clamp(min=0) + 1)


class GuidedLoss:
    """The loss of an edge-guided network: a vector of its weighted terms (eqs. 2, 5 and 6).

    The network's own edges are compared with Canny's of the truth. The edges of the mask it
    predicts are compared with the soft edge of the truth, which holds Canny's line: only between
    equals has a perfect mask no loss. Against the line itself it would be charged for the other
    side of its outline, and blur it.

    Parameters
    ----------
    terms:
        What masks, and edges, are compared by: cross entropy and Dice, or focal Tversky.
    first_mask_loss:
        Mean loss of the mask in the first epoch, to which ``theta_share`` refers. While it is not
        known, theta is 0, which gives the least weight.
    """

    def __init__(
        self,
        terms: Sequence[LossTerm],
        guidance: Guidance,
        first_mask_loss: float | None = None,
    ) -> None:
        self.guidance = guidance
        self.theta = guidance.theta
        if guidance.theta_share is not None:
            self.theta = guidance.theta_share * (first_mask_loss or 0.0)
        self._compare = build_loss(terms)
        outlined = guidance.mask_edge > 0
        self.terms: tuple[str, ...] = (MASK, EDGE, MASK_EDGE) if outlined else (MASK, EDGE)
        self.notes: tuple[str, ...] = (WEIGHT,) if outlined else ()

    def __call__(
        self, answer: Guided, truth: torch.Tensor, known: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the terms, and after them the weight of the last."""
        near = None if known is None else 1 - _largest_near(1 - known)
        mask = self._compare(answer.mask, truth, known)
        edge = self._compare(answer.edges, canny_edges(truth), near)
        values = [mask, self.guidance.edge * edge]
        if self.guidance.mask_edge > 0:
            outline = soft_edge(answer.mask.sigmoid())
            mask_edge = self._compare(as_logits(outline), soft_edge(truth), near)
            weight = guidance_weight(mask, self.theta, self.guidance.mask_edge)
            values += [weight * mask_edge, weight]
        return torch.stack(values)


def as_logits(probability: torch.Tensor) -> torch.Tensor:
    """Return the logits of probabilities; finite, so that a flat map still has a gradient."""
    return torch.logit(probability * (1 - 2 * _EPSILON) + _EPSILON)
