"""What the training of every domain begins with: a new network, its card, and a folder for both."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pitflow.domains.recipe import AnyRecipe
from pitflow.errors import UserError
from pitflow.provenance import software_versions
from pitflow.segment.checkpoint import WEIGHTS, Card
from pitflow.segment.networks import build_network
from pitflow.segment.training.learn import STATE


def new_network(recipe: AnyRecipe) -> nn.Module:
    """Return the recipe's network with the initial weights that its seed gives."""
    with torch.random.fork_rng():
        torch.manual_seed(recipe.training.seed)
        return build_network(recipe.network, len(recipe.channels), len(recipe.classes))


def new_card(recipe: AnyRecipe) -> Card:
    """Return the card of a model of the recipe that is yet to be trained."""
    return Card(
        name=recipe.name,
        domain=recipe.domain,
        channels=recipe.channels,
        classes=recipe.classes,
        thresholds=(0.5,) * len(recipe.classes),
        network=recipe.network,
        tile_px=recipe.tile_px,
        overlap_px=recipe.overlap_px,
        halo_px=recipe.halo_px,
        recipe=recipe.model_dump(mode="json"),
        versions=software_versions() | {"torch": torch.__version__},
    )


def prepare_folder(out: Path, *, overwrite: bool) -> None:
    """Make the folder of a training; with ``overwrite``, drop the training that is in it.

    Raises
    ------
    UserError
        If it cannot be made, or holds a model that was not trained there.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot be made ({error.strerror})", where=out) from error
    if overwrite:
        (out / STATE).unlink(missing_ok=True)
        shutil.rmtree(out / "log", ignore_errors=True)
    elif (out / WEIGHTS).exists() and not (out / STATE).exists():
        raise UserError("holds a model", where=out, hint="choose another folder, or --overwrite")


def about_folder(folder: Path) -> dict[str, Any]:
    """Say what a folder of data held: its name, and a hash over its files, ready for JSON."""
    digest = hashlib.sha256()
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in files:
        digest.update(path.relative_to(folder).as_posix().encode())
        digest.update(path.read_bytes())
    return {"folder": folder.resolve().name, "files": len(files), "sha256": digest.hexdigest()}
