"""Training a particle model on labelled folders."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from pitflow.compute import Progress, Silent
from pitflow.domains.particles.crossfit import cross_fit, fold_parts
from pitflow.domains.particles.evaluate import score_particles
from pitflow.domains.particles.fit import How, fit
from pitflow.domains.particles.picture import Picture
from pitflow.domains.particles.pictures import read_pictures
from pitflow.domains.particles.recipes import MOVING
from pitflow.domains.recipe import Recipe
from pitflow.domains.splits import split
from pitflow.domains.training import finished_card, prepare_folder
from pitflow.segment.checkpoint import Card, save_checkpoint


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
    prepare_folder(out, overwrite=overwrite)
    how = How(initial, device, workers, progress or Silent())
    if recipe.folds is not None:
        parts = fold_parts(pictures, recipe.folds)
        if overwrite:
            for number in range(len(parts)):
                shutil.rmtree(out / f"fold-{number}", ignore_errors=True)
        tested = cross_fit(pictures, parts, recipe, out, how)
        model = fit(pictures, (), recipe, out, how)
        model = model.with_card(model.card.model_copy(update={"thresholds": tested.thresholds()}))
        scores = {"out of fold": tested.scores()}
    else:
        for_training, aside = _split(pictures, recipe)
        model = fit(for_training, aside, recipe, out, how)
        scores = {}
        if aside:
            held = score_particles(model, aside)
            scores = {"kept aside (also chose threshold and epoch)": held}
    card = finished_card(model.card, data, scores, command)
    return save_checkpoint(out, model.network, card)


def _split(pictures: Sequence[Picture], recipe: Recipe) -> tuple[list[Picture], list[Picture]]:
    if recipe.validation_share is None:
        return list(pictures), []
    weights = [float(picture.truth["particle"].sum()) for picture in pictures]
    groups = [picture.group for picture in pictures]
    sides = split(groups, weights, recipe.validation_share, recipe.training.seed)
    first, second = ([pictures[index] for index in side] for side in sides)
    return first, second
