"""How wrong predicted instances are: class, box and mask (paper 001, L = L1 + L2)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch.nn import functional

from pitflow.config import Model
from pitflow.segment.networks.gelan import Answer
from pitflow.segment.networks.instance_head import PROTOTYPE_PX, PROTOTYPE_STRIDE, Predictions
from pitflow.segment.training.assignment import Assigned, assign

_MASKS = 256
"""Masks per image that are compared, drawn by chance from all: bounds the memory."""


class InstanceLossConfig(Model):
    """Weights of the terms."""

    score: float = Field(1.0, ge=0, description="of the class' cross entropy")
    box: float = Field(2.5, ge=0, description="of 1 - CIoU of the boxes")
    mask: float = Field(2.5, ge=0, description="of the masks' cross entropy inside their boxes")
    auxiliary: float = Field(0.25, ge=0, description="of all terms of the auxiliary branch")


class InstanceLoss:
    """The loss of ``Gelan`` against the targets that ``instance_samples.collate`` makes."""

    terms = ("class", "box", "mask", "auxiliary")

    def __init__(self, config: InstanceLossConfig | None = None) -> None:
        self.config = config or InstanceLossConfig()

    def __call__(
        self, answer: Answer, boxes: torch.Tensor, kinds: torch.Tensor, labels: torch.Tensor
    ) -> torch.Tensor:
        """Return the four weighted terms; the loss is their sum.

        Parameters
        ----------
        boxes:
            (batch, k, 4) left, top, right, bottom, px.
        kinds:
            (batch, k) class of each object; -1 where there is none.
        labels:
            (batch, height, width): object k is k + 1, background 0.
        """
        weights = torch.tensor(
            [self.config.score, self.config.box, self.config.mask], device=boxes.device
        )
        main = weights * loss_terms(answer.main, boxes, kinds, labels)
        auxiliary = main.new_zeros(1)
        if answer.auxiliary is not None:
            terms = weights * loss_terms(answer.auxiliary, boxes, kinds, labels)
            auxiliary = self.config.auxiliary * terms.sum(dim=0, keepdim=True)
        return torch.cat([main, auxiliary])


def loss_terms(
    predictions: Predictions, boxes: torch.Tensor, kinds: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """Return the terms of class, box and mask, (3,).

    Each is a mean over what is assigned, weighted by how well it suits its object; a batch without
    any object has the class term only.
    """
    # See ``suppression``.
    from torchvision.ops import complete_box_iou_loss

    wanted = torch.zeros_like(predictions.scores)
    box_terms, mask_terms, shares = [], [], []
    cells = _at_prototypes(labels, predictions.prototypes.shape[-2:])
    for index in range(len(boxes)):
        present = kinds[index] >= 0
        truth, classes = boxes[index][present], kinds[index][present].long()
        found = assign(
            predictions.scores[index].detach().sigmoid(),
            predictions.boxes[index].detach(),
            predictions.points,
            predictions.strides,
            truth,
            classes,
        )
        wanted[index, found.positions, classes[found.objects]] = found.weights.to(wanted.dtype)
        box_terms.append(
            found.weights
            * complete_box_iou_loss(
                predictions.boxes[index][found.positions], truth[found.objects], reduction="none"
            )
        )
        drawn = _some(found, _MASKS)
        shares.append(drawn.weights)
        mask_terms.append(
            drawn.weights
            * mask_cross_entropy(
                predictions.coefficients[index][drawn.positions],
                predictions.prototypes[index],
                cells[index],
                truth[drawn.objects],
                # Objects are numbered in the label image by their place, which begins at 1.
                torch.nonzero(present)[:, 0][drawn.objects] + 1,
            )
        )
    total = wanted.sum().clamp(min=1)
    score = functional.binary_cross_entropy_with_logits(predictions.scores, wanted, reduction="sum")
    box = torch.cat(box_terms).sum() / total
    mask = torch.cat(mask_terms).sum() / torch.cat(shares).sum().clamp(min=1)
    return torch.stack([score / total, box, mask])


def mask_cross_entropy(
    coefficients: torch.Tensor,
    prototypes: torch.Tensor,
    cells: torch.Tensor,
    boxes: torch.Tensor,
    numbers: torch.Tensor,
) -> torch.Tensor:
    """Return the mean cross entropy of each mask over the cells of its object's box, (m,).

    Parameters
    ----------
    coefficients:
        (m, prototypes).
    prototypes:
        (prototypes, rows, columns).
    cells:
        (rows, columns) label image at the prototypes' resolution.
    boxes:
        (m, 4) boxes of the objects, px.
    numbers:
        (m,) the objects' numbers in ``cells``.
    """
    logits = torch.einsum("mc,chw->mhw", coefficients, prototypes)
    truth = (cells[None] == numbers[:, None, None]).to(logits.dtype)
    rows, columns = (
        (torch.arange(size, device=boxes.device) + 0.5) * PROTOTYPE_STRIDE for size in cells.shape
    )
    # A cell counts if the box reaches into it.
    half = PROTOTYPE_STRIDE / 2
    left, top, right, bottom = (edge[:, None] for edge in boxes.unbind(dim=1))
    in_rows = (rows + half > top) & (rows - half < bottom)
    in_columns = (columns + half > left) & (columns - half < right)
    inside = (in_rows[:, :, None] & in_columns[:, None, :]).to(logits.dtype)
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    return (entropy * inside).sum((-2, -1)) / inside.sum((-2, -1)).clamp(min=1)


def _some(found: Assigned, most: int) -> Assigned:
    if len(found.positions) <= most:
        return found
    drawn = torch.randperm(len(found.positions))[:most].to(found.positions.device)
    return Assigned(found.positions[drawn], found.objects[drawn], found.weights[drawn])


def _at_prototypes(labels: torch.Tensor, size: torch.Size) -> torch.Tensor:
    """Return the label of that pixel of every cell at which ``mask_logits`` puts it."""
    picked = labels[:, PROTOTYPE_PX::PROTOTYPE_STRIDE, PROTOTYPE_PX::PROTOTYPE_STRIDE]
    return picked[:, : size[0], : size[1]]
