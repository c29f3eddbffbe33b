"""The recipes of panel models: all of paper 000, Table I, and its Medical Transformer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pitflow.config import build, merged, read_toml, ready_file
from pitflow.domains.recipe import AugmentConfig, Recipe, changed
from pitflow.errors import UserError
from pitflow.segment.networks.axial import MedTConfig
from pitflow.segment.networks.edge import EdgeUNetConfig
from pitflow.segment.networks.unet import UNetConfig
from pitflow.segment.training.guidance import Guidance
from pitflow.segment.training.learn import TrainConfig
from pitflow.segment.training.losses import LossTerm

DOMAIN = "panels"
CHANNELS = ("red", "green", "blue")
CORROSION = "corrosion"

UNET = UNetConfig(widths=(16, 32, 64, 128, 256))
EDGE_UNET = EdgeUNetConfig(unet=UNET, width=32)

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "unet": {"network": UNET, "guidance": None},
    "et-unet": {"network": EDGE_UNET, "guidance": Guidance()},
    "guided-et-unet": {"network": EDGE_UNET, "guidance": Guidance(mask_edge=1.0)},
    "s-guided-et-unet": {"network": EDGE_UNET, "guidance": Guidance(mask_edge=1.0, theta=3.0)},
    "medt": {"network": MedTConfig(), "guidance": None},
}
"""Networks and what they are taught of edges: lambda 0.5, gamma 1, theta 3, as the paper found."""

TITLES = {
    "unet": "UNet",
    "et-unet": "ET-UNet",
    "guided-et-unet": "Guided ET-UNet",
    "s-guided-et-unet": "S-Guided ET-UNet",
    "medt": "MedTransformer",
}

ALPHA = {"et-unet": 0.88, "s-guided-et-unet": 0.88}
"""Weight of missed pixels in the focal Tversky loss, where it is not 0.9."""

BETA = 1.5
"""Focus of the focal Tversky loss: the best of the paper's Table III at alpha 0.9."""

LOSSES = ("dice", "ftl")
SIZE_PX = 320


def panel_recipe(
    model: str = "s-guided-et-unet",
    loss: str = "ftl",
    *,
    alpha: float | None = None,
    beta: float | None = None,
) -> Recipe:
    """Return the recipe of a model of Table I, or of the Medical Transformer.

    Photographs are brought to ``tile_px`` on their longer side, in training and at inference: the
    whole panel is seen at once, and a photograph of any size takes the same time.

    Parameters
    ----------
    model:
        A key of ``ARCHITECTURES``.
    loss:
        "dice": cross entropy and Dice; "ftl": cross entropy and focal Tversky.
    alpha, beta:
        Of the focal Tversky loss; default: the paper's for this model.

    Raises
    ------
    UserError
        If model or loss are unknown.
    """
    if model not in ARCHITECTURES:
        raise UserError(
            f"no panel model is called {model!r}",
            where="--model",
            hint=f"known: {', '.join(ARCHITECTURES)}",
        )
    if loss not in LOSSES:
        raise UserError(f"no loss is called {loss!r}", where="--loss", hint="known: dice, ftl")
    overlap = LossTerm(name="dice")
    if loss == "ftl":
        values = {
            "name": "focal_tversky",
            "alpha": ALPHA.get(model, 0.90) if alpha is None else alpha,
            "beta": BETA if beta is None else beta,
        }
        overlap = build(LossTerm, values, where="--loss ftl")
    return Recipe(
        name=model if loss == "dice" else f"{model}-ftl",
        domain=DOMAIN,
        channels=CHANNELS,
        classes=(CORROSION,),
        loss=(LossTerm(name="bce"), overlap),
        training=TrainConfig(
            epochs=100, batch=8, learning_rate=1e-3, schedule="cosine", clip_norm=5.0, ema=0.98
        ),
        augment=AugmentConfig(gain=0.2, offset=0.03, noise=0.01, blur_px=0.6),
        crop_px=SIZE_PX,
        tile_px=SIZE_PX,
        halo_px=0,
        validation_share=0.1,
        **ARCHITECTURES[model],
    )


def with_theta(recipe: Recipe, theta: float | None, theta_share: float | None) -> Recipe:
    """Return an S-Guided recipe with another theta, a loss or a share of the first epoch's.

    Raises
    ------
    UserError
        If the recipe is not guided by the edges of its mask, or a value is out of range.
    """
    if theta is None and theta_share is None:
        return recipe
    if recipe.guidance is None or recipe.guidance.mask_edge == 0:
        raise UserError(
            f"{recipe.name} has no theta", where="--theta", hint="choose s-guided-et-unet"
        )
    guidance = {
        "edge": recipe.guidance.edge,
        "mask_edge": recipe.guidance.mask_edge,
        "theta": theta,
        "theta_share": theta_share,
    }
    made = build(Guidance, guidance, where="--theta")
    return recipe.model_copy(update={"guidance": made})


def with_blocks(recipe: Recipe) -> Recipe:
    """Return the recipe with a U-Net that works on 2 x 2 blocks of pixels, stacked as channels.

    No pixel is thrown away, and less than half the time is needed. Of edges it knows what stages of
    half the resolution know. Networks other than U-Nets stay as they are: the Medical Transformer
    halves the resolution itself.
    """
    network = recipe.network
    if isinstance(network, UNetConfig):
        made: Any = network.model_copy(update={"stem": "space_to_depth"})
    elif isinstance(network, EdgeUNetConfig):
        unet = network.unet.model_copy(update={"stem": "space_to_depth"})
        made = network.model_copy(update={"unet": unet})
    else:
        return recipe
    return recipe.model_copy(update={"network": made})


def title(recipe: Recipe) -> str:
    """Return what tables call the models of a recipe, as paper 000 does."""
    return title_of(recipe.name)


def title_of(name: str) -> str:
    """Return what tables call a model by its recipe's name."""
    model = name.removesuffix("-ftl")
    return TITLES.get(model, model) + (" + FTL" if name.endswith("-ftl") else "")


def adapted(recipe: Recipe, *, size: int | None = None, **training: Any) -> Recipe:
    """Return a recipe for photographs of ``size`` px, with some parameters of training changed.

    Those that are None stay as they are.

    Raises
    ------
    UserError
        If a value is out of range, or the network cannot take images of this size.
    """
    return checked(changed(recipe, training, crop_px=size, tile_px=size))


def read_recipe(path: Path) -> Recipe:
    """Return the recipe of a TOML file: ``model`` and ``loss`` by name, and what differs from it.

    A ready file may be given by its bare name.

    Raises
    ------
    UserError
        If it is none.
    """
    path = ready_file(path)
    values = read_toml(path)
    loss = values.pop("loss") if isinstance(values.get("loss"), str) else "ftl"
    base = panel_recipe(str(values.pop("model", "s-guided-et-unet")), loss)
    return checked(build(Recipe, merged(base.model_dump(mode="json"), values), where=path))


def checked(recipe: Recipe) -> Recipe:
    """Return the recipe if its network can take its images, and learn what is labelled.

    Raises
    ------
    UserError
        If it cannot.
    """
    from pitflow.domains.training import check_sizes, new_network

    for name, given, wanted in (
        ("channels", recipe.channels, CHANNELS),
        ("classes", recipe.classes, (CORROSION,)),
    ):
        if given != wanted:
            raise UserError(
                f"{name} are {', '.join(given)}, and photographs have {', '.join(wanted)}",
                where=f"recipe {recipe.name}",
            )
    network = new_network(recipe)
    multiple = int(network.multiple)
    if recipe.tile_px % multiple or recipe.crop_px != recipe.tile_px:
        nearest = max(multiple, round(recipe.tile_px / multiple) * multiple)
        raise UserError(
            f"{recipe.name} cannot take images of {recipe.tile_px} px",
            where="--size",
            hint=f"choose a multiple of {multiple}, such as {nearest}",
        )
    check_sizes(recipe, network)
    return recipe
