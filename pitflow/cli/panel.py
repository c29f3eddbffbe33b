"""Coated panels: train a model, measure photographs, compare the models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pitflow.cli.app import Device, More, Overwrite, Workers, all_data, app, train

Labelled = Annotated[
    list[Path],
    typer.Option(
        help="Folder of photographs with NAME_mask.png beside them; repeat, or name more after it."
    ),
]
Ratings = Annotated[
    Path | None, typer.Option(help="CSV: image, rating, and perhaps group (the specimen).")
]
Size = Annotated[
    int | None, typer.Option(min=32, help="Longer side of a photograph for the network, px (320).")
]
Epochs = Annotated[int | None, typer.Option(min=1, help="Times each photograph is seen (100).")]
Batch = Annotated[int | None, typer.Option(min=1, help="Photographs per step (8).")]
Seed = Annotated[int | None, typer.Option(min=0, help="Seed of all chance (0).")]


@train.command("panel")
def train_on_panels(
    data: Labelled,
    more: More = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the model.")] = Path(
        "panel-model"
    ),
    model: Annotated[
        str, typer.Option(help="unet, et-unet, guided-et-unet, s-guided-et-unet or medt.")
    ] = "s-guided-et-unet",
    loss: Annotated[
        str, typer.Option(help="Beside cross entropy: dice, or ftl (focal Tversky).")
    ] = "ftl",
    recipe: Annotated[
        Path | None, typer.Option(help="TOML file instead of --model and --loss.")
    ] = None,
    alpha: Annotated[float | None, typer.Option(help="FTL: weight of missed pixels.")] = None,
    beta: Annotated[float | None, typer.Option(help="FTL: focus, (1 - TI)^(1 / beta).")] = None,
    theta: Annotated[
        float | None, typer.Option(help="S-Guided: loss above which the edges weigh less (3).")
    ] = None,
    theta_share: Annotated[
        float | None, typer.Option(help="The same, as a share of the first epoch's loss.")
    ] = None,
    ratings: Ratings = None,
    size: Size = None,
    epochs: Epochs = None,
    batch: Batch = None,
    seed: Seed = None,
    device: Device = "auto",
    workers: Workers = None,
    note: Annotated[
        str, typer.Option(help="For the model's card: whose the data are, and their licence.")
    ] = "",
    overwrite: Annotated[bool, typer.Option(help="Start anew in a folder that is used.")] = False,
) -> None:
    """Train a model that segments corrosion on photographs of panels (paper 000).

    A stopped training goes on with the same command.

    Example:  pitflow train panel --data panels -o model --model s-guided-et-unet --loss ftl
    """
    from pitflow.console.panel import chosen_recipe, train_with_progress

    chosen = chosen_recipe(recipe, model, loss, alpha, beta, theta, theta_share)
    training = {"epochs": epochs, "batch": batch, "seed": seed}
    data = all_data(data, more)
    train_with_progress(
        data, output, chosen, ratings, size, training, device, workers, note, overwrite
    )


@app.command()
def panel(
    images: Annotated[list[Path], typer.Argument(help="Photographs, or folders of them.")],
    scale: Annotated[float, typer.Option(help="Size of a pixel, mm.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")] = Path(
        "panel"
    ),
    scribe: Annotated[
        list[str] | None,
        typer.Option(
            help="Axis of the cut, x0,y0,x1,y1 in px (repeat for an X-cut), or auto: a "
            "straight or an X-cut, found in each photograph."
        ),
    ] = None,
    scribe_width: Annotated[
        float, typer.Option(help="Width of the cut, mm: half of it is no creep.")
    ] = 0.0,
    model: Annotated[
        str | None,
        typer.Option(
            help="Folder of a model, panels (the included one), or colour. Default: colour "
            "where the coating is of one hue, else panels."
        ),
    ] = None,
    masks: Annotated[
        Path | None, typer.Option(help="Folder of NAME_mask.png to measure instead.")
    ] = None,
    device: Device = "auto",
    overwrite: Annotated[bool, typer.Option(help="Replace results that are there.")] = False,
) -> None:
    """Measure corrosion on photographs of coated panels: area, scribe creep, ASTM D1654 rating.

    Example:  pitflow panel photographs --scale 0.1 --scribe 320,60,320,580 -o results
    """
    from pitflow.console.panel import assess_with_progress

    code = assess_with_progress(
        images, output, scale, scribe, scribe_width, model, masks, device, overwrite=overwrite
    )
    raise typer.Exit(code)


@app.command("simulate-panels")
def simulate_panels(
    out: Annotated[Path, typer.Argument(help="Folder for photographs, masks and truth.csv.")],
    panels: Annotated[
        int, typer.Option(min=1, help="Number of panels; every third an X-cut.")
    ] = 12,
    seed: Annotated[int, typer.Option(min=0, help="The same one gives the same panels.")] = 0,
    size: Annotated[int, typer.Option(min=64, help="Height of a photograph, px.")] = 640,
    scale: Annotated[float, typer.Option(min=0.001, help="Size of a pixel, mm.")] = 0.1,
    rust_coloured: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of them whose coating is of the colour of rust."),
    ] = 0.0,
) -> None:
    """Render scribed panels whose corrosion and creep are known, to try and to train with.

    Example:  pitflow simulate-panels rendered --panels 12 --seed 1
    """
    from pitflow.simulate.panel import write_panels

    write_panels(out, panels, seed=seed, side=size, mm_per_px=scale, rust_coloured=rust_coloured)
    typer.echo(out / "truth.csv")


@app.command("panel-study")
def panel_study(
    data: Labelled,
    more: More = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the study.")] = Path(
        "panel-study"
    ),
    models: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated, the baseline first: unet, et-unet, guided-et-unet, "
            "s-guided-et-unet, medt, each alone (Dice) or with -ftl (the first four, both ways)."
        ),
    ] = None,
    folds: Annotated[
        int | None, typer.Option(min=2, help="Folds beside the test set (10).")
    ] = None,
    ratings: Ratings = None,
    size: Size = None,
    epochs: Epochs = None,
    batch: Batch = None,
    blocks: Annotated[
        bool,
        typer.Option("--blocks", help="U-Nets on 2 x 2 blocks of pixels: less than half the time."),
    ] = False,
    seed: Seed = None,
    grid: Annotated[
        bool, typer.Option("--grid", help="Also Table III: FTL over alpha and beta (48 models).")
    ] = False,
    grid_folds: Annotated[int | None, typer.Option(min=1, help="Folds of the grid (1).")] = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Only say how long it would take here.")
    ] = False,
    device: Device = "auto",
    cluster: Annotated[str | None, typer.Option(help="Address of a Dask scheduler.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Compare all panel models as paper 000 does: folds, held-out test, ranks and paired tests.

    A stopped study goes on with the same command. Look at --estimate first.

    Example:  pitflow panel-study --data panels -o study --size 192 --epochs 30 --folds 5
    """
    from pitflow.console.panel import study_with_progress

    values = {
        "models": None if models is None else tuple(models.replace(" ", "").split(",")),
        "folds": folds,
        "size": size,
        "epochs": epochs,
        "batch": batch,
        "blocks": blocks,
        "seed": seed,
        "grid": grid,
        "grid_folds": grid_folds,
    }
    data = all_data(data, more)
    study_with_progress(
        data,
        output,
        values,
        ratings,
        device,
        cluster,
        only_estimate=estimate,
        overwrite=overwrite,
    )
