"""What a comparison of models shows: loss curves, and the worst images side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt

from pitflow.report.panel import Panel
from pitflow.report.style import (
    ALARM,
    DASHED,
    DOTTED,
    FAINT,
    RC,
    REFERENCE,
    new_figure,
    title_panel,
)

Mask = npt.NDArray[np.bool_]
Colours = npt.NDArray[np.uint8]

_COLUMNS = 4

HIT, FALSE, MISSED = (0, 114, 178), (230, 159, 0), (213, 94, 0)
"""Found and true, found only, true only."""


def draw_losses(histories: Mapping[str, Sequence[Mapping[str, Any]]], baseline: str) -> Panel:
    """Draw training and validation loss over the epochs of each model (paper 000, Fig. 3).

    Parameters
    ----------
    histories:
        Per model, a row per epoch: loss, terms (of which "mask" is compared with validation) and
        details["validation loss"], which may be missing.
    baseline:
        The model that chose the fold.
    """
    columns = min(_COLUMNS, len(histories))
    rows = -(-len(histories) // columns)
    drawn = {}
    with mpl.rc_context(RC):
        figure = new_figure(2.6 * rows + 0.2)
        axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for ax in axes[len(histories) :]:
            ax.set_visible(False)
        for place, (ax, (name, history)) in enumerate(zip(axes, histories.items(), strict=False)):
            epochs = [row["epoch"] + 1 for row in history]
            ax.plot(
                epochs, [row["loss"] for row in history], color=FAINT, ls=DOTTED, label="all terms"
            )
            mask = [row["terms"].get("mask", row["loss"]) for row in history]
            ax.plot(epochs, mask, color=REFERENCE, label="mask, training")
            seen = [
                (row["epoch"] + 1, row["details"]["validation loss"])
                for row in history
                if "validation loss" in row["details"]
            ]
            if seen:
                ax.plot(*zip(*seen, strict=True), color=ALARM, ls=DASHED, label="mask, validation")
            title_panel(ax, place, name)
            ax.grid(axis="y", color=FAINT, alpha=0.3)
            drawn[name] = len(history)
        axes[0].set_ylim(bottom=0)
        axes[0].legend(loc="upper right")
        for ax in axes[: len(histories)]:
            if ax.get_subplotspec().is_first_col():
                ax.set_ylabel("loss")
            ax.set_xlabel("epoch")
        figure.tight_layout()
    caption = (
        f"Loss over the epochs of one fold, the one whose {baseline} scored best: the mask's loss "
        "in training and validation, and the sum of all terms in training. Losses with Dice and "
        "with focal Tversky are of different scale."
    )
    return Panel(figure, caption, drawn=drawn)


def draw_worst(
    images: Sequence[Colours],
    truth: Sequence[Mask],
    found: Mapping[str, Sequence[Mask]],
    scores: Mapping[str, Sequence[float]],
    baseline: str,
) -> Panel:
    """Draw images, a row each, with the masks of each model beside them (paper 000, Fig. 4).

    Parameters
    ----------
    scores:
        Dice of each image, by model.
    baseline:
        The model that does worst on them.
    """
    columns = 2 + len(found)
    side = 10.0 / columns
    with mpl.rc_context(RC):
        figure = new_figure(side * len(images) + 0.3)
        axes = figure.subplots(len(images), columns, squeeze=False)
        for row, (image, true) in enumerate(zip(images, truth, strict=True)):
            shown = [image, np.where(true, 255, 0).astype(np.uint8)]
            shown += [compared(image, made[row], true) for made in found.values()]
            for ax, picture in zip(axes[row], shown, strict=True):
                ax.imshow(picture, cmap="gray", vmin=0, vmax=255)
                ax.set_xticks([])
                ax.set_yticks([])
                ax.spines[:].set_visible(False)
            for ax, values in zip(axes[row][2:], scores.values(), strict=True):
                ax.set_xlabel(f"Dice {values[row]:.2f}", labelpad=2)
        names = ("photograph", "truth", *found)
        for place, (ax, name) in enumerate(zip(axes[0], names, strict=True)):
            title_panel(ax, place, name)
        figure.tight_layout(pad=0.4)
    caption = (
        f"The test photographs on which {baseline} does worst: the truth, and what each model "
        "finds, blue where right, yellow where there is nothing, red where it misses something."
    )
    return Panel(figure, caption, photo=True, drawn={"images": len(images)})


def compared(image: Colours, found: Mask, truth: Mask) -> Colours:
    """Return the photograph, darkened and grey, with hits, false and missed pixels in colour."""
    grey = image.astype(np.float32).mean(axis=-1, keepdims=True)
    shown = np.repeat(0.55 * grey, 3, axis=-1)
    for where, ink in ((found & truth, HIT), (found & ~truth, FALSE), (truth & ~found, MISSED)):
        shown[where] = 0.35 * shown[where] + 0.65 * np.array(ink, np.float32)
    return shown.round().astype(np.uint8)
