"""From a z-stack to a calibration of the focus: images in, a TOML file and a figure out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from pitflow.compute import Progress, Silent
from pitflow.config import ChangeConfig, FocusConfig, build, read_toml
from pitflow.delimited import read_columns, to_number
from pitflow.errors import UserError
from pitflow.report.words import count

if TYPE_CHECKING:
    from pitflow.acquire.source import Source
    from pitflow.measure.zstack import StackFit

HEAD = "# Calibration of the focus by pitflow: sigma^2 = sigma0^2 + (k |z|)^2"
_IMAGE_NAMES = ("image", "name", "file", "filename", "file name", "index", "frame", "number")
_Z_NAMES = ("z_um", "z", "z (um)", "z (µm)", "z/um", "z [um]", "position_um", "height_um")


@dataclass(frozen=True)
class Calibration:
    """A calibration that was written: the fit, and the files that hold it."""

    fit: StackFit
    toml: Path
    figure: Path


def calibrate(
    stack: Path,
    output: Path,
    *,
    positions: Path | None = None,
    step_um: float | None = None,
    focus_um: float | None = None,
    config: ChangeConfig | None = None,
    progress: Progress | None = None,
) -> Calibration:
    """Calibrate the focus from a z-stack and write ``output`` and a figure beside it.

    Parameters
    ----------
    stack:
        Folder or zip of images, TIFF stack or video of particles that stand still.
    output:
        TOML file; PNG and SVG get its name with another end.
    positions:
        CSV of ``image`` (file name, or index from 0) and ``z_um``.
    step_um:
        In place of that: distance between the images, in the order of the files.
    focus_um:
        Position of the focal plane, where it is known.
    config:
        Threshold and scales of the detection, as in the runs that will be calibrated.

    Raises
    ------
    UserError
        If the stack or the positions cannot be read, do not allow a fit, or ``output`` is another
        kind of file.
    """
    import pandas as pd

    from pitflow.acquire.opening import open_source
    from pitflow.measure.zstack import fit_stack, follow_particles, without_size
    from pitflow.segment.classical.still import measure_still

    config, progress = config or ChangeConfig(), progress or Silent()
    if (positions is None) == (step_um is None):
        raise UserError(
            "the heights of the images are not known"
            if positions is None
            else "heights are given twice",
            where=stack,
            hint="give either --positions FILE.csv or --step-um",
        )
    if step_um is not None and not (np.isfinite(step_um) and step_um != 0):
        raise UserError(f"{step_um:g} is no distance between images", where="--step-um")
    _check_output(output)
    source = open_source(stack)
    z_um = (
        _read_positions(positions, source)
        if positions is not None
        else [float(step_um or 0) * number for number in range(source.n_frames)]
    )
    progress.start("calibrate", source.n_frames)
    tables = []
    for number, image, quality in source.read(0, source.n_frames):
        if image is not None and quality != "damaged":
            tables.append(measure_still(number, image, config))
        progress.advance()
    found = [table for table in tables if len(table)]
    if not found:
        raise UserError(
            "no particle is seen in any image",
            where=stack,
            hint="the stack must show particles darker than their surroundings",
        )
    try:
        followed = follow_particles(pd.concat(found, ignore_index=True), z_um)
        fit = fit_stack(without_size(followed, focus_um=focus_um), focus_um=focus_um)
    except UserError as error:
        raise UserError(error.what, where=stack, hint=error.hint) from error
    figure = _write(fit, output, stack)
    progress.finish(count(len(fit.particles), "particle"))
    return Calibration(fit, output, figure)


def in_words(fit: StackFit) -> str:
    """Return the calibration as one line."""
    used = int(fit.particles["is_used"].sum())
    heights = fit.measurements["z_um"]
    particles = count(used, "particle")
    return (
        f"sigma0 = {fit.sigma0_px.value:.3f} ± {fit.sigma0_one_px:.3f} px, "
        f"k = {fit.k_px_per_um.value:.4f} ± {fit.k_px_per_um.error:.4f} px/um, "
        f"focus at {fit.focus_um.value:.2f} ± {fit.focus_um.error:.2f} um; {particles} over "
        f"{heights.nunique()} heights from {heights.min():g} to {heights.max():g} um"
    )


def facts(calibration: Calibration) -> dict[str, Any]:
    """Return the calibration as plain values, intervals of 95 % included."""
    fit = calibration.fit
    values: dict[str, Any] = {
        "sigma0_px": fit.sigma0_px.value,
        "k_px_per_um": fit.k_px_per_um.value,
        "focus_um": fit.focus_um.value,
        "sigma0_err_px": fit.sigma0_one_px,
        "k_err_px_per_um": fit.k_px_per_um.error,
        "focus_err_um": fit.focus_um.error,
        "sigma0_mean_err_px": fit.sigma0_px.error,
        "sigma0_spread_px": fit.sigma0_px.spread,
        "sigma0_interval_px": fit.sigma0_px.interval(),
        "k_interval_px_per_um": fit.k_px_per_um.interval(),
        "focus_interval_um": fit.focus_um.interval() if fit.focus_um.error else None,
        "n_particles": int(fit.particles["is_used"].sum()),
        "n_heights": int(fit.measurements["z_um"].nunique()),
        "n_measurements": int(fit.measurements["is_used"].sum()),
        "calibration": str(calibration.toml),
        "figure": str(calibration.figure),
    }
    return values


def read_calibration(path: Path) -> dict[str, Any]:
    """Return the values of ``[measure.focus]`` in a calibration, for a configuration.

    Raises
    ------
    UserError
        If the file holds no calibration.
    """
    values = read_toml(path).get("measure", {})
    focus = values.get("focus", {}) if isinstance(values, dict) else {}
    if not isinstance(focus, dict) or not {"sigma0_px", "k_px_per_um"} <= set(focus):
        raise UserError(
            "holds no calibration: [measure.focus] with sigma0_px and k_px_per_um",
            where=path,
            hint="`pitflow calibrate` writes one",
        )
    return build(FocusConfig, focus, where=path).model_dump()


def _check_output(output: Path) -> None:
    """Refuse to write over what is no calibration."""
    if output.is_dir():
        raise UserError("is a folder", where=output, hint="name a file, as in -o calibration.toml")
    if output.suffix.lower() != ".toml":
        raise UserError("a calibration is a TOML file", where=output, hint="name it .toml")
    if output.exists() and not output.read_bytes().startswith(HEAD.encode()):
        raise UserError(
            "is there already and is no calibration", where=output, hint="choose another -o"
        )


def _read_positions(path: Path, source: Source) -> list[float]:
    """Return the height of every image, NaN where none is given.

    Raises
    ------
    UserError
        If a row names no image of the stack or holds no number.
    """
    table = read_columns(path, {"image": _IMAGE_NAMES, "z_um": _Z_NAMES})
    places = _image_places(source)
    z_um = [float("nan")] * source.n_frames
    for line, (image, text) in enumerate(zip(table["image"], table["z_um"], strict=True), start=2):
        value = to_number(text)
        if not np.isfinite(value):
            raise UserError(f"line {line}: {text!r} is no height in um", where=path)
        place = places.get(_key(image))
        if place is None:
            raise UserError(
                f"line {line}: the stack holds no image {image!r}",
                where=path,
                hint=f"it holds {_listed(source)}",
            )
        if np.isfinite(z_um[place]):
            raise UserError(
                f"line {line}: the image {image!r} has a height already",
                where=path,
                hint="list every image once",
            )
        z_um[place] = value
    return z_um


def _image_places(source: Source) -> dict[str, int]:
    """Return the number of each image by its index, its file's name and that without its end."""
    places = {str(number): number for number in range(source.n_frames)}
    if "file" not in source.index.columns:
        return places
    names = [str(name) for name in source.index["file"]]
    if len(set(names)) < len(names):
        return places
    for number, name in zip(source.index["frame"], names, strict=True):
        bare = PurePosixPath(name.replace("\\", "/")).name
        for known in (PurePosixPath(bare).stem, bare, name):
            if known and not re.fullmatch(r"\d{1,3}", known):
                places[_key(known)] = int(number)
    return places


def _key(name: str) -> str:
    """Return an image's name as it is compared; "3.0" is the index 3."""
    name = name.strip().replace("\\", "/").lower()
    return name[:-2] if re.fullmatch(r"\d+\.0", name) else name


def _listed(source: Source) -> str:
    last = source.n_frames - 1
    if "file" not in source.index.columns:
        return f"the indices 0 to {last}"
    names = [str(name) for name in source.index["file"] if name]
    return f"{names[0]} to {names[-1]} (or the indices 0 to {last})"


def _write(fit: StackFit, output: Path, stack: Path) -> Path:
    import matplotlib as mpl

    from pitflow.report.figures.calibration import draw_calibration
    from pitflow.report.panel import render
    from pitflow.report.style import RC

    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with mpl.rc_context(RC):
            panel = draw_calibration(
                fit.measurements,
                sigma0_px=fit.sigma0_px.value,
                k_px_per_um=fit.k_px_per_um.value,
                interval_px_per_um=fit.k_px_per_um.interval(),
            )
            render(panel, output.with_suffix(""), svg=True)
        output.write_text(_as_toml(fit, stack), encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot be written ({error.strerror})", where=output) from error
    return output.with_suffix(".png")


def _as_toml(fit: StackFit, stack: Path) -> str:
    lines: Sequence[tuple[str, float, str]] = (
        ("sigma0_px", fit.sigma0_px.value, "blur in focus, px; mean over particles"),
        ("k_px_per_um", fit.k_px_per_um.value, "blur per height, px/um"),
        (
            "sigma0_err_px",
            fit.sigma0_one_px,
            (
                f"of one particle: mean ± {fit.sigma0_px.error:.2g}, "
                f"spread {fit.sigma0_px.spread:.2g}, own size taken off {fit.size_px2:.2g} px^2"
            ),
        ),
        ("k_err_px_per_um", fit.k_px_per_um.error, "standard error"),
    )
    name = "".join(c if c.isprintable() else "?" for c in stack.name)
    body = "\n".join(f"{key} = {value:.6g}  # {note}" for key, value, note in lines)
    return f"{HEAD}\n# {name}: {in_words(fit)}\n\n[measure.focus]\n{body}\n"
