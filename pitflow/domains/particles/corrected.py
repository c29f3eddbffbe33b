"""Learning from a run whose class maps a person has corrected (active labelling)."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pitflow.acquire.background import StoredScene
from pitflow.acquire.frames import FrameReader, frames_of_block
from pitflow.compute import Progress
from pitflow.config import PitConfig, build
from pitflow.domains.particles.centres import centres_of
from pitflow.domains.particles.evaluate import score_particles
from pitflow.domains.particles.fit import How, fit
from pitflow.domains.particles.model import STILLS, load_model, model_folder
from pitflow.domains.particles.moving import grounds, picture_in_run
from pitflow.domains.particles.picture import Picture
from pitflow.domains.recipe import Recipe, changed
from pitflow.domains.training import prepare_folder
from pitflow.errors import UserError
from pitflow.frame import CLASS_PARTICLE, CLASS_PIT
from pitflow.segment.checkpoint import Card, save_checkpoint
from pitflow.segment.devices import choose_execution
from pitflow.segment.pits import TAIL_FRAMES, find_pits

EPOCHS = 20
SAMPLES_PER_FRAME = 40
GENTLER = 0.1
"""Share of the recipe's learning rate: a trained network is adapted, not trained anew."""


def corrected_pictures(
    name: str,
    reader: FrameReader,
    scene: StoredScene,
    config: PitConfig,
    mask_at: Callable[[int], npt.NDArray[np.uint8]],
    frames: Sequence[int],
) -> list[Picture]:
    """Return frames of a run with their class maps as truth, and the company the run gave them.

    Parameters
    ----------
    name:
        Of the run.
    reader, scene, config:
        Of the run.
    mask_at:
        Gives the class map of a frame.
    frames:
        Numbers of the frames; lost and damaged ones are left out.

    Raises
    ------
    UserError
        If none of the frames is sound.
    """
    last = int(scene.frames["frame"].iloc[-1])
    tail = reader.last(TAIL_FRAMES, last + 1)
    pits = find_pits(scene, config, tail, partial(frames_of_block, reader, scene))
    pictures = []
    for window, i, ground in grounds(reader, scene, pits, set(frames)):
        classes = mask_at(window.frames[i].index)
        particle, pit = classes == CLASS_PARTICLE, classes == CLASS_PIT
        truth = {"particle": particle, "pit": pit, "centre": centres_of(particle)}
        pictures.append(picture_in_run(window, i, ground, name, truth))
    if not pictures:
        raise UserError("none of these frames is sound", where=name)
    return pictures


def train_on_corrected(
    pictures: Sequence[Picture],
    initial: str,
    out: Path,
    *,
    epochs: int | None = None,
    seed: int | None = None,
    device: str = "auto",
    workers: int = 1,
    overwrite: bool = False,
    command: str = "",
    progress: Progress,
) -> Card:
    """Adapt a model to corrected frames and write it; its thresholds stay as they were.

    Its network for single images, if it has one, is not touched.

    Parameters
    ----------
    pictures:
        From ``corrected_pictures``.
    initial:
        The model that made the run, by name or path.
    epochs, seed:
        Of this training; None: ``EPOCHS`` or the model's own if those are fewer, and its seed.
    out, device, workers, overwrite, command:
        As for ``train_particles``.

    Raises
    ------
    UserError
        If the model cannot be had, or ``out`` holds something else.
    """
    before = load_model(initial)
    recipe = changed(_gentler(before.card, len(pictures)), {"epochs": epochs, "seed": seed})
    choose_execution(device)
    prepare_folder(out, overwrite=overwrite)
    model = fit(pictures, (), recipe, out, How(initial, device, workers, progress))
    thresholds = before.card.thresholds
    model = model.with_card(model.card.model_copy(update={"thresholds": thresholds}))
    card = model.card.model_copy(
        update={
            "data": tuple({"frame": picture.name} for picture in pictures),
            "scores": {
                "corrected frames, before": score_particles(before, pictures),
                "corrected frames, after (trained on them)": score_particles(model, pictures),
            },
            "command": command,
        }
    )
    for_stills = model_folder(initial) / STILLS
    if for_stills.is_dir():
        shutil.copytree(for_stills, out / STILLS, dirs_exist_ok=True)
    return save_checkpoint(out, model.network, card)


def _gentler(card: Card, n_frames: int) -> Recipe:
    """Return the recipe by which a model was made, for a short training that goes on from it."""
    recipe = build(Recipe, card.recipe, where=card.name)
    training = recipe.training.model_copy(
        update={
            "epochs": min(EPOCHS, recipe.training.epochs),
            "samples_per_epoch": SAMPLES_PER_FRAME * n_frames,
            "learning_rate": GENTLER * recipe.training.learning_rate,
            "keep": "last",
        }
    )
    return recipe.model_copy(
        update={
            "training": training,
            "network": card.network,
            "folds": None,
            "validation_share": None,
        }
    )
