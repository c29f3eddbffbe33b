"""The experiment of paper 002 on labelled tiles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pitflow.cli.app import Data, Device, More, Overwrite, Workers, all_data, app


@app.command("particle-study")
def particle_study(
    data: Data,
    more: More = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for table and figures.")
    ] = Path("particle-study"),
    epochs: Annotated[
        list[int] | None, typer.Option(min=1, help="Repeat for more (15, 30, 50, 70, 100).")
    ] = None,
    learning_rate: Annotated[
        list[float] | None,
        typer.Option(help="Repeat for more (0.0005, 0.001, 0.005, 0.01, 0.1)."),
    ] = None,
    encoder_weights: Annotated[
        str | None, typer.Option(help="Weights to start from, such as imagenet; downloaded.")
    ] = None,
    device: Device = "auto",
    workers: Workers = None,
    overwrite: Overwrite = False,
) -> None:
    """Repeat the published experiment: one U-Net over epochs and learning rates.

    The first 70 % of the tiles train, the rest tests (Table 1, Figs. 13 and 14 of the paper). A
    stopped study goes on with the same command.

    Example:  pitflow particle-study --data tiles -o study
    """
    from pitflow.console.particle_study import study_with_progress

    data = all_data(data, more)
    study_with_progress(
        data,
        output,
        epochs,
        learning_rate,
        encoder_weights,
        device,
        workers,
        overwrite=overwrite,
    )
