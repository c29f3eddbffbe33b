"""Training a particle model on labelled folders."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pitflow.compute import Progress, Silent
from pitflow.domains.particles.channels import KNOWN
from pitflow.domains.particles.crossfit import cross_fit, fold_parts
from pitflow.domains.particles.evaluate import score_particles
from pitflow.domains.particles.fit import How, fit, start_from
from pitflow.domains.particles.model import STILLS, ParticleModel, load_model, model_folder
from pitflow.domains.particles.picture import Picture
from pitflow.domains.particles.pictures import left_out, read_pictures
from pitflow.domains.particles.ranges import with_ranges
from pitflow.domains.particles.recipes import CLASSES, MOVING, SINGLE
from pitflow.domains.recipe import Recipe, changed
from pitflow.domains.splits import split
from pitflow.domains.training import check_recipe, finished_card, new_network, prepare_folder
from pitflow.errors import UserError
from pitflow.segment.checkpoint import Card, read_card, save_checkpoint
from pitflow.segment.devices import choose_execution


def train_particles(
    data: Sequence[Path],
    out: Path,
    recipe: Recipe | None = None,
    *,
    folds: int | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    initial: str | None = None,
    device: str = "auto",
    workers: int = 1,
    overwrite: bool = False,
    command: str = "",
    progress: Progress | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> Card:
    """Train a model on labelled folders and write it; continues a training that was stopped.

    Recordings and single images have a recipe and a network each, ``MOVING`` and ``SINGLE``; of
    data that hold both, the network for single images goes into the folder ``stills`` of the model.

    With folds, thresholds and scores in the card come from models that did not see what they are
    tested on (``pitflow.domains.particles.crossfit``), and the model itself sees all data. Without,
    part of the data is kept aside by whole groups: it decides when training stops and sets the
    thresholds, and the scores in the card are on it. Of a single group none can be: all of it is
    trained on, as long as the recipe says, thresholds stay at 0.5, and the card has no scores.

    What is refused leaves nothing behind.

    Parameters
    ----------
    data:
        Folders as ``read_pictures`` takes them.
    out:
        Folder of the model: weights and card, and the state and log of the training.
    recipe:
        Of one network for all of the data; None: each kind of them has its own.
    folds, epochs, seed:
        Number of folds, of epochs, and the seed of all chance; None: what the recipe says.
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
    note:
        Told which images and masks were left out, and of which data none could be kept aside.

    Raises
    ------
    UserError
        If the data cannot be read or split, or mark no particle, the recipe cannot be followed, or
        ``out`` holds something else.
    """
    # Many more than memory holds; where the model will lie there is room.
    pictures = read_pictures(data, room=_existing(out))
    for line in left_out(data):
        note(line)
    if not any(picture.truth["particle"].any() for picture in pictures):
        raise UserError("no particle is marked in any mask", where=", ".join(map(str, data)))
    stills = [picture for picture in pictures if picture.is_still]
    moving = [picture for picture in pictures if not picture.is_still]
    if recipe is not None:
        kinds = [(pictures, recipe, out, not moving)]
    else:
        for_stills = out / STILLS if moving else out
        kinds = [(moving, MOVING, out, False), (stills, SINGLE, for_stills, True)]
    choose_execution(device)
    plans = [
        _plan(
            some,
            changed(own, {"epochs": epochs, "seed": seed}, folds=folds),
            folder,
            initial,
            are_stills=are_stills,
            note=note,
        )
        for some, own, folder, are_stills in kinds
        if some
    ]
    for plan in plans:
        prepare_folder(plan.folder, overwrite=overwrite)
    for plan in plans:
        how = How(plan.initial, device, workers, progress or Silent())
        model, scores = _trained(plan, how, overwrite=overwrite)
        if not plan.are_stills:
            ranges = None if plan.initial is None else load_model(plan.initial).card.ranges
            model = model.with_card(with_ranges(model, plan.pictures, ranges))
        card = finished_card(model.card, data, scores, command)
        save_checkpoint(plan.folder, model.network, card)
    return read_card(out)


def _existing(folder: Path) -> Path:
    """Return a folder if it is there, else the nearest above it that is."""
    folder = folder.absolute()
    return next(one for one in (folder, *folder.parents) if one.is_dir())


@dataclass(frozen=True, slots=True)
class _Plan:
    """One network, the pictures that it learns from and those that are kept aside for its test.

    With ``parts``, positions of pictures, others are tested in its place, each without one of them.
    """

    pictures: Sequence[Picture]
    learned: Sequence[Picture]
    aside: Sequence[Picture]
    parts: Sequence[Sequence[int]]
    recipe: Recipe
    folder: Path
    initial: str | None
    are_stills: bool


def _plan(
    pictures: Sequence[Picture],
    recipe: Recipe,
    folder: Path,
    initial: str | None,
    *,
    are_stills: bool,
    note: Callable[[str], None],
) -> _Plan:
    """Return how a network is trained, or refuse it before anything is written."""
    check_recipe(recipe, KNOWN, CLASSES)
    if CLASSES[0] not in recipe.classes:
        raise UserError(f"has no class {CLASSES[0]}", where=f"recipe {recipe.name}")
    begin = None if initial is None else str(model_folder(initial, stills=are_stills))
    if begin is not None:
        start_from(begin, new_network(recipe), recipe)
    learned = list(pictures)
    aside: list[Picture] = []
    parts: list[list[int]] = []
    if recipe.folds is not None:
        parts = fold_parts(pictures, recipe.folds)
    elif recipe.validation_share is not None:
        learned, aside = _split(pictures, recipe, recipe.validation_share, note)
    return _Plan(pictures, learned, aside, parts, recipe, folder, begin, are_stills)


def _split(
    pictures: Sequence[Picture], recipe: Recipe, share: float, note: Callable[[str], None]
) -> tuple[list[Picture], list[Picture]]:
    groups = [picture.group for picture in pictures]
    if len(set(groups)) < 2:
        note(
            f"{groups[0]}: it is all that the network {recipe.name} has to learn from, so nothing "
            f"is kept aside: training takes all epochs ({recipe.training.epochs}), thresholds stay "
            "at 0.5, and the card has no scores; add pictures of another frame or recording"
        )
        return list(pictures), []
    weights = [float(picture.truth["particle"].sum()) for picture in pictures]
    sides = split(groups, weights, share, recipe.training.seed)
    first, second = ([pictures[index] for index in side] for side in sides)
    return first, second


def _trained(plan: _Plan, how: How, *, overwrite: bool) -> tuple[ParticleModel, dict[str, Any]]:
    """Return the model of a plan, with its thresholds, and its scores."""
    if not plan.parts:
        model = fit(plan.learned, plan.aside, plan.recipe, plan.folder, how)
        if not plan.aside:
            return model, {}
        held = score_particles(model, plan.aside)
        return model, {"kept aside (also chose threshold and epoch)": held}
    if overwrite:
        for number in range(len(plan.parts)):
            shutil.rmtree(plan.folder / f"fold-{number}", ignore_errors=True)
    tested = cross_fit(plan.pictures, plan.parts, plan.recipe, plan.folder, how)
    model = fit(plan.pictures, (), plan.recipe, plan.folder, how)
    model = model.with_card(model.card.model_copy(update={"thresholds": tested.thresholds()}))
    return model, {"out of fold": tested.scores()}
