"""The experiment of paper 000: all models, stratified folds, one held-out test set.

A task is one model on one fold: trained on the other folds, it is tested on the fold, which no
choice of its training has seen, and on the test set. The last weights of a fixed schedule are kept
and the threshold is 0.5, so nothing is fitted to the images that are scored.

    runs/MODEL/fold-K/  scores.csv, history.json, masks of the test set, task.json (its hash)
"""

from __future__ import annotations

import csv
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from pydantic import Field

from pitflow.compute import Compute, Progress, Silent
from pitflow.config import Model
from pitflow.domains.panels.folds import stratified_parts
from pitflow.domains.panels.model import PanelModel
from pitflow.domains.panels.overlay import png_bytes
from pitflow.domains.panels.pictures import LabelledPanel, read_panels
from pitflow.domains.panels.recipes import LOSSES, TITLES, adapted, panel_recipe, with_blocks
from pitflow.domains.panels.scores import boundary_score, dice_score, iou_score
from pitflow.domains.panels.train import fit, identity, objective
from pitflow.domains.recipe import Recipe
from pitflow.domains.training import going_on_or_anew, new_card, new_network
from pitflow.errors import UserError
from pitflow.output_folder import make_folder
from pitflow.segment.devices import choose_execution
from pitflow.segment.training.learn import (
    STATE,
    OtherTrainingError,
    Trained,
    autocast,
    in_single_precision,
)

TABLE_I = tuple(
    f"{model}{'' if loss == 'dice' else '-ftl'}"
    for loss in LOSSES
    for model in TITLES
    if model != "medt"
)
"""The eight models of Table I, the plain U-Net first."""

SCORES = ("dice", "iou", "boundary_f1")

_LOOKS = 10
"""Validations of a training, at least: they choose nothing, and only make the curves of Fig. 3."""

SCORES_FILE, HISTORY_FILE, TASK_FILE = "scores.csv", "history.json", "task.json"


class StudyConfig(Model):
    """What is trained and tested."""

    models: tuple[str, ...] = Field(
        TABLE_I,
        min_length=1,
        description="recipes by name, the baseline first",
    )
    folds: int = Field(10, ge=2, description="parts of the data beside the test set")
    test_share: float = Field(0.1, gt=0, lt=0.5, description="share of the held-out test set")
    size: int | None = Field(None, ge=32, description="longer side of a photograph, px; None: 320")
    epochs: int | None = Field(None, ge=1, description="None: as the recipes say")
    batch: int | None = Field(None, ge=1, description="None: as the recipes say")
    blocks: bool = Field(
        False, description="U-Nets work on 2 x 2 blocks of pixels: less than half the time"
    )
    seed: int = Field(0, ge=0, description="of the split, initial weights and augmentation")
    grid: bool = Field(False, description="also Table III: FTL models over alpha and beta")
    grid_folds: int = Field(1, ge=1, description="folds of that grid")
    alphas: tuple[float, ...] = (0.1, 0.3, 0.7, 0.9)
    betas: tuple[float, ...] = (1.0, 1.5, 2.0)


@dataclass(frozen=True)
class Task:
    """One model on one fold.

    Parameters
    ----------
    name:
        The recipe's; in the grid with its alpha and beta.
    trained, fold, test:
        Photographs trained on, those of the fold, and the held-out ones.
    overwrite:
        Drop another training that is in the folder.
    """

    name: str
    recipe: Recipe
    number: int
    trained: tuple[LabelledPanel, ...]
    fold: tuple[LabelledPanel, ...]
    test: tuple[LabelledPanel, ...]
    folder: Path
    device: str
    overwrite: bool = False

    def key(self) -> str:
        """Return a hash of all that decides the result."""
        return identity(self.recipe, self.trained, (*self.fold, *self.test))

    def is_done(self) -> bool:
        """Whether its results are there, of the same recipe and photographs."""
        mark = self.folder / TASK_FILE
        return mark.is_file() and json.loads(mark.read_text())["key"] == self.key()


@dataclass(frozen=True)
class Study:
    """The results of a study.

    Parameters
    ----------
    scores:
        A row per model, fold and image: model, fold, part (fold or test), image, group, stratum,
        dice, iou, boundary_f1 (2 px), all at the image's full size.
    grid:
        The same of the grid, with alpha and beta; empty without.
    histories:
        Per model and fold, a row per epoch.
    test:
        The held-out photographs.
    """

    config: StudyConfig
    folder: Path
    n_images: int
    n_groups: int
    scores: pd.DataFrame
    grid: pd.DataFrame
    histories: dict[tuple[str, int], list[dict[str, Any]]]
    test: tuple[LabelledPanel, ...]


def run_study(
    data: Sequence[Path],
    out: Path,
    config: StudyConfig,
    *,
    ratings: Path | None = None,
    device: str = "auto",
    overwrite: bool = False,
    compute: Compute | None = None,
    progress: Progress | None = None,
) -> Study:
    """Train and test all models on all folds; a study that was stopped goes on where it was.

    Parameters
    ----------
    overwrite:
        Drop trainings with other parameters or data that are in ``out``.
    compute:
        Where tasks run. In one process they run one after the other, each on all cores; a cluster
        runs as many at a time as it has workers.

    Raises
    ------
    UserError
        If data or recipes cannot be used, or ``out`` cannot be written or holds another study.
    """
    tasks = plan_tasks(data, out, config, ratings=ratings, device=device, overwrite=overwrite)
    left = [task for task in tasks if not task.is_done()]
    progress = progress or Silent()
    progress.start("study", len(tasks))
    progress.advance(len(tasks) - len(left))
    place = compute or Compute(1)
    place.map(run_task, left, lambda task, _: progress.advance())
    progress.finish(f"{len(tasks)} trainings")
    return _gathered(tasks, out, config)


def plan_tasks(
    data: Sequence[Path],
    out: Path,
    config: StudyConfig,
    *,
    ratings: Path | None = None,
    device: str = "auto",
    overwrite: bool = False,
) -> list[Task]:
    """Return all tasks of a study: a model on a fold each.

    Raises
    ------
    UserError
        If data or recipes cannot be used, a model is named twice, or ``out`` cannot be written to.
    """
    if twice := [name for name, count in Counter(config.models).items() if count > 1]:
        raise UserError(f"{twice[0]} is named twice", where="--models")
    panels = read_panels(data, ratings)
    rest = (1 - config.test_share) / config.folds
    parts = stratified_parts(
        [panel.group for panel in panels],
        [panel.stratum for panel in panels],
        (config.test_share, *([rest] * config.folds)),
        config.seed,
    )
    test, *folds = (tuple(panels[index] for index in part) for part in parts)
    make_folder(out)
    variants = [(name, study_recipe(name, config), config.folds) for name in config.models]
    if config.grid:
        variants += _grid(config)
    return [
        Task(
            name,
            recipe,
            number,
            tuple(p for k, part in enumerate(folds) if k != number for p in part),
            folds[number],
            test,
            out / "runs" / name / f"fold-{number}",
            device,
            overwrite,
        )
        for number in range(config.folds)
        for name, recipe, n_folds in variants
        if number < n_folds
    ]


def study_recipe(
    name: str, config: StudyConfig, alpha: float | None = None, beta: float | None = None
) -> Recipe:
    """Return the recipe of a model of the study; the last weights of its schedule are kept."""
    loss = "ftl" if name.endswith("-ftl") else "dice"
    recipe = panel_recipe(name.removesuffix("-ftl"), loss, alpha=alpha, beta=beta)
    if config.blocks:
        recipe = with_blocks(recipe)
    epochs = config.epochs or recipe.training.epochs
    return adapted(
        recipe,
        size=config.size,
        epochs=epochs,
        validate_every=max(1, epochs // _LOOKS),
        batch=config.batch,
        seed=config.seed,
        keep="last",
    )


def run_task(task: Task) -> None:
    """Train and test one model on one fold; writes all into its folder."""
    history, model = _trained(task)
    rows = []
    masks = task.folder / "masks"
    masks.mkdir(exist_ok=True)
    for part, panels in (("fold", task.fold), ("test", task.test)):
        for panel in panels:
            image, truth = panel.read()
            found = model.mask(image)
            scores = [
                f"{score(found, truth):.9f}" for score in (dice_score, iou_score, boundary_score)
            ]
            rows.append([part, panel.name, panel.group, panel.stratum, *scores])
            if part == "test":
                white = found.astype(np.uint8) * np.uint8(255)
                (masks / f"{panel.name}.png").write_bytes(png_bytes(white))
    with (task.folder / SCORES_FILE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["part", "image", "group", "stratum", *SCORES])
        writer.writerows(rows)
    (task.folder / HISTORY_FILE).write_text(json.dumps(history))
    # Last: the mark that all of it is there. The state of the training is not needed any more.
    (task.folder / TASK_FILE).write_text(json.dumps({"key": task.key()}))
    (task.folder / STATE).unlink(missing_ok=True)


def estimate_seconds(
    tasks: Sequence[Task], measure: Callable[[Recipe], float] | None = None
) -> dict[str, float]:
    """Return about how long the training of each model takes, all folds, s.

    Every network is tried for a step, so a machine that is busy with something else shows it. To
    look at an image in validation costs a third of training on it.
    """
    measure = measure or seconds_per_step
    per_step: dict[str, float] = {}
    total: dict[str, float] = {}
    for task in tasks:
        training = task.recipe.training
        like = json.dumps(
            [task.recipe.network.model_dump(), task.recipe.tile_px, training.batch],
            default=str,
        ) + str(task.recipe.guidance is None)
        if like not in per_step:
            per_step[like] = measure(task.recipe)
        steps = training.epochs * -(-len(task.trained) // training.batch)
        looks = training.epochs / training.validate_every * len(task.fold) / training.batch / 3
        total[task.name] = total.get(task.name, 0.0) + per_step[like] * (steps + looks)
    return total


def seconds_per_step(recipe: Recipe, device: str = "auto") -> float:
    """Return the time of one step of training, s, after one to warm up, laid out as in training."""
    execution = choose_execution(device)
    layout = torch.channels_last
    network = new_network(recipe).to(device=execution.device, memory_format=layout).train()
    shape = recipe.training.batch, len(recipe.channels), recipe.tile_px, recipe.tile_px
    images = torch.randn(shape, device=execution.device).to(memory_format=layout)
    truth = (torch.rand(shape[0], 1, *shape[2:], device=execution.device) < 0.1).float()
    loss = objective(recipe, ())
    seconds = 0.0
    for _ in range(2):
        start = time.perf_counter()
        with autocast(execution.device, recipe.training.precision):
            answer = network(images)
        loss(in_single_precision(answer), truth, torch.ones_like(truth)).sum().backward()
        if execution.is_gpu:
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
    return seconds


def _trained(task: Task) -> tuple[list[dict[str, Any]], PanelModel]:
    def fitted() -> Trained:
        # This task's own mark would have told that it is done.
        if (task.folder / TASK_FILE).exists():
            raise OtherTrainingError.of(task.folder)
        return fit(
            task.trained,
            task.fold,
            task.recipe,
            task.folder,
            device=task.device,
            progress=Silent(),
        )

    trained = going_on_or_anew(task.folder, fitted, overwrite=task.overwrite)
    model = PanelModel(
        trained.network, new_card(task.recipe), execution=choose_execution(task.device)
    )
    return [asdict(epoch) for epoch in trained.history], model


def _grid(config: StudyConfig) -> list[tuple[str, Recipe, int]]:
    names = [name for name in TABLE_I if name.endswith("-ftl")]
    n_folds = min(config.grid_folds, config.folds)
    return [
        (
            f"{name}@{alpha:g},{beta:g}",
            study_recipe(name, config, alpha, beta),
            n_folds,
        )
        for beta in config.betas
        for alpha in config.alphas
        for name in names
    ]


def _gathered(tasks: Sequence[Task], out: Path, config: StudyConfig) -> Study:
    parts, histories = [], {}
    for task in tasks:
        table = pd.read_csv(
            task.folder / SCORES_FILE, dtype={"image": str, "group": str, "stratum": str}
        )
        table.insert(0, "fold", task.number)
        table.insert(0, "model", task.name)
        parts.append(table)
        histories[task.name, task.number] = json.loads((task.folder / HISTORY_FILE).read_text())
    everything = pd.concat(parts, ignore_index=True)
    in_grid = everything["model"].str.contains("@", regex=False)
    grid = everything[in_grid].copy()
    setting = grid["model"].str.extract(r"^(.*)@(.*),(.*)$")
    grid["model"], grid["alpha"], grid["beta"] = (
        setting[0],
        setting[1].astype(float),
        setting[2].astype(float),
    )
    scores = everything[~in_grid].reset_index(drop=True)
    scores.to_csv(out / "scores.csv", index=False)
    if config.grid:
        grid.to_csv(out / "grid.csv", index=False)
    first = tasks[0]
    panels = (*first.trained, *first.fold, *first.test)
    return Study(
        config,
        out,
        len(panels),
        len({panel.group for panel in panels}),
        scores,
        grid,
        histories,
        first.test,
    )
