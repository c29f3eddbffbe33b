"""Analysing recordings: run, report, export, info, score."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pitflow.cli.app import AsJson, Workers, app
from pitflow.errors import UserError


@app.command()
def run(
    videos: Annotated[
        list[Path], typer.Argument(help="AVI, MP4, MKV, MOV, or a folder or zip of snapshots.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Run directory (default VIDEO.pitflow here); with several videos, their parent.",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="TOML file of parameters, or a ready one by name: classical, default, fast, "
            "report-2025 or slurm."
        ),
    ] = None,
    segmenter: Annotated[
        str | None,
        typer.Option(help="unet (the network, default), change, clahe or report (the paper's)."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Model of unet, by name (particles) or folder (./NAME)."),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Where unet runs: auto (default), cpu, cuda, cuda:N or mps.")
    ] = None,
    no_gate: Annotated[
        bool, typer.Option("--no-gate", help="Let unet look everywhere in every frame.")
    ] = False,
    um_per_px: Annotated[float | None, typer.Option(help="Size of a pixel, um (0.48).")] = None,
    fps: Annotated[float | None, typer.Option(help="Frames per second (the file's).")] = None,
    frames: Annotated[
        str | None, typer.Option(help="Analyse frames A:B only, without B (all).")
    ] = None,
    invert: Annotated[
        bool,
        typer.Option("--invert", help="Particles are brighter than the steel: turn grey round."),
    ] = False,
    no_frames: Annotated[
        bool, typer.Option("--no-frames", help="Do not store the frames in video.zarr.")
    ] = False,
    calibration: Annotated[
        Path | None, typer.Option(help="Calibration of the focus, by `pitflow calibrate`.")
    ] = None,
    current: Annotated[
        Path | None, typer.Option(help="What a potentiostat measured: time, potential, current.")
    ] = None,
    current_offset: Annotated[
        float | None, typer.Option(help="Time in the recording less time in that file, s (0).")
    ] = None,
    workers: Workers = None,
    cluster: Annotated[str | None, typer.Option(help="Address of a Dask scheduler.")] = None,
    overwrite: Annotated[bool, typer.Option(help="Drop an existing run and start anew.")] = False,
) -> None:
    """Analyse recordings: frames, particles, tracks, measurements, report.

    A stopped run goes on with the same command.

    Example:  pitflow run video.avi --um-per-px 0.48
    """
    from pitflow.calibration import read_calibration
    from pitflow.config import load_config
    from pitflow.console.recordings import batch
    from pitflow.run import parse_frames

    start, stop = parse_frames(frames)
    if current is not None and len(videos) > 1:
        raise UserError(
            f"one file of current for {len(videos)} recordings",
            where="--current",
            hint="run them one by one, each with its own",
        )
    parameters = load_config(
        config,
        {
            "segment.segmenter": segmenter,
            "segment.unet.model": model,
            "segment.unet.device": device,
            "segment.unet.gate": False if no_gate else None,
            "acquire.um_per_px": um_per_px,
            "acquire.fps": fps,
            "acquire.start": start,
            "acquire.stop": stop,
            "acquire.invert": True if invert else None,
            "acquire.store_frames": False if no_frames else None,
            "measure.focus": None if calibration is None else read_calibration(calibration),
            "measure.current.file": None if current is None else str(current.resolve()),
            "measure.current.offset_s": current_offset,
        },
    )
    _note_unused(
        {"--model": model, "--device": device, "--no-gate": no_gate or None},
        parameters.segment.segmenter == "unet",
        f"the segmenter {parameters.segment.segmenter} is no network",
    )
    _note_unused(
        {"--current-offset": current_offset},
        parameters.measure.current.file is not None,
        "there is no file of current, see --current",
    )
    raise typer.Exit(batch(videos, output, parameters, workers, cluster, overwrite=overwrite))


def _note_unused(options: dict[str, object], used: bool, why: str) -> None:
    """Say of options that they change nothing."""
    for name, value in options.items():
        if value is not None and not used:
            typer.echo(f"pitflow: {name}: changes nothing here; {why}", err=True)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A run directory.")],
) -> None:
    """Write the report and its figures again.

    Example:  pitflow report video.pitflow
    """
    from pitflow.console.bar import Bar
    from pitflow.run import write_report_again

    with Bar() as bar:
        typer.echo(write_report_again(run, bar))


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="A run directory.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="XML for TrackMate (Fiji), or CSV; default RUN-tracks.xml here.",
        ),
    ] = None,
) -> None:
    """Write the tracks for other programs: TrackMate in Fiji, or anything that reads CSV.

    Example:  pitflow export video.pitflow -o tracks.xml
    """
    from pitflow.console.recordings import export_tracks

    typer.echo(export_tracks(run, output))


@app.command()
def info(
    path: Annotated[Path, typer.Argument(help="A run directory or a recording.")],
    as_json: AsJson = False,
) -> None:
    """Describe a run (state, tables, units) or a recording.

    Example:  pitflow info video.pitflow
    """
    from pitflow.console.recordings import print_info

    print_info(path, as_json=as_json)


@app.command()
def score(
    run: Annotated[Path, typer.Argument(help="A run directory.")],
    truth: Annotated[Path, typer.Option(help="Folder of truth tables.")],
    gate: Annotated[float, typer.Option(help="Largest distance of a match, px.")] = 5.0,
    as_json: AsJson = False,
) -> None:
    """Score a run against known truth.

    Example:  pitflow score video.pitflow --truth truth --json
    """
    from pitflow.console.recordings import print_score

    print_score(run, truth, gate, as_json=as_json)
