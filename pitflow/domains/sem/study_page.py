"""The page of a study: Tables 1 and 2, training curves and examples (paper 001)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from pitflow.domains.sem.micrographs import Micrograph
from pitflow.domains.sem.page import closing, picture
from pitflow.domains.sem.study_task import (
    BASELINE,
    FRESH,
    TRANSFER,
    WITH,
    WITHOUT,
    Task,
    history_table,
    load_task_model,
    summary_row,
    test_split,
)
from pitflow.provenance import software_versions
from pitflow.report.figures.micrographs import draw_curves, draw_examples
from pitflow.report.panel import Panel
from pitflow.report.sheet import Grid, Section, Sheet, write_sheet
from pitflow.segment.instance import paint_labels

PAGE = "study.html"
ORDER = (TRANSFER, WITHOUT, WITH, FRESH, BASELINE)
_EXAMPLES = 4
_MIN_SPLITS = 3
"""Fewest splits that give an interval."""
_PERCENT = ("precision", "recall", "ap50", "ap50_95", "per_image_ap50")

Floats = npt.NDArray[np.float64]
Results = Mapping[tuple[str, int], dict[str, Any]]


def write_study(
    out: Path, tasks: Sequence[Task], results: Results, micrographs: Sequence[Micrograph]
) -> Path:
    """Write tables, figures and page of a finished study; return the page."""
    rows = pd.DataFrame([summary_row(results[task.experiment, task.split]) for task in tasks])
    table1 = rows[rows["split"] == 1].drop(columns="split")
    table2 = rows[rows["experiment"] == WITH].drop(columns="experiment")
    out.mkdir(parents=True, exist_ok=True)
    table1.to_csv(out / "table1.csv", index=False, float_format="%.6g")
    table2.to_csv(out / "table2.csv", index=False, float_format="%.6g")
    first = {task.experiment: task for task in tasks if task.split == 0}
    page = out / PAGE
    curves = picture(_curves(results), page, "training_curves", "Loss and scores over the epochs")
    shown = picture(
        _examples(first, micrographs), page, "examples", "Test micrographs, from few to many"
    )
    some = results[WITH, 0]
    origin = [
        ("data", ", ".join(path.name for path in tasks[0].data)),
        ("pretraining", ", ".join(path.name for path in tasks[0].pretrain) or "none"),
        ("hardware", str(some["device"])),
        ("training", f"{some['n_train']} micrographs and {some['n_aside']} aside, first split"),
        ("software", ", ".join(f"{n} {v}" for n, v in software_versions().items())),
    ]
    gains = differences(rows, results)
    sheet = Sheet(
        title="Instance segmentation of micrographs",
        subtitle=f"{len(tasks)} trainings on {len(micrographs)} labelled micrographs",
        findings=_findings(table1, table2, rows, gains),
        sections=[
            Section("table1", "With and without", [_table1(table1)]),
            Section("table2", "Repeated splits", [_table2(table2), *_paired(gains)]),
            Section("curves", "Training", [curves]),
            Section("shown", "Examples", [shown]),
            *closing(_METHODS, _LIMITS, origin),
        ],
    )
    record = {"rows": rows.to_dict("records"), "versions": software_versions()}
    (out / "study.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return write_sheet(sheet, page)


def _table1(table: pd.DataFrame) -> Grid:
    order = {name: place for place, name in enumerate(ORDER)}
    ordered = table.sort_values("experiment", key=lambda names: names.map(order))
    return Grid(
        [("experiment", ""), *_HEADINGS],
        [[row["experiment"], *_cells(row)] for row in ordered.to_dict("records")],
        "All on the same test micrographs. Paper 001, Table 1: 13.8, 71.2 and 85.2 % mAP without "
        "its data, without and with texture refinement, on 9 images of its own.",
    )


def _table2(table: pd.DataFrame) -> Grid:
    rows = [[f"split {row['split']}", *_cells(row)] for row in table.to_dict("records")]
    if len(table) > 1:
        numbers = table.drop(columns="split").astype(float)
        rows.append(["mean", *_cells(numbers.mean().to_dict())])
        rows.append(["standard deviation", *_cells(numbers.std().to_dict())])
    return Grid([("split", ""), *_HEADINGS], rows, f"{WITH.capitalize()}.")


def split_interval(differences: Floats, test_over_training: float) -> tuple[float, float]:
    """Return the 95 % interval of a mean difference over random splits of the same micrographs.

    Splits share most of their training side, so their differences scatter less about each other
    than about the truth: the variance of the mean is taken as ``1 / n + test_over_training`` times
    that of the differences, and Student's t for n - 1 degrees of freedom.

    Parameters
    ----------
    differences:
        One for each split.
    test_over_training:
        Micrographs of the test side over those of the training side.

    References
    ----------
    Nadeau and Bengio, Machine Learning 52 (2003) 239, section 4.
    """
    n = len(differences)
    spread = np.sqrt((1.0 / n + test_over_training) * np.var(differences, ddof=1))
    half = float(stats.t.ppf(0.975, n - 1) * spread)
    middle = float(np.mean(differences))
    return middle - half, middle + half


@dataclass(frozen=True, slots=True)
class Difference:
    """What texture refinement gains in AP50 over another experiment, and its 95 % interval."""

    other: str
    n_splits: int
    mean: float
    low: float
    high: float


def differences(rows: pd.DataFrame, results: Results) -> list[Difference]:
    """Return the differences to "with texture refinement" over splits where both were trained."""
    wide = rows.pivot_table(index="split", columns="experiment", values="ap50")
    found = []
    for name in (WITHOUT, BASELINE):
        if name not in wide:
            continue
        gains = (wide[WITH] - wide[name]).dropna().to_numpy(float)
        if len(gains) >= _MIN_SPLITS:
            ends = split_interval(gains, _test_over_training(results))
            found.append(Difference(name, len(gains), float(gains.mean()), *ends))
    return found


def _paired(found: Sequence[Difference]) -> list[Grid]:
    if not found:
        return []
    lines = [
        [f"{WITH} - {one.other}", str(one.n_splits), f"{100 * one.mean:+.1f}", _interval(one)]
        for one in found
    ]
    headings = [("difference in AP50", ""), ("splits", ""), ("mean", "%"), ("95 % interval", "%")]
    note = (
        "Student's t over splits, wider for what their training sides share (Nadeau and Bengio "
        "2003)."
    )
    return [Grid(headings, lines, note)]


def _interval(one: Difference) -> str:
    return f"{100 * one.low:+.1f} to {100 * one.high:+.1f}"


def _test_over_training(results: Results) -> float:
    """Return the micrographs that test over those that train or choose, mean over the splits."""
    shares = [
        result["scores"]["n_images"] / (result["n_train"] + result["n_aside"])
        for (experiment, _), result in results.items()
        if experiment == WITH
    ]
    return float(np.mean(shares))


def _curves(results: Results) -> Panel:
    shown = {
        name: history_table(results[name, 0])
        for name in ORDER
        if (name, 0) in results and name not in (TRANSFER, BASELINE)
    }
    return draw_curves(shown)


def _examples(first: Mapping[str, Task], micrographs: Sequence[Micrograph]) -> Panel:
    task = first[WITH]
    _, tested = test_split(micrographs, task.split, task.test_share)
    by_count = sorted(tested, key=lambda one: len(np.unique(one.labels)))
    places = np.unique(np.linspace(0, len(by_count) - 1, _EXAMPLES).round().astype(int))
    chosen = [by_count[place] for place in places]
    labelled: dict[str, list[Any]] = {"labelled": [one.labels for one in chosen]}
    for name in (WITHOUT, WITH, BASELINE):
        if name in first:
            model = load_task_model(first[name])
            labelled[name] = [
                paint_labels(model.find(one.image), one.image.shape)[0] for one in chosen
            ]
    return draw_examples([one.image for one in chosen], labelled)


_HEADINGS = (
    ("images", ""),
    ("instances", ""),
    ("precision", "%"),
    ("recall", "%"),
    ("AP50", "%"),
    ("AP50:95", "%"),
    ("AP50 each", "%"),
    ("per image", "s"),
    ("training", "min"),
    ("of a core", "min"),
)


def _cells(row: Mapping[Any, Any]) -> list[str]:
    return [
        f"{float(row['images']):.0f}",
        f"{float(row['instances']):.0f}",
        *(_percent(row[name]) for name in _PERCENT),
        f"{row['seconds_per_image']:.2f}",
        f"{row['training_seconds'] / 60:.1f}",
        f"{row['training_cpu_seconds'] / 60:.1f}",
    ]


def _percent(value: float | None) -> str:
    return "–" if value is None or not np.isfinite(value) else f"{100 * value:.1f}"


def _findings(
    table1: pd.DataFrame, table2: pd.DataFrame, rows: pd.DataFrame, gains: Sequence[Difference]
) -> list[str]:
    by_name = table1.set_index("experiment")["ap50"].astype(float)
    sentences = []
    if WITHOUT in by_name:
        sentences.append(
            f"Texture refinement: AP50 {_percent(by_name[WITH])} % with and "
            f"{_percent(by_name[WITHOUT])} % without, on the first split."
        )
    if BASELINE in by_name:
        sentences.append(f"Mask R-CNN on the same images: AP50 {_percent(by_name[BASELINE])} %.")
    if TRANSFER in by_name:
        sentences.append(
            f"Without these data, pretrained only: AP50 {_percent(by_name[TRANSFER])} %."
        )
    if len(table2) > 1:
        ap = table2["ap50"].astype(float)
        sentences.append(
            f"Over {len(table2)} splits, {WITH}: AP50 {_percent(ap.mean())} % in the mean, "
            f"standard deviation {_percent(ap.std())} %."
        )
    sentences += [
        f"Over {one.n_splits} splits, AP50 {WITH} minus {one.other}: {100 * one.mean:+.1f} % "
        f"({_interval(one)} %), "
        + ("not told from chance." if one.low <= 0 <= one.high else "more than chance.")
        for one in gains
    ]
    if rows["split"].max() == 1:
        sentences.append("A single split: differences of a few percent mean nothing yet.")
    return sentences


_METHODS = (
    (
        "splits",
        (
            "Random, whole groups: photographs of one place, or sections of one specimen, are "
            "never on both sides. Part of the training side is kept aside; it chooses epoch and "
            "threshold."
        ),
    ),
    (
        "precision, recall",
        "Of instances at an IoU of masks of 0.5, at the score with the best F1 aside.",
    ),
    (
        "AP50, AP50:95",
        (
            "COCO's average precision of masks by pycocotools, all test images together, all "
            "instances counted (COCO stops at 100 per image)."
        ),
    ),
    ("AP50 each", "The same, of each image, then averaged: the paper's way."),
    (
        "per image, training",
        (
            "Wall time: per image from grey image to masks, after a first image; of a training "
            "with all validations and of its pretraining. On a machine that does other work too, "
            "the time of the processor says more: it is the second number."
        ),
    ),
)

_LIMITS = (
    "Instances of one image depend on each other: what counts is the number of images.",
    "Every training has one seed: its own scatter is part of the differences.",
)
