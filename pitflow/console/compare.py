"""Comparison of runs in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from pitflow.console.bar import Bar


def compare_with_progress(
    runs: Sequence[Path], output: Path, groups: Path | None, *, overwrite: bool, as_json: bool
) -> None:
    """Compare runs, and print the findings and where the page is."""
    from pitflow.comparison import compare

    with Bar() as bar:
        comparison = compare(runs, output, groups=groups, overwrite=overwrite, progress=bar)
    if as_json:
        sys.stdout.write(comparison.as_json())
        return
    lines = [*comparison.findings, *(f"Warning: {text}" for text in comparison.warnings)]
    sys.stdout.write("\n".join([*lines, str(output / "compare.html")]) + "\n")
