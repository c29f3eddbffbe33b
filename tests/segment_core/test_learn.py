"""The training loop learns, repeats itself exactly, and goes on after a stop."""

from __future__ import annotations

import errno
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from pitflow.domains.training import going_on_or_anew
from pitflow.errors import UserError
from pitflow.output_folder import make_folder
from pitflow.segment.networks import build_network
from pitflow.segment.networks.unet import UNetConfig
from pitflow.segment.training import learn
from pitflow.segment.training.learn import (
    STATE,
    Batch,
    Epoch,
    OtherTrainingError,
    Sample,
    TrainConfig,
    Trained,
    autocast,
    learning_rate_at,
    stack,
    train,
)
from pitflow.segment.training.losses import binary_cross_entropy

CONFIG = TrainConfig(epochs=4, batch=4, learning_rate=1e-2, ema=0.5, schedule="cosine")
UNET = UNetConfig(widths=(4, 8), channel_dropout=0.3)


class Squares:
    """A square, brighter than the noise around it, is the truth."""

    def __init__(self, n: int = 10) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def draw(self, index: int, rng: np.random.Generator) -> Sample:
        truth = np.zeros((1, 16, 16), bool)
        top, left = rng.integers(0, 10, 2)
        truth[0, top : top + 6, left : left + 6] = True
        channels = (4 * truth + rng.normal(size=(2, 16, 16))).astype(np.float32)
        return Sample(channels, truth, np.ones_like(truth))


def accuracy(network: torch.nn.Module) -> tuple[float, dict[str, float]]:
    drawn = [Squares().draw(0, np.random.default_rng([9, index])) for index in range(8)]
    images = torch.from_numpy(np.stack([sample.channels for sample in drawn]))
    truth = torch.from_numpy(np.stack([sample.truth for sample in drawn]))
    with torch.no_grad():
        right = ((network(images) > 0) == truth).float().mean()
    return float(right), {"error": 1 - float(right)}


def a_training(folder: Path, config: TrainConfig = CONFIG, **options: object) -> Trained:
    torch.manual_seed(0)
    network = build_network(UNET, 2, 1)
    options = {"validate": accuracy, "samples": Squares()} | options
    return train(network, loss=binary_cross_entropy, config=config, folder=folder, **options)


def weights(trained: Trained) -> dict[str, torch.Tensor]:
    return dict(trained.network.state_dict())


def test_it_learns(tmp_path: Path) -> None:
    steps: list[int] = []
    config = CONFIG.model_copy(update={"epochs": 60, "validate_every": 15})
    trained = a_training(tmp_path, config, advance=steps.append)
    assert sum(steps) == 60 * 3
    assert trained.history[-1].loss < 0.5 * trained.history[0].loss
    assert accuracy(trained.network)[0] > 0.95
    scored = [epoch.epoch for epoch in trained.history if epoch.score is not None]
    assert scored == [14, 29, 44, 59]
    assert trained.best_epoch == max(scored, key=lambda n: trained.history[n].score or 0)
    assert not trained.network.training
    assert list((tmp_path / "log").iterdir())


class StoppedError(Exception):
    """As if the machine went down."""


@pytest.mark.parametrize("workers", [1, 3])
def test_a_stopped_training_ends_with_the_same_weights(tmp_path: Path, workers: int) -> None:
    whole = a_training(tmp_path / "whole")

    def stop_after_the_second(epoch: Epoch) -> None:
        if epoch.epoch == 1:
            raise StoppedError

    with pytest.raises(StoppedError):
        a_training(tmp_path / "stopped", report=stop_after_the_second, workers=workers)
    continued: list[Epoch] = []
    resumed = a_training(tmp_path / "stopped", report=continued.append, workers=workers)
    assert [epoch.epoch for epoch in continued] == [2, 3]
    assert resumed.history == whole.history
    assert resumed.best_epoch == whole.best_epoch
    for name, value in weights(whole).items():
        assert torch.equal(weights(resumed)[name], value), name


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    first = a_training(tmp_path)
    again: list[Epoch] = []
    second = a_training(tmp_path, report=again.append)
    assert not again
    assert all(torch.equal(weights(second)[name], value) for name, value in weights(first).items())


def test_patience_stops_and_the_best_weights_are_kept(tmp_path: Path) -> None:
    scores = iter([0.1, 0.5, 0.4, 0.3, 0.9])
    seen: list[dict[str, torch.Tensor]] = []

    def validate(network: torch.nn.Module) -> tuple[float, dict[str, float]]:
        seen.append({name: value.clone() for name, value in network.state_dict().items()})
        return next(scores), {}

    config = CONFIG.model_copy(update={"epochs": 9, "patience": 2})
    trained = a_training(tmp_path, config, validate=validate)
    assert len(trained.history) == 4
    assert trained.best_epoch == 1
    assert all(torch.equal(weights(trained)[name], value) for name, value in seen[1].items())


def test_the_last_weights_are_kept_on_request_or_without_validation(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"keep": "last"})
    last = a_training(tmp_path / "a", config)
    without = a_training(tmp_path / "b", validate=None)
    assert last.best_epoch is without.best_epoch is None
    for name, value in weights(last).items():
        assert torch.equal(weights(without)[name], value)


def test_without_average_the_weights_are_the_networks_own(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build_network(UNET, 2, 1)
    config = CONFIG.model_copy(update={"ema": 0.0, "epochs": 1})
    trained = train(network, Squares(), binary_cross_entropy, None, config, tmp_path)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(weights(trained)[name], value)


def test_chance_outside_is_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build_network(UNET, 2, 1)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    train(network, Squares(), binary_cross_entropy, None, CONFIG, tmp_path)
    assert torch.equal(torch.rand(1), expected)


class Noted:
    """Twice the entropy is to fall; the entropy itself is only noted."""

    terms, notes = ("twice",), ("entropy",)

    def __call__(self, *parts: torch.Tensor) -> torch.Tensor:
        entropy = binary_cross_entropy(*parts)
        return torch.stack([2 * entropy, entropy.detach()])


def test_notes_are_logged_not_trained_on_and_may_decide_the_next_loss(tmp_path: Path) -> None:
    seen: list[list[float]] = []

    def loss_after(history: Sequence[Epoch]) -> Noted:
        seen.append([epoch.notes["entropy"] for epoch in history])
        return Noted()

    config = CONFIG.model_copy(update={"epochs": 3})
    trained = a_training(tmp_path, config, loss_after=loss_after)
    assert [len(notes) for notes in seen] == [0, 1, 2]
    for epoch in trained.history:
        assert epoch.loss == epoch.terms["twice"] == pytest.approx(2 * epoch.notes["entropy"])
    assert a_training(tmp_path, config, loss_after=loss_after).history == trained.history


def test_the_learning_rate_rises_and_falls() -> None:
    rates = [learning_rate_at(step, 200, CONFIG) for step in range(200)]
    assert np.argmax(rates) in (9, 10)
    assert rates[10] == pytest.approx(CONFIG.learning_rate)
    assert np.all(np.diff(rates[:10]) > 0)
    assert np.all(np.diff(rates[10:]) < 0)
    assert rates[-1] < 1e-3 * CONFIG.learning_rate
    constant = TrainConfig(learning_rate=0.1)
    assert {learning_rate_at(step, 50, constant) for step in range(50)} == {0.1}


def test_samples_per_epoch_may_exceed_the_samples(tmp_path: Path) -> None:
    drawn: list[int] = []

    class Counted(Squares):
        def draw(self, index: int, rng: np.random.Generator) -> Sample:
            drawn.append(index)
            return super().draw(index, rng)

    config = CONFIG.model_copy(update={"epochs": 1, "samples_per_epoch": 7})
    a_training(tmp_path, config, samples=Counted(3))
    assert sorted(np.bincount(drawn)) == [2, 2, 3]


def test_misuse_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing to train on"):
        a_training(tmp_path / "none", samples=Squares(0))
    a_training(tmp_path / "one", CONFIG.model_copy(update={"epochs": 1}), identity="one")
    with pytest.raises(OtherTrainingError, match="something else"):
        a_training(tmp_path / "one", identity="two")
    (tmp_path / "one" / STATE).write_bytes(b"no training")
    with pytest.raises(OtherTrainingError, match="damaged"):
        a_training(tmp_path / "one", identity="one")


def test_a_study_drops_another_training_only_when_told_to(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"epochs": 1})
    folder = tmp_path / "study"
    a_training(folder, config, identity="one")
    (folder / "result.json").touch()
    going_on_or_anew(folder, lambda: a_training(folder, config, identity="one"), overwrite=True)
    with pytest.raises(OtherTrainingError, match="--overwrite"):
        going_on_or_anew(
            folder, lambda: a_training(folder, config, identity="two"), overwrite=False
        )
    assert (folder / "result.json").exists()
    going_on_or_anew(folder, lambda: a_training(folder, config, identity="two"), overwrite=True)
    assert not (folder / "result.json").exists()
    a_training(folder, config, identity="two")


def test_a_diverging_training_says_so(tmp_path: Path) -> None:
    def infinite(logits: torch.Tensor, truth: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        return logits.sum() * float("inf")

    network = build_network(UNET, 2, 1)
    with pytest.raises(UserError, match="diverged"):
        train(network, Squares(), infinite, None, CONFIG, tmp_path)
    assert not (tmp_path / STATE).exists()


def test_a_full_disk_is_told_as_such_and_leaves_nothing_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> int:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        a_training(tmp_path, identity="one")
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("path", ["file", "file/model", "folder"])
def test_a_folder_that_cannot_be_written_to_is_told_at_once(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_file(dir: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(dir))

    monkeypatch.setattr(tempfile, "TemporaryFile", no_file)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be made, or not be written to"):
        make_folder(tmp_path / path)


def test_the_state_is_plain_data(tmp_path: Path) -> None:
    import safetensors

    a_training(tmp_path)
    with safetensors.safe_open(tmp_path / STATE, "pt") as file:
        assert json.loads(file.metadata()["training"])["step"] == 12


class Pair(NamedTuple):
    """An answer of two parts."""

    where: torch.Tensor
    extra: tuple[torch.Tensor, None]


def test_any_answer_and_target_can_be_trained_on_and_terms_are_told_apart(tmp_path: Path) -> None:
    class Two(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = build_network(UNET, 2, 1)

        def forward(self, images: torch.Tensor, sums: torch.Tensor) -> Pair:
            assert sums.ndim == 1
            return Pair(self.inner(images), (images.mean().half(), None))

    class Terms:
        terms = ("pixels", "constant")

        def __call__(self, answer: Pair, truth: torch.Tensor) -> torch.Tensor:
            assert isinstance(answer, Pair)
            assert answer.extra[0].dtype == torch.float32
            assert answer.extra[1] is None
            pixels = binary_cross_entropy(answer.where, truth)
            return torch.stack([pixels, torch.tensor(2.0)])

    def collate(samples: Sequence[Sample]) -> Batch:
        images, (truth, _) = stack(samples).inputs[0], stack(samples).targets
        return Batch((images, truth.flatten(1).sum(1)), (truth,))

    trained = train(Two(), Squares(), Terms(), None, CONFIG, tmp_path, collate=collate)
    last = trained.history[-1]
    assert last.terms["constant"] == pytest.approx(2)
    assert last.loss == pytest.approx(last.terms["pixels"] + 2)
    again = train(Two(), Squares(), Terms(), None, CONFIG, tmp_path, collate=collate)
    assert again.history == trained.history


@pytest.mark.parametrize(
    ("precision", "instructions", "dtype"),
    [
        ("auto", True, torch.bfloat16),
        ("auto", False, torch.float32),
        ("bfloat16", False, torch.bfloat16),
        ("float32", True, torch.float32),
    ],
)
def test_auto_precision_is_the_fast_one_where_there_are_instructions_for_it(
    precision: str, instructions: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learn, "has_bfloat16", lambda: instructions)
    layer = torch.nn.Linear(2, 2)
    with autocast(torch.device("cpu"), precision):
        assert layer(torch.zeros(1, 2)).dtype == dtype
