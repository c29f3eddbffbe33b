"""The recipes of particle models: ours, and the paper's."""

from __future__ import annotations

from pitflow.domains import recipe
from pitflow.domains.particles.channels import COMPANY
from pitflow.domains.recipe import AugmentConfig, Recipe
from pitflow.segment.networks.smp import SmpConfig
from pitflow.segment.networks.unet import UNetConfig
from pitflow.segment.training.learn import TrainConfig
from pitflow.segment.training.losses import LossTerm

_LOSS = (LossTerm(name="bce"), LossTerm(name="tversky", alpha=0.6))
_TRAINING = TrainConfig(
    batch=8, learning_rate=2e-3, weight_decay=1e-4, schedule="cosine", clip_norm=1.0
)

CLASSES = ("particle", "pit", "centre")
"""What can be learned: masks, and the discs in the middle of each particle."""

MOVING = Recipe(
    name="particles",
    domain="particles",
    channels=("frame", *COMPANY),
    classes=CLASSES,
    network=UNetConfig(
        widths=(32, 64, 128, 256),
        stem="space_to_depth",
        # The widest particles are fainter than the noise of a pixel.
        sides=16,
        channel_dropout=0.15,
        # Never the frame alone: single images have a network of their own.
        lonely_share=0.0,
    ),
    loss=_LOSS,
    training=_TRAINING.model_copy(
        update={"epochs": 60, "samples_per_epoch": 1000, "ema": 0.995, "validate_every": 10}
    ),
    augment=AugmentConfig(
        gain=0.2,
        offset=0.02,
        noise=0.01,
        blur_px=0.6,
        paste=4.0,
        paste_scale=1.5,
        paste_stretch=2.0,
        paste_clump=0.15,
        paste_specks=9.0,
    ),
    crop_px=192,
    tile_px=512,
    overlap_px=16,
    validation_share=0.15,
)
"""Particles, pits and centres of recordings, told apart by time."""

SINGLE = Recipe(
    name="particles-single",
    domain="particles",
    channels=("frame",),
    classes=("particle",),
    # At full resolution: most labelled particles are 3 to 6 px wide.
    network=UNetConfig(widths=(16, 32, 64, 128)),
    loss=_LOSS,
    training=_TRAINING.model_copy(
        update={"epochs": 24, "samples_per_epoch": 280, "ema": 0.99, "validate_every": 2}
    ),
    # The light is taken out by the channel; blur and noise would hide what tells specks apart.
    augment=AugmentConfig(paste=4.0),
    # Labelled tiles of 200 px are seen whole, for what their border cuts is seldom labelled.
    crop_px=224,
    beyond="nothing",
    tile_px=512,
    overlap_px=16,
)
"""Particles in single images: the frame alone."""

PAPER = Recipe(
    name="particles-paper-002",
    domain="particles",
    channels=("raw",),
    classes=("particle",),
    network=SmpConfig(architecture="Unet", encoder="timm-efficientnet-b0", resize=(200, 224)),
    loss=(LossTerm(name="bce"),),
    training=TrainConfig(epochs=100, batch=5, learning_rate=1e-3, keep="last", validate_every=10),
    augment=AugmentConfig(dihedral=False),
    crop_px=200,
    tile_px=200,
    overlap_px=100,
)
"""The paper's U-Net on the paper's tiles: 200 px enlarged to 224, batch 5, Adam at 1e-3."""

RECIPES = {one.name: one for one in (MOVING, SINGLE, PAPER)}


def find_recipe(name: str) -> Recipe:
    """Return the recipe of a name, or of a TOML file (``pitflow.domains.recipe.find_recipe``)."""
    return recipe.find_recipe(name, RECIPES, kind=Recipe)
