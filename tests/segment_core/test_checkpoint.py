"""A saved network is the same network; a damaged or foreign file is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from pitflow.errors import UserError
from pitflow.segment.checkpoint import (
    CARD,
    WEIGHTS,
    Card,
    load_checkpoint,
    save_checkpoint,
)
from pitflow.segment.networks import build_network
from pitflow.segment.networks.unet import UNetConfig

CONFIG = UNetConfig(widths=(4, 8))


def a_card(**changes: object) -> Card:
    values = {
        "name": "test",
        "domain": "particles",
        "channels": ("frame", "background"),
        "classes": ("particle",),
        "thresholds": (0.5,),
        "network": CONFIG,
        "tile_px": 64,
    }
    return Card(**(values | changes))


@pytest.fixture
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    network = build_network(CONFIG, 2, 1)
    network(torch.randn(4, 2, 16, 16))
    return network.eval()


@pytest.mark.parametrize("half", [False, True])
def test_saved_and_loaded_is_the_same(tmp_path: Path, network: torch.nn.Module, half: bool) -> None:
    written = save_checkpoint(tmp_path / "m", network, a_card(scores={"f1": 0.5}), half=half)
    images = torch.randn(1, 2, 16, 16)
    for path in (tmp_path / "m", tmp_path / "m" / WEIGHTS, tmp_path / "m" / CARD):
        loaded, card = load_checkpoint(path)
        assert card == written
        assert not loaded.training
        tolerance = 1e-2 if half else 0
        with torch.no_grad():
            torch.testing.assert_close(
                loaded(images), network(images), rtol=tolerance, atol=tolerance
            )


def test_a_write_that_fails_leaves_the_earlier_model(
    tmp_path: Path, network: torch.nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = save_checkpoint(tmp_path, network, a_card())
    for weights in network.parameters():
        weights.data *= 0.5

    def full(self: Path, text: str, **options: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="full"):
        patch.setattr(Path, "write_text", full)
        save_checkpoint(tmp_path, network, a_card(name="other"))
    assert load_checkpoint(tmp_path)[1] == written


def _flip_a_byte(folder: Path) -> None:
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-3] ^= 255
    (folder / WEIGHTS).write_bytes(data)


def _cut(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-40])


def _remove_weights(folder: Path) -> None:
    (folder / WEIGHTS).unlink()


def _remove_card(folder: Path) -> None:
    (folder / CARD).unlink()


def _break_card(folder: Path) -> None:
    (folder / CARD).write_text("{")


def _unknown_network(folder: Path) -> None:
    _edit(folder, network={"kind": "other"})


def _other_width(folder: Path) -> None:
    _edit(folder, network={"kind": "unet", "widths": [4, 9]})


def _unknown_format(folder: Path) -> None:
    _edit(folder, format="pitflow-model-9")


def _edit(folder: Path, **changes: object) -> None:
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps(card | changes))


@pytest.mark.parametrize(
    "damage",
    [
        _flip_a_byte,
        _cut,
        _remove_weights,
        _remove_card,
        _break_card,
        _unknown_network,
        _other_width,
        _unknown_format,
    ],
)
def test_damage_is_refused_in_one_line(
    tmp_path: Path, network: torch.nn.Module, damage: object
) -> None:
    save_checkpoint(tmp_path, network, a_card())
    damage(tmp_path)
    with pytest.raises(UserError) as error:
        load_checkpoint(tmp_path)
    assert "\n" not in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_pickle_is_never_loaded(tmp_path: Path, network: torch.nn.Module) -> None:
    path = tmp_path / "model.pth"
    torch.save(network.state_dict(), path)
    with pytest.raises(UserError, match="never loaded"):
        load_checkpoint(path)
    (tmp_path / WEIGHTS).write_bytes(path.read_bytes())
    with pytest.raises(UserError):
        load_checkpoint(tmp_path)
