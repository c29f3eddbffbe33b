"""What a domain says about its models; everything else is the same for all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field

from pitflow.config import Model, build, merged, read_toml, ready_file
from pitflow.errors import UserError
from pitflow.segment.networks import NetworkConfig
from pitflow.segment.tiles import Beyond
from pitflow.segment.training.guidance import Guidance
from pitflow.segment.training.instance_loss import InstanceLossConfig
from pitflow.segment.training.learn import TrainConfig
from pitflow.segment.training.losses import LossTerm


class AugmentConfig(Model):
    """How a training image is varied each time it is drawn."""

    dihedral: bool = Field(True, description="one of the eight symmetries of the square")
    gain: float = Field(0.0, ge=0, lt=1, description="brightness varies by up to this share")
    offset: float = Field(
        0.0, ge=0, lt=1, description="black level varies by up to this share of full scale"
    )
    noise: float = Field(
        0.0, ge=0, description="added noise, up to this standard deviation, share of full scale"
    )
    blur_px: float = Field(0.0, ge=0, description="added blur, up to this Gaussian sigma, px")
    paste: float = Field(0.0, ge=0, description="mean number of labelled particles pasted in")
    paste_scale: float = Field(
        1.0,
        ge=1,
        description="what is pasted is enlarged or reduced by up to this factor: large particles "
        "are too rare to learn from the few that are labelled",
    )
    paste_stretch: float = Field(
        1.0,
        ge=1,
        description="what is pasted is turned freely and lengthened by up to this factor: "
        "fragments are as often long as round",
    )
    paste_clump: float = Field(
        0.0,
        ge=0,
        le=1,
        description="chance that two to four are pasted as one: particles stick together",
    )
    paste_specks: float = Field(
        0.0,
        ge=0,
        description="mean number of dark specks pasted in that are not particles: with particles "
        "alone, a network learns that whatever is dark is one",
    )


class Recipe(Model):
    """All parameters of a model: with the data, it is what makes the weights."""

    name: str = Field(description="what its models are called")
    domain: str = Field(description="the domain it belongs to")
    channels: tuple[str, ...] = Field(min_length=1, description="input channels, in order")
    classes: tuple[str, ...] = Field(min_length=1, description="output classes, in order")
    network: NetworkConfig
    loss: tuple[LossTerm, ...] = Field(min_length=1, description="terms, summed")
    guidance: Guidance | None = Field(
        None, description="how edges are taught, for networks that answer with them"
    )
    training: TrainConfig = TrainConfig()
    augment: AugmentConfig = AugmentConfig()
    crop_px: int = Field(gt=0, description="side of a training image, px")
    tile_px: int = Field(gt=0, description="side of a tile at inference, px")
    overlap_px: int = Field(0, ge=0, description="overlap of tiles, px")
    halo_px: int | None = Field(
        None, ge=0, description="margin of a tile that is dropped, px; None: the network's own"
    )
    beyond: Beyond = Field(
        "mirrored",
        description="what the network sees beyond the border of an image: the image mirrored, or "
        "nothing, so that it learns how what is cut off there is labelled",
    )
    stills_share: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="share of single images among the samples where there are recordings too; "
        "None: as the data are",
    )
    folds: int | None = Field(
        None,
        ge=2,
        description="the model learns from all data, and as many others, each without one fold of "
        "them, set its thresholds and are its test; None: a share is kept aside for that",
    )
    validation_share: float | None = Field(
        0.2,
        gt=0,
        lt=1,
        description="without folds: share of the data that stops training and sets thresholds; "
        "None: neither is done, for a model that is only a beginning",
    )


class WarpConfig(Model):
    """How a micrograph is varied each time it is drawn (defaults: paper 001)."""

    dihedral: bool = Field(True, description="one of the eight symmetries of the square")
    mirror: bool = Field(
        True, description="without those, where up and down differ, left and right may still change"
    )
    rotate_deg: float = Field(15.0, ge=0, le=45, description="turned by up to this, deg")
    shear_deg: float = Field(5.0, ge=0, lt=45, description="sheared by up to this both ways, deg")
    zoom: float = Field(
        0.2, ge=0, lt=1, description="up to this share cut off, the rest enlarged to the same size"
    )
    shrink: float = Field(
        0.0, ge=0, lt=1, description="made smaller by up to this share, for objects of any size"
    )
    object_px: float = Field(
        0.0,
        ge=0,
        description="diameter to which a micrograph's median object is brought first; at inference "
        "it is then looked at from several distances. 0: as it is",
    )
    brightness: float = Field(
        0.25, ge=0, description="added grey, up to this share of the image's range"
    )
    exposure: float = Field(0.25, ge=0, lt=1, description="factor on the grey, up to 1 +- this")
    invert: float = Field(
        0.0, ge=0, le=1, description="chance of the negative: pits may be dark or bright"
    )
    noise: float = Field(
        0.0, ge=0, description="added noise, up to this standard deviation, share of the range"
    )


class InstanceRecipe(Model):
    """All parameters of a model that finds instances."""

    name: str = Field(description="what its models are called")
    domain: str = Field(description="the domain it belongs to")
    channels: tuple[str, ...] = Field(min_length=1, description="input channels, in order")
    classes: tuple[str, ...] = Field(min_length=1, description="output classes, in order")
    network: NetworkConfig
    loss: InstanceLossConfig = InstanceLossConfig()
    training: TrainConfig = TrainConfig()
    warp: WarpConfig = WarpConfig()
    crop_px: int = Field(gt=0, description="side of a training image, px")
    tile_px: int = Field(gt=0, description="side of a tile at inference, px")
    overlap_px: int = Field(
        ge=0, description="overlap of tiles, px; smaller objects are seen whole by some tile"
    )
    halo_px: None = None
    beyond: Literal["mirrored"] = "mirrored"
    max_overlap: float = Field(
        0.7, gt=0, le=1, description="IoU of boxes above which the better one alone stays"
    )
    validation_share: float = Field(
        0.2, gt=0, lt=1, description="share of the data that chooses epoch and threshold"
    )


AnyRecipe = Recipe | InstanceRecipe

Known = TypeVar("Known", bound=AnyRecipe)


def changed(recipe: Known, training: Mapping[str, Any], **values: Any) -> Known:
    """Return a recipe with other values, and with other ones of its training.

    Those that are None stay as they are.

    Raises
    ------
    UserError
        If a value is out of range.
    """
    over = _known(values) | {"training": _known(training)}
    return build(type(recipe), merged(recipe.model_dump(mode="json"), over), where=recipe.name)


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def find_recipe(
    name: str, known: Mapping[str, Known], kind: type[Known] | None = None, base: str | None = None
) -> Known:
    """Return the recipe of a name, or of a TOML file, which may be a ready one by its bare name.

    A file holds what differs from the recipe that it names as its ``base``::

        base = "particles-single"
        name = "mine"
        [training]
        epochs = 20

    Parameters
    ----------
    known:
        The recipes, by name.
    kind, base:
        A file that names no base is a whole recipe of this kind, or differs from this base.

    Raises
    ------
    UserError
        If there is no such recipe, or the file is not one.
    """

    def named(key: str) -> Known:
        if key not in known:
            raise UserError(
                f"no recipe is called {key!r}", hint=f"known: {', '.join(known)}, or a TOML file"
            )
        return known[key]

    path = Path(name) if name in known else ready_file(Path(name))
    if path.suffix != ".toml":
        return named(name)
    values = read_toml(path)
    given = values.pop("base", base)
    if given is None and kind is not None:
        return build(kind, values, where=path)
    origin = named(str(given))
    return build(type(origin), merged(origin.model_dump(mode="json"), values), where=path)
