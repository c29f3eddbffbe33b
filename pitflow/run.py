"""The whole pipeline on one screen: acquire, segment, link, measure, report.

A stage is declared as data. From the stages it needs, the parameters it uses and the code that
decides its result follows a key; from the key follow resume, invalidation and provenance.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pitflow import schema
from pitflow.compute import Compute, Progress, Silent
from pitflow.config import Config, build, load_config
from pitflow.errors import UserError
from pitflow.figure_process import FigureProcess
from pitflow.provenance import (
    RunFolder,
    Stopwatch,
    at_home,
    called,
    code_version,
    fingerprint,
    open_measured,
    printable,
    select,
    stage_key,
)
from pitflow.stages.acquire import acquire
from pitflow.stages.inputs import current_file, lasting, read_current_of, segmenter_read
from pitflow.stages.job import Job, describe_recording, finished_job, open_recording
from pitflow.stages.link import link
from pitflow.stages.measure import MEASURED_TABLES, measure
from pitflow.stages.report import report
from pitflow.stages.segment import segment


@dataclass(frozen=True)
class Stage:
    """A stage of the pipeline.

    Parameters
    ----------
    name:
        Its name in the manifest and on the progress bar.
    needs:
        Stages whose results it reads.
    uses:
        Dotted names of the parameters that decide its result.
    code:
        Sub-packages whose code decides its result.
    files:
        What it leaves in the run directory; if one of them is gone the stage is done again.
    function:
        Does it, and returns one line on what came of it.
    reads:
        Gives what else decides its result, such as a hash of each file beside the recording.
    """

    name: str
    needs: tuple[str, ...]
    uses: tuple[str, ...]
    code: tuple[str, ...]
    files: tuple[str, ...]
    function: Callable[[Job], str]
    reads: Callable[[Config], dict[str, Any]] = lambda _: {}


STAGES = (
    Stage(
        "acquire",
        needs=(),
        uses=(
            "acquire.start",
            "acquire.stop",
            "acquire.invert",
            "acquire.store_frames",
            "acquire.block_frames",
            "acquire.background_samples",
        ),
        code=("acquire", "delimited.py", "image_file.py"),
        files=("background.zarr", "parts/acquire/frames.parquet"),
        function=acquire,
    ),
    Stage(
        "segment",
        needs=("acquire",),
        uses=("segment.segmenter", "segment.pits", "segment.change"),
        code=("segment", "segmenters.py", "domains/particles"),
        files=(
            "masks.zarr",
            "parts/segment/detections.parquet",
            "parts/segment/glimpses.parquet",
            "tables/pit_pixels.parquet",
            "tables/bubbles.parquet",
        ),
        function=segment,
        reads=segmenter_read,
    ),
    Stage(
        "link",
        needs=("segment",),
        uses=("link",),
        code=("link",),
        files=("parts/link/particles.parquet",),
        function=link,
    ),
    Stage(
        "measure",
        needs=("link",),
        uses=("measure", "acquire.um_per_px", "acquire.fps", "seed"),
        code=(
            "measure",
            "acquire/current.py",
            "delimited.py",
            "holm.py",
            "lag.py",
            "visible.py",
            "clock.py",
        ),
        files=tuple(f"tables/{name}.parquet" for name in MEASURED_TABLES),
        function=measure,
        reads=current_file,
    ),
    Stage(
        "report",
        needs=("measure",),
        uses=("report", "segment"),
        code=("report", "baselines.py", "segmenters.py", "lag.py", "visible.py", "clock.py"),
        files=("report.html", "figures"),
        function=report,
    ),
)


def run(
    video: Path | str,
    folder: Path | str | None = None,
    config: Config | dict[str, Any] | Path | str | None = None,
    compute: Compute | None = None,
    progress: Progress | None = None,
    *,
    overwrite: bool = False,
) -> Path:
    """Analyse a recording; what a run in the folder has already computed is kept.

    Parameters
    ----------
    video:
        AVI, MP4, MKV, MOV, or a folder or zip of snapshots.
    folder:
        The run directory; None: ``VIDEO.pitflow`` in the working directory.
    config:
        Parameters, as a table too; or a TOML file of them, or the name of a ready one; None: the
        defaults.
    compute, progress:
        How tasks are executed, and who is told; each has a default.
    overwrite:
        Drop a run that is in the folder.

    Returns
    -------
    Path of the report.

    Raises
    ------
    UserError
        If recording or parameters cannot be read, the folder cannot be written or the segmenter is
        unknown.
    """
    from pitflow.segmenters import check_segmenter

    video, folder = at_home(video), None if folder is None else at_home(folder)
    config, progress = lasting(_parameters(config)), progress or Silent()
    target = RunFolder(folder or default_folder(video))
    check_segmenter(config.segment)
    with target.open_for_writing(overwrite=overwrite):
        if overwrite:
            target.forget_index()
        source = open_recording(video, target, config)
        samples = read_current_of(config, source)
        # Not before: a mistyped name must not cost the run that is there.
        if overwrite:
            target.clear()
        mark = fingerprint(video, source.files)
        target.describe(video, mark, config)
        with FigureProcess(target.path) as figures:
            compute = compute or Compute()
            job = Job(source, target, config, compute, progress, figures=figures, samples=samples)
            describe_recording(job)
            for stage, key in zip(STAGES, stage_keys(config, mark), strict=True):
                _do(stage, key, job)
    return target.path / "report.html"


def _parameters(config: Config | dict[str, Any] | Path | str | None) -> Config:
    if isinstance(config, Config):
        return config
    if isinstance(config, dict):
        return build(Config, config, where="config")
    return load_config(None if config is None else at_home(config))


def stage_keys(config: Config, recording: str) -> list[str]:
    """Return the key of every stage, in the order of ``STAGES``.

    Parameters
    ----------
    config:
        Of the run.
    recording:
        The fingerprint of what the first stage reads.
    """
    keys: dict[str, str] = {}
    for stage in STAGES:
        parameters = {name: select(config, name) for name in stage.uses}
        parameters["reads"] = stage.reads(config)
        needs = [keys[name] for name in stage.needs] or [recording]
        keys[stage.name] = stage_key(stage.name, parameters, code_version(*stage.code), needs)
    return list(keys.values())


def write_report_again(folder: Path | str, progress: Progress | None = None) -> Path:
    """Write the report of a finished run anew and return its path.

    Raises
    ------
    UserError
        If there is no run, or its measurements are not done.
    """
    folder = at_home(folder)
    target = open_measured(folder)
    with target.open_for_writing():
        job = replace(finished_job(folder), progress=progress or Silent())
        _perform(STAGES[-1], "", job)
    return target.path / "report.html"


def default_folder(video: Path) -> Path:
    """Return ``VIDEO.pitflow`` in the working directory."""
    with suppress(PermissionError):
        if video.is_dir():
            return Path(f"{called(video)}.pitflow")
    return Path(f"{printable(video.stem)}.pitflow")


def parse_frames(text: str | None) -> tuple[int | None, int | None]:
    """Return (first, one past the last) from "A:B"; either side may be empty.

    Raises
    ------
    UserError
        If it is not of that form.
    """
    if text is None:
        return None, None
    try:
        first, last = (int(part) if part.strip() else None for part in text.split(":"))
    except ValueError as error:
        raise UserError(
            f"{text!r} is not a range of frames", where="--frames", hint="write A:B, as in 0:300"
        ) from error
    if min(first or 0, last or 1) < 0 or (last is not None and last <= (first or 0)):
        raise UserError(
            f"{text!r} is an empty range", where="--frames", hint="A:B needs 0 <= A < B"
        )
    return first, last


def _do(stage: Stage, key: str, job: Job) -> None:
    target = job.run
    if target.is_done(stage.name, key) and _is_whole(stage, job):
        job.progress.start(stage.name, 1)
        job.progress.finish("unchanged")
    else:
        _perform(stage, key, job)


def _is_whole(stage: Stage, job: Job) -> bool:
    """Return whether all that a stage left is there, and its tables can be read."""
    if stage.name == "acquire" and job.config.acquire.store_frames and not job.run.video.exists():
        return False
    for path in (job.run.path / name for name in stage.files):
        if not path.exists() or (path.suffix == ".parquet" and not schema.is_parquet(path)):
            return False
    return True


def _perform(stage: Stage, key: str, job: Job) -> None:
    target = job.run
    job.notes, job.warnings = [], []
    watch = Stopwatch()
    target.begin(stage.name, key)
    target.log("begin", stage=stage.name)
    try:
        summary = stage.function(job)
    except BaseException as error:
        target.log("stopped", stage=stage.name, error=repr(error))
        raise
    target.end(stage.name, watch.seconds, job.notes, job.warnings)
    for text in job.notes + job.warnings:
        target.log("note", stage=stage.name, text=text)
    target.log("end", stage=stage.name, seconds=round(watch.seconds, 3), summary=summary)
    job.progress.finish(summary)
