"""How far the measurements can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pitflow.cli.app import AsJson, Workers, app


@app.command()
def validate(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for figures and numbers.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A tenth of the trials.")] = False,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Trials of every study (default: each its own).")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace results that are there.")] = False,
    as_json: AsJson = False,
    workers: Workers = None,
) -> None:
    """Test every claim about the measurements on simulated truth.

    Error rates of the tests, power, coverage of the intervals, source pits, angles, lags: each
    beside what is asked of it. Exits with 1 if a target is missed; one without data is not.

    Example:  pitflow validate --quick -o validation
    """
    from pitflow.console.validate import validate_with_progress

    passed = validate_with_progress(
        output,
        quick=quick,
        seeds=seeds,
        workers=workers,
        overwrite=overwrite,
        as_json=as_json,
    )
    raise typer.Exit(0 if passed else 1)
