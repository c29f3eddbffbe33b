"""Calibrating the height from focus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pitflow.cli.app import AsJson, app


@app.command()
def calibrate(
    stack: Annotated[
        Path, typer.Argument(help="z-stack: folder or zip of images, TIFF stack or video.")
    ],
    positions: Annotated[
        Path | None, typer.Option(help="CSV of image (name, or index from 0) and z_um.")
    ] = None,
    step_um: Annotated[
        float | None, typer.Option(help="Instead: distance between the images, in file order, um.")
    ] = None,
    focus_um: Annotated[
        float | None, typer.Option(help="Position of the focal plane, if known, um.")
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="TOML file; the figure stands beside it.")
    ] = Path("calibration.toml"),
    config: Annotated[
        Path | None, typer.Option(help="TOML file of the parameters of your runs.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Calibrate the height of particles from a z-stack of particles that stand still.

    Then: pitflow run video.avi --calibration calibration.toml

    Example:  pitflow calibrate stack/ --step-um 2 -o calibration.toml
    """
    from pitflow.console.calibrate import calibrate_with_progress

    calibrate_with_progress(stack, output, positions, step_um, focus_um, config, as_json=as_json)
