"""A person corrects class maps of a run, and the model that made it learns from them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from pitflow import run as pipeline
from pitflow.cli import main
from pitflow.compute import Compute
from pitflow.config import Config
from pitflow.domains.particles.model import STILLS
from pitflow.domains.particles.recipes import MOVING
from pitflow.domains.training import new_card, new_network
from pitflow.errors import UserError
from pitflow.results import open_results
from pitflow.segment.checkpoint import WEIGHTS, load_checkpoint, save_checkpoint
from pitflow.segment.networks.unet import UNetConfig
from pitflow.simulate.config import SimulateConfig
from pitflow.simulate.simulate import simulate

TINY = MOVING.model_copy(
    update={
        "network": UNetConfig(widths=(4, 8)),
        "training": MOVING.training.model_copy(update={"epochs": 1, "precision": "float32"}),
        "crop_px": 48,
        "tile_px": 128,
    }
)
CORRECTED = {11: (60, 70), 30: (110, 40)}
"""Frame to the corner (row, column) of a square that is painted as a particle."""


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    size = SimulateConfig(frames=32, height=200, width=240, pits=1, rate=0.4)
    simulate(folder / "clip.avi", size, folder / "truth", seed=3)
    config = Config.model_validate(
        {
            "acquire": {"block_frames": 16},
            "segment": {"segmenter": "change"},
            "report": {"svg": False},
        }
    )
    pipeline.run(folder / "clip.avi", folder / "run.pitflow", config, Compute(1))
    return folder / "run.pitflow"


@pytest.fixture(scope="module")
def corrected(untouched: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corrected") / "run.pitflow"
    shutil.copytree(untouched, folder)
    masks = zarr.open_array(folder / "masks.zarr" / "0", mode="r+")
    for frame, (row, column) in CORRECTED.items():
        classes = np.asarray(masks[frame])
        classes[row : row + 6, column : column + 6] = 1
        masks[frame] = classes
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    card = new_card(TINY).model_copy(update={"thresholds": (0.3, 0.4, 0.2)})
    save_checkpoint(folder, new_network(TINY), card)
    save_checkpoint(folder / STILLS, new_network(TINY), card)
    return folder


def train(*arguments: object) -> None:
    main(["train", "particles", *map(str, arguments), "--device", "cpu"])


def test_what_was_corrected_is_known(untouched: Path, corrected: Path) -> None:
    assert open_results(untouched).corrected == []
    assert open_results(corrected).corrected == list(CORRECTED)


def test_the_model_learns_the_corrected_frames(
    corrected: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        train("--from", corrected, "--initial", model, "-o", tmp_path / "new")
    assert ended.value.code == 0
    network, card = load_checkpoint(tmp_path / "new")
    assert [entry["frame"] for entry in card.data] == [f"run.pitflow frame {n}" for n in CORRECTED]
    assert card.thresholds == (0.3, 0.4, 0.2)
    assert set(card.scores) == {
        "corrected frames, before",
        "corrected frames, after (trained on them)",
    }
    for_stills = (tmp_path / "new" / STILLS / WEIGHTS).read_bytes()
    assert for_stills == (model / STILLS / WEIGHTS).read_bytes()
    old = load_checkpoint(model)[0].state_dict()
    assert any((value != old[name]).any() for name, value in network.state_dict().items())


def test_named_frames_are_learned_as_they_are(untouched: Path, model: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        train("--from", untouched, "--frames", "4:6", "--initial", model, "-o", tmp_path / "new")
    _, card = load_checkpoint(tmp_path / "new")
    assert [entry["frame"] for entry in card.data] == ["run.pitflow frame 4", "run.pitflow frame 5"]


def test_epochs_and_seed_may_be_asked_for(untouched: Path, model: Path, tmp_path: Path) -> None:
    given = ("--frames", "4:5", "--initial", model, "-o", tmp_path / "new")
    with pytest.raises(SystemExit):
        train("--from", untouched, *given, "--epochs", 2, "--seed", 5)
    _, card = load_checkpoint(tmp_path / "new")
    training = card.recipe["training"]
    assert (training["epochs"], training["seed"]) == (2, 5)


def test_a_network_for_single_images_is_not_taken_for_its_own_companion(
    untouched: Path, model: Path, tmp_path: Path
) -> None:
    stills = model / STILLS
    with pytest.raises(SystemExit):
        train("--from", untouched, "--frames", "4:5", "--initial", stills, "-o", tmp_path / "new")
    assert (tmp_path / "new" / WEIGHTS).is_file()
    assert not (tmp_path / "new" / STILLS).exists()


def test_without_a_correction_there_is_nothing_to_learn(
    untouched: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["train", "particles", "--from", str(untouched), "-o", str(tmp_path / "new")])
    assert code == 2
    assert "no class map" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("given", [[], ["--from", "run.pitflow", "--data", "tiles"]])
def test_either_data_or_a_run(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "particles", *given, "-o", "new"]) == 2
    assert "either --data or --from" in capsys.readouterr().err


def test_a_run_without_marks_has_no_corrections(corrected: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(corrected, tmp_path / "old.pitflow")
    (copy / "parts" / "segment" / "masks.json").unlink()
    assert open_results(copy).corrected == []
    with pytest.raises(UserError):
        open_results(copy).mask(99)
