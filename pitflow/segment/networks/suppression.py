"""From predictions to instances: the best of many boxes on the same object, with its mask."""

from __future__ import annotations

import torch

from pitflow.segment.instance import Instance, Limits, trimmed
from pitflow.segment.networks.instance_head import Predictions, mask_logits

_CANDIDATES = 5000
"""Boxes that suppression looks at, best first: more cost much time and are hardly ever right."""


def best_instances(
    predictions: Predictions, index: int, shape: tuple[int, int], limits: Limits
) -> list[Instance]:
    """Return the instances in image ``index`` of a batch, best first.

    Parameters
    ----------
    shape:
        (height, width) of the image in px: masks end there.
    """
    # It brings two seconds of imports with it, which other networks have no use for.
    from torchvision.ops import batched_nms

    scores = predictions.scores[index].float().sigmoid()
    best, kinds = scores.max(dim=-1)
    candidates = torch.nonzero(best >= limits.min_score)[:, 0]
    order = best[candidates].argsort(descending=True, stable=True)[:_CANDIDATES]
    candidates = candidates[order]
    boxes = predictions.boxes[index].float()[candidates]
    kept = batched_nms(boxes, best[candidates], kinds[candidates], limits.max_overlap)
    kept = kept[: limits.most]
    chosen = candidates[kept]
    coefficients = predictions.coefficients[index][chosen].float().cpu()
    prototypes = predictions.prototypes[index].float().cpu()
    height, width = shape
    found: list[Instance] = []
    for box, score, kind, own in zip(
        boxes[kept].round().long().tolist(),
        best[chosen].tolist(),
        kinds[chosen].tolist(),
        coefficients,
        strict=True,
    ):
        left, right = (min(max(edge, 0), width) for edge in box[::2])
        top, bottom = (min(max(edge, 0), height) for edge in box[1::2])
        if left >= right or top >= bottom:
            continue
        mask = (mask_logits(own, prototypes, (left, top, right, bottom)) > 0).numpy()
        if (instance := trimmed(top, left, mask, score, kind)) is not None:
            found.append(instance)
    return found
