"""Panel models: recipes, samples, training, and the study, with tiny networks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from small_panels import write_panels

from pitflow.console.panel import chosen_recipe
from pitflow.domains.panels.pictures import read_panels
from pitflow.domains.panels.recipes import (
    ARCHITECTURES,
    adapted,
    panel_recipe,
    read_recipe,
    title_of,
    with_theta,
)
from pitflow.domains.panels.samples import PanelSamples, scaled_size
from pitflow.domains.panels.study import (
    TABLE_I,
    StudyConfig,
    estimate_seconds,
    plan_tasks,
    run_study,
    study_recipe,
)
from pitflow.domains.panels.study_page import score_tables, summary, write_study_page
from pitflow.domains.panels.train import objective, train_panel
from pitflow.domains.training import new_network
from pitflow.errors import UserError
from pitflow.segment.checkpoint import load_checkpoint
from pitflow.segment.training.guidance import WEIGHT, GuidedLoss
from pitflow.segment.training.learn import Epoch

ROOT = Path(__file__).parents[2]


def test_the_recipes_are_table_one_with_the_papers_parameters() -> None:
    assert [title_of(name) for name in TABLE_I] == [
        "UNet", "ET-UNet", "Guided ET-UNet", "S-Guided ET-UNet",
        "UNet + FTL", "ET-UNet + FTL", "Guided ET-UNet + FTL", "S-Guided ET-UNet + FTL",
    ]  # fmt: skip
    for model in ARCHITECTURES:
        plain, ftl = panel_recipe(model, "dice"), panel_recipe(model, "ftl")
        assert (plain.name, ftl.name) == (model, f"{model}-ftl")
        assert [term.name for term in plain.loss] == ["bce", "dice"]
        assert ftl.loss[1].alpha == (0.88 if model in ("et-unet", "s-guided-et-unet") else 0.9)
        assert (plain.training.learning_rate, plain.training.batch) == (1e-3, 8)
    guidance = panel_recipe("s-guided-et-unet").guidance
    assert guidance is not None
    assert (guidance.edge, guidance.mask_edge, guidance.theta) == (0.5, 1.0, 3.0)
    assert panel_recipe("guided-et-unet").guidance.theta is None
    assert panel_recipe("et-unet").guidance.mask_edge == 0
    changed = panel_recipe("unet", "ftl", alpha=0.3, beta=2.0).loss[1]
    assert (changed.alpha, changed.beta) == (0.3, 2.0)


def test_unknown_recipes_and_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no panel model"):
        panel_recipe("u-net")
    with pytest.raises(UserError, match="no loss"):
        panel_recipe("unet", "tversky")
    with pytest.raises(UserError, match="multiple of 16, such as 96"):
        adapted(panel_recipe("unet"), size=100)
    with pytest.raises(UserError, match="alpha = 3"):
        panel_recipe("unet", "ftl", alpha=3.0)
    with pytest.raises(UserError, match="no theta"):
        with_theta(panel_recipe("unet"), 2.0, None)
    file = tmp_path / "mine.toml"
    file.write_text('model = "unet"\nloss = "dice"\n[training]\nepochs = 0\n')
    with pytest.raises(UserError, match="epochs"):
        read_recipe(file)
    for text, said in (
        ('channels = ["grey"]', "channels are grey, and photographs have red, green, blue"),
        ('classes = ["rust", "dirt"]', "classes are rust, dirt, and photographs have corrosion"),
        ("halo_px = 400", "tile_px: tiles of"),
    ):
        file.write_text(text)
        with pytest.raises(UserError, match=said):
            read_recipe(file)


def test_a_parameter_that_would_not_be_used_is_refused(tmp_path: Path) -> None:
    none = {"beta": None, "theta": None, "theta_share": None}
    for file, loss in ((None, "dice"), (tmp_path / "mine.toml", "ftl")):
        with pytest.raises(UserError, match="--alpha: goes with --loss ftl"):
            chosen_recipe(file, "unet", loss, 0.5, **none)
    assert chosen_recipe(None, "unet", "ftl", 0.5, **none).loss[1].alpha == 0.5


def test_the_recipe_that_comes_along_is_the_default() -> None:
    assert read_recipe(ROOT / "pipelines" / "panel.toml") == panel_recipe()
    assert read_recipe(Path("panel")) == panel_recipe()


def test_blocks_make_every_unet_of_a_study_work_at_half_the_resolution() -> None:
    config = StudyConfig(size=64, blocks=True)
    for name in (*TABLE_I, "medt"):
        plain, fast = study_recipe(name, StudyConfig(size=64)), study_recipe(name, config)
        images = torch.zeros(1, 3, 64, 64)
        network = new_network(fast).eval()
        with torch.inference_mode():
            assert network(images).shape == (1, 1, 64, 64)
        assert (fast.network == plain.network) == (name == "medt")
        assert getattr(network, "block", 2) == 2
        assert fast.guidance == plain.guidance


def test_theta_may_be_a_share_of_the_first_epochs_loss() -> None:
    recipe = with_theta(panel_recipe("s-guided-et-unet"), None, 0.5)
    first = Epoch(0, 2.0, 1e-3, terms={"mask": 1.4})
    losses = [objective(recipe, history) for history in ((), (first,))]
    assert all(isinstance(loss, GuidedLoss) for loss in losses)
    assert [loss.theta for loss in losses] == [0.0, pytest.approx(0.7)]


def test_samples_are_whole_photographs_of_the_recipes_size(labelled: Path) -> None:
    panels = read_panels([labelled])
    recipe = adapted(panel_recipe("unet"), size=48)
    samples = PanelSamples(panels, recipe)
    plain = samples.plain(0)
    assert plain.channels.shape == (3, 48, 48)
    # 96 x 80 px become 48 x 40; what is added to make it square is not known.
    assert scaled_size((96, 80), 48) == (48, 40)
    assert plain.known[0].sum() == 48 * 40
    assert plain.truth[0].mean() * 48 / 40 == pytest.approx(panels[0].corroded_share, rel=0.2)
    drawn = [samples.draw(0, np.random.default_rng(seed)) for seed in range(8)]
    assert {int(sample.truth.sum()) for sample in drawn} == {int(plain.truth.sum())}
    assert len({sample.truth.tobytes() for sample in drawn}) > 3
    assert all(np.abs(sample.channels).max() <= 2 for sample in drawn)


@pytest.mark.usefixtures("tiny_networks")
@pytest.mark.parametrize("model", list(ARCHITECTURES))
def test_every_model_trains_and_is_kept(model: str, labelled: Path, tmp_path: Path) -> None:
    recipe = adapted(panel_recipe(model, "ftl"), size=32, epochs=2, batch=4)
    card = train_panel([labelled], tmp_path / "model", recipe)
    assert card.domain == "panels"
    assert card.tile_px == 32
    network, read = load_checkpoint(tmp_path / "model")
    assert read == card
    with torch.no_grad():
        answer = network(torch.zeros(1, 3, 32, 32))
    assert answer.shape == (1, 1, 32, 32)


def test_a_device_that_is_not_there_leaves_no_folder(labelled: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="gpu7"):
        train_panel([labelled], tmp_path / "model", panel_recipe("unet"), device="gpu7")
    assert not (tmp_path / "model").exists()


@pytest.mark.usefixtures("tiny_networks")
def test_the_card_scores_each_folder(labelled: Path, tmp_path: Path) -> None:
    more = write_panels(tmp_path / "more", 10)
    recipe = adapted(panel_recipe("unet"), size=32, epochs=1, batch=8)
    recipe = recipe.model_copy(update={"validation_share": 0.4})
    card = train_panel([labelled, more], tmp_path / "model", recipe)
    every, *each = (scores["n_images"] for scores in card.scores.values())
    assert every == sum(each)
    assert list(card.scores)[2] == "of them, of more"


@pytest.mark.usefixtures("tiny_networks")
def test_it_learns_and_logs_the_weight(labelled: Path, tmp_path: Path) -> None:
    from pitflow.compute import Silent
    from pitflow.domains.panels.train import fit

    panels = read_panels([labelled])
    recipe = adapted(panel_recipe(), size=32, epochs=40, batch=6, learning_rate=2e-2)
    trained = fit(panels[:10], panels[10:], recipe, tmp_path, progress=Silent())
    last = trained.history[-1]
    assert last.score is not None
    assert last.score > 0.6
    assert last.details["validation loss"] < trained.history[0].details["validation loss"]
    assert {epoch.notes[WEIGHT] for epoch in trained.history} == {1.0}


@pytest.mark.usefixtures("tiny_networks")
def test_a_study_stops_goes_on_and_tells(
    labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = StudyConfig(
        models=("unet", "guided-et-unet-ftl"),
        folds=2,
        test_share=0.2,
        size=32,
        epochs=2,
        grid=True,
        alphas=(0.3, 0.9),
        betas=(1.0,),
    )
    tasks = plan_tasks([labelled], tmp_path, config)
    assert len(tasks) == 2 * 2 + 4 * 2
    seconds = estimate_seconds(tasks, lambda recipe: 1.0)
    assert seconds["unet"] == pytest.approx(seconds["guided-et-unet-ftl"])
    names = {panel.name for panel in (*tasks[0].trained, *tasks[0].fold, *tasks[0].test)}
    assert len(names) == 12
    for task in tasks:
        parts = [{p.group for p in part} for part in (task.trained, task.fold, task.test)]
        assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])

    from pitflow.domains.panels import study as module

    run_task = module.run_task
    done: list[str] = []

    def stops(task: module.Task) -> None:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(task.name)
        run_task(task)

    monkeypatch.setattr(module, "run_task", stops)
    with pytest.raises(KeyboardInterrupt):
        run_study([labelled], tmp_path, config)
    again: list[str] = []
    monkeypatch.setattr(module, "run_task", lambda task: (again.append(task.name), run_task(task)))
    study = run_study([labelled], tmp_path, config)
    assert len(again) == len(tasks) - 3
    scores = pd.read_csv(tmp_path / "scores.csv")
    assert len(scores) == 2 * (12 - len(study.test)) + 2 * 2 * len(study.test)
    assert not list(tmp_path.rglob("training.safetensors"))

    page = write_study_page(study).read_text()
    for text in ("Table II", "Table III", "Fig. 3", "Fig. 4", "Guided ET-UNet + FTL", "W-Inc",
                 "not public", "Holm"):  # fmt: skip
        assert text in page
    table = summary(score_tables(study, "fold"), study)
    means = scores[scores["part"] == "fold"].groupby("model")["dice"].mean()
    for row in table[table["score"] == "dice"].itertuples():
        assert row.mean == pytest.approx(means[row.model], abs=1e-6)
    assert table["rank"].between(1, 2).all()
    kept = tmp_path / "runs" / "unet" / "fold-0" / "history.json"
    longer = config.model_copy(update={"epochs": 3})
    with pytest.raises(UserError, match="holds a training of something else"):
        run_study([labelled], tmp_path, longer)
    assert len(json.loads(kept.read_text())) == 2
    alone = longer.model_copy(update={"models": ("unet",), "grid": False})
    run_study([labelled], tmp_path, alone, overwrite=True)
    assert len(json.loads(kept.read_text())) == 3


@pytest.mark.usefixtures("tiny_networks")
def test_a_study_is_told_over_its_own_baseline(labelled: Path, tmp_path: Path) -> None:
    models = ("et-unet", "unet", "guided-et-unet", "s-guided-et-unet")
    config = StudyConfig(models=models, folds=2, size=32, epochs=1)
    page = write_study_page(run_study([labelled], tmp_path, config)).read_text()
    for text in ("over ET-UNet", "whose ET-UNet scored best", "on which ET-UNet does worst"):
        assert text in page
    assert "over UNet" not in page
    assert "plain U-Net" not in page
    # After one epoch none of them finds anything, but only two are one network.
    assert len(set(pd.read_csv(tmp_path / "table2.csv")["mean"])) <= 2
    assert page.count("are one network") == 1
    assert "Guided ET-UNet and S-Guided ET-UNet are one network" in page


def test_a_study_of_unknown_models_is_refused(labelled: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no panel model"):
        plan_tasks([labelled], tmp_path, StudyConfig(models=("unet", "vnet"), folds=2))
    with pytest.raises(UserError, match="cannot be split"):
        plan_tasks([labelled], tmp_path, StudyConfig(folds=20))
    with pytest.raises(UserError, match="unet is named twice"):
        plan_tasks([labelled], tmp_path, StudyConfig(models=("unet", "unet"), folds=2))
