"""What a training gave: scores over its parameters, and masks beside their images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd

from pitflow.frame import Image
from pitflow.report.panel import Panel
from pitflow.report.style import FAINT, PIT_COLOURS, RC, new_figure, title_panel
from pitflow.report.window import stretch

Mask = npt.NDArray[np.bool_]

_SCORES = {"f1": "o", "precision": "^", "recall": "s"}
"""Scores and their marks."""
_CALLED = {"f1": "F1"}


def draw_sweep(table: pd.DataFrame, learning_rate: float) -> Panel:
    """Draw pixel scores over epochs and over learning rates (paper 002, Table 1).

    Parameters
    ----------
    table:
        A row per training: epochs, learning_rate, f1, precision, recall.
    learning_rate:
        The one at which the numbers of epochs are compared.
    """
    longest = table["epochs"].max()
    parts = {
        "epochs": table[table["learning_rate"] == learning_rate].sort_values("epochs"),
        "learning_rate": table[table["epochs"] == longest].sort_values("learning_rate"),
    }
    titles = {
        "epochs": f"learning rate {learning_rate:g}",
        "learning_rate": f"{longest} epochs",
    }
    with mpl.rc_context(RC):
        figure = new_figure(3.4)
        axes = figure.subplots(1, 2, sharey=True)
        for place, (ax, (name, part)) in enumerate(zip(axes, parts.items(), strict=True)):
            for (score, mark), colour in zip(_SCORES.items(), PIT_COLOURS, strict=False):
                ax.plot(
                    part[name],
                    part[score],
                    f"{mark}-",
                    color=colour,
                    label=_CALLED.get(score, score),
                )
            ax.set_xlabel(name.replace("_", " "))
            title_panel(ax, place, titles[name])
            ax.set_ylim(0, 1)
            ax.grid(axis="y", color=FAINT, alpha=0.3)
        axes[0].set_xticks(parts["epochs"]["epochs"])
        axes[1].set_xscale("log")
        axes[0].set_ylabel("share of pixels")
        axes[1].legend(loc="best")
        figure.tight_layout()
    caption = (
        "Pixel precision, recall and F1 = 2PR / (P + R), pooled over the test tiles, over "
        "(a) the number of epochs and (b) the learning rate."
    )
    return Panel(figure, caption, drawn={name: len(part) for name, part in parts.items()})


def draw_masks(images: Sequence[Image], masks: Mapping[str, Sequence[Mask]]) -> Panel:
    """Draw images, one per row, with their masks of each name beside them (Figs. 13 and 14)."""
    columns = 1 + len(masks)
    side = min(3.0, 10.0 / columns)
    with mpl.rc_context(RC):
        figure = new_figure(side * len(images) + 0.3, side * columns)
        axes = figure.subplots(len(images), columns, squeeze=False)
        for row, image in enumerate(images):
            shown = [stretch(image), *(made[row] for made in masks.values())]
            for ax, picture in zip(axes[row], shown, strict=True):
                ax.imshow(picture, cmap="gray")
                ax.set_xticks([])
                ax.set_yticks([])
        for place, (ax, name) in enumerate(zip(axes[0], ("raw image", *masks), strict=True)):
            title_panel(ax, place, name)
        figure.tight_layout()
    drawn = {name: [int(mask.sum()) for mask in made] for name, made in masks.items()}
    caption = "Raw images with the particle masks beside them, white where there is a particle."
    return Panel(figure, caption, photo=True, drawn=drawn)
