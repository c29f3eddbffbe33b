"""Which positions are to predict which object: task-aligned assignment (Feng et al. 2021, TOOD).

A position is good for an object if it both names its class and draws its box well: the measure is
``score^0.5 * IoU^6``. The ten best positions inside each object's box learn it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

TOP = 10
SCORE_POWER, IOU_POWER = 0.5, 6.0


@dataclass(frozen=True, slots=True)
class Assigned:
    """The positions that learn an object.

    Parameters
    ----------
    positions:
        (m,) numbers of the positions.
    objects:
        (m,) number of the object each learns.
    weights:
        (m,) how well it suits it, in [0, 1]: the score it is to give, and its weight in the losses
        of box and mask. The best position of an object has the IoU of its box.
    """

    positions: torch.Tensor
    objects: torch.Tensor
    weights: torch.Tensor


def assign(
    scores: torch.Tensor,
    boxes: torch.Tensor,
    points: torch.Tensor,
    strides: torch.Tensor,
    truth_boxes: torch.Tensor,
    truth_kinds: torch.Tensor,
    top: int = TOP,
) -> Assigned:
    """Assign positions of one image to its objects.

    Parameters
    ----------
    scores:
        (n, classes) probabilities.
    boxes:
        (n, 4) predicted left, top, right, bottom in px.
    points, strides:
        (n, 2) and (n,): the positions and their spacing, px.
    truth_boxes, truth_kinds:
        (k, 4) and (k,): the objects.
    top:
        Positions per object at most.
    """
    # See ``suppression``.
    from torchvision.ops import box_iou

    if len(truth_boxes) == 0:
        nothing = torch.zeros(0, dtype=torch.long, device=boxes.device)
        return Assigned(nothing, nothing, boxes.new_zeros(0))
    overlap = box_iou(truth_boxes, boxes)
    named = scores[:, truth_kinds.long()].T
    measure = named**SCORE_POWER * overlap**IOU_POWER
    near = _inside(points, strides, truth_boxes)
    measure = measure.masked_fill(~near, -1.0)
    best = measure.topk(min(top, measure.shape[1]), dim=1)
    chosen = torch.zeros_like(near).scatter_(1, best.indices, best.values >= 0)
    # A position in several boxes learns the object it overlaps most.
    owner = overlap.masked_fill(~chosen, -1.0).argmax(dim=0)
    positions = torch.nonzero(chosen.any(dim=0))[:, 0]
    objects = owner[positions]
    own = torch.zeros_like(near)
    own[objects, positions] = True
    measure = measure.clamp(min=0) * own
    most = (overlap * own).amax(dim=1)
    scaled = measure / measure.amax(dim=1).clamp(min=1e-12)[:, None] * most[:, None]
    return Assigned(positions, objects, scaled[objects, positions])


def _inside(points: torch.Tensor, strides: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """Return which positions lie in which box, (k, n).

    A box smaller than the finest grid may hold no position: it reaches half a spacing around its
    centre at least.
    """
    centres, halves = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    halves = halves.clamp(min=float(strides.min()) / 2)
    away = (points[None] - centres[:, None]).abs()
    return (away <= halves[:, None]).all(dim=-1)
