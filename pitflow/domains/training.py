"""What the trainings of all domains share, from the new network to the finished card."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from pitflow.compute import Progress
from pitflow.domains.recipe import AnyRecipe, InstanceRecipe
from pitflow.errors import UserError
from pitflow.output_folder import make_folder
from pitflow.provenance import software_versions
from pitflow.report.words import count
from pitflow.segment.checkpoint import WEIGHTS, Card
from pitflow.segment.dense import DensePredictor
from pitflow.segment.networks import build_network
from pitflow.segment.tiles import plan_tiles
from pitflow.segment.training.learn import (
    STATE,
    OtherTrainingError,
    Samples,
    TrainConfig,
    Trained,
    Validate,
    train,
)

Result = TypeVar("Result")


def new_network(recipe: AnyRecipe) -> nn.Module:
    """Return the recipe's network with the initial weights that its seed gives."""
    with torch.random.fork_rng():
        torch.manual_seed(recipe.training.seed)
        return build_network(recipe.network, len(recipe.channels), len(recipe.classes))


def new_card(recipe: AnyRecipe) -> Card:
    """Return the card of a model of the recipe that is yet to be trained."""
    return Card(
        name=recipe.name,
        domain=recipe.domain,
        channels=recipe.channels,
        classes=recipe.classes,
        thresholds=(0.5,) * len(recipe.classes),
        network=recipe.network,
        tile_px=recipe.tile_px,
        overlap_px=recipe.overlap_px,
        halo_px=recipe.halo_px,
        beyond=recipe.beyond,
        recipe=recipe.model_dump(mode="json"),
        versions=software_versions() | {"torch": torch.__version__},
    )


def check_recipe(
    recipe: AnyRecipe, channels: Collection[str], classes: Collection[str] | None = None
) -> None:
    """Refuse a recipe that would only fail in the midst of a training.

    Parameters
    ----------
    channels, classes:
        Those that there are; None: classes may have any name.

    Raises
    ------
    UserError
        If it names others, or its network cannot take images and tiles of its sizes.
    """
    for kind, named, known in (
        ("channel", recipe.channels, channels),
        ("class", recipe.classes, recipe.classes if classes is None else classes),
    ):
        if unknown := [name for name in named if name not in known]:
            raise UserError(
                f"no {kind} is called {unknown[0]!r}",
                where=f"recipe {recipe.name}",
                hint=f"known: {', '.join(known)}",
            )
    check_sizes(recipe, new_network(recipe))


def check_sizes(recipe: AnyRecipe, network: nn.Module) -> None:
    """Refuse a recipe whose network cannot take images and tiles of its sizes.

    Raises
    ------
    UserError
        If that is so.
    """
    multiple = int(network.multiple)
    if recipe.crop_px % multiple:
        raise UserError(
            f"crop_px = {recipe.crop_px}: its network takes multiples of {multiple} px",
            where=f"recipe {recipe.name}",
        )
    larger = 4 * recipe.tile_px, 4 * recipe.tile_px
    try:
        if isinstance(recipe, InstanceRecipe):
            plan_tiles(larger, recipe.tile_px, overlap=recipe.overlap_px, multiple=multiple)
        else:
            DensePredictor.of(network, new_card(recipe)).plan(larger)
    except ValueError as error:
        raise UserError(f"tile_px: {error}", where=f"recipe {recipe.name}") from error


def prepare_folder(out: Path, *, overwrite: bool) -> None:
    """Make the folder of a training; with ``overwrite``, drop the training that is in it.

    Raises
    ------
    UserError
        If it cannot be made or written to, or holds a model that was not trained there.
    """
    make_folder(out)
    if overwrite:
        (out / STATE).unlink(missing_ok=True)
        shutil.rmtree(out / "log", ignore_errors=True)
    elif (out / WEIGHTS).exists() and not (out / STATE).exists():
        raise UserError("holds a model", where=out, hint="choose another folder, or --overwrite")


def going_on_or_anew(folder: Path, training: Callable[[], Result], *, overwrite: bool) -> Result:
    """Return what a training of a study gives.

    Parameters
    ----------
    overwrite:
        Drop what an earlier training with other parameters or data left in the folder.

    Raises
    ------
    OtherTrainingError
        If there is such a one that is to be kept.
    """
    try:
        return training()
    except OtherTrainingError:
        if not overwrite:
            raise
        shutil.rmtree(folder, ignore_errors=True)
        return training()


def identity(recipe: AnyRecipe, *sides: Iterable[bytes]) -> str:
    """Return a hash of all that decides a training: the recipe, and the data of each side."""
    digest = hashlib.sha256(recipe.model_dump_json().encode())
    for side in sides:
        digest.update(b"side")
        for part in side:
            digest.update(part)
    return digest.hexdigest()


def train_with(
    progress: Progress,
    title: str,
    network: nn.Module,
    samples: Samples,
    loss: Callable[..., torch.Tensor],
    validate: Validate | None,
    config: TrainConfig,
    folder: Path,
    *,
    closing: Callable[[Trained], str] = lambda trained: count(len(trained.history), "epoch"),
    **details: Any,
) -> Trained:
    """Train and show how far it is; ``details`` go to ``pitflow.segment.training.learn.train``.

    Parameters
    ----------
    title, closing:
        What the progress says while the training goes on, and of what it gave.
    """
    per_epoch = config.samples_per_epoch or len(samples)
    progress.start(title, config.epochs * -(-per_epoch // config.batch))
    trained = train(
        network, samples, loss, validate, config, folder, advance=progress.advance, **details
    )
    progress.finish(closing(trained))
    return trained


def finished_card(
    card: Card, data: Sequence[Path], scores: dict[str, Any], command: str, note: str = ""
) -> Card:
    """Return the card with what the model learned from, how good it is and how it was made."""
    return card.model_copy(
        update={
            "data": tuple(about_folder(folder) for folder in data),
            "scores": scores,
            "command": command,
            "note": note,
        }
    )


def about_folder(folder: Path) -> dict[str, Any]:
    """Say what a folder of data held: its name, and a hash over its files, ready for JSON."""
    digest = hashlib.sha256()
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in files:
        digest.update(path.relative_to(folder).as_posix().encode())
        digest.update(path.read_bytes())
    return {"folder": folder.resolve().name, "files": len(files), "sha256": digest.hexdigest()}
