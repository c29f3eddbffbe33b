"""The recipes of particle models: ours, and the paper's."""

from __future__ import annotations

from pitflow.domains import recipe
from pitflow.domains.recipe import AugmentConfig, Recipe
from pitflow.segment.networks.smp import SmpConfig
from pitflow.segment.networks.unet import UNetConfig
from pitflow.segment.training.learn import TrainConfig
from pitflow.segment.training.losses import LossTerm

SINGLE = Recipe(
    name="particles-single",
    domain="particles",
    channels=("frame",),
    classes=("particle",),
    network=UNetConfig(widths=(16, 32, 64, 128)),
    loss=(LossTerm(name="bce"), LossTerm(name="tversky", alpha=0.6)),
    training=TrainConfig(
        epochs=60,
        samples_per_epoch=280,
        batch=8,
        learning_rate=2e-3,
        weight_decay=1e-4,
        schedule="cosine",
        clip_norm=1.0,
        ema=0.99,
        validate_every=2,
    ),
    augment=AugmentConfig(
        gain=0.2, offset=0.02, noise=0.01, blur_px=0.6, paste=3.0, paste_specks=9.0
    ),
    crop_px=192,
    tile_px=512,
    overlap_px=16,
)
"""Particles in single images: the frame alone."""

FIRST = SINGLE.model_copy(
    update={
        "name": "particles-first",
        "channels": ("frame", "background", "earlier"),
        "classes": ("particle", "pit", "centre"),
        "network": UNetConfig(
            widths=(32, 32, 64, 128), stem="space_to_depth", channel_dropout=0.15
        ),
        "training": SINGLE.training.model_copy(
            update={
                "epochs": 60,
                "samples_per_epoch": 800,
                "ema": 0.995,
                "keep": "last",
                "precision": "bfloat16",
            }
        ),
        "validation_share": None,
    }
)
"""Where the included model begins: particles, pits and centres of simulated recordings alone."""

MOVING = FIRST.model_copy(
    update={
        "name": "particles",
        "network": UNetConfig(
            widths=(32, 32, 64, 128),
            stem="space_to_depth",
            channel_dropout=0.15,
            # What a single image shows is learned from real ones alone: simulated specks and
            # stains are not like those of steel, and only time tells them from particles.
            lonely_share=0.0,
        ),
        "loss": (LossTerm(name="bce"), LossTerm(name="dice")),
        "training": FIRST.training.model_copy(update={"epochs": 48, "samples_per_epoch": 400}),
        "augment": SINGLE.augment.model_copy(update={"paste": 4.0, "paste_scale": 1.7}),
        # Wider than the labelled tiles: beyond their border they are mirrored, as at inference.
        "crop_px": 224,
        "stills_share": 0.7,
        "validation_share": 0.2,
    }
)
"""Particles and pits, with time where there is time; serves single images too."""

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

RECIPES = {one.name: one for one in (MOVING, FIRST, SINGLE, PAPER)}


def find_recipe(name: str) -> Recipe:
    """Return the recipe of a name, or of a TOML file (``pitflow.domains.recipe.find_recipe``)."""
    return recipe.find_recipe(name, RECIPES, kind=Recipe)
