"""Any network of segmentation-models-pytorch, chosen by architecture and encoder."""

from __future__ import annotations

import warnings
from typing import Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from pitflow.config import Model
from pitflow.errors import UserError
from pitflow.segment.networks.sides import check_sides

_DOWNSAMPLING = 32


class SmpConfig(Model):
    """Which network of segmentation-models-pytorch."""

    kind: Literal["smp"] = "smp"
    architecture: str = Field("Unet", description="Unet, UnetPlusPlus, FPN, DeepLabV3Plus, ...")
    encoder: str = Field("timm-efficientnet-b0", description="name of the encoder")
    encoder_weights: str | None = Field(
        None, description="weights to start from, such as imagenet (downloaded); None: random"
    )
    resize: tuple[int, int] | None = Field(
        None,
        description="(a, b): images with sides of a px are enlarged to b px for the network, and "
        "its answer is brought back to a px (paper 002: 200 to 224)",
    )


class SmpNetwork(nn.Module):
    """A network of segmentation-models-pytorch behind the contract of this package.

    The reach of its receptive field is the whole tile, since its encoder squeezes and excites over
    all positions; the halo is one position of its coarsest grid, beyond which it matters little.
    It should be used on tiles as large as those it was trained on.
    """

    def __init__(self, inner: nn.Module, resize: tuple[int, int] | None) -> None:
        super().__init__()
        self.inner = inner
        self.resize = resize
        self.multiple = resize[0] if resize else _DOWNSAMPLING
        self.halo = 0 if resize else _DOWNSAMPLING

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits (batch, classes, height, width).

        Raises
        ------
        ValueError
            If a side is not a multiple of ``multiple``.
        """
        check_sides(images, self.multiple)
        if self.resize is None:
            logits: torch.Tensor = self.inner(images)
            return logits
        sides = images.shape[-2], images.shape[-1]
        inner_sides = [side // self.resize[0] * self.resize[1] for side in sides]
        enlarged = functional.interpolate(images, inner_sides, mode="bilinear", align_corners=False)
        return functional.interpolate(
            self.inner(enlarged), list(sides), mode="bilinear", align_corners=False
        )


def build_smp(config: SmpConfig, channels: int, classes: int, *, trained: bool) -> SmpNetwork:
    """Make the network; with ``trained`` nothing is downloaded.

    Raises
    ------
    UserError
        If architecture or encoder are unknown, or the weights cannot be had.
    """
    import segmentation_models_pytorch as smp

    if config.resize and config.resize[1] % _DOWNSAMPLING:
        raise UserError(
            f"images cannot be resized to {config.resize[1]} px for this network",
            hint=f"choose a multiple of {_DOWNSAMPLING}",
        )
    weights = None if trained else config.encoder_weights
    try:
        with warnings.catch_warnings():
            # The paper's encoder goes by a name that the library calls outdated.
            warnings.filterwarnings("ignore", "`timm-` encoders", DeprecationWarning)
            inner = smp.create_model(
                config.architecture,
                encoder_name=config.encoder,
                encoder_weights=weights,
                in_channels=channels,
                classes=classes,
            )
    except KeyError as error:
        raise UserError(
            f"segmentation-models-pytorch has no {config.architecture!r} with encoder "
            f"{config.encoder!r} and weights {weights!r}"
        ) from error
    except OSError as error:
        raise UserError(
            f"the weights {weights!r} of {config.encoder!r} could not be downloaded",
            hint="go online once, or train from random weights (encoder_weights = None)",
        ) from error
    return SmpNetwork(inner, config.resize)
