"""The table of claims in the terminal."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table as RichTable

from pitflow.compute import Compute
from pitflow.console.bar import Bar
from pitflow.output_folder import check_free, make_folder
from pitflow.validate.claim import Finding, Validation
from pitflow.validate.registry import STUDIES
from pitflow.validate.validate import as_json as to_json
from pitflow.validate.validate import validate, write_validation

_WIDTH = 118
"""Columns where the output is no terminal, so that a file holds the table unbroken."""


def validate_with_progress(
    output: Path | None,
    *,
    quick: bool,
    seeds: int | None,
    workers: int | None,
    overwrite: bool,
    as_json: bool,
) -> bool:
    """Run all studies, print what they found and return whether no target is missed."""
    compute = Compute(workers or os.cpu_count() or 1)
    if output is not None:
        # A folder that cannot be written should say so before the work, not after.
        check_free(output, "validate.json", overwrite=overwrite)
        make_folder(output)
    with Bar() as bar:
        found = validate(STUDIES, quick=quick, seeds=seeds, compute=compute, progress=bar)
    if output is not None:
        write_validation(found, output)
    if as_json:
        sys.stdout.write(to_json(found) + "\n")
    else:
        _print(found)
    return found.passed


def _print(found: Validation) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    table = RichTable("claim", "target", "measured", "95 % interval", "n", "", box=None)
    for column in table.columns[2:5]:
        column.justify = "right"
    for finding in found.findings:
        table.add_row(
            finding.claim,
            finding.target,
            f"{_number(finding, finding.measured)} {finding.unit}".strip(),
            f"{_number(finding, finding.low)} to {_number(finding, finding.high)}",
            f"{finding.n}",
            "no data"
            if finding.lacks_data
            else {None: "", True: "pass", False: "[bold red]FAIL[/]"}[finding.passed],
        )
    console.print(table)
    asked = [finding for finding in found.findings if finding.passed is not None]
    met = sum(finding.passed is True for finding in asked)
    unknown = sum(finding.lacks_data for finding in found.findings)
    console.print(
        f"\n{met} of {len(asked)} targets met"
        + (f"; {unknown} without data, which more trials would give." if unknown else ".")
    )


def _number(finding: Finding, value: float) -> str:
    if not math.isfinite(value):
        return "-"
    if finding.unit == "%":
        return f"{100 * value:.1f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2g}"
