"""torchvision's Mask R-CNN (He et al. 2017) behind the contract: the independent baseline."""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import Field
from torch import nn

from pitflow.config import Model
from pitflow.errors import UserError
from pitflow.segment.instance import Instance, Limits, trimmed
from pitflow.segment.networks.sides import check_sides

_LOSSES = (
    "loss_classifier",
    "loss_box_reg",
    "loss_mask",
    "loss_objectness",
    "loss_rpn_box_reg",
)


_BOX_CELLS = 7
"""A box is judged by features on a grid of as many cells each way."""

_MOST = 100
"""Instances per tile, torchvision's own limit: it makes a mask of each, and those cost most."""

_MASK_MAPS = 256
"""Feature maps of torchvision's mask head."""


class MaskRcnnConfig(Model):
    """Which Mask R-CNN."""

    kind: Literal["mask_rcnn"] = "mask_rcnn"
    backbone: Literal["resnet18", "resnet34", "resnet50"] = Field(
        "resnet50", description="backbone with a feature pyramid"
    )
    maps: int = Field(256, ge=1, description="feature maps of the pyramid")
    hidden: int = Field(1024, ge=1, description="width of the layers that judge a box")
    backbone_weights: str | None = Field(
        None, description="weights to start from, such as DEFAULT (downloaded); None: random"
    )


class MaskRcnn(nn.Module):
    """In training it takes the truth with the images and answers with its own five losses."""

    multiple = 32
    single_precision = True
    """torchvision's suppression of boxes knows no half precision."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(
        self,
        images: torch.Tensor,
        boxes: torch.Tensor | None = None,
        kinds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
    ) -> torch.Tensor | list[dict[str, torch.Tensor]]:
        """Return the five losses in training, detections in evaluation.

        Parameters
        ----------
        images, boxes, kinds, labels:
            As ``pitflow.segment.training.instance_samples.collate`` makes them.

        Raises
        ------
        ValueError
            If a side is not a multiple of 32.
        """
        check_sides(images, self.multiple)
        # The first channel is repeated where there are not three.
        coloured = images if images.shape[1] == 3 else images[:, :1].expand(-1, 3, -1, -1)
        if not self.training or boxes is None or kinds is None or labels is None:
            found: list[dict[str, torch.Tensor]] = self.inner(list(coloured))
            return found
        targets = [_target(*parts) for parts in zip(boxes, kinds, labels, strict=True)]
        losses = self.inner(list(coloured), targets)
        return torch.stack([losses[name] for name in _LOSSES])

    def detect(self, images: torch.Tensor, limits: Limits) -> list[list[Instance]]:
        """Return the instances in each image, best first."""
        self.inner.roi_heads.score_thresh = limits.min_score
        self.inner.roi_heads.nms_thresh = limits.max_overlap
        self.inner.roi_heads.detections_per_img = min(limits.most, _MOST)
        answers: Any = self(images)
        return [_instances(answer) for answer in answers]

    def without_auxiliary(self) -> MaskRcnn:
        """Return itself: all of it is needed at inference."""
        return self


class OwnLosses:
    """What Mask R-CNN answers in training is its loss."""

    terms = ("class", "box", "mask", "objectness", "proposal")

    def __call__(self, losses: torch.Tensor) -> torch.Tensor:
        """Return the five losses as they are."""
        return losses


def build_mask_rcnn(config: MaskRcnnConfig, classes: int, *, trained: bool) -> MaskRcnn:
    """Make the network; with ``trained`` nothing is downloaded.

    Raises
    ------
    UserError
        If the weights cannot be had.
    """
    from torchvision.models import get_model
    from torchvision.models.detection import MaskRCNN
    from torchvision.models.detection.backbone_utils import BackboneWithFPN
    from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
    from torchvision.models.detection.mask_rcnn import MaskRCNNPredictor

    try:
        resnet = get_model(config.backbone, weights=None if trained else config.backbone_weights)
    except (OSError, KeyError, ValueError) as error:
        raise UserError(
            f"the weights {config.backbone_weights!r} of {config.backbone} could not be had",
            hint="go online once, or train from random weights (backbone_weights = None)",
        ) from error
    stages = {f"layer{level}": str(level - 1) for level in range(1, 5)}
    widths = [resnet.inplanes // 2**level for level in (3, 2, 1, 0)]
    inner = MaskRCNN(
        BackboneWithFPN(resnet, stages, widths, config.maps),
        box_head=TwoMLPHead(config.maps * _BOX_CELLS**2, config.hidden),
        box_predictor=FastRCNNPredictor(config.hidden, 1 + classes),
        mask_predictor=MaskRCNNPredictor(_MASK_MAPS, _MASK_MAPS, 1 + classes),
        # Images come normalised and in the size they are trained in.
        image_mean=[0.0] * 3,
        image_std=[1.0] * 3,
        min_size=1,
        max_size=1,
    )
    inner.transform.resize = _as_it_is
    return MaskRcnn(inner)


def _as_it_is(image: torch.Tensor, target: Any = None) -> tuple[torch.Tensor, Any]:
    return image, target


def _target(
    boxes: torch.Tensor, kinds: torch.Tensor, labels: torch.Tensor
) -> dict[str, torch.Tensor]:
    present = torch.nonzero(kinds >= 0)[:, 0]
    masks = labels[None] == (present + 1)[:, None, None]
    return {
        "boxes": boxes[present],
        "labels": kinds[present].long() + 1,
        "masks": masks.to(torch.uint8),
    }


def _instances(answer: dict[str, torch.Tensor]) -> list[Instance]:
    masks = (answer["masks"][:, 0] > 0.5).cpu().numpy()
    found = (
        trimmed(0, 0, mask, score, kind - 1)
        for mask, score, kind in zip(
            masks, answer["scores"].tolist(), answer["labels"].tolist(), strict=True
        )
    )
    return [instance for instance in found if instance is not None]
