"""The command line's root, and the options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pitflow import __version__

app = typer.Typer(
    name="pitflow",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
train = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", help="Train a model.")
app.add_typer(train, name="train")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Tasks at a time (default: one per core).")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Data = Annotated[list[Path], typer.Option(help="Labelled folder; repeat, or name more after it.")]
More = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[FOLDER]...", help="More folders for --data.", show_default=False),
]

Overwrite = Annotated[
    bool, typer.Option(help="Drop what other parameters or data left in the folder.")
]


def all_data(data: list[Path] | None, more: list[Path] | None) -> list[Path]:
    """Return the folders given with --data and those named after it."""
    return [*(data or []), *(more or [])]


def _version(value: bool) -> None:
    if value:
        typer.echo(f"pitflow {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """From a microscope recording of pitting corrosion to an answer.

    Example:  pitflow run video.avi
    """
