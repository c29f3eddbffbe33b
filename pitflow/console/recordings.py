"""Runs in the terminal: one after another, what they hold, and how good they are."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from pitflow.compute import Compute, keep_freed_memory
from pitflow.config import Config
from pitflow.console import denied, print_error
from pitflow.console.bar import Bar
from pitflow.errors import UserError
from pitflow.provenance import open_measured
from pitflow.report.words import count


def batch(
    videos: Sequence[Path],
    output: Path | None,
    config: Config,
    workers: int | None,
    cluster: str | None,
    *,
    overwrite: bool,
) -> int:
    """Run every recording; one that cannot be run does not keep the others from it.

    Returns
    -------
    0, or 2 if a recording could not be run.
    """
    from pitflow.run import run
    from pitflow.segmenters import check_segmenter

    keep_freed_memory()
    check_segmenter(config.segment)
    compute = Compute(workers=workers or os.cpu_count() or 1, cluster=cluster)
    failed = 0
    for video, folder in zip(videos, _folders(videos, output), strict=True):
        try:
            with Bar() as bar:
                report = run(video, folder, config, compute, bar, overwrite=overwrite)
        except UserError as error:
            print_error(error)
            failed += 1
            continue
        except OSError as error:
            refusal = denied(error)
            if refusal is None:
                raise
            print_error(refusal)
            failed += 1
            continue
        sys.stdout.write(f"{report}\n")
    return 2 if failed else 0


def print_info(path: Path, *, as_json: bool) -> None:
    """Print what a run directory or a recording holds."""
    facts = _run_facts(path) if (path / "run.json").is_file() else _recording_facts(path)
    if as_json:
        sys.stdout.write(json.dumps(facts, indent=2, default=str) + "\n")
        return
    console = Console(highlight=False)
    for name, value in facts.items():
        if name != "tables":
            console.print(f"[bold]{name}[/bold]: {escape(_short(value))}", soft_wrap=True)
    for table in facts.get("tables", []):
        grid = RichTable(
            "column", "type", "unit", "meaning", title=f"{table['name']}: {table['meaning']}"
        )
        grid.caption = count(table["rows"], "row")
        for column in table["columns"]:
            grid.add_row(column["name"], column["type"], column["unit"], column["meaning"])
        console.print(grid)


def export_tracks(run: Path, output: Path | None) -> Path:
    """Write the tracks of a run as TrackMate's XML or as CSV; returns the file.

    Raises
    ------
    UserError
        If there is no run, its tracks are not measured, or the file is of neither kind, or cannot
        be written.
    """
    from pitflow.link.export import write_csv, write_trackmate
    from pitflow.results import open_results

    path = output or Path(f"{run.resolve().stem}-tracks.xml")
    if path.suffix.lower() not in (".xml", ".csv"):
        raise UserError(
            f"{path.name!r} is neither .xml nor .csv",
            where="--output",
            hint="XML is for TrackMate, CSV for all else",
        )
    results = open_results(run)
    particles = results.table("particles")
    facts = results.manifest.recording
    try:
        if path.suffix.lower() == ".csv":
            write_csv(particles, path)
        else:
            write_trackmate(
                particles,
                path,
                um_per_px=facts["um_per_px"],
                fps=facts["fps"],
                n_frames=facts["n_frames"],
                shape=(facts["height"], facts["width"]),
                source=results.manifest.input["path"],
            )
    except OSError as error:
        raise UserError(f"cannot be written ({error.strerror})", where=path) from error
    return path


def print_score(run: Path, truth: Path, gate_px: float, *, as_json: bool) -> None:
    """Print how a run compares with truth."""
    from pitflow.score import as_json as score_as_json
    from pitflow.score import render_text, score_run

    result = score_run(open_measured(run).path, truth, gate_px=gate_px)
    if as_json:
        sys.stdout.write(score_as_json(result) + "\n")
    else:
        sys.stdout.write(render_text(result) + "\n")


def _folders(videos: Sequence[Path], output: Path | None) -> list[Path]:
    """Return a run directory per recording.

    Raises
    ------
    UserError
        If two recordings would share one.
    """
    from pitflow.run import default_folder

    names = [default_folder(video) for video in videos]
    if len(videos) == 1:
        return [output or names[0]]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(
            f"two recordings would both write {twice}",
            hint="run them in separate calls with -o",
        )
    return [(output or Path()) / name for name in names]


def _run_facts(path: Path) -> dict[str, Any]:
    from pitflow.results import open_results
    from pitflow.schema import TABLES

    results = open_results(path)
    manifest, rows = results.manifest, results.rows
    return {
        "run": str(path),
        "input": manifest.input,
        "recording": manifest.recording,
        "stages": {name: state["state"] for name, state in manifest.stages.items()},
        "seconds": {name: state.get("seconds") for name, state in manifest.stages.items()},
        "versions": manifest.versions,
        "notes": manifest.notes,
        "warnings": manifest.warnings,
        "tables": [
            {
                "name": name,
                "meaning": TABLES[name].meaning,
                "rows": n_rows,
                "columns": results.units(name).reset_index(names="name").to_dict("records"),
            }
            for name, n_rows in rows.items()
        ],
    }


def _recording_facts(path: Path) -> dict[str, Any]:
    from pitflow.acquire.opening import open_source

    source = open_source(path)
    height, width = source.shape
    time = source.index["time_s"]
    return {
        "recording": str(path),
        "frames": source.n_frames,
        "size": f"{width} x {height} px",
        "type": str(source.dtype),
        "fps": source.fps,
        "seconds": float(time.max() - time.min()) + 1 / source.fps,
        "quality": source.index["quality"].value_counts().to_dict(),
        "notes": source.notes,
    }


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items()) or "none"
    if isinstance(value, list):
        return "; ".join(str(item) for item in value) or "none"
    return str(value)
