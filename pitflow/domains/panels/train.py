"""Training a panel model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from pitflow.compute import Progress, Silent
from pitflow.domains import training
from pitflow.domains.panels.folds import stratified_parts
from pitflow.domains.panels.model import PanelModel
from pitflow.domains.panels.pictures import LabelledPanel, read_panels
from pitflow.domains.panels.samples import PanelSamples
from pitflow.domains.panels.scores import dice_score, score_panels
from pitflow.domains.recipe import Recipe
from pitflow.domains.training import (
    finished_card,
    new_card,
    new_network,
    prepare_folder,
    train_with,
)
from pitflow.segment.checkpoint import Card, save_checkpoint
from pitflow.segment.devices import choose_execution
from pitflow.segment.threshold import nothing, pixel_curve
from pitflow.segment.training.guidance import MASK, GuidedLoss
from pitflow.segment.training.learn import (
    Epoch,
    Trained,
    autocast,
    in_single_precision,
    stack,
)
from pitflow.segment.training.losses import build_loss

_ASIDE = 0.1
"""Share kept aside if the recipe says none: without it nothing would choose the threshold."""


def train_panel(
    data: Sequence[Path],
    out: Path,
    recipe: Recipe,
    *,
    ratings: Path | None = None,
    device: str = "auto",
    workers: int = 1,
    overwrite: bool = False,
    command: str = "",
    note: str = "",
    progress: Progress | None = None,
) -> Card:
    """Train a model on labelled photographs and write it; continues a training that was stopped.

    Part of the photographs is kept aside, stratified and by whole groups: it chooses the epoch and
    sets the threshold, and the scores in the card are on it.

    Parameters
    ----------
    data, ratings:
        See ``read_panels``.
    out:
        Folder of the model: weights and card, and the state and log of the training.
    device:
        auto, cpu, cuda, cuda:N or mps.
    workers:
        Threads that prepare images.
    overwrite:
        Start anew even if ``out`` holds a training or a model.
    command, note:
        The command line, and whose the data are and under which licence, for the card.

    Raises
    ------
    UserError
        If the data cannot be read or split, or ``out`` holds something else.
    """
    choose_execution(device)
    panels = read_panels(data, ratings)
    share = recipe.validation_share or _ASIDE
    first, second = stratified_parts(
        [panel.group for panel in panels],
        [panel.stratum for panel in panels],
        (1 - share, share),
        recipe.training.seed,
    )
    aside = [panels[index] for index in second]
    prepare_folder(out, overwrite=overwrite)
    trained = fit(
        [panels[index] for index in first],
        aside,
        recipe,
        out,
        device=device,
        workers=workers,
        progress=progress or Silent(),
    )
    model = PanelModel(trained.network, new_card(recipe), execution=choose_execution(device))
    model = with_best_threshold(model, aside)
    card = finished_card(model.card, data, _scores(model, aside, data), command, note)
    return save_checkpoint(out, model.network, card, half=True)


def _scores(
    model: PanelModel, aside: Sequence[LabelledPanel], data: Sequence[Path]
) -> dict[str, dict[str, float]]:
    """Return the scores on all photographs kept aside and, of several folders, on those of each."""
    scores = {"kept aside (also chose threshold and epoch)": score_panels(model, aside)}
    for folder in data if len(data) > 1 else ():
        if of_it := [panel for panel in aside if panel.image.parent == folder]:
            scores[f"of them, of {folder.resolve().name}"] = score_panels(model, of_it)
    return scores


def fit(
    panels: Sequence[LabelledPanel],
    aside: Sequence[LabelledPanel],
    recipe: Recipe,
    folder: Path,
    *,
    device: str = "auto",
    workers: int = 1,
    progress: Progress,
) -> Trained:
    """Train on some photographs and validate on others; ``folder`` gets state and log."""
    execution = choose_execution(device)
    return train_with(
        progress,
        recipe.name,
        new_network(recipe),
        PanelSamples(panels, recipe),
        objective(recipe, ()),
        validation(PanelSamples(aside, recipe), recipe, execution.device),
        recipe.training,
        folder,
        loss_after=lambda history: objective(recipe, history),
        identity=identity(recipe, panels, aside),
        device=execution.device,
        workers=workers,
    )


def validation(
    samples: PanelSamples, recipe: Recipe, device: torch.device
) -> Callable[[nn.Module], tuple[float, dict[str, float]]]:
    """Return what gives the mean Dice, at a threshold of 0.5, and the mean loss of the mask.

    Both are per image at the recipe's size, and then averaged.
    """
    loss = build_loss(recipe.loss)

    def validate(network: nn.Module) -> tuple[float, dict[str, float]]:
        dice, losses = [], []
        with torch.inference_mode():
            for index in range(len(samples)):
                batch = stack([samples.plain(index)])
                with autocast(device, recipe.training.precision):
                    answer = network(batch.inputs[0].to(device))
                logits = in_single_precision(answer).cpu()
                truth, known = (target.float() for target in batch.targets)
                losses.append(float(loss(logits, truth, known)))
                seen = known[0, 0].numpy() > 0
                found, true = logits[0, 0].numpy() >= 0, truth[0, 0].numpy() > 0
                dice.append(dice_score(found & seen, true & seen))
        score = float(np.mean(dice))
        return score, {"Dice": score, "validation loss": float(np.mean(losses))}

    return validate


def with_best_threshold(model: PanelModel, aside: Sequence[LabelledPanel]) -> PanelModel:
    """Return the model with the threshold that gives the best pooled Dice on ``aside``."""
    curve = nothing()
    for panel in aside:
        image, truth = panel.read()
        curve += pixel_curve(next(model.probabilities([image])), truth, np.ones_like(truth))
    threshold, _ = curve.best()
    return model.with_card(model.card.model_copy(update={"thresholds": (threshold,)}))


def identity(
    recipe: Recipe, panels: Sequence[LabelledPanel], aside: Sequence[LabelledPanel]
) -> str:
    """Return a hash of all that decides a training: recipe, and photographs on both sides."""
    return training.identity(recipe, _parts(panels), _parts(aside))


def _parts(panels: Sequence[LabelledPanel]) -> Iterator[bytes]:
    for panel in panels:
        yield from (panel.name.encode(), panel.image.read_bytes(), panel.mask.read_bytes())


def objective(recipe: Recipe, history: Sequence[Epoch]) -> Callable[..., torch.Tensor]:
    """Return the loss of a recipe's next epoch, given those before it."""
    if recipe.guidance is None:
        return build_loss(recipe.loss)
    return GuidedLoss(recipe.loss, recipe.guidance, history[0].terms[MASK] if history else None)
