"""Comparing runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pitflow.cli.app import AsJson, app


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Run directories.")],
    groups: Annotated[
        Path | None,
        typer.Option(help="CSV of run, concentration_mM and maybe label (else by the names)."),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the page, figures and tables.")
    ] = Path("compare"),
    overwrite: Annotated[bool, typer.Option(help="Replace results that are there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare runs by concentration: pits, directions, rates, speeds and lags, with tests.

    Example:  pitflow compare 10mM.pitflow 30mM.pitflow 100mM.pitflow
    """
    from pitflow.console.compare import compare_with_progress

    compare_with_progress(runs, output, groups, overwrite=overwrite, as_json=as_json)
