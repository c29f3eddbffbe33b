"""From labelled pictures to a model on disk, its scores, and masks of new images."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from pitflow.cli import main
from pitflow.domains import included
from pitflow.domains.particles import evaluate as evaluation
from pitflow.domains.particles import train
from pitflow.domains.particles.crossfit import cross_fit, fold_parts
from pitflow.domains.particles.evaluate import evaluate, format_scores, score_particles
from pitflow.domains.particles.fit import How
from pitflow.domains.particles.model import STILLS, ParticleModel, load_model
from pitflow.domains.particles.picture import Picture
from pitflow.domains.particles.pictures import read_pictures
from pitflow.domains.particles.recipes import MOVING, SINGLE, find_recipe
from pitflow.domains.particles.segment import segment_images
from pitflow.domains.particles.train import train_particles
from pitflow.domains.recipe import AugmentConfig, Recipe
from pitflow.errors import UserError
from pitflow.segment import dense
from pitflow.segment.checkpoint import CARD, WEIGHTS, load_checkpoint, save_checkpoint
from pitflow.segment.networks.smp import SmpConfig
from pitflow.segment.networks.unet import UNetConfig
from pitflow.segment.training.learn import TrainConfig

QUICK = SINGLE.model_copy(
    update={
        "network": UNetConfig(widths=(8, 16)),
        "training": TrainConfig(
            epochs=6, samples_per_epoch=32, batch=8, learning_rate=2e-2, ema=0.5, validate_every=3
        ),
        "augment": AugmentConfig(paste=2),
        "crop_px": 48,
        "tile_px": 96,
    }
)
"""Learns clear particles on flat steel in a few seconds."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, write_pictures: Callable[..., None]) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_pictures(folder, [f"picture {index}" for index in range(8)])
    return folder


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    train_particles([data], folder, QUICK, device="cpu", command="pitflow train particles")
    return folder


@pytest.fixture(scope="module")
def unseen(tmp_path_factory: pytest.TempPathFactory, write_pictures: Callable[..., None]) -> Path:
    folder = tmp_path_factory.mktemp("unseen")
    write_pictures(folder, ["a", "b", "c"], seed=9)
    return folder


def test_the_card_tells_how_the_model_came_to_be(trained: Path, data: Path) -> None:
    _, card = load_checkpoint(trained)
    assert Recipe.model_validate(card.recipe) == QUICK
    assert card.data[0]["folder"] == data.name
    assert card.data[0]["files"] == 16
    assert card.command == "pitflow train particles"
    assert card.versions["torch"] == torch.__version__
    (scores,) = card.scores.values()
    assert scores["n_groups"] >= 1
    assert scores["pixel"]["f1"] > 0.8
    assert 0 < card.thresholds[0] < 1


def test_it_finds_the_particles_of_unseen_pictures(trained: Path, unseen: Path) -> None:
    scores = evaluate(str(trained), [unseen], device="cpu")
    assert scores["pixel"]["f1"] > 0.85
    assert scores["object"]["f1"] > 0.9
    text = format_scores(scores)
    assert f"{scores['pixel']['f1']:.3f}" in text
    assert "3 images in 3 independent groups" in text


def test_single_images_are_shown_to_the_network_that_is_for_them(
    trained: Path, unseen: Path, tmp_path: Path
) -> None:
    network, card = load_checkpoint(trained)
    blind = card.model_copy(update={"name": "for recordings", "thresholds": (1.1,)})
    save_checkpoint(tmp_path, network, blind)
    assert evaluate(str(tmp_path), [unseen], device="cpu")["pixel"]["recall"] == 0
    save_checkpoint(tmp_path / STILLS, network, card)
    scores = evaluate(str(tmp_path), [unseen], device="cpu")
    assert scores == evaluate(str(trained), [unseen], device="cpu")
    (mask,) = segment_images([unseen / "a.png"], str(tmp_path), tmp_path / "out", device="cpu")
    assert (cv2.imread(str(mask), cv2.IMREAD_UNCHANGED) > 0).any()
    assert load_model(str(tmp_path)).card.name == "for recordings"


def test_recordings_and_single_images_have_a_recipe_and_a_network_each(
    data: Path, small_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {"validation_share": None, "crop_px": 48}
    monkeypatch.setattr(train, "SINGLE", brief(**few))
    moving = MOVING.model_copy(
        update=few | {"network": UNetConfig(widths=(4, 8)), "training": brief().training}
    )
    monkeypatch.setattr(train, "MOVING", moving)
    card = train.train_particles(
        [data, small_clip.parent / "truth"], tmp_path / "both", device="cpu"
    )
    assert card.channels == MOVING.channels
    assert set(card.ranges) >= {"encoder.0.0", "reduce.0", "decoder.0.3"}
    _, for_stills = load_checkpoint(tmp_path / "both" / STILLS)
    assert for_stills.channels == SINGLE.channels
    # Each has learned from its own kind alone, and may be gone on from.
    train.train_particles([data], tmp_path / "stills", device="cpu")
    alone = (tmp_path / "stills" / WEIGHTS).read_bytes()
    assert (tmp_path / "both" / STILLS / WEIGHTS).read_bytes() == alone
    train.train_particles(
        [data], tmp_path / "on", initial=str(tmp_path / "both"), device="cpu", folds=2
    )
    _, tuned = load_checkpoint(tmp_path / "on")
    assert tuned.channels == SINGLE.channels
    assert tuned.scores["out of fold"]["stills"]["n_images"] == 8


def test_where_the_truth_is_not_known_nothing_is_right_or_wrong() -> None:
    truth, known = np.zeros((2, 40, 40), bool)
    truth[5:10, 5:10] = known[:, :20] = True
    picture = Picture("a", "a", truth.astype(np.uint8), {"particle": truth}, known=known)
    found = truth.copy()
    found[20:25, 25:30] = True
    scores = score_particles(None, [picture], [found])
    assert (scores["pixel"]["precision"], scores["object"]["n_predicted"]) == (1.0, 1)
    found[20:25, 5:10] = True
    assert score_particles(None, [picture], [found])["pixel"]["precision"] == 0.5


def test_flips_may_be_left_out(trained: Path, unseen: Path) -> None:
    assert evaluate(str(trained), [unseen], device="cpu", flips=False)["pixel"]["f1"] > 0.85


def test_masks_have_the_images_names_and_are_those_that_were_scored(
    trained: Path, unseen: Path, tmp_path: Path
) -> None:
    out = tmp_path / "masks"
    written = segment_images([unseen], str(trained), out, device="cpu")
    assert [path.name for path in written] == ["a.png", "b.png", "c.png"]
    hits = predicted = labelled = 0
    for path in written:
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        truth = cv2.imread(str(unseen / f"{path.stem}_mask.png"), cv2.IMREAD_UNCHANGED) > 0
        assert set(np.unique(mask)) == {0, 255}
        hits += int((truth & (mask > 0)).sum())
        predicted, labelled = predicted + int((mask > 0).sum()), labelled + int(truth.sum())
    f1 = evaluate(str(trained), [unseen], device="cpu")["pixel"]["f1"]
    assert 2 * hits / (predicted + labelled) == pytest.approx(f1)


def test_images_of_any_size_and_depth_are_segmented(trained: Path, tmp_path: Path) -> None:
    small = np.full((7, 201), 150, np.uint8)
    cv2.imwrite(str(tmp_path / "small.png"), small)
    cv2.imwrite(str(tmp_path / "deep.tif"), small.astype(np.uint16) * 256)
    images = [tmp_path / "small.png", tmp_path / "deep.tif"]
    for path in segment_images(images, str(trained), tmp_path / "out", device="cpu"):
        assert cv2.imread(str(path), cv2.IMREAD_UNCHANGED).shape == small.shape


def test_a_finished_training_gives_the_same_weights_again(
    trained: Path, data: Path, tmp_path: Path
) -> None:
    first = (trained / WEIGHTS).read_bytes()
    train_particles([data], trained, QUICK, device="cpu")
    assert (trained / WEIGHTS).read_bytes() == first
    train_particles([data], tmp_path, QUICK, device="cpu")
    assert (tmp_path / WEIGHTS).read_bytes() == first


def test_training_may_start_from_a_model(
    trained: Path, data: Path, unseen: Path, tmp_path: Path
) -> None:
    training = QUICK.training.model_copy(update={"epochs": 1, "learning_rate": 1e-4, "ema": 0.0})
    short = QUICK.model_copy(update={"training": training})
    scores = []
    for name, initial in (("tuned", str(trained)), ("anew", None)):
        train_particles([data], tmp_path / name, short, initial=initial, device="cpu")
        scores.append(evaluate(str(tmp_path / name), [unseen], device="cpu")["pixel"]["f1"])
    assert scores[0] > 0.85
    assert scores[1] < 0.7
    other = short.model_copy(update={"channels": ("raw",)})
    with pytest.raises(UserError, match="another network"):
        train_particles([data], tmp_path / "x", other, initial=str(trained), device="cpu")


def brief(folds: int | None = None, **changes: object) -> Recipe:
    training = QUICK.training.model_copy(update={"epochs": 1, "samples_per_epoch": 8})
    return QUICK.model_copy(update={"training": training, "folds": folds} | changes)


def test_what_is_all_there_is_of_its_kind_is_trained_on_whole(
    small_clip: Path,
    tmp_path: Path,
    write_pictures: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One recording, and two tiles of one frame that overlap."""
    moving = MOVING.model_copy(
        update={"network": UNetConfig(widths=(4, 8)), "training": brief().training, "crop_px": 48}
    )
    monkeypatch.setattr(train, "MOVING", moving)
    monkeypatch.setattr(train, "SINGLE", brief())
    write_pictures(tmp_path / "tiles", ["a_0.5_0", "a_0.5_1"])
    told: list[str] = []
    card = train.train_particles(
        [small_clip.parent / "truth", tmp_path / "tiles"],
        tmp_path / "model",
        device="cpu",
        note=told.append,
    )
    _, for_stills = load_checkpoint(tmp_path / "model" / STILLS)
    for one in (card, for_stills):
        assert set(one.thresholds) == {0.5}
        assert one.scores == {}
    assert [text.split(":")[0] for text in told] == ["recording small", "tiles"]
    assert all("nothing is kept aside" in text and "all epochs (1)" in text for text in told)
    assert (tmp_path / "model" / WEIGHTS).is_file()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"folds": 9}, "8 groups of pictures do not make 9 folds"),
        ({"initial": "panels"}, "for panels"),
        ({"initial": "particles"}, "another network"),
        ({"device": "abacus"}, "abacus"),
    ],
)
def test_what_is_refused_leaves_nothing_behind(
    data: Path, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        train_particles([data], tmp_path / "model", brief(), **{"device": "cpu"} | options)
    assert not list(tmp_path.iterdir())


def test_masks_of_nothing_are_no_data(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(data, folder)
    for path in folder.glob("*_mask.png"):
        cv2.imwrite(str(path), np.zeros_like(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)))
    with pytest.raises(UserError, match="no particle is marked in any mask"):
        train_particles([folder], tmp_path / "model", brief())
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"channels": ("frame", "colour")}, "no channel is called 'colour'; known: frame"),
        ({"classes": ("particle", "bubble")}, "no class is called 'bubble'; known: particle, pit"),
        ({"classes": ("pit",)}, "has no class particle"),
        ({"crop_px": 63}, "crop_px = 63: its network takes multiples of"),
        ({"halo_px": 900}, "tile_px: tiles of"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_refused_before_it_is(
    data: Path, tmp_path: Path, values: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        train_particles([data], tmp_path / "model", brief().model_copy(update=values))
    assert not list(tmp_path.iterdir())


def test_epochs_and_seed_may_be_others_than_the_recipes_and_the_card_says_so(
    data: Path, tmp_path: Path
) -> None:
    card = train_particles([data], tmp_path / "asked", brief(), epochs=2, seed=3, device="cpu")
    recipe = Recipe.model_validate(card.recipe)
    assert (recipe.training.epochs, recipe.training.seed) == (2, 3)
    # The recipe on the card makes the same weights again, and another seed others.
    again = train_particles([data], tmp_path / "again", recipe, device="cpu")
    assert again.weights_sha256 == card.weights_sha256
    other = train_particles([data], tmp_path / "other", recipe, seed=4, device="cpu")
    assert other.weights_sha256 != card.weights_sha256


def test_every_picture_is_tested_once_by_a_model_that_has_not_seen_it(
    data: Path, tmp_path: Path
) -> None:
    pictures = read_pictures([data])
    parts = fold_parts(pictures, 2)
    assert sorted(place for part in parts for place in part) == list(range(8))
    tested = cross_fit(pictures, parts, brief(), tmp_path, How(device="cpu"))
    assert [picture.name for picture in tested.pictures] == [p.name for p in pictures]
    assert len(list(tmp_path.iterdir())) == 2
    shown, masks = tested.masks()
    assert len(shown) == len(masks) == 8
    # A fold's masks are cut where the other fold says.
    cut = tested.thresholds(without=tested.fold[0])[0]
    still = tested.stills[0]
    assert still is not None
    np.testing.assert_array_equal(masks[0], still >= cut)
    assert tested.scores()["stills"]["n_images"] == 8


def test_with_folds_the_model_sees_everything_and_others_set_its_thresholds(
    data: Path, tmp_path: Path
) -> None:
    card = train_particles([data], tmp_path / "folds", brief(folds=2), device="cpu")
    assert card.scores["out of fold"]["stills"]["n_images"] == 8
    whole = train_particles([data], tmp_path / "all", brief(validation_share=None), device="cpu")
    assert whole.thresholds == (0.5,)
    assert whole.scores == {}
    # The same data, the same seed: only the thresholds differ.
    first, second = (load_checkpoint(tmp_path / name)[0].state_dict() for name in ("folds", "all"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_model_may_be_called_by_name(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(included, "INCLUDED", tmp_path)
    monkeypatch.chdir(tmp_path.parent)
    (tmp_path / "ours").mkdir()
    for name in (WEIGHTS, CARD):
        (tmp_path / "ours" / name).write_bytes((trained / name).read_bytes())
    assert load_model("ours").card.name == QUICK.name
    with pytest.raises(UserError, match="ours"):
        load_model("theirs")


def test_a_folder_called_like_an_included_model_does_not_hide_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("particles", "mine"):
        (tmp_path / name).mkdir()
    assert included.find_model("particles") == included.INCLUDED / "particles"
    assert included.find_model("./particles").resolve() == tmp_path / "particles"
    assert included.lasting_name("particles") == "particles"
    assert included.lasting_name("nowhere") == "nowhere"
    assert included.lasting_name("mine") == str(tmp_path / "mine")
    assert included.lasting_name("./particles") == str(tmp_path / "particles")


def test_a_model_for_something_else_is_refused(trained: Path, tmp_path: Path) -> None:
    network, card = load_checkpoint(trained)
    save_checkpoint(tmp_path, network, card.model_copy(update={"domain": "panels"}))
    with pytest.raises(UserError, match="panels"):
        load_model(str(tmp_path))


def test_an_existing_model_or_training_is_not_overwritten(
    trained: Path, data: Path, tmp_path: Path
) -> None:
    other = QUICK.model_copy(update={"validation_share": 0.3})
    with pytest.raises(UserError, match="something else"):
        train_particles([data], trained, other, device="cpu")
    network, card = load_checkpoint(trained)
    save_checkpoint(tmp_path, network, card)
    with pytest.raises(UserError, match="holds a model"):
        train_particles([data], tmp_path, QUICK, device="cpu")


def test_misuse_of_segment_is_refused(trained: Path, unseen: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (tmp_path / "empty").mkdir()
    (tmp_path / "twin").mkdir()
    (tmp_path / "twin" / "a.png").write_bytes((unseen / "a.png").read_bytes())
    for images, what in (
        ([], "no images"),
        ([tmp_path / "none.png"], "no such image"),
        ([tmp_path / "empty"], "no images"),
        ([unseen / "a.png", tmp_path / "twin" / "a.png"], "same name"),
    ):
        with pytest.raises(UserError, match=what):
            segment_images(images, str(trained), out, device="cpu")
    with pytest.raises(UserError, match="overwritten"):
        segment_images([unseen / "a.png"], str(trained), unseen, device="cpu")
    segment_images([unseen / "a.png"], str(trained), out, device="cpu")
    with pytest.raises(UserError, match="there already"):
        segment_images([unseen / "a.png"], str(trained), out, device="cpu")
    segment_images([unseen / "a.png"], str(trained), out, device="cpu", overwrite=True)


def test_images_that_look_inverted_are_told(
    trained: Path, tmp_path: Path, write_pictures: Callable[..., None]
) -> None:
    names = [f"{name}.png" for name in "abcdefgh"]
    write_pictures(tmp_path, [name.removesuffix(".png") for name in names])
    notes: list[str] = []

    def segment(folder: Path) -> list[str]:
        images = [folder / name for name in names]
        segment_images(images, str(trained), folder / "out", flips=False, note=notes.append)
        return notes

    assert segment(tmp_path) == []
    (tmp_path / "inverted").mkdir()
    for name in names:
        cv2.imwrite(str(tmp_path / "inverted" / name), 255 - cv2.imread(str(tmp_path / name), 0))
    (said,) = segment(tmp_path / "inverted")
    assert "turn the grey values round" in said


def test_recipes_are_known_by_name() -> None:
    assert find_recipe("particles-single") is SINGLE
    with pytest.raises(UserError, match="particles-paper-002"):
        find_recipe("nonsense")


def test_a_recipe_may_be_a_file_that_says_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'base = "particles-single"\nname = "mine"\n[training]\nepochs = 3\n'
        '[network]\nkind = "smp"\nencoder = "resnet18"\n'
    )
    recipe = find_recipe(str(path))
    assert recipe.name == "mine"
    assert recipe.training == SINGLE.training.model_copy(update={"epochs": 3})
    assert recipe.network == SmpConfig(encoder="resnet18")
    assert recipe.loss == SINGLE.loss


def test_commands_say_what_had_to_be_adapted(
    unseen: Path,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    batch = dense.DensePredictor._do

    def left(self: dense.DensePredictor, *what: object) -> None:
        self.note("out of memory on cuda: going on with the processor")
        batch(self, *what)

    monkeypatch.setattr(dense.DensePredictor, "_do", left)
    for command in (
        ["evaluate", "--data", str(unseen)],
        ["segment", str(unseen), "-o", str(tmp_path / "masks")],
    ):
        with pytest.raises(SystemExit) as ended:
            main([*command, "--model", str(trained), "--device", "cpu"])
        assert ended.value.code == 0
        assert "pitflow: out of memory on cuda: going on with" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no toml",
        'base = "none"',
        'base = "particles"\nnme = "x"',
        'base = "particles"\n[training]\nepochs = 0',
    ],
)
def test_a_bad_recipe_file_is_one_clear_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        find_recipe(str(path))
    assert "\n" not in str(error.value)


def test_frames_of_recordings_are_shown_once(
    small_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def load(name: str, *, stills: bool, flips: bool, **more: object) -> ParticleModel:
        asked.append((stills, flips))
        return load_model(name, stills=stills, flips=flips)

    monkeypatch.setattr(evaluation, "load_model", load)
    scores = evaluate("particles", [small_clip.parent / "truth"], device="cpu")
    assert asked == [(False, False)]
    assert scores["object"]["recall"] > 0.5


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--data", "a", "--frames", "0:3"], "--frames: goes with --from alone"),
        (["--from", "a", "--recipe", "particles"], "--recipe: does not go with --from"),
        (["--from", "a", "--folds", "3"], "--folds: does not go with --from"),
        ([], "give either --data or --from"),
    ],
)
def test_options_that_would_not_be_used_are_refused(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "particles", *options]) == 2
    assert said in capsys.readouterr().err
