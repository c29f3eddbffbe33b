"""The recipes of models for micrographs."""

from __future__ import annotations

from pydantic import Field

from pitflow.domains import recipe
from pitflow.domains.recipe import AugmentConfig, InstanceRecipe, Recipe, WarpConfig
from pitflow.domains.sem.channels import CHANNELS
from pitflow.segment.networks.gelan import GelanConfig
from pitflow.segment.networks.mask_rcnn import MaskRcnnConfig
from pitflow.segment.networks.unet import UNetConfig
from pitflow.segment.training.learn import TrainConfig
from pitflow.segment.training.losses import LossTerm


class ClassRecipe(Recipe):
    """A recipe for materials as classes: dense prediction, varied like the instances."""

    warp: WarpConfig = WarpConfig()
    look_from: float = Field(
        1.0, gt=0, le=1, description="zoom at which micrographs are looked at: less sees farther"
    )


SEM = InstanceRecipe(
    name="sem",
    domain="sem",
    channels=CHANNELS,
    classes=("pit",),
    network=GelanConfig(),
    training=TrainConfig(
        epochs=300,
        batch=4,
        learning_rate=1e-3,
        weight_decay=5e-4,
        schedule="cosine",
        clip_norm=10.0,
        ema=0.99,
        validate_every=20,
    ),
    warp=WarpConfig(
        object_px=48,
        rotate_deg=5,
        shear_deg=0,
        zoom=0.3,
        shrink=0.3,
        brightness=0.1,
        exposure=0.15,
        noise=0.02,
    ),
    crop_px=256,
    tile_px=512,
    overlap_px=192,
    max_overlap=0.5,
    validation_share=0.1,
)
"""GELAN with texture refinement as in paper 001, every micrograph at the zoom of its objects."""

NO_TEXTURE = SEM.model_copy(
    update={"name": "sem-no-texture", "network": GelanConfig(texture="none")}
)
"""The same without texture refinement: the paper's experiment 2."""

MASK_RCNN = SEM.model_copy(
    update={
        "name": "sem-mask-rcnn",
        "network": MaskRcnnConfig(),
        "training": SEM.training.model_copy(update={"learning_rate": 1e-4}),
    }
)
"""torchvision's Mask R-CNN on the same images: the independent baseline."""

OXIDE = ClassRecipe(
    name="sem-oxide",
    domain="sem",
    channels=CHANNELS,
    classes=("oxide", "crack"),
    network=UNetConfig(widths=(16, 32, 64, 128, 256)),
    loss=(LossTerm(name="bce"), LossTerm(name="dice")),
    training=TrainConfig(
        epochs=150,
        samples_per_epoch=64,
        batch=4,
        learning_rate=2e-3,
        weight_decay=1e-4,
        schedule="cosine",
        clip_norm=1.0,
        ema=0.99,
        validate_every=5,
    ),
    augment=AugmentConfig(),
    crop_px=384,
    tile_px=512,
    overlap_px=64,
    halo_px=32,
)
"""Materials of a cross section as classes: oxide and crack."""

AnySemRecipe = InstanceRecipe | ClassRecipe

RECIPES: dict[str, AnySemRecipe] = {one.name: one for one in (SEM, NO_TEXTURE, MASK_RCNN, OXIDE)}


def find_recipe(name: str) -> AnySemRecipe:
    """Return the recipe of a name, or of a TOML file (``pitflow.domains.recipe.find_recipe``).

    A file that names no base differs from ``sem``.
    """
    return recipe.find_recipe(name, RECIPES, base="sem")


def with_epochs(training: TrainConfig, epochs: int) -> TrainConfig:
    """Return a training of so many epochs, scored as often as before, and once at least."""
    every = min(training.validate_every, epochs)
    return training.model_copy(update={"epochs": epochs, "validate_every": every})
