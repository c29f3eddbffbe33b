"""The table of the paper's experiment in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from math import isnan
from pathlib import Path

from rich.console import Console
from rich.table import Table as RichTable

from pitflow.console.bar import Bar

_SCORES = ("f1", "precision", "recall", "iou", "accuracy")


def study_with_progress(
    data: Sequence[Path],
    output: Path,
    epochs: Sequence[int] | None,
    learning_rates: Sequence[float] | None,
    encoder_weights: str | None,
    device: str,
    workers: int | None,
    *,
    overwrite: bool,
) -> None:
    """Train over epochs and learning rates, and print the scores of each training."""
    from pitflow.domains.particles.sweep import EPOCHS, LEARNING_RATES, paper_sweep

    with Bar() as bar:
        table = paper_sweep(
            data,
            output,
            epochs=tuple(epochs or EPOCHS),
            learning_rates=tuple(learning_rates or LEARNING_RATES),
            encoder_weights=encoder_weights,
            device=device,
            workers=workers or 1,
            overwrite=overwrite,
            progress=bar,
        )
    grid = RichTable("epochs", "learning rate", *_SCORES, title="Pixels of the tested tiles")
    for row in table.to_dict("records"):
        scores = ("-" if isnan(row[name]) else f"{row[name]:.3f}" for name in _SCORES)
        grid.add_row(str(row["epochs"]), f"{row['learning_rate']:g}", *scores)
    Console().print(grid)
    sys.stdout.write(f"{output}\n")
