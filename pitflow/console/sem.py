"""Micrographs in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pitflow.console import estimate, print_error, print_note, this_command
from pitflow.console.bar import Bar
from pitflow.errors import UserError

if TYPE_CHECKING:
    from pitflow.domains.sem.recipes import AnySemRecipe
    from pitflow.domains.sem.study_classes import Fold
    from pitflow.domains.sem.study_task import Task

BY_CHOICE = {
    ("instance", "gelan", False): "sem",
    ("instance", "gelan", True): "sem-no-texture",
    ("instance", "mask-rcnn", False): "sem-mask-rcnn",
    ("semantic", "gelan", False): "sem-oxide",
}
"""Task, model and whether texture refinement is left out: the recipe."""


def choose_recipe(
    task: str, model: str, recipe: str | None, epochs: int | None, *, no_texture: bool
) -> AnySemRecipe:
    """Return the recipe that the options name, with its number of epochs.

    Raises
    ------
    UserError
        If they name none.
    """
    from pitflow.domains.sem.recipes import find_recipe, with_epochs

    if recipe is None:
        recipe = BY_CHOICE.get((task, model, no_texture))
    if recipe is None:
        raise UserError(
            f"no recipe is for --task {task} --model {model}"
            + (" --no-texture" if no_texture else ""),
            hint="--task instance or semantic; --model gelan or mask-rcnn (instance)",
        )
    found = find_recipe(recipe)
    if epochs is None:
        return found
    return found.model_copy(update={"training": with_epochs(found.training, epochs)})


def train_with_progress(
    data: Sequence[Path],
    output: Path,
    recipe: AnySemRecipe,
    pretrain: Sequence[Path],
    initial: str | None,
    device: str,
    workers: int | None,
    *,
    overwrite: bool,
) -> None:
    """Train a model for micrographs and print where it is."""
    from pitflow.domains.sem.model import describe_scores
    from pitflow.domains.sem.train import train_sem

    with Bar() as bar:
        card = train_sem(
            data,
            output,
            recipe,
            pretrain=pretrain,
            initial=initial,
            device=device,
            workers=workers or 1,
            overwrite=overwrite,
            command=this_command(),
            progress=bar,
        )
    sys.stdout.write(f"{output}\n")
    for name, scores in card.scores.items():
        said = describe_scores(scores) or "no scores, for nothing is labelled there"
        sys.stdout.write(f"{name}: {said}\n")


def analyse_with_progress(
    images: Sequence[Path],
    output: Path,
    model: str | None,
    labels: Path | None,
    um_per_px: float | None,
    min_score: float | None,
    device: str,
    *,
    overwrite: bool,
) -> int:
    """Find and measure pits and print where the page is.

    Returns
    -------
    0, or 2 if an image could not be analysed.
    """
    from pitflow.domains.sem.analyse import (
        INCLUDED_MODEL,
        analyse_micrographs,
        label_finder,
        model_finder,
    )
    from pitflow.image_file import left_out

    if model is not None and labels is not None:
        raise UserError("takes either --model or --labels, not both", where="pitflow sem")
    if labels is not None:
        find, about = label_finder(labels), {"labels": str(labels)}
    else:
        find, about = model_finder(model or INCLUDED_MODEL, device=device, min_score=min_score)
    with Bar() as bar:
        analysis = analyse_micrographs(
            images,
            output,
            find,
            about=about,
            um_per_px=um_per_px,
            overwrite=overwrite,
            progress=bar,
        )
    for error in analysis.failed:
        print_error(error)
    for said in filter(None, (*left_out(images), analysis.scale_read, *analysis.doubts)):
        print_note(said)
    sys.stdout.write(f"{analysis.page}\n")
    return 2 if analysis.failed else 0


def study_with_progress(
    data: Sequence[Path],
    output: Path,
    pretrain: Sequence[Path],
    task: str,
    recipe: str | None,
    splits: int | None,
    test_share: float,
    epochs: int | None,
    baseline_epochs: int | None,
    device: str,
    workers: int,
    cluster: str | None,
    *,
    paired: bool,
    only_estimate: bool,
    overwrite: bool,
) -> None:
    """Run a study and print where its page is, or only how long it would take.

    Raises
    ------
    UserError
        If an option does not go with the task.
    """
    from pitflow.compute import Compute
    from pitflow.domains.recipe import InstanceRecipe
    from pitflow.domains.sem.study import StudyConfig, plan, sem_study
    from pitflow.domains.sem.study_classes import N_FOLDS, class_study, plan_folds
    from pitflow.domains.sem.study_time import estimate_seconds

    chosen = choose_recipe(task, "gelan", recipe, epochs, no_texture=False)
    where: dict[str, Any] = {"device": device, "overwrite": overwrite}
    what: dict[str, Any]
    planned: Callable[..., Sequence[Task | Fold]]
    study: Callable[..., Path]
    if isinstance(chosen, InstanceRecipe):
        planned, study = plan, sem_study
        config = StudyConfig(
            chosen,
            tuple(pretrain),
            test_share=test_share,
            baseline_epochs=baseline_epochs,
            paired=paired,
        )
        what = {"config": config if splits is None else replace(config, n_splits=splits)}
    else:
        planned, study = plan_folds, class_study
        what = {"recipe": chosen, "n_folds": splits or N_FOLDS}
        for option, given in (
            ("--pretrain", pretrain),
            ("--paired", paired),
            ("--baseline-epochs", baseline_epochs),
        ):
            if given:
                raise UserError("is for instances, not for --task semantic", where=option)
    if only_estimate:
        tasks = planned(data, output, **what, **where)
        left, seconds = estimate_seconds(tasks)
        sys.stdout.write(estimate(left, len(tasks), seconds))
        return
    with Bar() as bar:
        page = study(data, output, **what, **where, compute=Compute(workers, cluster), progress=bar)
    sys.stdout.write(f"{page}\n")
