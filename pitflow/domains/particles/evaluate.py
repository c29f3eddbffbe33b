"""How good a particle model is on labelled pictures."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pitflow.compute import Progress, Silent
from pitflow.domains.particles.model import ParticleModel, check_model, load_model
from pitflow.domains.particles.picture import Picture
from pitflow.domains.particles.pictures import left_out, read_pictures
from pitflow.report.words import count
from pitflow.segment.devices import choose_execution
from pitflow.segment.score import Mask, score_masks


def evaluate(
    model: str,
    data: Sequence[Path],
    *,
    device: str = "auto",
    flips: bool = True,
    progress: Progress | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Score a model on labelled folders; returns scores ready for JSON.

    The model's thresholds stay as they are: they were set on other data.

    Parameters
    ----------
    model:
        Name of an included model, or path of a model's folder.
    flips:
        Average single images over the eight symmetries of the square; frames of recordings are
        shown once, as in a run.
    note:
        Told which images and masks were left out, and what the model had to adapt, such as that it
        left the GPU.

    Raises
    ------
    UserError
        If model or data cannot be read.
    """
    check_model(model)
    pictures = read_pictures(data)
    for line in left_out(data):
        note(line)
    pictures = [picture for picture in pictures if "particle" in picture.truth]
    pictures.sort(key=lambda picture: picture.is_still)
    progress = progress or Silent()
    progress.start("evaluate", len(pictures))
    masks, names = [], []
    for stills, kind in itertools.groupby(pictures, lambda picture: picture.is_still):
        execution = choose_execution(device)
        loaded = load_model(
            model, stills=stills, execution=execution, flips=flips and stills, note=note
        )
        names.append(loaded.card.name)
        for mask in loaded.masks(picture.views for picture in kind):
            masks.append(mask)
            progress.advance()
    progress.finish()
    return {"model": ", ".join(names)} | score_particles(None, pictures, masks)


def score_particles(
    model: ParticleModel | None, pictures: Sequence[Picture], masks: Sequence[Mask] | None = None
) -> dict[str, Any]:
    """Score particle masks, or those that ``model`` finds, against the pictures' truth.

    Where the truth is not known, nothing that is found is right or wrong: it does not count.
    """
    if masks is None:
        if model is None:
            raise ValueError("needs masks, or a model that finds them")
        masks = list(model.masks(picture.views for picture in pictures))
    truth, found = [], []
    for mask, picture in zip(masks, pictures, strict=True):
        known = np.True_ if picture.known is None else picture.known
        truth.append(picture.truth["particle"] & known)
        found.append(mask & known)
    return score_masks(found, truth, [picture.group for picture in pictures])


def format_scores(scores: dict[str, Any]) -> str:
    """Return scores as lines of text."""

    def row(name: str, part: dict[str, Any]) -> str:
        numbers = (_number(part[key]) for key in ("f1", "precision", "recall"))
        cells = "  ".join(f"{number:>9}" for number in numbers)
        counts = f"{part['n_truth']:>8}  {part['n_predicted']:>9}"
        return f"{name:<24}{cells}  {counts}"

    pixel = scores["pixel"]
    low, high = scores["pixel_f1_interval_95"]
    lines = [
        f"{count(scores['n_images'], 'image')} in {count(scores['n_groups'], 'independent group')}",
        f"{'':<24}{'F1':>9}  {'precision':>9}  {'recall':>9}  {'labelled':>8}  {'predicted':>9}",
        row("pixels", pixel),
        f"{'':<24}95 % interval of the F1 {_number(low)} to {_number(high)}",
        f"{'':<24}IoU {_number(pixel['iou'])}, accuracy {_number(pixel['accuracy'])}",
        row("objects", scores["object"]),
    ]
    lines += [row(f"  of {name} px^2", part) for name, part in scores["object_by_area_px2"].items()]
    lines += [
        f"boundary F1 within {name}: {_number(value)}"
        for name, value in scores["boundary_f1"].items()
    ]
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "-" if value is None or not np.isfinite(value) else f"{value:.3f}"
