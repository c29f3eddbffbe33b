"""One training of a study of micrographs: trained, tested and kept in a folder of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from pitflow.compute import Silent
from pitflow.domains.recipe import InstanceRecipe
from pitflow.domains.sem.labels import read_labelled
from pitflow.domains.sem.micrographs import Micrograph
from pitflow.domains.sem.model import SCORED_FROM, InstanceModel
from pitflow.domains.sem.train import (
    fit_instances,
    identity,
    save_instance_model,
    split_micrographs,
)
from pitflow.domains.splits import split
from pitflow.domains.training import going_on_or_anew
from pitflow.segment.devices import choose_device
from pitflow.segment.instance_score import score_instances
from pitflow.segment.training.learn import Epoch

RESULT, TRAININGS = "result.json", "trainings"

Sides = tuple[list[Micrograph], list[Micrograph], list[Micrograph]]
"""The micrographs that train, that are kept aside, and that test."""

TRANSFER = "without these data"
WITHOUT = "without texture refinement"
WITH = "with texture refinement"
FRESH = "with texture refinement, not pretrained"
BASELINE = "Mask R-CNN"


@dataclass(frozen=True, slots=True)
class Seconds:
    """A time on the wall, and of all processors: what a busy machine does not lengthen."""

    wall: float = 0.0
    cpu: float = 0.0

    @classmethod
    def now(cls) -> Seconds:
        """Return both clocks; only differences have a meaning."""
        return cls(time.perf_counter(), time.process_time())

    def __add__(self, other: Seconds) -> Seconds:
        return Seconds(self.wall + other.wall, self.cpu + other.cpu)

    def __sub__(self, other: Seconds) -> Seconds:
        return Seconds(self.wall - other.wall, self.cpu - other.cpu)


@dataclass(frozen=True, slots=True)
class Task:
    """One training and its test; small, so that it can be sent to another machine.

    Parameters
    ----------
    experiment:
        One of the names above.
    split:
        Number of the split into training and test, from 0.
    recipe:
        What is trained.
    data, pretrain:
        Labelled folders. The test is always on part of ``data``.
    test_share:
        Share of the instances that tests.
    trains:
        False: the pretrained network is tested as it is.
    overwrite:
        Drop another training that is in the folder.
    """

    experiment: str
    split: int
    recipe: InstanceRecipe
    data: tuple[Path, ...]
    pretrain: tuple[Path, ...]
    out: Path
    test_share: float
    device: str
    trains: bool = True
    overwrite: bool = False

    @property
    def folder(self) -> Path:
        """Where it keeps its state, its model and its result."""
        slug = self.experiment.lower().replace(",", "").replace(" ", "-")
        return self.out / TRAININGS / f"{slug}-split-{self.split + 1}"

    def sides(self) -> Sides:
        """Return what trains, what is kept aside, and what tests."""
        for_training, tested = test_split(read_labelled(self.data), self.split, self.test_share)
        return (*split_micrographs(for_training, self.recipe), tested)

    def earlier(self, sides: Sides) -> tuple[str, dict[str, Any] | None]:
        """Return what tells this training from others, and the result of it if there is one."""
        for_fit, aside, tested = sides
        key = identity(self.recipe, [*for_fit, *tested], aside) + str(self.trains)
        path = self.folder / RESULT
        result: dict[str, Any] | None = json.loads(path.read_bytes()) if path.is_file() else None
        same = {"identity": key, "pretrain": [str(path) for path in self.pretrain]}
        return key, result if result is not None and result.items() >= same.items() else None


def run_task(task: Task) -> dict[str, Any]:
    """Train and test; return the scores, times and history of the training, ready for JSON."""
    sides = task.sides()
    key, earlier = task.earlier(sides)
    if earlier is not None:
        return earlier
    for_fit, aside, tested = sides
    path = task.folder / RESULT
    model, history, before = _trained(task, for_fit, aside)
    found, each = timed(model, tested)
    scores = score_instances(found, [one.labels for one in tested], model.threshold)
    result = {
        "identity": key,
        "experiment": task.experiment,
        "split": task.split,
        "pretrain": [str(path) for path in task.pretrain],
        "n_train": len(for_fit),
        "n_aside": len(aside),
        "scores": scores,
        "seconds_per_image": each.wall,
        "cpu_seconds_per_image": each.cpu,
        "training_seconds": before.wall,
        "training_cpu_seconds": before.cpu,
        "device": device_name(task.device),
        "history": [
            {"epoch": one.epoch, "loss": one.loss}
            | {f"loss: {name}": value for name, value in one.terms.items()}
            | one.details
            for one in history
        ],
    }
    about = {"scores": {f"test of split {task.split + 1}": scores}, "name": task.experiment}
    save_instance_model(task.folder, model.with_card(model.card.model_copy(update=about)))
    partial = path.with_name(RESULT + ".partial")
    partial.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)
    return result


def test_split(
    micrographs: Sequence[Micrograph], number: int, share: float
) -> tuple[list[Micrograph], list[Micrograph]]:
    """Return the micrographs of a random split to train on and to test on, whole groups each."""
    sides = split(
        [one.group for one in micrographs],
        [1.0] * len(micrographs),
        share,
        number,
    )
    first, second = ([micrographs[index] for index in side] for side in sides)
    return first, second


def timed(model: InstanceModel, micrographs: Sequence[Micrograph]) -> tuple[list[Any], Seconds]:
    """Return what a model finds, and the mean time per image."""
    # The first image also pays for what is set up once.
    model.find(micrographs[0].image, SCORED_FROM)
    start = Seconds.now()
    found = [model.find(one.image, SCORED_FROM) for one in micrographs]
    spent = Seconds.now() - start
    return found, Seconds(spent.wall / len(micrographs), spent.cpu / len(micrographs))


def device_name(device: str) -> str:
    """Return what the trainings ran on, in words."""
    import platform

    import torch

    chosen = choose_device(device)
    if chosen.type == "cuda":
        return str(torch.cuda.get_device_name(chosen))
    return f"{chosen.type}, {torch.get_num_threads()} threads, {platform.machine()}"


def history_table(result: dict[str, Any]) -> pd.DataFrame:
    """Return the history of a training, a row per epoch."""
    return pd.DataFrame(result["history"])


def _trained(
    task: Task, for_fit: Sequence[Micrograph], aside: Sequence[Micrograph]
) -> tuple[InstanceModel, tuple[Epoch, ...], Seconds]:
    """Pretrain and train, or go on with it; also return the time both took in all."""
    start = None
    history: tuple[Epoch, ...] = ()
    seconds = Seconds()
    if task.pretrain:
        folder = task.out / TRAININGS / f"pretrain-{task.recipe.name}"
        sides = split_micrographs(read_labelled(task.pretrain), task.recipe)
        model, history, seconds = _fitted(task, *sides, folder, None)
        start = model.network
        if not task.trains:
            return model, history, seconds
    model, history, more = _fitted(task, for_fit, aside, task.folder, start)
    return model, history, seconds + more


def _fitted(
    task: Task,
    for_fit: Sequence[Micrograph],
    aside: Sequence[Micrograph],
    folder: Path,
    initial: nn.Module | None,
) -> tuple[InstanceModel, tuple[Epoch, ...], Seconds]:
    """Train in a folder, or go on there; also return the time it took in all."""

    def fitted() -> tuple[InstanceModel, tuple[Epoch, ...], Seconds]:
        with _Clock(folder) as clock:
            model, history = fit_instances(
                for_fit,
                aside,
                task.recipe,
                folder,
                initial=initial,
                device=task.device,
                progress=Silent(),
            )
        return model, history, clock.total

    return going_on_or_anew(folder, fitted, overwrite=task.overwrite)


class _Clock:
    """Adds up the time spent on a training, over all calls that were stopped on the way."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "seconds.json"
        kept = json.loads(self._path.read_bytes()) if self._path.is_file() else {}
        self.total = Seconds(float(kept.get("wall", 0.0)), float(kept.get("cpu", 0.0)))
        self._is_over = bool(kept.get("over", False))

    def __enter__(self) -> _Clock:
        self._start = Seconds.now()
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        # Looking up a training that was over before takes time too, but is no training.
        if self._is_over:
            return
        self.total += Seconds.now() - self._start
        self._path.parent.mkdir(parents=True, exist_ok=True)
        kept = {"wall": self.total.wall, "cpu": self.total.cpu, "over": kind is None}
        partial = self._path.with_name(self._path.name + ".partial")
        partial.write_text(json.dumps(kept) + "\n", encoding="utf-8")
        partial.replace(self._path)


def load_task_model(task: Task) -> InstanceModel:
    """Load the model that a finished task left."""
    from pitflow.domains.sem.model import load_instance_model
    from pitflow.segment.devices import choose_execution

    return load_instance_model(str(task.folder), execution=choose_execution(task.device))


def summary_row(result: dict[str, Any]) -> dict[str, Any]:
    """Return a row of Table 1 or 2."""
    scores = result["scores"]
    return {
        "experiment": result["experiment"],
        "split": result["split"] + 1,
        "images": scores["n_images"],
        "instances": scores["n_truth"],
        "precision": scores["precision"],
        "recall": scores["recall"],
        "ap50": scores["ap50"],
        "ap50_95": scores["ap50_95"],
        "per_image_ap50": scores["per_image_ap50"],
        "seconds_per_image": result["seconds_per_image"],
        "cpu_seconds_per_image": result["cpu_seconds_per_image"],
        "training_seconds": result["training_seconds"],
        "training_cpu_seconds": result["training_cpu_seconds"],
    }
