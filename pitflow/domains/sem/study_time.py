"""How long a study of micrographs takes, from a step and a look of every network."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from pitflow.compute import Silent
from pitflow.domains.recipe import InstanceRecipe
from pitflow.domains.sem.labels import read_labelled
from pitflow.domains.sem.micrographs import Micrograph
from pitflow.domains.sem.recipes import AnySemRecipe
from pitflow.domains.sem.study_classes import Fold
from pitflow.domains.sem.study_task import Task
from pitflow.domains.sem.train import fit_classes, fit_instances, split_micrographs

Measure = Callable[[AnySemRecipe, Sequence[Micrograph], str], tuple[float, float]]
"""Gives the seconds of a step of training, and of a look at a micrograph, on a device."""


class _StepClock(Silent):
    """Remembers when each step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def advance(self, steps: int = 1) -> None:
        if steps:
            self.ends.append(time.perf_counter())


def measure_times(
    recipe: AnySemRecipe, micrographs: Sequence[Micrograph], device: str
) -> tuple[float, float]:
    """Train for two steps, the first to warm up, and look at one micrograph twice."""
    batch = recipe.training.batch
    brief = {"epochs": 2, "validate_every": 2, "samples_per_epoch": batch}
    recipe = recipe.model_copy(update={"training": recipe.training.model_copy(update=brief)})
    clock, sides = _StepClock(), (micrographs[:batch], micrographs[:1])
    with TemporaryDirectory() as folder:
        if isinstance(recipe, InstanceRecipe):
            fit_instances(*sides, recipe, Path(folder), device=device, progress=clock)
        else:
            fit_classes(*sides, recipe, Path(folder), device=device, progress=clock)
        first, second = clock.ends
        # Once to choose the epoch; once for the threshold of instances.
        looks = 2 if isinstance(recipe, InstanceRecipe) else 1
        return second - first, (time.perf_counter() - second) / looks


def estimate_seconds(
    tasks: Sequence[Task | Fold], measure: Measure = measure_times
) -> tuple[int, dict[str, float]]:
    """Return how many trainings are still to do, and about how long those of each kind take, s.

    Each network is tried on some of its micrographs, so a machine that is busy with something else
    shows it. What is learned first counts for the first training that needs it.
    """
    per: dict[str, tuple[float, float]] = {}
    total: dict[str, float] = {}
    left, learned = 0, set()
    for task in tasks:
        for_fit, aside, tested = sides = task.sides()
        if task.earlier(sides)[1] is not None:
            continue
        left += 1
        recipe = task.recipe
        if recipe.name not in per:
            per[recipe.name] = measure(recipe, for_fit, task.device)
        step, look = per[recipe.name]
        name, seconds = "folds", look * len(tested)
        trainings = [(for_fit, aside)]
        if isinstance(task, Task):
            name = task.experiment
            if task.pretrain and recipe.name not in learned:
                trainings.append(split_micrographs(read_labelled(task.pretrain), recipe))
                learned.add(recipe.name)
            trainings = trainings[0 if task.trains else 1 :]
        training = recipe.training
        for fitted, kept in trainings:
            steps = -(-(training.samples_per_epoch or len(fitted)) // training.batch)
            looks = (training.epochs // training.validate_every + 1) * len(kept)
            seconds += training.epochs * steps * step + looks * look
        total[name] = total.get(name, 0.0) + seconds
    return left, total
