"""Training models for micrographs: instances as in paper 001, or classes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from pitflow.compute import Progress, Silent
from pitflow.domains import training
from pitflow.domains.included import find_model
from pitflow.domains.recipe import AnyRecipe, InstanceRecipe
from pitflow.domains.sem.channels import CHANNELS
from pitflow.domains.sem.labels import read_classes, read_labelled
from pitflow.domains.sem.micrographs import Micrograph
from pitflow.domains.sem.model import SCORED_FROM, ClassModel, InstanceModel
from pitflow.domains.sem.recipes import SEM, AnySemRecipe, ClassRecipe
from pitflow.domains.sem.samples import ClassSamples, InstanceSamples, class_masks
from pitflow.domains.splits import split
from pitflow.domains.training import (
    check_recipe,
    finished_card,
    new_card,
    new_network,
    prepare_folder,
    train_with,
)
from pitflow.errors import UserError
from pitflow.segment.checkpoint import Card, load_checkpoint, save_checkpoint
from pitflow.segment.devices import choose_execution
from pitflow.segment.instance_score import match_instances, score_instances
from pitflow.segment.networks.gelan import GelanConfig
from pitflow.segment.networks.mask_rcnn import MaskRcnnConfig, OwnLosses
from pitflow.segment.score import Counts, pixel_counts, pooled
from pitflow.segment.training.instance_loss import InstanceLoss
from pitflow.segment.training.instance_samples import collate, collate_with_truth
from pitflow.segment.training.learn import Epoch
from pitflow.segment.training.losses import build_loss


def train_sem(
    data: Sequence[Path],
    out: Path,
    recipe: AnySemRecipe = SEM,
    *,
    pretrain: Sequence[Path] = (),
    initial: str | None = None,
    device: str = "auto",
    workers: int = 1,
    overwrite: bool = False,
    command: str = "",
    progress: Progress | None = None,
) -> Card:
    """Train a model on labelled folders and write it; continues a training that was stopped.

    Part of the data is kept aside by whole groups: it chooses the epoch and the threshold, and the
    scores in the card are on it.

    Parameters
    ----------
    data, pretrain:
        Folders as ``read_labelled`` takes them, or ``read_classes`` for classes. With ``pretrain``,
        the network learns those first, for as many epochs, and then ``data``.
    out:
        Folder of the model: weights and card, and the state and log of the trainings.
    initial:
        Model of the same network to start from, by name or folder.

    Raises
    ------
    UserError
        If the data cannot be read or split, or ``out`` or ``initial`` hold something else.
    """
    if pretrain and not isinstance(recipe, InstanceRecipe):
        raise UserError("pretraining is for instances", where="--pretrain", hint="use --initial")
    choose_execution(device)
    check_recipe(recipe, CHANNELS)
    if isinstance(recipe, InstanceRecipe):
        micrographs = read_labelled(data)
    else:
        micrographs = read_classes(data, recipe.classes)
    before = read_labelled(pretrain) if pretrain else []
    for_training, aside = split_micrographs(micrographs, recipe)
    start = None if initial is None else load_initial(initial, recipe)
    progress = progress or Silent()
    prepare_folder(out, overwrite=overwrite)
    if before:
        prepare_folder(out / "pretrain", overwrite=overwrite)
    options: dict[str, Any] = {"device": device, "workers": workers, "progress": progress}
    if isinstance(recipe, InstanceRecipe):
        if before:
            earlier, _ = fit_instances(
                *split_micrographs(before, recipe),
                recipe,
                out / "pretrain",
                initial=start,
                stage="pretrain",
                **options,
            )
            start = earlier.network
        model, _ = fit_instances(for_training, aside, recipe, out, initial=start, **options)
        scores = score_model(model, aside)
        tested = {"kept aside (also chose threshold and epoch)": scores}
        card = finished_card(model.card, (*pretrain, *data), tested, command)
        return save_instance_model(out, model.with_card(card))
    classes, _ = fit_classes(for_training, aside, recipe, out, initial=start, **options)
    tested = {"kept aside (also chose the epoch)": score_classes(classes, aside)}
    card = finished_card(classes.card, data, tested, command)
    return save_checkpoint(out, classes.network, card)


def fit_instances(
    micrographs: Sequence[Micrograph],
    aside: Sequence[Micrograph],
    recipe: InstanceRecipe,
    folder: Path,
    *,
    initial: nn.Module | None = None,
    device: str = "auto",
    workers: int = 1,
    progress: Progress,
    stage: str = "train",
) -> tuple[InstanceModel, tuple[Epoch, ...]]:
    """Train on some micrographs; ``aside`` ones choose the epoch and set the threshold.

    ``folder`` gets the state and log of the training. The history comes with the model.
    """
    execution = choose_execution(device)
    network, key = _begin(recipe, micrographs, aside, initial)
    card = new_card(recipe)
    own = isinstance(recipe.network, MaskRcnnConfig)
    samples = InstanceSamples(micrographs, recipe.warp, recipe.crop_px)

    def validate(candidate: nn.Module) -> tuple[float, dict[str, float]]:
        model, found = calibrated(InstanceModel(candidate, card, execution=execution), aside)
        scores = score_instances(found, [one.labels for one in aside], model.threshold)
        details = {name: scores[name] or 0.0 for name in ("precision", "recall", "ap50", "ap50_95")}
        return details["ap50"], details

    trained = train_with(
        progress,
        stage,
        network,
        samples,
        OwnLosses() if own else InstanceLoss(recipe.loss),
        validate,
        recipe.training,
        folder,
        collate=collate_with_truth if own else collate,
        identity=key,
        device=execution.device,
        workers=workers,
    )
    model, _ = calibrated(InstanceModel(trained.network, card, execution=execution), aside)
    return model, trained.history


def calibrated(
    model: InstanceModel, aside: Sequence[Micrograph]
) -> tuple[InstanceModel, list[Any]]:
    """Return the model with the threshold of the best F1 on ``aside``, and what it finds there.

    Found is everything from ``SCORED_FROM`` on.
    """
    found = [model.find(one.image, SCORED_FROM) for one in aside]
    matches = [
        match_instances(instances, one.labels) for instances, one in zip(found, aside, strict=True)
    ]
    threshold, _ = sum(matches[1:], matches[0]).best_threshold()
    card = model.card.model_copy(update={"thresholds": (threshold,) * len(model.card.classes)})
    return model.with_card(card), found


def score_model(model: InstanceModel, micrographs: Sequence[Micrograph]) -> dict[str, Any]:
    """Return the scores of a model on labelled micrographs, ready for JSON."""
    found = [model.find(one.image, SCORED_FROM) for one in micrographs]
    return score_instances(found, [one.labels for one in micrographs], model.threshold)


def save_instance_model(out: Path, model: InstanceModel) -> Card:
    """Write weights and card, without what only training needs."""
    network: Any = model.network
    card = model.card
    if isinstance(card.network, GelanConfig):
        bare = card.network.model_copy(update={"auxiliary": False})
        card = card.model_copy(update={"network": bare})
    return save_checkpoint(out, network.without_auxiliary(), card)


def fit_classes(
    micrographs: Sequence[Micrograph],
    aside: Sequence[Micrograph],
    recipe: ClassRecipe,
    folder: Path,
    *,
    initial: nn.Module | None = None,
    device: str = "auto",
    workers: int = 1,
    progress: Progress,
    stage: str = "train",
) -> tuple[ClassModel, tuple[Epoch, ...]]:
    """Train a model of classes; ``aside`` micrographs choose the epoch."""
    execution = choose_execution(device)
    network, key = _begin(recipe, micrographs, aside, initial)
    card = new_card(recipe)
    samples = ClassSamples(
        micrographs, recipe.warp, recipe.crop_px, len(recipe.classes), recipe.look_from
    )

    def validate(candidate: nn.Module) -> tuple[float, dict[str, float]]:
        scores = score_classes(ClassModel(candidate, card, execution=execution), aside)
        details = {f"IoU {name}": iou or 0.0 for name, iou in scores["iou"].items()}
        return scores["mean_iou"] or 0.0, details

    trained = train_with(
        progress,
        stage,
        network,
        samples,
        build_loss(recipe.loss),
        validate,
        recipe.training,
        folder,
        identity=key,
        device=execution.device,
        workers=workers,
    )
    return ClassModel(trained.network, card, execution=execution), trained.history


def score_classes(model: ClassModel, micrographs: Sequence[Micrograph]) -> dict[str, Any]:
    """Return the IoU of each class, pooled over micrographs, and their mean, ready for JSON."""
    classes = model.card.classes
    counts: list[list[Counts]] = [[] for _ in classes]
    for one in micrographs:
        predicted = class_masks(model.classify(one.image).astype(np.int32), len(classes))
        truth = class_masks(one.labels, len(classes))
        for place, pair in enumerate(zip(predicted, truth, strict=True)):
            counts[place].append(pixel_counts(*pair))
    return summarise_classes(classes, [pooled(each) for each in counts], len(micrographs))


def summarise_classes(
    classes: Sequence[str], counts: Sequence[Counts], n_images: int
) -> dict[str, Any]:
    """Return IoU, precision and recall of each class and the mean IoU, ready for JSON."""

    def finite(value: float) -> float | None:
        return float(value) if np.isfinite(value) else None

    iou = {name: finite(one.iou) for name, one in zip(classes, counts, strict=True)}
    known = [value for value in iou.values() if value is not None]
    return {
        "n_images": n_images,
        "iou": iou,
        "mean_iou": float(np.mean(known)) if known else None,
        "precision": {n: finite(one.precision) for n, one in zip(classes, counts, strict=True)},
        "recall": {n: finite(one.recall) for n, one in zip(classes, counts, strict=True)},
    }


def split_micrographs(
    micrographs: Sequence[Micrograph], recipe: AnySemRecipe
) -> tuple[list[Micrograph], list[Micrograph]]:
    """Split by whole groups: micrographs to train on, and those that choose epoch and threshold.

    Raises
    ------
    UserError
        If all are of one group.
    """
    sides = split(
        [one.group for one in micrographs],
        [float(len(np.unique(one.labels)) - 1) for one in micrographs],
        recipe.validation_share or 0.2,
        recipe.training.seed,
    )
    first, second = ([micrographs[index] for index in side] for side in sides)
    return first, second


def identity(
    recipe: AnyRecipe, micrographs: Sequence[Micrograph], aside: Sequence[Micrograph]
) -> str:
    """Return a hash of all that decides a training: recipe, and micrographs on both sides."""
    return training.identity(recipe, _parts(micrographs), _parts(aside))


def _parts(micrographs: Sequence[Micrograph]) -> Iterator[bytes]:
    for one in micrographs:
        yield from (one.name.encode(), one.image.tobytes(), one.labels.tobytes())


def load_initial(name: str, recipe: AnyRecipe) -> nn.Module:
    """Load a model to start from, by the path of its folder, or by name if it is included.

    Raises
    ------
    UserError
        If it is of another network, channels or classes than the recipe.
    """
    folder = find_model(name)
    network, card = load_checkpoint(folder)
    if (card.channels, card.classes) != (recipe.channels, recipe.classes):
        raise UserError(
            f"is a model of other channels or classes than the recipe {recipe.name}", where=folder
        )
    fresh = new_network(recipe)
    missing = fresh.load_state_dict(_fitting(network, fresh), strict=False)
    # The auxiliary branch is not part of finished models: it starts anew.
    left = [name for name in missing.missing_keys if not name.startswith("auxiliary")]
    if left:
        raise UserError(f"is of another network than the recipe {recipe.name}", where=folder)
    return fresh


def _fitting(network: nn.Module, fresh: nn.Module) -> dict[str, Any]:
    wanted = fresh.state_dict()
    return {
        name: value
        for name, value in network.state_dict().items()
        if name in wanted and wanted[name].shape == value.shape
    }


def _begin(
    recipe: AnySemRecipe,
    micrographs: Sequence[Micrograph],
    aside: Sequence[Micrograph],
    initial: nn.Module | None,
) -> tuple[nn.Module, str]:
    """Return the network at its start, and what tells this training from others."""
    network, key = new_network(recipe), identity(recipe, micrographs, aside)
    if initial is not None:
        network.load_state_dict(initial.state_dict())
        key += _hash_of(initial)
    return network, key


def _hash_of(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
