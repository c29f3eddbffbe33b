"""pitflow sem on label images made elsewhere, through the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile

from pitflow.cli import main
from pitflow.domains.sem.analyse import Found, analyse_micrographs
from pitflow.schema import MICROGRAPH_PITS, MICROGRAPHS


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        code = main([str(argument) for argument in arguments])
        raise SystemExit(code)
    return int(stopped.value.code or 0)


def test_labels_become_a_table_overlays_and_a_page(
    tmp_path: Path,
    write_micrographs: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_micrographs(tmp_path / "images", ["one", "two"])
    out = tmp_path / "out"
    command = ("sem", tmp_path / "images", "--labels", tmp_path / "images", "-o", out)
    assert run(*command, "--um-per-px", 0.5) == 0
    assert capsys.readouterr().out.strip() == str(out / "sem.html")
    pits = pd.read_csv(out / "pits.csv")
    assert pits.columns.tolist() == MICROGRAPH_PITS.names
    assert pits["image"].value_counts().to_dict() == {"one": 4, "two": 4}
    assert pits["circularity"].min() > 0.9
    assert pits["contrast"].between(0.4, 0.7).all()
    np.testing.assert_allclose(pits["diameter_um"], pits["diameter_px"] / 2, rtol=1e-4)
    rows = pd.read_csv(out / "micrographs.csv")
    assert rows.columns.tolist() == MICROGRAPHS.names
    assert rows[["image", "n_pits"]].to_numpy().tolist() == [["one", 4], ["two", 4]]
    np.testing.assert_allclose(rows["pits_per_mm2"], 4 / (96 * 0.5e-3) ** 2, rtol=1e-5)
    np.testing.assert_allclose(
        rows["median_diameter_um"], rows["median_diameter_px"] / 2, rtol=1e-4
    )
    given = cv2.imread(str(tmp_path / "images" / "one_labels.png"), cv2.IMREAD_UNCHANGED)
    assert rows["covered_percent"][0] == pytest.approx(100 * (given > 0).mean(), rel=1e-5)
    written = cv2.imread(str(out / "one_labels.png"), cv2.IMREAD_UNCHANGED)
    assert written.dtype == np.uint16
    np.testing.assert_array_equal(written, given)
    assert cv2.imread(str(out / "two_overlay.png")).shape == (96, 96, 3)
    page = (out / "sem.html").read_text(encoding="utf-8")
    assert "8 pits in 2 micrographs" in page
    assert "over the brighter of both" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert run(*command) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert run(*command, "--overwrite") == 0
    assert pd.read_csv(out / "pits.csv")["diameter_um"].isna().all()


def test_a_bad_image_does_not_keep_the_others(
    tmp_path: Path,
    write_micrographs: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    images = tmp_path / "images"
    write_micrographs(images, ["a", "b", "c"])
    (images / "b.png").write_bytes(b"broken")
    cv2.imwrite(str(images / "c_labels.png"), np.zeros((96, 96), np.uint16))
    assert run("sem", images, "--labels", images, "-o", tmp_path / "out") == 2
    assert "b.png" in capsys.readouterr().err
    pits = pd.read_csv(tmp_path / "out" / "pits.csv")
    assert set(pits["image"]) == {"a"}
    rows = pd.read_csv(tmp_path / "out" / "micrographs.csv").set_index("image")
    assert rows["n_pits"].to_dict() == {"a": 4, "c": 0}
    assert rows.loc["c", "covered_percent"] == 0
    assert rows["pits_per_mm2"].isna().all()
    assert (tmp_path / "out" / "c_labels.png").is_file()


def test_a_stack_of_micrographs_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pages = np.zeros((5, 40, 50), np.float16)
    tifffile.imwrite(tmp_path / "s5.tif", pages, photometric="minisblack")
    assert run("sem", tmp_path / "s5.tif", "-o", tmp_path / "out") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "s5.tif: is a stack of images" in line


def test_nothing_found_is_a_result(tmp_path: Path, write_micrographs: Callable[..., None]) -> None:
    images = tmp_path / "images"
    write_micrographs(images, ["a"])
    cv2.imwrite(str(images / "a_labels.png"), np.zeros((96, 96), np.uint16))
    assert run("sem", images / "a.png", "--labels", images, "-o", tmp_path / "out") == 0
    pits = pd.read_csv(tmp_path / "out" / "pits.csv")
    assert pits.empty
    assert pits.columns.tolist() == MICROGRAPH_PITS.names


def test_where_the_model_is_not_sure_the_page_says_so(
    tmp_path: Path, write_micrographs: Callable[..., None]
) -> None:
    write_micrographs(tmp_path / "images", ["pits", "texture"])

    def find(path: Path, image: np.ndarray, _: object) -> Found:
        labels = np.zeros(image.shape, np.uint16)
        for number in range(1, 7):
            labels[12 * number : 12 * number + 8, 20:28] = number
        score = 0.3 if path.stem == "texture" else 0.8
        return Found(labels, dict.fromkeys(range(1, 7), score))

    analysis = analyse_micrographs([tmp_path / "images"], tmp_path / "out", find, about={})
    (doubt,) = analysis.doubts
    assert "not sure of most of what it found in texture (" in doubt
    assert json.loads((tmp_path / "out" / "sem.json").read_text())["unsure"] == ["texture"]
    page = (tmp_path / "out" / "sem.html").read_text(encoding="utf-8")
    assert "The model is not sure of most of what it found in texture" in page


def test_one_of_a_kind_is_told_in_the_singular(tmp_path: Path) -> None:
    """A dark pit on the left border, and a bright thing in the middle."""
    labels = np.zeros((120, 120), np.uint16)
    labels[20:40, :20], labels[60:80, 60:80] = 1, 2
    image = 120.0 - 60 * (labels == 1) + 60 * (labels == 2)
    path = tmp_path / "one.png"
    cv2.imwrite(str(path), image.astype(np.uint8))

    def find(*_: object) -> Found:
        return Found(labels, {1: 0.9, 2: 0.9})

    analyse_micrographs([path], tmp_path / "out", find, about={})
    page = (tmp_path / "out" / "sem.html").read_text(encoding="utf-8")
    assert "1 pit touches the border of its image." in page
    assert "1 of them is brighter than what is around" in page


def test_finds_that_tile_the_image_are_doubted_and_dense_pits_are_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    cell = np.kron(np.arange(1, 101).reshape(10, 10), np.ones((30, 30), int)).astype(np.uint16)
    inner = np.kron(np.ones((10, 10), int), np.pad(np.ones((28, 28), int), 1))
    disc = cv2.circle(np.zeros((30, 30), np.uint8), (15, 15), 14, 1, cv2.FILLED)
    shapes = {"grains": inner, "packed": np.kron(np.ones((10, 10), int), disc), "pits": inner}
    greys = {"grains": 70, "packed": 70, "pits": -70}
    images = tmp_path / "images"
    images.mkdir()
    for name, shape in shapes.items():
        image = 120 + greys[name] * shape + rng.normal(0, 4, shape.shape)
        cv2.imwrite(str(images / f"{name}.png"), image.clip(0, 255).astype(np.uint8))

    def find(path: Path, *_: object) -> Found:
        return Found(cell * shapes[path.stem].astype(np.uint16), dict.fromkeys(range(1, 101), 0.9))

    analysis = analyse_micrographs([images], tmp_path / "out", find, about={})
    (doubt,) = analysis.doubts
    assert "what was found in grains lies side by side" in doubt
    page = (tmp_path / "out" / "sem.html").read_text(encoding="utf-8")
    assert "What was found in grains lies" in page
    assert "200 of them are brighter than what is around" in page


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "m", "--labels", "."), "not both"),
        (("--labels", "nowhere"), "no such folder"),
        (("--labels", "."), "has no labels"),
        (("--model", "nowhere"), "no model"),
        (("--um-per-px", "inf"), "--um-per-px"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path,
    write_micrographs: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    said: str,
) -> None:
    write_micrographs(tmp_path / "images", ["a"])
    assert run("sem", tmp_path / "images", "-o", tmp_path / "out", *arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_unknown_choices_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = ("--task", "other"), ("--model", "yolo"), ("--model", "mask-rcnn", "--no-texture")
    for choice in wrong:
        assert run("train", "sem", "--data", tmp_path, "-o", tmp_path / "m", *choice) == 2
        assert "no recipe" in capsys.readouterr().err
    for option in (("--pretrain", tmp_path), ("--paired",), ("--baseline-epochs", 3)):
        study = ("sem-study", "--data", tmp_path, "-o", tmp_path / "s", "--task", "semantic")
        assert run(*study, *option) == 2
        assert f"{option[0]}: is for instances" in capsys.readouterr().err


def test_a_mask_of_all_pits_is_no_label_image(
    tmp_path: Path,
    write_micrographs: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_micrographs(tmp_path / "images", ["one", "two"])
    labels = tmp_path / "images" / "one_labels.png"
    given = cv2.imread(str(labels), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(labels), (given > 0).astype(np.uint8) * 255)
    command = ("sem", tmp_path / "images", "--labels", tmp_path / "images", "-o", tmp_path / "out")
    assert run(*command) == 2
    assert "its only label marks 4 separate places" in capsys.readouterr().err
    assert pd.read_csv(tmp_path / "out" / "pits.csv")["image"].unique().tolist() == ["two"]
    # One pit alone is no mask of several, a stray pixel or not.
    alone = (given == 1).astype(np.uint8)
    alone[-1, -1] = 1
    cv2.imwrite(str(labels), alone)
    assert run(*command, "--overwrite") == 0
