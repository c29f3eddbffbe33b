"""The networks, each behind the same contract, and the registry from which recipes choose.

A network takes images (batch, channels, height, width) and gives logits (batch, classes, height,
width), one independent logit per class: classes may overlap, and one may be unknown in a data set
without disturbing the others. A network that is also taught edges gives both as ``Guided`` while it
trains. Its attributes say how to tile for it:

- ``multiple``: height and width must be multiples of this;
- ``halo``: reach of its receptive field in px, so that answers farther than this from the border of
  a tile are those of the whole image.

Networks that find instances answer with objects instead of maps: ``detect(images, limits)`` gives
the instances in each image of a batch, best first, and ``without_auxiliary()`` the network without
the parts that only training needs. ``single_precision`` says that it runs in no other.
"""

from __future__ import annotations

import copy
from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from pitflow.segment.networks.axial import MedT, MedTConfig
from pitflow.segment.networks.edge import EdgeUNet, EdgeUNetConfig
from pitflow.segment.networks.elan import fold_into
from pitflow.segment.networks.gelan import Gelan, GelanConfig
from pitflow.segment.networks.mask_rcnn import MaskRcnnConfig, build_mask_rcnn
from pitflow.segment.networks.smp import SmpConfig, build_smp
from pitflow.segment.networks.unet import UNet, UNetConfig

AnyConfig = UNetConfig | EdgeUNetConfig | MedTConfig | SmpConfig | GelanConfig | MaskRcnnConfig
NetworkConfig = Annotated[AnyConfig, Field(discriminator="kind")]
"""What a recipe says about its network."""


def build_network(
    config: AnyConfig, channels: int, classes: int, *, trained: bool = False
) -> nn.Module:
    """Make the network of a recipe.

    ``trained`` means that trained weights are about to be loaded: none are then downloaded.

    Raises
    ------
    UserError
        If the recipe names an unknown encoder, or its weights cannot be had.
    """
    if isinstance(config, UNetConfig):
        return UNet(config, channels, classes)
    if isinstance(config, EdgeUNetConfig):
        return EdgeUNet(config, channels, classes)
    if isinstance(config, MedTConfig):
        return MedT(config, channels, classes)
    if isinstance(config, GelanConfig):
        return Gelan(config, channels, classes)
    if isinstance(config, MaskRcnnConfig):
        return build_mask_rcnn(config, classes, trained=trained)
    return build_smp(config, channels, classes, trained=trained)


class QuickReLU(nn.Module):
    """ReLU in place, for inference: bfloat16 on a processor in a fifth of the time.

    Numbers of 16 bits are negative where they are so as integers, and 0 is 0 for both. (A negative
    not-a-number becomes 0.)
    """

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the features, negative ones set to 0."""
        if features.dtype is torch.bfloat16 and features.device.type == "cpu":
            features.view(torch.int16).clamp_min_(0)
            return features
        return features.relu_()


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """Return a copy for inference whose batch norms are folded into the convolutions before them.

    A batch norm in evaluation is an affine map per channel, which a convolution can absorb. Folded
    are direct neighbours in an ``nn.Sequential``, and parts that know how (``folded``); others stay
    as they are. Rectifiers become ``QuickReLU``.
    """
    folded = copy.deepcopy(network).eval()
    for module in list(folded.modules()):
        for name, part in module.named_children():
            if hasattr(part, "folded"):
                setattr(module, name, part.folded())
            elif type(part) is nn.ReLU and part.inplace:
                setattr(module, name, QuickReLU())
    for module in folded.modules():
        if not isinstance(module, nn.Sequential):
            continue
        for first, second in zip(range(len(module)), range(1, len(module)), strict=False):
            if isinstance(module[first], nn.Conv2d) and type(module[second]) is nn.BatchNorm2d:
                fold_into(module[first], module[second])
                module[second] = nn.Identity()
    return folded
