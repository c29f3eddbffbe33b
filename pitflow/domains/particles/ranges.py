"""What the features of a particle network reach, so that it can run in whole numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch

from pitflow.domains.particles.channels import make_channels
from pitflow.domains.particles.model import ParticleModel
from pitflow.domains.particles.picture import Picture
from pitflow.segment.checkpoint import Card
from pitflow.segment.networks import fold_batch_norm
from pitflow.segment.networks.quantised import Ranges, measure_ranges
from pitflow.segment.networks.unet import UNet

_PICTURES = 72
"""So many are looked at, evenly among all."""
_DECIMALS = 3


def with_ranges(
    model: ParticleModel, pictures: Sequence[Picture], initial: Ranges | None = None
) -> Card:
    """Return a model's card with what its features reach on some pictures.

    A network other than ``UNet`` runs in no whole numbers, and its card stays as it is.

    Parameters
    ----------
    initial:
        Ranges of the model that it was adapted from, which has seen more than these pictures: the
        new ones are no narrower.
    """
    network = fold_batch_norm(model.network).cpu().float()
    if not isinstance(network, UNet):
        return model.card
    images = _images(model.card.channels, pictures, network.multiple)
    ranges = {
        name: (round(low, _DECIMALS), round(high, _DECIMALS))
        for name, (low, high) in measure_ranges(network, images, initial).items()
    }
    return model.card.model_copy(update={"ranges": ranges})


def _images(
    names: Sequence[str], pictures: Sequence[Picture], multiple: int
) -> Iterator[torch.Tensor]:
    for picture in pictures[:: math.ceil(len(pictures) / _PICTURES)]:
        channels = make_channels(names, picture.views)
        height, width = (side // multiple * multiple for side in channels.shape[1:])
        if height and width:
            yield torch.from_numpy(channels[None, :, :height, :width])
