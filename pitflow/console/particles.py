"""Particle models in the terminal."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pitflow.console import this_command
from pitflow.console.bar import Bar
from pitflow.errors import UserError
from pitflow.provenance import RunFolder


def train_with_progress(
    data: Sequence[Path],
    output: Path,
    recipe: str | None,
    initial: str | None,
    folds: int | None,
    epochs: int | None,
    seed: int | None,
    device: str,
    workers: int | None,
    *,
    overwrite: bool,
) -> None:
    """Train a particle model and print where it is."""
    from pitflow.console import print_note
    from pitflow.domains.particles.recipes import find_recipe
    from pitflow.domains.particles.train import train_particles

    with Bar() as bar:
        train_particles(
            data,
            output,
            None if recipe is None else find_recipe(recipe),
            folds=folds,
            epochs=epochs,
            seed=seed,
            initial=initial,
            device=device,
            workers=workers or 1,
            overwrite=overwrite,
            command=this_command(),
            progress=bar,
            note=print_note,
        )
    sys.stdout.write(f"{output}\n")


def adapt_with_progress(
    run: Path,
    output: Path,
    span: tuple[int | None, int | None] | None,
    initial: str | None,
    epochs: int | None,
    seed: int | None,
    device: str,
    workers: int | None,
    *,
    overwrite: bool,
) -> None:
    """Adapt the model of a run to its corrected frames and print where it is."""
    from pitflow.console import print_note
    from pitflow.domains.particles.corrected import corrected_pictures, train_on_corrected
    from pitflow.results import open_results

    results = open_results(run)
    segment, numbers = results.config.segment, results.scene.frames["frame"].tolist()
    frames = results.corrected
    if span is not None:
        first, stop = span[0] or 0, span[1] or numbers[-1] + 1
        frames = [number for number in numbers if first <= number < stop]
        if not frames:
            raise UserError(
                f"frames {first}:{stop} are not in the run: it has {numbers[0]} to {numbers[-1]}",
                where="--frames",
            )
    if not frames:
        raise UserError(
            "no class map in masks.zarr was changed since the run wrote it",
            where=run,
            hint="correct some frames (in napari, say), or name frames with --frames A:B",
        )
    if note := RunFolder(run).lost_masks(frames):
        print_note(note)
    with Bar() as bar, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="masks.zarr")
        train_on_corrected(
            corrected_pictures(
                run.name, results.reader, results.scene, segment.pits, results.mask, frames
            ),
            initial or segment.unet.model,
            output,
            epochs=epochs,
            seed=seed,
            device=device,
            workers=workers or 1,
            overwrite=overwrite,
            command=this_command(),
            progress=bar,
        )
    sys.stdout.write(f"{output}\n")


def print_evaluation(
    model: str, data: Sequence[Path], device: str, *, flips: bool, as_json: bool
) -> None:
    """Print the scores of a model on labelled folders."""
    from pitflow.console import print_note
    from pitflow.domains.particles.evaluate import evaluate, format_scores

    with Bar() as bar:
        scores = evaluate(model, data, device=device, flips=flips, progress=bar, note=print_note)
    text = json.dumps(scores, indent=2) if as_json else format_scores(scores)
    sys.stdout.write(text + "\n")


def segment_with_progress(
    images: Sequence[Path],
    model: str,
    output: Path,
    device: str,
    *,
    flips: bool,
    overwrite: bool,
) -> int:
    """Write a mask, or the classes, of every image and print where they are.

    Returns
    -------
    0, or 2 if an image could not be read.
    """
    from pitflow.console import print_error, print_note
    from pitflow.domains.included import find_model
    from pitflow.domains.particles.segment import segment_images
    from pitflow.domains.sem.classify import classify_images
    from pitflow.image_file import left_out
    from pitflow.segment.checkpoint import read_card

    for said in left_out(images):
        print_note(said)
    of_particles = partial(segment_images, flips=flips, note=print_note)
    segment = {"sem": classify_images}.get(read_card(find_model(model)).domain, of_particles)
    refused: list[UserError] = []
    with Bar() as bar:
        written = segment(
            images,
            model,
            output,
            device=device,
            overwrite=overwrite,
            progress=bar,
            refused=refused.append,
        )
    for error in refused:
        print_error(error)
    if written:
        sys.stdout.write(f"{output}\n")
    return 2 if refused else 0
