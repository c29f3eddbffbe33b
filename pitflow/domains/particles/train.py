"""Training a particle model on labelled folders."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pitflow.compute import Progress, Silent
from pitflow.domains.particles.crossfit import cross_fit, fold_parts
from pitflow.domains.particles.evaluate import score_particles
from pitflow.domains.particles.fit import How, fit
from pitflow.domains.particles.model import STILLS, ParticleModel, load_model, model_folder
from pitflow.domains.particles.picture import Picture
from pitflow.domains.particles.pictures import read_pictures
from pitflow.domains.particles.ranges import with_ranges
from pitflow.domains.particles.recipes import MOVING, SINGLE
from pitflow.domains.recipe import Recipe
from pitflow.domains.splits import split
from pitflow.domains.training import finished_card, prepare_folder
from pitflow.segment.checkpoint import Card, read_card, save_checkpoint


def train_particles(
    data: Sequence[Path],
    out: Path,
    recipe: Recipe | None = None,
    *,
    folds: int | None = None,
    initial: str | None = None,
    device: str = "auto",
    workers: int = 1,
    overwrite: bool = False,
    command: str = "",
    progress: Progress | None = None,
) -> Card:
    """Train a model on labelled folders and write it; continues a training that was stopped.

    Recordings and single images have a recipe and a network each, ``MOVING`` and ``SINGLE``; of
    data that hold both, the network for single images goes into the folder ``stills`` of the model.

    With folds, thresholds and scores in the card come from models that did not see what they are
    tested on (``pitflow.domains.particles.crossfit``), and the model itself sees all data. Without,
    part of the data is kept aside by whole groups: it decides when training stops and sets the
    thresholds, and the scores in the card are on it.

    Parameters
    ----------
    data:
        Folders as ``read_pictures`` takes them.
    out:
        Folder of the model: weights and card, and the state and log of the training.
    recipe:
        Of one network for all of the data; None: each kind of them has its own.
    folds:
        Number of folds; None: what the recipe says.
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
    stills = [picture for picture in pictures if picture.is_still]
    moving = [picture for picture in pictures if not picture.is_still]
    if recipe is not None:
        plans = [(pictures, recipe, out, not moving)]
    else:
        for_stills = out / STILLS if moving else out
        plans = [(moving, MOVING, out, False), (stills, SINGLE, for_stills, True)]
    for some, own, folder, are_stills in plans:
        if not some:
            continue
        if folds is not None:
            own = own.model_copy(update={"folds": folds})
        begin = None if initial is None else str(model_folder(initial, stills=are_stills))
        prepare_folder(folder, overwrite=overwrite)
        how = How(begin, device, workers, progress or Silent())
        model, scores = _trained(some, own, folder, how, overwrite=overwrite)
        if not are_stills:
            ranges = None if begin is None else load_model(begin).card.ranges
            model = model.with_card(with_ranges(model, some, ranges))
        card = finished_card(model.card, data, scores, command)
        save_checkpoint(folder, model.network, card)
    return read_card(out)


def _trained(
    pictures: Sequence[Picture], recipe: Recipe, folder: Path, how: How, *, overwrite: bool
) -> tuple[ParticleModel, dict[str, Any]]:
    """Return the model of some pictures, with its thresholds, and its scores."""
    if recipe.folds is None:
        for_training, aside = _split(pictures, recipe)
        model = fit(for_training, aside, recipe, folder, how)
        if not aside:
            return model, {}
        held = score_particles(model, aside)
        return model, {"kept aside (also chose threshold and epoch)": held}
    parts = fold_parts(pictures, recipe.folds)
    if overwrite:
        for number in range(len(parts)):
            shutil.rmtree(folder / f"fold-{number}", ignore_errors=True)
    tested = cross_fit(pictures, parts, recipe, folder, how)
    model = fit(pictures, (), recipe, folder, how)
    model = model.with_card(model.card.model_copy(update={"thresholds": tested.thresholds()}))
    return model, {"out of fold": tested.scores()}


def _split(pictures: Sequence[Picture], recipe: Recipe) -> tuple[list[Picture], list[Picture]]:
    if recipe.validation_share is None:
        return list(pictures), []
    weights = [float(picture.truth["particle"].sum()) for picture in pictures]
    groups = [picture.group for picture in pictures]
    sides = split(groups, weights, recipe.validation_share, recipe.training.seed)
    first, second = ([pictures[index] for index in side] for side in sides)
    return first, second
