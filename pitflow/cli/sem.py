"""Micrographs: train, study, analyse."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pitflow.cli.app import Device, More, Overwrite, Workers, all_data, app, train

Labelled = Annotated[
    list[Path],
    typer.Option(
        help="Folder of micrographs with label images (<name>_labels.png), a COCO JSON or YOLO "
        "polygons; repeat, or name more after it."
    ),
]
Pretrain = Annotated[
    list[Path] | None, typer.Option(help="Labelled folder to learn first; repeat for more.")
]
Epochs = Annotated[
    int | None, typer.Option(min=1, help="Epochs of each training (default: the recipe's).")
]
NoTexture = Annotated[bool, typer.Option("--no-texture", help="Leave out texture refinement.")]


@app.command()
def sem(
    images: Annotated[list[Path], typer.Argument(help="Micrographs, or folders of them.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")] = Path(
        "sem"
    ),
    model: Annotated[
        str | None,
        typer.Option(
            help="Model that finds the pits: its folder or name (default: micrographs, which comes "
            "with the program)."
        ),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Folder of label images made elsewhere, instead of a model.")
    ] = None,
    um_per_px: Annotated[
        float | None,
        typer.Option(min=1e-9, max=1e9, help="Size of a pixel, um (default: what the files tell)."),
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Least confidence of a pit (default: the model's)."),
    ] = None,
    device: Device = "auto",
    overwrite: Annotated[bool, typer.Option(help="Replace results that are there.")] = False,
) -> None:
    """Find and measure the pits in electron micrographs.

    Writes a label image and an overlay per micrograph, pits.csv with a row per pit, and sem.html.

    Example:  pitflow sem images/ --um-per-px 0.05 -o pits
    """
    from pitflow.console.sem import analyse_with_progress

    raise typer.Exit(
        analyse_with_progress(
            images, output, model, labels, um_per_px, min_score, device, overwrite=overwrite
        )
    )


@train.command("sem")
def train_on_micrographs(
    data: Labelled,
    more: More = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the model.")] = Path(
        "sem-model"
    ),
    pretrain: Pretrain = None,
    task: Annotated[str, typer.Option(help="instance, or semantic: oxide and crack.")] = "instance",
    model: Annotated[str, typer.Option(help="gelan (paper 001) or mask-rcnn.")] = "gelan",
    no_texture: NoTexture = False,
    recipe: Annotated[
        str | None, typer.Option(help="A recipe by name or TOML file, instead of the three above.")
    ] = None,
    epochs: Epochs = None,
    initial: Annotated[
        str | None, typer.Option(help="Model to start from, by name or folder.")
    ] = None,
    device: Device = "auto",
    workers: Workers = None,
    overwrite: Annotated[bool, typer.Option(help="Start anew in a folder that is used.")] = False,
) -> None:
    """Train a model on labelled micrographs.

    A stopped training goes on with the same command.

    Example:  pitflow train sem --data micrographs --pretrain particles -o model
    """
    from pitflow.console.sem import choose_recipe, train_with_progress

    train_with_progress(
        all_data(data, more),
        output,
        choose_recipe(task, model, recipe, epochs, no_texture=no_texture),
        pretrain or [],
        initial,
        device,
        workers,
        overwrite=overwrite,
    )


@app.command("sem-study")
def sem_study(
    data: Labelled,
    more: More = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the study.")] = Path(
        "sem-study"
    ),
    pretrain: Pretrain = None,
    task: Annotated[str, typer.Option(help="instance, or semantic: oxide and crack.")] = "instance",
    recipe: Annotated[str | None, typer.Option(help="A recipe by name or TOML file.")] = None,
    splits: Annotated[
        int | None, typer.Option(min=1, help="Random splits (default 7), or folds (default 4).")
    ] = None,
    test_share: Annotated[
        float, typer.Option(min=0.01, max=0.9, help="Share of the micrographs that tests.")
    ] = 0.2,
    epochs: Epochs = None,
    baseline_epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs of Mask R-CNN, to give it the same time.")
    ] = None,
    paired: Annotated[
        bool, typer.Option("--paired", help="Train every model on every split.")
    ] = False,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Only say how long it would take here.")
    ] = False,
    device: Device = "auto",
    workers: Annotated[int, typer.Option(min=1, help="Trainings at a time.")] = 1,
    cluster: Annotated[
        str | None, typer.Option(help="Dask scheduler, such as tcp://host:8786.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Repeat the experiments of paper 001: with and without texture refinement, repeated splits.

    Writes study.html with Tables 1 and 2, training curves and examples. A stopped study goes on
    with the same command. Look at --estimate first.

    Example:  pitflow sem-study --data micrographs --pretrain particles -o study
    """
    from pitflow.console.sem import study_with_progress

    study_with_progress(
        all_data(data, more),
        output,
        pretrain or [],
        task,
        recipe,
        splits,
        test_share,
        epochs,
        baseline_epochs,
        device,
        workers,
        cluster,
        paired=paired,
        only_estimate=estimate,
        overwrite=overwrite,
    )
