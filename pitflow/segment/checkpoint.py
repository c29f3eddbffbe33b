"""A trained network on disk: weights as safetensors, and a card in JSON that says what they are.

    model.safetensors   numbers only; reading them runs no code (pickle is never loaded)
    model.json          the card: network, channels, classes, how it was trained, how good it is

The card holds the hash of the weights, so a card never speaks of other weights than its own.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import safetensors
import safetensors.torch
import torch
from pydantic import Field, ValidationError
from torch import nn

from pitflow.config import Model
from pitflow.errors import UserError
from pitflow.segment.networks import NetworkConfig, build_network
from pitflow.segment.tiles import Beyond

WEIGHTS, CARD = "model.safetensors", "model.json"


class Card(Model):
    """What is known of a trained network: all that is needed to use it, repeat it and trust it."""

    format: Literal["pitflow-model-1"] = "pitflow-model-1"
    name: str = Field(description="what the model is called")
    domain: str = Field(description="recipe family it belongs to, such as particles")
    channels: tuple[str, ...] = Field(min_length=1, description="input channels, in order")
    classes: tuple[str, ...] = Field(min_length=1, description="output classes, in order")
    thresholds: tuple[float, ...] = Field(description="probability from which on, per class")
    network: NetworkConfig
    tile_px: int = Field(gt=0, description="side of a tile at inference, px")
    overlap_px: int = Field(0, ge=0, description="overlap of tiles, px")
    halo_px: int | None = Field(None, ge=0, description="dropped margin, px; None: the network's")
    beyond: Beyond = Field("mirrored", description="what it sees beyond the border of an image")
    ranges: dict[str, tuple[float, float]] = Field(
        {}, description="least and greatest feature behind each convolution, for whole numbers"
    )
    recipe: dict[str, Any] = Field({}, description="all parameters of the training")
    data: tuple[dict[str, Any], ...] = Field((), description="what it was trained on")
    note: str = Field("", description="whose the data are and under which licence, in words")
    scores: dict[str, Any] = Field({}, description="how good it is, and on what")
    command: str = Field("", description="the command that made it")
    versions: dict[str, str] = Field({}, description="of the program and its libraries")
    weights_sha256: str = Field("", description="hash of the weights' file")


def save_checkpoint(folder: Path, network: nn.Module, card: Card, *, half: bool = False) -> Card:
    """Write weights and card into a folder; returns the card as written.

    ``half`` stores the weights as float16, at half the size.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: _storable(tensor, half) for name, tensor in network.state_dict().items()}
    weights, said = (folder / (name + ".partial") for name in (WEIGHTS, CARD))
    # Written by hand: the library would make a file that nobody else may read.
    weights.write_bytes(safetensors.torch.save(tensors))
    card = card.model_copy(update={"weights_sha256": _sha256(weights)})
    text = json.dumps(card.model_dump(mode="json"), indent=2)
    said.write_text(text + "\n", encoding="utf-8")
    # Not before both are complete: weights beside the card of others are no model.
    weights.replace(folder / WEIGHTS)
    said.replace(folder / CARD)
    return card


def load_checkpoint(path: Path) -> tuple[nn.Module, Card]:
    """Read a model's folder (or its weights' file) as a network ready for inference, and its card.

    Raises
    ------
    UserError
        If the files are missing or damaged, do not belong together, or are no checkpoint of this
        program (pickled weights above all).
    """
    if path.suffix in {".pt", ".pth", ".ckpt", ".pkl", ".bin", ".h5"}:
        raise UserError(
            "weights of this kind can run code when they are read and are never loaded",
            where=path,
            hint="use a model made by `pitflow train`",
        )
    folder = path.parent if path.name in (WEIGHTS, CARD) else path
    card = read_card(folder)
    weights = folder / WEIGHTS
    try:
        if _sha256(weights) != card.weights_sha256:
            raise UserError(
                "the weights are not those of the card", where=weights, hint="copy the model again"
            )
        tensors = safetensors.torch.load_file(weights)
    except OSError as error:
        raise UserError(f"cannot read the weights ({error.strerror})", where=weights) from error
    except safetensors.SafetensorError as error:
        raise UserError(f"damaged weights ({error})", where=weights) from error
    network = build_network(card.network, len(card.channels), len(card.classes), trained=True)
    try:
        network.load_state_dict(
            {
                name: tensor.float() if tensor.is_floating_point() else tensor
                for name, tensor in tensors.items()
            }
        )
    except RuntimeError as error:
        raise UserError(
            "the weights do not fit the network of the card", where=weights, hint=CARD
        ) from error
    return network.eval(), card


def read_card(folder: Path) -> Card:
    """Read the card of a model.

    Raises
    ------
    UserError
        If it is missing or not a card.
    """
    path = folder / CARD
    try:
        return Card.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UserError(
            f"cannot read the model's card ({error.strerror})",
            where=path,
            hint=f"a model is a folder that holds {WEIGHTS} and {CARD}",
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        what = f"not a model's card: {key or 'JSON'}: {first['msg']}"
        raise UserError(what, where=path) from error


def _storable(tensor: torch.Tensor, half: bool) -> torch.Tensor:
    tensor = tensor.detach().cpu().contiguous()
    return tensor.half() if half and tensor.is_floating_point() else tensor.clone()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
