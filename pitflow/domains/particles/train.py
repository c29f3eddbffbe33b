"""Training a particle model, and testing a recipe on data that it was not trained on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from pitflow.compute import Progress, Silent
from pitflow.domains.particles.evaluate import score_particles
from pitflow.domains.particles.groups import folds, split
from pitflow.domains.particles.model import ParticleModel, calibrated, load_model
from pitflow.domains.particles.pictures import Picture, read_pictures
from pitflow.domains.particles.recipes import MOVING
from pitflow.domains.particles.samples import ParticleSamples
from pitflow.domains.recipe import Recipe
from pitflow.domains.training import about_folder, new_card, new_network, prepare_folder
from pitflow.errors import UserError
from pitflow.segment.checkpoint import Card, save_checkpoint
from pitflow.segment.devices import choose_execution
from pitflow.segment.learn import train
from pitflow.segment.losses import build_loss
from pitflow.segment.score import Mask


def train_particles(
    data: Sequence[Path],
    out: Path,
    recipe: Recipe = MOVING,
    *,
    initial: str | None = None,
    device: str = "auto",
    workers: int = 1,
    overwrite: bool = False,
    command: str = "",
    progress: Progress | None = None,
) -> Card:
    """Train a model on labelled folders and write it; continues a training that was stopped.

    Part of the data is kept aside by whole groups: it decides when training stops and sets the
    thresholds, and the scores in the card are on it.

    Parameters
    ----------
    data:
        Folders as ``read_pictures`` takes them.
    out:
        Folder of the model: weights and card, and the state and log of the training.
    initial:
        Model to start from, by name or path, instead of random weights; it must be of the recipe's
        network, channels and classes.
    device:
        auto, cpu, cuda, cuda:N or mps.
    workers:
        Threads that prepare samples.
    overwrite:
        Start anew even if ``out`` holds a training or a model.
    command:
        The command line, for the card.

    Raises
    ------
    UserError
        If the data cannot be read or split, or ``out`` holds something else.
    """
    pictures = read_pictures(data)
    for_training, aside = _split(pictures, recipe)
    prepare_folder(out, overwrite=overwrite)
    model = fit(
        for_training,
        aside,
        recipe,
        out,
        initial=initial,
        device=device,
        workers=workers,
        progress=progress or Silent(),
    )
    held = score_particles(model, aside)
    card = model.card.model_copy(
        update={
            "data": tuple(about_folder(folder) for folder in data),
            "scores": {"kept aside (also chose threshold and epoch)": held},
            "command": command,
        }
    )
    return save_checkpoint(out, model.network, card)


def fit(
    pictures: Sequence[Picture],
    aside: Sequence[Picture],
    recipe: Recipe,
    folder: Path,
    *,
    initial: str | None = None,
    device: str = "auto",
    workers: int = 1,
    progress: Progress,
) -> ParticleModel:
    """Train on some pictures; ``aside`` ones choose the epoch and set the thresholds.

    ``folder`` gets the state and log of the training.
    """
    execution = choose_execution(device)
    network, card = new_network(recipe), new_card(recipe)
    key = identity(recipe, pictures, aside)
    if initial is not None:
        key += _start_from(initial, network, recipe)

    def validate(candidate: nn.Module) -> tuple[float, dict[str, float]]:
        found = calibrated(ParticleModel(candidate, card, execution=execution), aside)
        details = {f"F1 {name}": f1 for name, (_, f1) in zip(recipe.classes, found, strict=True)}
        return details["F1 particle"], details

    samples = ParticleSamples(pictures, recipe)
    per_epoch = recipe.training.samples_per_epoch or len(samples)
    progress.start("train", recipe.training.epochs * -(-per_epoch // recipe.training.batch))
    trained = train(
        network,
        samples,
        build_loss(recipe.loss),
        validate,
        recipe.training,
        folder,
        identity=key,
        device=execution.device,
        workers=workers,
        advance=progress.advance,
    )
    progress.finish(f"{len(trained.history)} epochs")
    model = ParticleModel(trained.network, card, execution=execution)
    thresholds = tuple(threshold for threshold, _ in calibrated(model, aside))
    return model.with_card(card.model_copy(update={"thresholds": thresholds}))


def identity(recipe: Recipe, pictures: Sequence[Picture], aside: Sequence[Picture]) -> str:
    """Return a hash of all that decides a training: recipe, and pictures on both sides."""
    digest = hashlib.sha256(recipe.model_dump_json().encode())
    for side in (pictures, aside):
        digest.update(b"side")
        for picture in side:
            digest.update(picture.name.encode())
            for image in (picture.frame, *picture.truth.values()):
                digest.update(image.tobytes())
    return digest.hexdigest()


def cross_validate(
    data: Sequence[Path],
    recipe: Recipe,
    folder: Path,
    *,
    n_folds: int = 5,
    device: str = "auto",
    workers: int = 1,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Test a recipe on every picture by models that were not trained on its group.

    For each fold, the other folds are split again into pictures to train on and pictures kept
    aside, so the fold itself chooses neither epoch nor threshold.

    Returns
    -------
    Scores of all pictures together, and of each fold, ready for JSON.

    Raises
    ------
    UserError
        If there are too few groups.
    """
    pictures = read_pictures(data)
    parts = folds([picture.group for picture in pictures], _weights(pictures), n_folds)
    found: dict[int, Mask] = {}
    each = []
    for number, part in enumerate(parts):
        tested = [pictures[index] for index in part]
        rest = [picture for index, picture in enumerate(pictures) if index not in set(part)]
        for_training, aside = _split(rest, recipe)
        model = fit(
            for_training,
            aside,
            recipe,
            folder / f"fold-{number}",
            device=device,
            workers=workers,
            progress=progress or Silent(),
        )
        masks = list(model.masks(picture.views for picture in tested))
        found |= dict(zip(part, masks, strict=True))
        each.append(score_particles(model, tested, masks))
    order = sorted(found)
    together = score_particles(None, [pictures[i] for i in order], [found[i] for i in order])
    return {"recipe": recipe.name, "all": together, "folds": each}


def _start_from(initial: str, network: nn.Module, recipe: Recipe) -> str:
    """Give the network the weights of a model; returns their hash."""
    model = load_model(initial)
    theirs = (model.card.network, model.card.channels, model.card.classes)
    if theirs != (recipe.network, recipe.channels, recipe.classes):
        raise UserError(
            f"is a model of another network, channels or classes than the recipe {recipe.name}",
            where=initial,
            hint="train with the recipe on the model's card",
        )
    network.load_state_dict(model.network.state_dict())
    return model.card.weights_sha256


def _split(pictures: Sequence[Picture], recipe: Recipe) -> tuple[list[Picture], list[Picture]]:
    sides = split(
        [picture.group for picture in pictures],
        _weights(pictures),
        recipe.validation_share,
        recipe.training.seed,
    )
    first, second = ([pictures[index] for index in side] for side in sides)
    return first, second


def _weights(pictures: Sequence[Picture]) -> list[float]:
    return [float(picture.truth["particle"].sum()) for picture in pictures]
