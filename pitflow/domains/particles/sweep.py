"""The paper's experiment: its U-Net over epochs and learning rates (paper 002, Table 1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from pitflow.compute import Progress, Silent
from pitflow.config import SegmentConfig
from pitflow.domains.particles.fit import identity
from pitflow.domains.particles.model import ParticleModel
from pitflow.domains.particles.picture import Picture
from pitflow.domains.particles.pictures import read_pictures
from pitflow.domains.particles.recipes import PAPER
from pitflow.domains.particles.samples import ParticleSamples
from pitflow.domains.particles.still import classical_mask
from pitflow.domains.recipe import Recipe
from pitflow.domains.training import (
    going_on_or_anew,
    new_card,
    new_network,
    train_with,
)
from pitflow.errors import UserError
from pitflow.output_folder import make_folder
from pitflow.segment.devices import choose_execution
from pitflow.segment.networks.smp import SmpConfig
from pitflow.segment.score import Counts, Mask, pixel_counts, pooled
from pitflow.segment.training.learn import DivergedError, Epoch
from pitflow.segment.training.losses import build_loss

EPOCHS = (15, 30, 50, 70, 100)
LEARNING_RATES = (5e-4, 1e-3, 5e-3, 1e-2, 1e-1)
TRAINING_SHARE = 0.7

_SCORES = ("f1", "precision", "recall", "iou", "accuracy")
_SHOWN = 4


def paper_sweep(
    data: Sequence[Path],
    out: Path,
    *,
    recipe: Recipe = PAPER,
    epochs: Sequence[int] = EPOCHS,
    learning_rates: Sequence[float] = LEARNING_RATES,
    encoder_weights: str | None = None,
    device: str = "auto",
    workers: int = 1,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Train the paper's recipe over epochs and learning rates; write table and figures.

    The first 70 % of the tiles in order of their names train, the rest tests. This is the paper's
    protocol and it leaks: neighbouring tiles share pixels. ``cross_fit`` does not. The numbers
    of epochs are points along one training, since its learning rate is constant; they are taken at
    the recipe's own learning rate, and the learning rates at the largest number of epochs.

    Parameters
    ----------
    out:
        Gets ``table.csv`` and the figures ``sweep``, ``examples`` and ``classical`` (Table 1,
        Figs. 13 and 14), and the state of each training; a stopped sweep goes on where it was.
    encoder_weights:
        Weights that the encoder starts from, such as "imagenet", which are downloaded.
    overwrite:
        Drop trainings with other parameters or data that are in ``out``.

    Returns
    -------
    A row per training: epochs, learning_rate, f1, precision, recall, iou and accuracy of pixels,
    which are NaN where the training diverged.

    Raises
    ------
    UserError
        If the data or weights cannot be had, there are fewer than two tiles, a learning rate is
        none, or ``out`` holds another study.
    """
    pictures = [picture for picture in read_pictures(data) if "particle" in picture.truth]
    n_train = round(TRAINING_SHARE * len(pictures))
    if not 0 < n_train < len(pictures):
        raise UserError(f"{len(pictures)} tiles are too few to train and test on")
    if isinstance(recipe.network, SmpConfig):
        network = recipe.network.model_copy(update={"encoder_weights": encoder_weights})
        recipe = recipe.model_copy(update={"network": network})
    for rate in learning_rates:
        if not (math.isfinite(rate) and rate > 0):
            raise UserError(f"{rate:g} is no learning rate", where="--learning-rate")
    make_folder(out)
    trained_on, tested = pictures[:n_train], pictures[n_train:]
    own = recipe.training.learning_rate
    rows: dict[tuple[int, float], dict[str, float]] = {}
    models: dict[float, ParticleModel] = {}
    progress = progress or Silent()
    for rate in dict.fromkeys((own, *learning_rates)):
        marks = tuple(epochs) if rate == own else (max(epochs),)
        try:
            history, models[rate] = _one_training(
                trained_on, tested, recipe, rate, marks, out, device, workers, overwrite, progress
            )
        except DivergedError:
            # That a rate is too large is an answer too, but at its own the recipe has to work.
            if rate == own:
                raise
            rows |= {(mark, rate): dict.fromkeys(_SCORES, math.nan) for mark in marks}
            progress.finish("diverged")
        else:
            rows |= {(mark, rate): history[mark - 1].details for mark in marks}
    table = pd.DataFrame(
        [
            {"epochs": mark, "learning_rate": rate} | scores
            for (mark, rate), scores in sorted(rows.items())
        ]
    )
    table.to_csv(out / "table.csv", index=False)
    _draw(table, models[own], tested, own, out)
    return table


def _one_training(
    trained_on: Sequence[Picture],
    tested: Sequence[Picture],
    recipe: Recipe,
    rate: float,
    marks: Sequence[int],
    out: Path,
    device: str,
    workers: int,
    overwrite: bool,
    progress: Progress,
) -> tuple[tuple[Epoch, ...], ParticleModel]:
    training = recipe.training.model_copy(
        update={
            "learning_rate": rate,
            "epochs": max(marks),
            "validate_every": math.gcd(*marks),
            "schedule": "constant",
            "keep": "last",
        }
    )
    recipe = recipe.model_copy(update={"training": training})
    execution = choose_execution(device)
    card = new_card(recipe)

    def test(network: nn.Module) -> tuple[float, dict[str, float]]:
        model = ParticleModel(network, card, execution=execution)
        masks = model.masks(picture.views for picture in tested)
        counts = pooled(_counts(masks, tested))
        return counts.f1, {name: float(getattr(counts, name)) for name in _SCORES}

    folder = out / f"lr-{rate:g}"
    trained = going_on_or_anew(
        folder,
        lambda: train_with(
            progress,
            f"learning rate {rate:g}",
            new_network(recipe),
            ParticleSamples(trained_on, recipe),
            build_loss(recipe.loss),
            test,
            training,
            folder,
            identity=identity(recipe, trained_on, tested),
            device=execution.device,
            workers=workers,
            closing=lambda trained: f"F1 {trained.history[-1].details['f1']:.2f}",
        ),
        overwrite=overwrite,
    )
    return trained.history, ParticleModel(trained.network, card, execution=execution)


def _counts(masks: Any, pictures: Sequence[Picture]) -> list[Counts]:
    return [
        pixel_counts(mask, picture.truth["particle"])
        for mask, picture in zip(masks, pictures, strict=True)
    ]


def _draw(
    table: pd.DataFrame, model: ParticleModel, tested: Sequence[Picture], own: float, out: Path
) -> None:
    from pitflow.report.figures.training import draw_masks, draw_sweep
    from pitflow.report.panel import render

    render(draw_sweep(table, own), out / "sweep", svg=True)
    # Tiles with most to see, as the paper chose them.
    shown = sorted(tested, key=lambda picture: -int(picture.truth["particle"].sum()))[:_SHOWN]
    found = list(model.masks(picture.views for picture in shown))
    images = [picture.frame for picture in shown]
    truth: list[Mask] = [picture.truth["particle"] for picture in shown]
    render(
        draw_masks(images, {"ground truth": truth, "prediction": found}), out / "examples", svg=True
    )
    config = SegmentConfig(segmenter="clahe")
    classical = [classical_mask(image, config) for image in images]
    render(
        draw_masks(images, {"U-Net": found, "CLAHE and contours": classical}),
        out / "classical",
        svg=True,
    )
