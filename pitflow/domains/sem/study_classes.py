"""Cross-validation of materials as classes: every micrograph is tested by a model without it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pitflow.compute import Compute, Progress, Silent
from pitflow.domains.sem.channels import CHANNELS
from pitflow.domains.sem.labels import read_classes
from pitflow.domains.sem.recipes import OXIDE, ClassRecipe
from pitflow.domains.sem.samples import class_masks
from pitflow.domains.sem.study_task import RESULT, TRAININGS, Sides, device_name
from pitflow.domains.sem.train import fit_classes, identity, split_micrographs, summarise_classes
from pitflow.domains.splits import folds
from pitflow.domains.training import check_recipe, going_on_or_anew
from pitflow.errors import UserError
from pitflow.output_folder import make_folder
from pitflow.segment.checkpoint import save_checkpoint
from pitflow.segment.score import Counts, pixel_counts, pooled

N_FOLDS = 4


@dataclass(frozen=True, slots=True)
class Fold:
    """One training, tested on the micrographs of the groups that it left out."""

    number: int
    n_folds: int
    recipe: ClassRecipe
    data: tuple[Path, ...]
    out: Path
    device: str
    overwrite: bool = False

    @property
    def folder(self) -> Path:
        """Where it keeps its state, its model and its result."""
        return self.out / TRAININGS / f"fold-{self.number + 1}"

    def sides(self) -> Sides:
        """Return what trains, what is kept aside, and what tests."""
        micrographs = read_classes(self.data, self.recipe.classes)
        parts = folds([one.group for one in micrographs], [1.0] * len(micrographs), self.n_folds)
        part = set(parts[self.number])
        tested = [micrographs[index] for index in sorted(part)]
        rest = [one for index, one in enumerate(micrographs) if index not in part]
        return (*split_micrographs(rest, self.recipe), tested)

    def earlier(self, sides: Sides) -> tuple[str, dict[str, Any] | None]:
        """Return what tells this training from others, and the result of it if there is one."""
        for_fit, aside, tested = sides
        key = identity(self.recipe, [*for_fit, *tested], aside)
        path = self.folder / RESULT
        result: dict[str, Any] | None = json.loads(path.read_bytes()) if path.is_file() else None
        return key, result if result is not None and result["identity"] == key else None


def class_study(
    data: Sequence[Path],
    out: Path,
    *,
    recipe: ClassRecipe = OXIDE,
    n_folds: int = N_FOLDS,
    device: str = "auto",
    overwrite: bool = False,
    compute: Compute | None = None,
    progress: Progress | None = None,
) -> Path:
    """Cross-validate by whole groups (specimens) and write ``study.html`` and ``study.json``.

    Continues where it was stopped; with ``overwrite``, trainings with other parameters or data that
    are in ``out`` are dropped.

    Raises
    ------
    UserError
        If the data cannot be read, ``out`` holds another study, there are fewer groups than folds,
        or fewer than three folds would leave nothing to choose the epoch by.
    """
    tasks = plan_folds(
        data, out, recipe=recipe, n_folds=n_folds, device=device, overwrite=overwrite
    )
    make_folder(out)
    progress = progress or Silent()
    results: dict[int, dict[str, Any]] = {}

    def done(task: Fold, result: dict[str, Any]) -> None:
        results[task.number] = result
        progress.advance()

    progress.start("trainings", n_folds)
    (compute or Compute(workers=1)).map(run_fold, tasks, done)
    page = _write(out, recipe, [results[number] for number in range(n_folds)])
    progress.finish(str(page))
    return page


def plan_folds(
    data: Sequence[Path],
    out: Path,
    *,
    recipe: ClassRecipe,
    n_folds: int,
    device: str,
    overwrite: bool,
) -> list[Fold]:
    """Return every training of a study; raises what ``class_study`` does."""
    micrographs = read_classes(data, recipe.classes)
    if n_folds < 2:
        raise UserError("one fold leaves nothing to train on", where="--splits", hint="2 or more")
    if len({one.group for one in micrographs}) <= n_folds:
        raise UserError(f"too few specimens for {n_folds} folds", hint="choose fewer --splits")
    check_recipe(recipe, CHANNELS)
    return [Fold(k, n_folds, recipe, tuple(data), out, device, overwrite) for k in range(n_folds)]


def run_fold(task: Fold) -> dict[str, Any]:
    """Train on all other folds and test on this one; return its counts, ready for JSON."""
    sides = task.sides()
    key, earlier = task.earlier(sides)
    if earlier is not None:
        return earlier
    for_fit, aside, tested = sides
    path = task.folder / RESULT
    model, history = going_on_or_anew(
        task.folder,
        lambda: fit_classes(
            for_fit, aside, task.recipe, task.folder, device=task.device, progress=Silent()
        ),
        overwrite=task.overwrite,
    )
    classes = task.recipe.classes
    images = []
    for one in tested:
        predicted = class_masks(model.classify(one.image).astype(np.int32), len(classes))
        truth = class_masks(one.labels, len(classes))
        counts = [asdict(pixel_counts(*pair)) for pair in zip(predicted, truth, strict=True)]
        images.append({"name": one.name, "group": one.group, "counts": counts})
    result = {
        "identity": key,
        "images": images,
        "epochs": len(history),
        "device": device_name(task.device),
    }
    save_checkpoint(task.folder, model.network, model.card)
    partial = path.with_name(RESULT + ".partial")
    partial.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)
    return result


def _write(out: Path, recipe: ClassRecipe, results: Sequence[dict[str, Any]]) -> Path:
    from pitflow.domains.sem.page import closing
    from pitflow.report.sheet import Grid, Section, Sheet, write_sheet

    classes = recipe.classes
    images = [image for result in results for image in result["images"]]

    def score(some: Sequence[dict[str, Any]]) -> dict[str, Any]:
        counts = [
            pooled([Counts(**image["counts"][place]) for image in some])
            for place in range(len(classes))
        ]
        return summarise_classes(classes, counts, len(some))

    together = score(images)
    groups = sorted({image["group"] for image in images})
    by_group = {group: score([one for one in images if one["group"] == group]) for group in groups}

    def cells(scores: dict[str, Any]) -> list[str]:
        values = [scores["mean_iou"], *scores["iou"].values()]
        return ["–" if value is None else f"{100 * value:.1f}" for value in values]

    rows = [[group, str(one["n_images"]), *cells(one)] for group, one in by_group.items()]
    rows.append(["all together", str(together["n_images"]), *cells(together)])
    headings = [("specimen", ""), ("images", ""), ("mean IoU", "%")]
    headings += [(name, "IoU, %") for name in classes]
    mean = together["mean_iou"]
    sheet = Sheet(
        title="Materials of cross sections",
        subtitle=f"{len(results)}-fold cross-validation by specimen, {len(images)} micrographs",
        findings=[f"Mean IoU of {', '.join(classes)}: {100 * (mean or 0):.1f} %."],
        sections=[
            Section("iou", "Intersection over union", [Grid(headings, rows)]),
            *closing(_METHODS, _LIMITS, [("hardware", str(results[0]["device"]))]),
        ],
    )
    out.mkdir(parents=True, exist_ok=True)
    record = {"all": together, "by_group": by_group}
    (out / "study.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return write_sheet(sheet, out / "study.html")


_METHODS = (
    (
        "IoU",
        (
            "Pixels in common over pixels in either, pooled over micrographs, each tested by a "
            "model that saw none of its specimen; the mean is over classes, without background."
        ),
    ),
)

_LIMITS = ("Micrographs of one specimen are alike: what counts is the number of specimens.",)
