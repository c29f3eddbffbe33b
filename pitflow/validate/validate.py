"""Running the studies: trials in parallel, findings in order."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from pitflow import __version__
from pitflow.compute import Compute, Progress, Silent
from pitflow.errors import UserError
from pitflow.report.panel import render
from pitflow.validate.claim import AnyStudy, Finding, Validation
from pitflow.validate.figures import draw_validation


def validate(
    studies: Sequence[AnyStudy],
    *,
    quick: bool = False,
    seeds: int | None = None,
    compute: Compute | None = None,
    progress: Progress | None = None,
) -> Validation:
    """Run every trial of every study; the result depends on the number of seeds alone.

    Parameters
    ----------
    quick:
        A tenth of the trials or less, for a first look.
    seeds:
        Trials of every study; None: as many as each asks for.
    """
    compute, progress = compute or Compute(), progress or Silent()
    tasks = [
        (number, seed)
        for number, study in enumerate(studies)
        for seed in range(seeds or (study.quick_seeds if quick else study.seeds))
    ]
    shown: dict[tuple[int, int], dict[str, pd.DataFrame]] = {}

    def observe(task: tuple[int, int]) -> dict[str, pd.DataFrame]:
        number, seed = task
        return studies[number].observe(seed)

    def keep(task: tuple[int, int], rows: dict[str, pd.DataFrame]) -> None:
        shown[task] = rows
        progress.advance()

    progress.start("validate", len(tasks))
    compute.map(observe, tasks, keep)
    trials: dict[str, pd.DataFrame] = {}
    findings: list[Finding] = []
    for number, study in enumerate(studies):
        own = [shown[task] for task in tasks if task[0] == number]
        for claim in study.claims:
            trials[claim.name] = pd.concat([rows[claim.name] for rows in own], ignore_index=True)
            findings += claim.judge(trials[claim.name])
    progress.finish()
    return Validation(tuple(findings), trials)


def write_validation(validation: Validation, folder: Path) -> Path:
    """Write ``validate.json``, the figures, and the rows of all trials (``<claim>.csv``).

    Raises
    ------
    UserError
        If the folder cannot be written.
    """
    path = folder / "validate.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(as_json(validation) + "\n", encoding="utf-8")
        for name, rows in validation.trials.items():
            rows.to_csv(folder / f"{name}.csv", index=False)
        for name, panel in draw_validation(validation).items():
            render(panel, folder / name, svg=True)
    except OSError as error:
        raise UserError(f"cannot be written ({error.strerror})", where=folder) from error
    return path


def as_json(validation: Validation) -> str:
    """Return the findings as JSON; a number that is not defined is null."""
    findings = [{name: _plain(v) for name, v in asdict(f).items()} for f in validation.findings]
    return json.dumps(
        {"pitflow": __version__, "passed": validation.passed, "findings": findings}, indent=2
    )


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
