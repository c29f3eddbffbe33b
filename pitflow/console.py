"""What the user sees in the terminal: progress, and what a run, a recording or a score holds."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress
from rich.table import Table as RichTable

from pitflow.compute import Compute, keep_freed_memory
from pitflow.config import Config
from pitflow.errors import UserError
from pitflow.provenance import open_run


class Bar:
    """A progress bar per stage with the time left; on a terminal only, else a line per stage."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._rich = RichProgress(
            TextColumn("{task.description:<10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("elapsed"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task: TaskID | None = None
        self._stage = ""

    def __enter__(self) -> Bar:
        self._rich.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._rich.stop()

    def start(self, stage: str, total: int) -> None:
        """Begin a stage of ``total`` steps."""
        self._stage = stage
        self._task = self._rich.add_task(stage, total=total)

    def advance(self, steps: int = 1) -> None:
        """Count steps as done."""
        if self._task is not None:
            self._rich.advance(self._task, steps)

    def finish(self, message: str = "") -> None:
        """End the stage and say what came of it."""
        if self._task is not None:
            total = self._rich.tasks[self._task].total
            self._rich.update(self._task, completed=total)
        if message:
            # Names of files are no markup, and a terminal may be narrower than they are.
            self._rich.console.print(
                f"{self._stage:<10} {message}", highlight=False, markup=False, soft_wrap=True
            )


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
    0, 2 if a recording could not be run, 130 if the user stopped it.
    """
    from pitflow.run import run
    from pitflow.stages import check_segmenter

    keep_freed_memory()
    check_segmenter(config)
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
        except KeyboardInterrupt:
            sys.stderr.write("pitflow: stopped; the same command continues\n")
            return 130
        sys.stdout.write(f"{report}\n")
    return 2 if failed else 0


def print_error(error: UserError) -> None:
    """Print the one line of a user error to standard error, whatever the file's name is."""
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(error))
    sys.stderr.write(f"pitflow: {line}\n")


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
        grid.caption = f"{table['rows']} rows"
        for column in table["columns"]:
            grid.add_row(column["name"], column["type"], column["unit"], column["meaning"])
        console.print(grid)


def simulate_with_progress(
    out: Path,
    truth: Path | None,
    seed: int,
    config: Path | None,
    options: dict[str, Any],
    workers: int | None,
    *,
    overwrite: bool,
) -> None:
    """Render a recording; ``options`` that are not None go over the file's values."""
    from pitflow.config import build, read_toml
    from pitflow.simulate.config import SimulateConfig
    from pitflow.simulate.simulate import simulate

    values = {} if config is None else read_toml(config)
    values |= {name: value for name, value in options.items() if value is not None}
    parameters = build(SimulateConfig, values, where=config or "simulate")
    with Bar() as bar:
        bar.start("simulate", parameters.frames)
        simulate(
            out,
            parameters,
            truth,
            seed=seed,
            workers=workers or os.cpu_count() or 1,
            progress=lambda done, total: bar.advance(),
            overwrite=overwrite,
        )
        bar.finish(str(out))


def train_with_progress(
    data: Sequence[Path],
    output: Path,
    recipe: str,
    initial: str | None,
    device: str,
    workers: int | None,
    *,
    overwrite: bool,
) -> None:
    """Train a particle model and print where it is."""
    from pitflow.domains.extra import require_learning

    require_learning()
    from pitflow.domains.particles.recipes import find_recipe
    from pitflow.domains.particles.train import train_particles

    with Bar() as bar:
        train_particles(
            data,
            output,
            find_recipe(recipe),
            initial=initial,
            device=device,
            workers=workers or 1,
            overwrite=overwrite,
            command=shlex.join(["pitflow", *sys.argv[1:]]),
            progress=bar,
        )
    sys.stdout.write(f"{output}\n")


def print_evaluation(model: str, data: Sequence[Path], device: str, *, as_json: bool) -> None:
    """Print the scores of a model on labelled folders."""
    from pitflow.domains.extra import require_learning

    require_learning()
    from pitflow.domains.particles.evaluate import evaluate, format_scores

    with Bar() as bar:
        scores = evaluate(model, data, device=device, progress=bar)
    text = json.dumps(scores, indent=2) if as_json else format_scores(scores)
    sys.stdout.write(text + "\n")


def segment_with_progress(
    images: Sequence[Path], model: str, output: Path, device: str, *, overwrite: bool
) -> None:
    """Write a mask for every image and print where they are."""
    from pitflow.domains.extra import require_learning

    require_learning()
    from pitflow.domains.particles.segment import segment_images

    with Bar() as bar:
        segment_images(images, model, output, device=device, overwrite=overwrite, progress=bar)
    sys.stdout.write(f"{output}\n")


def print_score(run: Path, truth: Path, gate_px: float, *, as_json: bool) -> None:
    """Print how a run compares with truth."""
    from pitflow.score import as_json as score_as_json
    from pitflow.score import render_text, score_run

    result = score_run(open_run(run).path, truth, gate_px=gate_px)
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
                "rows": count,
                "columns": results.units(name).reset_index(names="name").to_dict("records"),
            }
            for name, count in rows.items()
        ],
    }


def _recording_facts(path: Path) -> dict[str, Any]:
    from pitflow.acquire.source import open_source

    source = open_source(path)
    height, width = source.shape
    return {
        "recording": str(path),
        "frames": source.n_frames,
        "size": f"{width} x {height} px",
        "type": str(source.dtype),
        "fps": source.fps,
        "seconds": source.n_frames / source.fps,
        "quality": source.index["quality"].value_counts().to_dict(),
        "notes": source.notes,
    }


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items()) or "none"
    if isinstance(value, list):
        return "; ".join(str(item) for item in value) or "none"
    return str(value)
