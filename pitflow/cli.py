"""The command line: one command per verb, no logic.

Nothing heavy is imported before a command needs it, so that ``--help`` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pitflow import __version__
from pitflow.errors import UserError

app = typer.Typer(
    name="pitflow",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Output = Annotated[Path | None, typer.Option("--output", "-o", help="Where to write.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Tasks at a time (default: one per core).")
]

Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]

train = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", help="Train a model.")
app.add_typer(train, name="train")


def _version(value: bool) -> None:
    if value:
        typer.echo(f"pitflow {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """From a microscope recording of pitting corrosion to an answer.

    Example:  pitflow run video.avi
    """


@app.command()
def run(
    videos: Annotated[
        list[Path], typer.Argument(help="AVI, MP4, MKV, or a folder or zip of snapshots.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Run directory (default VIDEO.pitflow here); with several videos, their parent.",
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file of parameters.")] = None,
    segmenter: Annotated[
        str | None, typer.Option(help="change, clahe or report (the paper's chain).")
    ] = None,
    um_per_px: Annotated[float | None, typer.Option(help="Size of a pixel, um (0.48).")] = None,
    fps: Annotated[
        float | None, typer.Option(help="Frames per second, if the file is wrong.")
    ] = None,
    frames: Annotated[str | None, typer.Option(help="Analyse frames A:B only.")] = None,
    no_frames: Annotated[
        bool, typer.Option("--no-frames", help="Do not store the frames in video.zarr.")
    ] = False,
    workers: Workers = None,
    cluster: Annotated[str | None, typer.Option(help="Address of a Dask scheduler.")] = None,
    overwrite: Annotated[bool, typer.Option(help="Drop an existing run and start anew.")] = False,
) -> None:
    """Analyse recordings: frames, particles, tracks, measurements, report.

    A stopped run goes on with the same command.

    Example:  pitflow run video.avi --um-per-px 0.48
    """
    from pitflow.config import load_config
    from pitflow.console import batch
    from pitflow.run import parse_frames

    start, stop = parse_frames(frames)
    parameters = load_config(
        config,
        {
            "segment.segmenter": segmenter,
            "acquire.um_per_px": um_per_px,
            "acquire.fps": fps,
            "acquire.start": start,
            "acquire.stop": stop,
            "acquire.store_frames": False if no_frames else None,
        },
    )
    raise typer.Exit(batch(videos, output, parameters, workers, cluster, overwrite=overwrite))


@app.command()
def simulate(
    out: Annotated[
        Path, typer.Argument(help="Video (.avi, .mkv, .mp4, .mov), .zip or folder of TIFFs.")
    ],
    truth: Annotated[Path | None, typer.Option(help="Folder for the truth tables.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed; the same one gives the same video.")] = 0,
    frames: Annotated[int | None, typer.Option(help="Number of frames (300).")] = None,
    size: Annotated[str | None, typer.Option(help="HEIGHTxWIDTH in px (2252x2240).")] = None,
    pits: Annotated[int | None, typer.Option(help="Number of pits (8).")] = None,
    rate: Annotated[float | None, typer.Option(help="Particles per pit per frame (0.3).")] = None,
    law: Annotated[
        str | None, typer.Option(help="Departure angles: growth, vonmises or uniform.")
    ] = None,
    lag: Annotated[int | None, typer.Option(help="Ejection follows growth by frames (10).")] = None,
    preference: Annotated[
        float | None, typer.Option(help="Concentration (kappa) of the departure angles (4).")
    ] = None,
    noise: Annotated[
        float | None, typer.Option(help="Camera noise, grey levels of 256 (2.6).")
    ] = None,
    codec: Annotated[str | None, typer.Option(help="mjpeg, ffv1, raw, h264 or tiff.")] = None,
    bits: Annotated[int | None, typer.Option(help="8 or 16.")] = None,
    fps: Annotated[float | None, typer.Option(help="Frames per second (15).")] = None,
    um_per_px: Annotated[float | None, typer.Option(help="Size of a pixel, um (0.48).")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file of all parameters.")] = None,
    workers: Workers = None,
    overwrite: Annotated[bool, typer.Option(help="Replace files that are there.")] = False,
) -> None:
    """Render a recording whose truth is known.

    Example:  pitflow simulate plan.avi --truth truth --seed 1 --frames 300 --pits 6
    """
    from pitflow.console import simulate_with_progress

    height, width = _shape(size)
    options = {
        "frames": frames,
        "height": height,
        "width": width,
        "pits": pits,
        "rate": rate,
        "law": law,
        "lag": lag,
        "preference": preference,
        "noise": noise,
        "codec": codec,
        "bits": bits,
        "fps": fps,
        "um_per_px": um_per_px,
    }
    simulate_with_progress(out, truth, seed, config, options, workers, overwrite=overwrite)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A run directory.")],
) -> None:
    """Write the report and its figures again.

    Example:  pitflow report video.pitflow
    """
    from pitflow.console import Bar
    from pitflow.run import write_report_again

    with Bar() as bar:
        typer.echo(write_report_again(run, bar))


@app.command()
def info(
    path: Annotated[Path, typer.Argument(help="A run directory or a recording.")],
    as_json: AsJson = False,
) -> None:
    """Describe a run (state, tables, units) or a recording.

    Example:  pitflow info video.pitflow
    """
    from pitflow.console import print_info

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
    from pitflow.console import print_score

    print_score(run, truth, gate, as_json=as_json)


@train.command("particles")
def train_on_particles(
    data: Annotated[
        list[Path],
        typer.Option(
            help="Folder of images with _mask.png beside them, or of a simulated recording "
            "and its truth; repeat for more."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the model.")],
    recipe: Annotated[
        str, typer.Option(help="particles, particles-single, particles-paper-002 or a TOML file.")
    ] = "particles",
    initial: Annotated[
        str | None, typer.Option(help="Model to start from, by name or folder.")
    ] = None,
    device: Device = "auto",
    workers: Workers = None,
    overwrite: Annotated[bool, typer.Option(help="Start anew in a folder that is used.")] = False,
) -> None:
    """Train a particle model on labelled tiles or simulated recordings.

    A stopped training goes on with the same command. Needs the "learn" extra.

    Example:  pitflow train particles --data tiles -o model
    """
    from pitflow.console import train_with_progress

    train_with_progress(data, output, recipe, initial, device, workers, overwrite=overwrite)


@app.command()
def evaluate(
    model: Annotated[str, typer.Option(help="Folder of a model, or its name.")],
    data: Annotated[list[Path], typer.Option(help="Labelled folder; repeat for more.")],
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Score a model on labelled images. Needs the "learn" extra.

    Example:  pitflow evaluate --model model --data tiles --json
    """
    from pitflow.console import print_evaluation

    print_evaluation(model, data, device, as_json=as_json)


@app.command()
def segment(
    images: Annotated[list[Path], typer.Argument(help="Images, or folders of them.")],
    model: Annotated[str, typer.Option(help="Folder of a model, or its name.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the masks.")],
    device: Device = "auto",
    overwrite: Annotated[bool, typer.Option(help="Replace masks that are there.")] = False,
) -> None:
    """Write a particle mask for every image. Needs the "learn" extra.

    Example:  pitflow segment tiles --model model -o masks
    """
    from pitflow.console import segment_with_progress

    segment_with_progress(images, model, output, device, overwrite=overwrite)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return or raise its exit code: 2 for bad input."""
    try:
        app(args=arguments, standalone_mode=True)
    except UserError as error:
        from pitflow.console import print_error

        print_error(error)
        return 2
    return 0


def _shape(text: str | None) -> tuple[int | None, int | None]:
    """Return (height, width) from "HEIGHTxWIDTH".

    Raises
    ------
    UserError
        If it is not of that form.
    """
    if text is None:
        return None, None
    try:
        height, width = (int(part) for part in text.lower().split("x"))
    except ValueError as error:
        raise UserError(
            f"{text!r} is not a size", where="--size", hint="write HEIGHTxWIDTH, as in 2252x2240"
        ) from error
    return height, width
