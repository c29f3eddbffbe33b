"""Particle models: train, evaluate, segment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pitflow.cli.app import AsJson, Data, Device, More, Workers, all_data, app, train
from pitflow.errors import UserError


@train.command("particles")
def train_on_particles(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the model.")] = Path(
        "particle-model"
    ),
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of images with _mask.png beside them, or of a simulated recording "
            "and its truth; repeat, or name more after it."
        ),
    ] = None,
    more: More = None,
    from_run: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="A run whose masks.zarr was corrected; its model is adapted to those frames.",
        ),
    ] = None,
    frames: Annotated[
        str | None, typer.Option(help="With --from: learn frames A:B, corrected or not.")
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="particles, particles-single, particles-paper-002 or a TOML file: one network for "
            "all data. None: particles for recordings, particles-single for images.",
        ),
    ] = None,
    initial: Annotated[
        str | None, typer.Option(help="Model to start from, by name or folder.")
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Learn from all data; thresholds and scores come from as many further models, "
            "each trained without one part.",
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs, instead of those of the recipe.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of all chance, instead of the recipe's (0).")
    ] = None,
    device: Device = "auto",
    workers: Workers = None,
    overwrite: Annotated[bool, typer.Option(help="Start anew in a folder that is used.")] = False,
) -> None:
    """Train a particle model on labelled tiles, simulated recordings or a corrected run.

    A stopped training goes on with the same command.

    Example:  pitflow train particles --data tiles -o model
    """
    from pitflow.console.particles import adapt_with_progress, train_with_progress
    from pitflow.run import parse_frames

    data = all_data(data, more)
    if bool(data) == (from_run is not None):
        raise UserError("give either --data or --from", where="pitflow train particles")
    if from_run is None and frames is not None:
        raise UserError("goes with --from alone", where="--frames")
    if from_run is not None:
        for option, given in (("--recipe", recipe), ("--folds", folds)):
            if given is not None:
                raise UserError("does not go with --from", where=option)
        span = None if frames is None else parse_frames(frames)
        adapt_with_progress(
            from_run, output, span, initial, epochs, seed, device, workers, overwrite=overwrite
        )
    else:
        train_with_progress(
            data,
            output,
            recipe,
            initial,
            folds,
            epochs,
            seed,
            device,
            workers,
            overwrite=overwrite,
        )


@app.command()
def evaluate(
    model: Annotated[str, typer.Option(help="Folder of a model, or its name.")],
    data: Data,
    more: More = None,
    device: Device = "auto",
    flips: Annotated[
        bool, typer.Option(help="Average single images over the eight symmetries: slower, better.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Score a particle model on labelled images.

    Example:  pitflow evaluate --model model --data tiles --json
    """
    from pitflow.console.particles import print_evaluation

    print_evaluation(model, all_data(data, more), device, flips=flips, as_json=as_json)


@app.command()
def segment(
    images: Annotated[list[Path], typer.Argument(help="Images, or folders of them.")],
    model: Annotated[str, typer.Option(help="Folder of a model, or its name.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the masks.")] = Path(
        "masks"
    ),
    device: Device = "auto",
    flips: Annotated[
        bool, typer.Option(help="Average over the eight symmetries of the square: slower, better.")
    ] = True,
    overwrite: Annotated[bool, typer.Option(help="Replace masks that are there.")] = False,
) -> None:
    """Write a particle mask, or with such a model the classes of a micrograph, for every image.

    Example:  pitflow segment tiles --model model -o masks
    """
    from pitflow.console.particles import segment_with_progress

    code = segment_with_progress(images, model, output, device, flips=flips, overwrite=overwrite)
    raise typer.Exit(code)
