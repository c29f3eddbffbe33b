"""Runs beside each other: which they are, of which concentration, and the page about them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pitflow import schema
from pitflow.compute import Progress, Silent
from pitflow.delimited import read_columns, to_number
from pitflow.errors import UserError
from pitflow.output_folder import check_free
from pitflow.provenance import RunFolder, open_measured

if TYPE_CHECKING:
    import pandas as pd

    from pitflow.measure.compare import RunTables


_MOLAR = re.compile(
    r"(?<![\d.,])(\d+(?:[.,]\d+)?)[ _-]?(mmol(?:/l|l-1|_l)?|mM|uM|µM|μM|M)(?=NaCl|[^A-Za-z0-9]|$)"
)
_TO_MM = {"M": 1e3, "u": 1e-3, "µ": 1e-3, "μ": 1e-3, "m": 1.0}
_READ = ("frames", "pits", "growth", "ejections", "correlation")


@dataclass(frozen=True)
class Comparison:
    """Runs beside each other.

    Parameters
    ----------
    runs, pits, tests:
        One row per run, per pit, per test (see `pitflow.measure.compare`).
    findings, warnings:
        In words.
    folder:
        Where all of it was written.
    """

    runs: pd.DataFrame
    pits: pd.DataFrame
    tests: pd.DataFrame
    findings: list[str]
    warnings: list[str]
    folder: Path

    def as_json(self) -> str:
        """Return all of it as JSON; what is not known is null."""
        text = json.dumps(
            {
                "findings": self.findings,
                "warnings": self.warnings,
                "runs": _records(self.runs),
                "pits": _records(self.pits),
                "tests": _records(self.tests),
            },
            indent=2,
        )
        return text + "\n"


def compare(
    folders: Sequence[Path | str],
    output: Path | str,
    *,
    groups: Path | str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Comparison:
    """Compare finished runs by concentration and write a page, figures, CSV and JSON.

    Parameters
    ----------
    folders:
        Run directories.
    output:
        Folder for ``compare.html``, ``compare.png`` and ``.svg`` (polar plots), ``quantities.png``
        and ``.svg``, ``compare.csv`` (runs), ``pits.csv``, ``tests.csv`` and ``compare.json``.
    groups:
        CSV of ``run``, ``concentration_mM`` and maybe ``label``; None: by the names.
    overwrite:
        Replace results that are in ``output``.

    Raises
    ------
    UserError
        If a folder holds no finished run, the groups cannot be read or lack a run, or ``output``
        is a run directory or holds results already.
    """
    import pandas as pd

    from pitflow.measure.compare import (
        compare_directions,
        compare_groups,
        compute_pit_summary,
        compute_run_summary,
        group_order,
        replication,
    )
    from pitflow.report.compare_page import Sources, write_comparison
    from pitflow.report.compare_words import findings, shared_recordings, warnings

    output, groups = Path(output), None if groups is None else Path(groups)
    _check_output(output, overwrite=overwrite)
    progress = progress or Silent()
    progress.start("compare", len(folders) + 1)
    loaded = _load([Path(folder) for folder in folders], groups, progress)
    pits = compute_pit_summary(loaded)
    runs = compute_run_summary(loaded, pits)
    tests = pd.concat(
        [
            compare_groups(runs, pits),
            compare_directions(pits, group_order(runs), unit=replication(runs)),
        ],
        ignore_index=True,
    )
    angles = {
        (run.run, int(str(pit))): rows["angle_deg"].dropna().to_numpy(dtype=float)
        for run in loaded
        for pit, rows in run.tables["ejections"].groupby("pit")
    }
    result = Comparison(
        runs,
        pits,
        tests,
        findings(runs, pits, tests),
        [
            *shared_recordings({run.run: run.recording for run in loaded}),
            *warnings(runs, pits, tests),
        ],
        output,
    )
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, table in (("compare", runs), ("pits", pits), ("tests", tests)):
            table.to_csv(output / f"{name}.csv", index=False, lineterminator="\n")
        (output / "compare.json").write_text(result.as_json(), encoding="utf-8")
        write_comparison(
            Sources(runs, pits, tests, angles, result.findings, result.warnings), output
        )
    except OSError as error:
        raise UserError(f"cannot be written ({error.strerror})", where=output) from error
    progress.finish(str(output / "compare.html"))
    return result


def concentration_of(name: str) -> float:
    """Return the concentration in a name, mM ("30mM", "0.1 M", "500 uM"); NaN if it holds none."""
    found = _MOLAR.search(name)
    if found is None:
        return math.nan
    return float(found[1].replace(",", ".")) * _TO_MM[found[2][0]]


def label_of(concentration_mm: float) -> str:
    """Return the label of a concentration, as in "30 mM"."""
    return f"{concentration_mm:g} mM"


def _load(folders: Sequence[Path], groups: Path | None, progress: Progress) -> list[RunTables]:
    from pitflow.measure.compare import RunTables

    opened = [_open_finished(folder) for folder in folders]
    places = [run.path.resolve() for run in opened]
    if len(set(places)) < len(places):
        twice = next(place for place in places if places.count(place) > 1)
        raise UserError("is given twice", where=twice)
    names = _names(opened)
    given = None if groups is None else _read_groups(groups, opened, names)
    runs = []
    for number, (run, name) in enumerate(zip(opened, names, strict=True)):
        facts = run.manifest.recording
        if given is not None:
            concentration, label = given[number]
        else:
            concentration = concentration_of(run.path.resolve().name)
            if math.isnan(concentration):
                concentration = concentration_of(str(run.manifest.input.get("name", "")))
            label = name if math.isnan(concentration) else label_of(concentration)
        runs.append(
            RunTables(
                run=name,
                label=label,
                concentration_mm=concentration,
                fps=float(facts["fps"]),
                um_per_px=float(facts["um_per_px"]),
                area_mm2=facts["height"] * facts["width"] * float(facts["um_per_px"]) ** 2 * 1e-6,
                n_frames=int(facts["last_frame"]) - int(facts["first_frame"]) + 1,
                tables={
                    table: schema.read_table(run.table(table), schema.TABLES[table])
                    for table in _READ
                },
                recording=str(run.manifest.input.get("fingerprint", "")),
            )
        )
        progress.advance()
    return runs


def _open_finished(folder: Path) -> RunFolder:
    if not folder.exists():
        raise UserError("no such folder", where=folder)
    return open_measured(folder)


def _names(runs: Sequence[RunFolder]) -> list[str]:
    """Return a name for each run: its folder's, with its parent's where two are alike."""
    paths = [run.path.resolve() for run in runs]
    bare = [path.name.removesuffix(".pitflow") for path in paths]
    return [
        name if bare.count(name) == 1 else f"{path.parent.name}/{name}"
        for name, path in zip(bare, paths, strict=True)
    ]


def _read_groups(
    path: Path, runs: Sequence[RunFolder], names: Sequence[str]
) -> list[tuple[float, str]]:
    """Return concentration and label of each run.

    Raises
    ------
    UserError
        If a row holds no concentration, or a run has no row, or two that differ.
    """
    table = read_columns(
        path,
        {
            "run": ("run", "folder", "name", "recording", "video"),
            "concentration_mM": ("concentration_mM", "concentration", "mM", "c_mM"),
        },
    )
    try:
        labels = list(read_columns(path, {"label": ("label", "group")})["label"])
    except UserError:
        labels = [""] * len(table)
    rows: dict[str, tuple[float, str]] = {}
    for line, (name, text) in enumerate(
        zip(table["run"], table["concentration_mM"], strict=True), start=2
    ):
        value = to_number(text)
        value = concentration_of(text) if math.isnan(value) else value
        if not math.isfinite(value) or value < 0:
            raise UserError(f"line {line}: {text!r} is no concentration in mM", where=path)
        given = (value, labels[line - 2] or label_of(value))
        if rows.setdefault(_key(name), given) != given:
            raise UserError(f"line {line}: {name} has another row, unlike this one", where=path)
    chosen, missing = [], []
    for run, name in zip(runs, names, strict=True):
        known = (name, run.path.name, str(run.path), str(run.path.resolve()),
                 str(run.manifest.input.get("name", "")))  # fmt: skip
        row = next((rows[_key(k)] for k in known if _key(k) in rows), None)
        if row is None:
            missing.append(name)
        else:
            chosen.append(row)
    if missing:
        raise UserError(
            f"has no row for {', '.join(missing)}",
            where=path,
            hint=f"it has rows for {', '.join(table['run']) or 'none'}",
        )
    return chosen


def _key(name: str) -> str:
    """Return a run's name as it is compared: without the end of its folder or file."""
    name = name.strip().rstrip("/")
    for end in (".pitflow", ".avi", ".mp4", ".mkv", ".mov", ".zip"):
        name = name.removesuffix(end)
    return name.removeprefix("./")


def _check_output(output: Path, *, overwrite: bool) -> None:
    if (output / "run.json").exists():
        raise UserError("the output is a run directory", where=output, hint="choose another -o")
    check_free(output, "compare.json", "pits.csv", overwrite=overwrite)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            str(name): None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in row.items()
        }
        for row in json.loads(table.to_json(orient="records", double_precision=12))
    ]
