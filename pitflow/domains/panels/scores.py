"""How good a panel model is: per image, then averaged, as paper 000 does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pitflow.domains.panels.model import PanelModel
from pitflow.domains.panels.pictures import LabelledPanel, Mask
from pitflow.segment.score import boundary_counts, pixel_counts, score_masks

BOUNDARY_PX = 2.0


def dice_score(predicted: Mask, truth: Mask) -> float:
    """Return 2 TP / (2 TP + FN + FP); 1 if both are empty, since that is right."""
    value = pixel_counts(predicted, truth).f1
    return 1.0 if np.isnan(value) else value


def iou_score(predicted: Mask, truth: Mask) -> float:
    """Return intersection over union; 1 if both are empty."""
    value = pixel_counts(predicted, truth).iou
    return 1.0 if np.isnan(value) else value


def boundary_score(predicted: Mask, truth: Mask) -> float:
    """Return the F1 of outlines within 2 px; 1 if both are empty."""
    value = boundary_counts(predicted, truth, BOUNDARY_PX).f1
    return 1.0 if np.isnan(value) else value


def score_panels(model: PanelModel, panels: Sequence[LabelledPanel]) -> dict[str, Any]:
    """Score a model on labelled photographs at their full size; ready for JSON."""
    read = [panel.read() for panel in panels]
    found = [model.mask(image) for image, _ in read]
    truth = [mask for _, mask in read]
    pairs = list(zip(found, truth, strict=True))
    return {
        "mean_dice": float(np.mean([dice_score(*pair) for pair in pairs])),
        "mean_iou": float(np.mean([iou_score(*pair) for pair in pairs])),
        "mean_boundary_f1": float(np.mean([boundary_score(*pair) for pair in pairs])),
    } | score_masks(found, truth, [panel.group for panel in panels])
