"""The paper's experiment writes its table and figures, and its points are real trainings."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from pitflow.cli import main
from pitflow.config import SegmentConfig
from pitflow.domains.particles import sweep as sweep_module
from pitflow.domains.particles.pictures import read_grey
from pitflow.domains.particles.recipes import PAPER
from pitflow.domains.particles.still import classical_mask
from pitflow.domains.particles.sweep import paper_sweep
from pitflow.errors import UserError
from pitflow.segment.networks.unet import UNetConfig

QUICK = PAPER.model_copy(
    update={
        "network": UNetConfig(widths=(4, 8)),
        "crop_px": 64,
        "tile_px": 64,
        "overlap_px": 0,
        "halo_px": 0,
    }
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, write_pictures: Callable[..., None]) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_pictures(folder, [f"v_0.5_{index}" for index in range(10)])
    return folder


def sweep(data: Path, out: Path, **options: object) -> pd.DataFrame:
    options = {"epochs": (2, 4), "learning_rates": (1e-3, 1e-2)} | options
    return paper_sweep([data], out, recipe=QUICK, device="cpu", **options)


def test_table_and_figures_are_written(data: Path, tmp_path: Path) -> None:
    table = sweep(data, tmp_path)
    assert list(zip(table["epochs"], table["learning_rate"], strict=True)) == [
        (2, 1e-3),
        (4, 1e-3),
        (4, 1e-2),
    ]
    assert table["accuracy"].between(0, 1).all()
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "table.csv"), table)
    for name in ("sweep", "examples", "classical"):
        assert (tmp_path / f"{name}.png").stat().st_size > 1000
        assert (tmp_path / f"{name}.svg").exists()


def test_a_point_along_a_training_is_a_training_of_that_length(data: Path, tmp_path: Path) -> None:
    along = sweep(data, tmp_path / "along", learning_rates=(1e-3,))
    alone = sweep(data, tmp_path / "alone", epochs=(2,), learning_rates=(1e-3,))
    pd.testing.assert_frame_equal(along.iloc[:1], alone)


def test_a_changed_sweep_begins_anew_only_when_told_to(data: Path, tmp_path: Path) -> None:
    options = {"learning_rates": (1e-3,)}
    first = sweep(data, tmp_path / "out", epochs=(1,), **options)
    with pytest.raises(UserError, match="holds a training of something else"):
        sweep(data, tmp_path / "out", epochs=(2,), **options)
    pd.testing.assert_frame_equal(sweep(data, tmp_path / "out", epochs=(1,), **options), first)
    again = sweep(data, tmp_path / "out", epochs=(2,), overwrite=True, **options)
    pd.testing.assert_frame_equal(again, sweep(data, tmp_path / "alone", epochs=(2,), **options))


def test_a_rate_at_which_training_diverges_is_a_row(data: Path, tmp_path: Path) -> None:
    table = sweep(data, tmp_path, epochs=(1,), learning_rates=(1e-3, 1e30))
    assert table["f1"].isna().tolist() == [False, True]
    assert pd.read_csv(tmp_path / "table.csv")["f1"].isna().tolist() == [False, True]


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_what_is_no_learning_rate_is_refused(rate: float, data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no learning rate"):
        sweep(data, tmp_path / "out", learning_rates=(1e-3, rate))
    assert not (tmp_path / "out").exists()


def test_one_tile_is_too_few(tmp_path: Path, write_pictures: Callable[..., None]) -> None:
    write_pictures(tmp_path / "data", ["only"])
    with pytest.raises(UserError, match="too few"):
        sweep(tmp_path / "data", tmp_path / "out")


def test_the_classical_baseline_finds_clear_particles(data: Path) -> None:
    path = data / "v_0.5_0.png"
    truth = read_grey(path.with_name("v_0.5_0_mask.png")) > 0
    found = classical_mask(read_grey(path), SegmentConfig(segmenter="clahe"))
    assert found.shape == truth.shape
    assert (found & truth).sum() > 0.5 * truth.sum()


def test_the_study_as_a_command(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sweep_module, "paper_sweep", partial(paper_sweep, recipe=QUICK))
    options = ["--epochs", "1", "--epochs", "2", "--learning-rate", "0.001", "--device", "cpu"]
    with pytest.raises(SystemExit) as ended:
        main(["particle-study", "--data", str(data), "-o", str(tmp_path / "out"), *options])
    assert ended.value.code == 0
    assert len(pd.read_csv(tmp_path / "out" / "table.csv")) == 2
    assert "learning rate" in capsys.readouterr().out
