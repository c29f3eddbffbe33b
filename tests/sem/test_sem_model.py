"""Training, studying and using models for micrographs, on rendered ones with small networks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from pitflow.cli import main
from pitflow.domains.included import INCLUDED
from pitflow.domains.recipe import InstanceRecipe, WarpConfig
from pitflow.domains.sem.channels import make_channels
from pitflow.domains.sem.labels import read_labelled, read_labels
from pitflow.domains.sem.micrographs import Micrograph, read_grey
from pitflow.domains.sem.model import ClassModel, load_class_model, load_instance_model
from pitflow.domains.sem.recipes import OXIDE, RECIPES, SEM, ClassRecipe, find_recipe
from pitflow.domains.sem.samples import ClassSamples, InstanceSamples, warped
from pitflow.domains.sem.study_time import estimate_seconds, measure_times
from pitflow.domains.sem.train import load_initial, split_micrographs, train_sem
from pitflow.errors import UserError
from pitflow.segment.checkpoint import load_checkpoint
from pitflow.segment.networks.gelan import GelanConfig
from pitflow.segment.networks.mask_rcnn import MaskRcnnConfig
from pitflow.segment.networks.unet import UNetConfig

NAMES = [f"m{k}" for k in range(5)]

TINY = SEM.model_copy(
    update={
        "network": GelanConfig(stem=(8, 8), widths=(8, 8, 12), prototypes=4),
        "training": SEM.training.model_copy(
            update={"epochs": 1, "batch": 2, "validate_every": 1, "ema": 0.0}
        ),
        "warp": WarpConfig(),
        "crop_px": 64,
        "tile_px": 64,
        "overlap_px": 32,
    }
)

TINY_CLASSES = OXIDE.model_copy(
    update={
        "network": UNetConfig(widths=(4, 8)),
        "training": OXIDE.training.model_copy(
            update={"epochs": 1, "samples_per_epoch": 4, "validate_every": 1}
        ),
        "crop_px": 64,
        "tile_px": 64,
        "overlap_px": 16,
        "halo_px": 8,
    }
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, write_micrographs: Callable[..., None]) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_micrographs(folder, NAMES)
    return folder


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """The same, every object one of two classes."""
    folder = tmp_path_factory.mktemp("classes")
    for name in NAMES:
        shutil.copy(data / f"{name}.png", folder)
        labels = cv2.imread(str(data / f"{name}_labels.png"), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(folder / f"{name}_labels.png"), np.where(labels > 2, labels - 2, labels))
    return folder


def test_the_grey_of_a_network_does_not_depend_on_gain_and_offset(
    a_micrograph: Callable[..., tuple[np.ndarray, np.ndarray]],
) -> None:
    image, _ = a_micrograph(np.random.default_rng(0))
    other = (image.astype(np.uint16) * 100) + 3000
    np.testing.assert_allclose(make_channels(image)(image), make_channels(other)(other), atol=1e-5)
    part = make_channels(image)(image[10:20, 30:50])
    np.testing.assert_array_equal(part, make_channels(image)(image)[:, 10:20, 30:50])


STILL = WarpConfig(
    dihedral=False,
    mirror=False,
    rotate_deg=0,
    shear_deg=0,
    zoom=0,
    brightness=0,
    exposure=0,
    invert=0,
)


def test_without_variation_a_view_is_the_micrograph(data: Path) -> None:
    one = read_labelled([data])[0]
    channels, labels, zoom = warped(one, STILL, 96, np.random.default_rng(0))
    assert zoom == 1
    np.testing.assert_array_equal(labels, one.labels)
    np.testing.assert_allclose(channels, make_channels(one.image)(one.image), atol=1e-5)


def test_left_and_right_may_change_where_up_and_down_may_not(data: Path) -> None:
    one = read_labelled([data])[0]
    mirrored = STILL.model_copy(update={"mirror": True})
    views = [warped(one, mirrored, 96, np.random.default_rng(k))[1] for k in range(12)]
    as_they_are = [np.array_equal(view, one.labels) for view in views]
    assert 0 < sum(as_they_are) < 12
    for view, same in zip(views, as_they_are, strict=True):
        np.testing.assert_array_equal(view if same else view[:, ::-1], one.labels)


def test_image_and_labels_are_warped_alike(data: Path) -> None:
    one = read_labelled([data])[0]
    clean = Micrograph(
        one.name, one.group, (200 - 100 * (one.labels > 0)).astype(np.uint8), one.labels
    )
    for seed in range(5):
        still = WarpConfig(brightness=0, exposure=0)
        channels, labels, zoom = warped(clean, still, 80, np.random.default_rng(seed))
        assert 1 <= zoom <= 1.25
        dark, pit = channels[0] < -1, labels > 0
        agree = np.count_nonzero(dark & pit) / np.count_nonzero(dark | pit)
        assert agree > 0.9


def test_beyond_a_small_micrograph_there_is_nothing(data: Path) -> None:
    one = read_labelled([data])[0]
    sample = InstanceSamples([one], STILL, 160).draw(0, np.random.default_rng(0))
    assert sample.channels.shape == (1, 160, 160)
    assert (sample.channels[0, :20] == 0).all()
    assert (sample.labels[:20] == 0).all()
    known = ClassSamples([one], STILL, 160, 2).draw(0, np.random.default_rng(0)).known
    assert not known[:, :20].any()
    assert known[:, 40:120, 40:120].all()


def test_the_sliver_of_an_object_is_no_object(data: Path) -> None:
    labels = np.zeros((96, 96), np.int32)
    labels[40:60, 0:50] = 1
    one = Micrograph("a", "a", np.zeros((96, 96), np.uint8), labels)
    samples = InstanceSamples([one], STILL, 48)
    seen = [samples.draw(0, np.random.default_rng(k)).labels for k in range(40)]
    sizes = [np.count_nonzero(view) for view in seen]
    assert all(size == 0 or size >= 100 for size in sizes)
    assert any(size == 0 for size in sizes)


def test_training_may_start_from_the_included_model() -> None:
    network, _ = load_checkpoint(INCLUDED / "micrographs")
    start = load_initial("micrographs", SEM).state_dict()
    for name, value in network.state_dict().items():
        assert torch.equal(start[name], value), name


def test_of_a_single_specimen_none_can_be_kept_aside(data: Path) -> None:
    with pytest.raises(UserError, match=r"specimen: none .*; add images of another"):
        split_micrographs(read_labelled([data])[:1], TINY)


def test_a_training_is_written_loaded_and_used(tmp_path: Path, data: Path) -> None:
    card = train_sem([data], tmp_path / "model", TINY, pretrain=[data])
    assert card.network.auxiliary is False
    assert (tmp_path / "model" / "pretrain" / "training.safetensors").is_file()
    model = load_instance_model(str(tmp_path / "model"))
    image = read_labelled([data])[0].image
    for one in model.find(image, 0.0)[:3]:
        assert one.bottom <= 96
        assert one.right <= 96
    scores = next(iter(card.scores.values()))
    assert set(scores) >= {"precision", "recall", "ap50", "ap50_95", "per_image_ap50"}
    again = train_sem([data], tmp_path / "model", TINY, pretrain=[data])
    assert again.weights_sha256 == card.weights_sha256
    other = TINY.model_copy(update={"crop_px": 96})
    with pytest.raises(UserError, match="something else"):
        train_sem([data], tmp_path / "model", other)
    wrong = TINY.model_copy(update={"network": GelanConfig(stem=(8, 8), widths=(12, 12, 12))})
    with pytest.raises(UserError, match="another network"):
        train_sem([data], tmp_path / "wrong", wrong, initial=str(tmp_path / "model"))


def test_mask_rcnn_is_trained_by_the_same_loop(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Untrained, it finds a thousand things of low score, and makes a mask of each.
    monkeypatch.setattr("pitflow.domains.sem.train.SCORED_FROM", 0.9)
    recipe = TINY.model_copy(
        update={"network": MaskRcnnConfig(backbone="resnet18", maps=8, hidden=8), "tile_px": 96}
    )
    card = train_sem([data], tmp_path / "model", recipe)
    assert card.network.kind == "mask_rcnn"
    assert load_instance_model(str(tmp_path / "model")).card == card


def test_classes_go_the_dense_way(tmp_path: Path, classes: Path) -> None:
    card = train_sem([classes], tmp_path / "model", TINY_CLASSES)
    assert card.classes == ("oxide", "crack")
    assert set(next(iter(card.scores.values()))["iou"]) == {"oxide", "crack"}
    with pytest.raises(UserError, match="no instances; `pitflow segment"):
        load_instance_model(str(tmp_path / "model"))
    with pytest.raises(UserError, match="--pretrain"):
        train_sem([classes], tmp_path / "other", TINY_CLASSES, pretrain=[classes])


def test_a_model_of_classes_is_trained_and_used_from_the_command_line(
    tmp_path: Path,
    classes: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(RECIPES, "sem-oxide", TINY_CLASSES)
    with pytest.raises(SystemExit, match="0"):
        main(["train", "sem", "--data", str(classes), "--task", "semantic", "-o", "model"])
    assert "kept aside (also chose the epoch): mean IoU" in capsys.readouterr().out
    for name in NAMES:
        shutil.copy(classes / f"{name}.png", tmp_path)
    (tmp_path / "bad.png").write_bytes(b"no image")
    command = ["segment", ".", "--model", "model", "-o", "found"]
    with pytest.raises(SystemExit, match="2"):
        main(command)
    assert "bad.png" in capsys.readouterr().err
    model = load_class_model("model")
    for name in NAMES:
        found = read_labels(tmp_path / "found" / f"{name}_labels.png")
        np.testing.assert_array_equal(found, model.classify(read_grey(tmp_path / f"{name}.png")))
    assert main(command) == 2
    assert "is there already" in capsys.readouterr().err


def test_classes_seen_from_farther_away_have_the_size_of_the_micrograph(
    tmp_path: Path, classes: Path
) -> None:
    recipe = TINY_CLASSES.model_copy(update={"look_from": 0.5})
    train_sem([classes], tmp_path / "model", recipe)
    model = ClassModel(*load_checkpoint(tmp_path / "model"))
    assert model.classify(np.zeros((70, 45), np.uint8)).shape == (70, 45)
    one = read_labelled([classes])[0]
    samples = ClassSamples([one], STILL, 48, 2, zoom=0.5)
    sample = samples.draw(0, np.random.default_rng(0))
    share = np.count_nonzero(sample.truth[0]) / np.count_nonzero(one.labels == 1)
    assert share == pytest.approx(0.25, rel=0.1)


def test_a_study_has_both_tables_and_goes_on(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pitflow.domains.sem import study, study_task

    # Mask R-CNN itself takes half a minute of a core, and has a test of its own.
    small = study.MASK_RCNN.model_copy(update={"network": TINY.network})
    monkeypatch.setattr(study, "MASK_RCNN", small)
    for module in ("train", "study_task"):
        monkeypatch.setattr(f"pitflow.domains.sem.{module}.SCORED_FROM", 0.3)
    config = study.StudyConfig(TINY, (data,), n_splits=2, test_share=0.3)
    tasks = study.plan([data], tmp_path, config, device="auto", overwrite=False)
    left, seconds = estimate_seconds(tasks, lambda *_: (10.0, 0.0))
    assert left == len(tasks) == 6
    # What is learned first counts once for each network, with the first that needs it.
    per = 10 * TINY.training.epochs
    trained, first = (
        -(-len(one) // TINY.training.batch) * per
        for one in (tasks[1].sides()[0], split_micrographs(read_labelled([data]), TINY)[0])
    )
    assert seconds == {
        study_task.TRANSFER: first,
        study_task.WITHOUT: trained,
        study_task.WITH: first + 2 * trained,
        study_task.FRESH: trained,
        study_task.BASELINE: first + trained,
    }
    page = study.sem_study([data], tmp_path, config)
    table1, table2 = (pd.read_csv(tmp_path / f"table{k}.csv") for k in (1, 2))
    assert set(table1["experiment"]) == {
        study_task.TRANSFER,
        study_task.WITHOUT,
        study_task.WITH,
        study_task.FRESH,
        study_task.BASELINE,
    }
    assert table2["split"].tolist() == [1, 2]
    text = page.read_text(encoding="utf-8")
    assert text.count("<figure") == 2
    assert "aside, first split" in text
    for name in ("training_curves", "examples"):
        assert (tmp_path / "figures" / f"{name}.png").is_file()
    assert len(json.loads((tmp_path / "study.json").read_text())["rows"]) == 6

    def never(*_: object, **__: object) -> None:
        raise AssertionError("a finished training was repeated")

    monkeypatch.setattr(study_task, "fit_instances", never)
    study.sem_study([data], tmp_path, config)
    assert estimate_seconds(tasks) == (0, {})


def test_the_time_of_a_step_and_of_a_look_are_measured(data: Path, classes: Path) -> None:
    for recipe, folder in ((TINY, data), (TINY_CLASSES, classes)):
        assert min(measure_times(recipe, read_labelled([folder]), "cpu")) > 0


def test_a_changed_task_of_a_study_begins_anew_only_when_told_to(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pitflow.domains.sem import study_task

    short = TINY.model_copy(update={"training": TINY.training.model_copy(update={"epochs": 1})})
    for module in ("train", "study_task"):
        monkeypatch.setattr(f"pitflow.domains.sem.{module}.SCORED_FROM", 0.3)
    task = study_task.Task(study_task.FRESH, 0, short, (data,), (), tmp_path, 0.3, "cpu")
    assert len(study_task.run_task(task)["history"]) == 1
    training = short.training.model_copy(update={"epochs": 2})
    longer = replace(task, recipe=short.model_copy(update={"training": training}))
    with pytest.raises(UserError, match="holds a training of something else"):
        study_task.run_task(longer)
    assert len(study_task.run_task(task)["history"]) == 1
    assert len(study_task.run_task(replace(longer, overwrite=True))["history"]) == 2
    assert not list(tmp_path.rglob("*.partial"))


def test_classes_are_cross_validated_by_group(tmp_path: Path, classes: Path) -> None:
    from pitflow.domains.sem.study_classes import class_study

    page = class_study([classes], tmp_path, recipe=TINY_CLASSES, n_folds=2)
    record = json.loads((tmp_path / "study.json").read_text())
    assert record["all"]["n_images"] == len(NAMES)
    assert sorted(record["by_group"]) == NAMES
    assert "Mean IoU" in page.read_text(encoding="utf-8")
    other = TINY_CLASSES.model_copy(
        update={"training": TINY_CLASSES.training.model_copy(update={"seed": 1})}
    )
    with pytest.raises(UserError, match="holds a training of something else"):
        class_study([classes], tmp_path, recipe=other, n_folds=2)
    with pytest.raises(UserError, match="too few specimens"):
        class_study([classes], tmp_path, recipe=TINY_CLASSES, n_folds=5)
    with pytest.raises(UserError, match="one fold leaves nothing"):
        class_study([classes], tmp_path, recipe=TINY_CLASSES, n_folds=1)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"channels": ("colour",)}, "no channel is called 'colour'; known: grey"),
        ({"crop_px": 65}, "crop_px = 65"),
        ({"overlap_px": 64}, "tile_px: tiles of 64 px"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_refused_before_it_is(
    data: Path, tmp_path: Path, values: dict[str, object], said: str
) -> None:
    for recipe in (TINY, TINY_CLASSES):
        with pytest.raises(UserError, match=said):
            train_sem([data], tmp_path / "model", recipe.model_copy(update=values))
    assert not list(tmp_path.iterdir())


def test_recipes(tmp_path: Path) -> None:
    assert find_recipe("sem") == SEM
    assert find_recipe("sem-no-texture").network.texture == "none"
    for recipe in RECIPES.values():
        assert type(recipe).model_validate(recipe.model_dump(mode="json")) == recipe
    path = tmp_path / "mine.toml"
    path.write_text('base = "sem"\nname = "mine"\n[training]\nepochs = 7\n')
    mine = find_recipe(str(path))
    assert isinstance(mine, InstanceRecipe)
    assert (mine.training.epochs, mine.training.batch) == (7, 4)
    paper = find_recipe(str(Path(__file__).parents[2] / "pipelines" / "sem.toml"))
    assert (paper.training.schedule, paper.training.epochs) == ("constant", 300)
    # A ready file by its bare name; names of recipes go before.
    assert find_recipe("oxide-brief").name == "oxide-brief"
    assert find_recipe("sem").name == "sem"
    path.write_text('base = "sem-oxide"\ncrop_px = 128\n')
    assert isinstance(find_recipe(str(path)), ClassRecipe)
    with pytest.raises(UserError, match="no recipe"):
        find_recipe("none")
