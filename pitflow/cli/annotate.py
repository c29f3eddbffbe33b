"""Labelling images by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pitflow.cli.app import app


@app.command()
def annotate(
    images: Annotated[list[Path], typer.Argument(help="Images, or folders of them.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for images and masks (default: beside them)."),
    ] = None,
    instances: Annotated[
        bool,
        typer.Option("--instances", help="Number the objects: NAME_labels.png, not NAME_mask.png."),
    ] = False,
    sam: Annotated[
        Path | None, typer.Option(help="Segment Anything checkpoint, to label by clicks.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port (0: a free one).")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
) -> None:
    """Label images in the browser: box, strokes or front; every stroke is saved.

    Writes the pairs of image and mask that `pitflow train` reads. The page is on this machine only.

    Example:  pitflow annotate photos -o labelled
    """
    from pitflow.console.annotate import serve

    serve(images, output, sam, port, instances=instances, browser=browser)
