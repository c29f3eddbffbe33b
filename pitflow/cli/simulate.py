"""Rendering recordings whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pitflow.cli.app import Workers, app
from pitflow.errors import UserError


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
        str | None, typer.Option(help="Departure angles: growth (default), vonmises or uniform.")
    ] = None,
    lag: Annotated[int | None, typer.Option(help="Ejection follows growth by frames (10).")] = None,
    preference: Annotated[
        float | None, typer.Option(help="Concentration (kappa) of the departure angles (4).")
    ] = None,
    noise: Annotated[
        float | None, typer.Option(help="Camera noise, grey levels of 256 (2.6).")
    ] = None,
    codec: Annotated[
        str | None, typer.Option(help="mjpeg, ffv1, raw, h264 or tiff (by the file).")
    ] = None,
    bits: Annotated[int | None, typer.Option(help="8 (default) or 16.")] = None,
    fps: Annotated[float | None, typer.Option(help="Frames per second (15).")] = None,
    um_per_px: Annotated[float | None, typer.Option(help="Size of a pixel, um (0.48).")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file of all parameters.")] = None,
    workers: Workers = None,
    overwrite: Annotated[bool, typer.Option(help="Replace files that are there.")] = False,
) -> None:
    """Render a recording whose truth is known.

    Example:  pitflow simulate plan.avi --truth truth --seed 1 --frames 300 --pits 6
    """
    from pitflow.console.simulate import simulate_with_progress

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
