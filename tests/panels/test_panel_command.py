"""pitflow panel: photographs to masks, numbers, overlays and one page; bad input in one line."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from pitflow.cli import main
from pitflow.domains.panels.assess import (
    ColourIfEven,
    Method,
    assess_panels,
    choose_method,
)
from pitflow.domains.panels.assessed import AssessConfig
from pitflow.domains.panels.measure import measure_panel
from pitflow.domains.panels.pictures import read_mask
from pitflow.errors import UserError
from pitflow.schema import COATED_PANELS, CREEP
from pitflow.scribe import Scribe, parse_scribe
from pitflow.segment.classical.rust import one_hue_share
from pitflow.simulate.panel import PanelConfig, RenderedPanel, render_panel

Call = Callable[..., tuple[int, str, str]]

CREEPS = {"mild": (0.8, 1.0), "bad": (2.5, 5.5)}


@pytest.fixture(scope="module")
def panels(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, RenderedPanel]]:
    """Two photographs of panels, and what is in them."""
    folder = tmp_path_factory.mktemp("photographs")
    (folder / "truth").mkdir()
    rendered = {}
    for name, (left, right) in CREEPS.items():
        config = PanelConfig(
            height=320, width=240, creep_left_mm=left, creep_right_mm=right, spots=2, stains=1
        )
        rendered[name] = render_panel(config, seed=1)
        cv2.imwrite(str(folder / f"{name}.png"), rendered[name].image[..., ::-1])
        white = rendered[name].mask.astype(np.uint8) * 255
        cv2.imwrite(str(folder / "truth" / f"{name}_mask.png"), white)
    return folder, rendered


@pytest.fixture
def call(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Call:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = int(stop.code or 0)
        return code, *capfd.readouterr()

    return run


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_batch_is_measured(
    panels: tuple[Path, dict[str, RenderedPanel]], call: Call, tmp_path: Path
) -> None:
    folder, rendered = panels
    scribe = str(rendered["mild"].scribe)
    code, out, err = call("panel", folder, "--scale", 0.1, "--scribe", scribe, "-o", "results")
    assert (code, out.strip()) == (0, "results/report.html"), err
    rows = rows_of(tmp_path / "results" / "panels.csv")
    assert list(rows[0]) == COATED_PANELS.names
    assert [row["image"] for row in rows] == ["bad.png", "mild.png"]
    for row in rows:
        name = row["image"].removesuffix(".png")
        left, right = CREEPS[name]
        assert float(row["creep_left_mean_mm"]) == pytest.approx(left, abs=0.1)
        assert float(row["creep_right_mean_mm"]) == pytest.approx(right, abs=0.1)
        assert int(row["rating"]) == {"mild": 8, "bad": 5}[name]
        true = rendered[name]
        area = true.mask.sum() * 0.01
        assert float(row["corroded_area_mm2"]) == pytest.approx(area, rel=0.03)
        parts = float(row["scribe_area_mm2"]) + float(row["other_area_mm2"])
        assert parts == pytest.approx(float(row["corroded_area_mm2"]), abs=1e-3)
        assert (row["scribe_source"], row["method"]) == ("given", "colour")
        mask = read_mask(tmp_path / "results" / f"{name}_mask.png")
        assert (mask == true.mask).mean() > 0.99
        overlay = cv2.imread(str(tmp_path / "results" / f"{name}_overlay.png"))
        assert overlay.shape == true.image.shape
    profile = rows_of(tmp_path / "results" / "creep.csv")
    assert list(profile[0]) == CREEP.names
    along = [float(row["left_mm"]) for row in profile if row["image"] == "bad.png"]
    assert np.mean(along) == pytest.approx(CREEPS["bad"][0], abs=0.1)
    page = (tmp_path / "results" / "report.html").read_text()
    assert "ASTM D1654" in page
    assert "bad has the largest mean creep" in page
    assert "looked for" not in page
    assert page.count("data:image/") == 4


def test_masks_that_are_given_are_measured_with_the_scribe_found(
    panels: tuple[Path, dict[str, RenderedPanel]], call: Call, tmp_path: Path
) -> None:
    folder, rendered = panels
    code, _, err = call(
        "panel", folder / "bad.png", "--scale", 0.1, "--scribe", "auto", "-o", "out",
        "--masks", folder / "truth", "--scribe-width", 0.5,
    )  # fmt: skip
    assert code == 0, err
    (row,) = rows_of(tmp_path / "out" / "panels.csv")
    assert (row["scribe_source"], row["method"]) == ("auto", "mask")
    assert float(row["creep_mean_mm"]) == pytest.approx(4.0 - 0.25, abs=0.3)
    area = rendered["bad"].mask.sum() * 0.01
    assert float(row["corroded_area_mm2"]) == pytest.approx(area)
    assert "looked for on one photograph" in (tmp_path / "out" / "report.html").read_text()
    again = call("panel", folder / "bad.png", "--scale", 0.1, "-o", "out")
    assert again[0] == 2
    assert "--overwrite" in again[2]


def test_one_bad_photograph_does_not_keep_the_others(
    panels: tuple[Path, dict[str, RenderedPanel]], call: Call, tmp_path: Path
) -> None:
    folder, _ = panels
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    code, out, err = call("panel", broken, folder / "mild.png", "--scale", 0.1, "-o", "out")
    assert code == 2
    assert out.strip() == "out/report.html"
    assert "broken.png: is no image" in err
    assert [row["image"] for row in rows_of(tmp_path / "out" / "panels.csv")] == ["mild.png"]


def test_a_stack_of_photographs_is_one_clear_line(call: Call, tmp_path: Path) -> None:
    pages = [np.full((40, 50, 3), value, np.uint8) for value in (90, 120)]
    cv2.imwritemulti(str(tmp_path / "stack.tif"), pages)
    code, _, err = call("panel", "stack.tif", "--scale", 0.1, "-o", "out")
    assert code == 2
    (line,) = err.splitlines()
    assert "stack.tif: is a stack of images" in line


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--scale", "0"], "--scale"),
        (["--scale", "nan"], "--scale"),
        (["--scale", "1e300"], "--scale"),
        (["--scale", "0.1", "--masks", ".", "--model", "colour"], "not both"),
        (["--scale", "0.1", "--scribe", "1,2,3"], "--scribe"),
        (["--scale", "0.1", "--scribe", "5,5,5,5"], "no line"),
        (["--scale", "0.1", "--scribe", "5,5,999,5"], "leaves this image"),
        (["--scale", "0.1", "--scribe-width", "-1"], "--scribe-width"),
        (["--scale", "0.1", "--model", "none"], "no model"),
        (["--scale", "0.1", "--masks", "nowhere"], "no such folder"),
    ],
)
def test_bad_options_are_refused(
    panels: tuple[Path, dict[str, RenderedPanel]], call: Call, options: list[str], said: str
) -> None:
    code, out, err = call("panel", panels[0] / "mild.png", "-o", "out", *options)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err


def test_results_do_not_lie_among_photographs(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((40, 40, 3), np.uint8))
    with pytest.raises(UserError, match="among the photographs"):
        assess_panels([tmp_path / "a.png"], tmp_path, AssessConfig(0.1), choose_method("colour"))


def test_without_a_scribe_there_is_area_but_no_rating(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(150, 5, (80, 90, 3)).clip(0, 255).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "plain.png"), noise)
    spot = np.zeros((80, 90), bool)
    spot[10:20, 10:30] = True
    method = Method("spot", lambda path, image: spot)
    page = assess_panels([tmp_path / "plain.png"], tmp_path / "o", AssessConfig(0.5), method)
    (row,) = rows_of(tmp_path / "o" / "panels.csv")
    assert float(row["corroded_area_mm2"]) == pytest.approx(50)
    assert (row["rating"], row["creep_mean_mm"], row["scribe_source"]) == ("", "", "none")
    # 200 of 7200 px are 2.8 %.
    assert row["rating_unscribed"] == "8"
    assert "No scribe was found on plain" in page.read_text()


def test_a_grey_photograph_is_told_to_show_no_corrosion(tmp_path: Path, call: Call) -> None:
    rng = np.random.default_rng(0)
    grey = rng.normal(150, 5, (80, 90)).clip(0, 255).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "grey.png"), grey)
    code, _, err = call("panel", tmp_path / "grey.png", "-o", tmp_path / "o", "--scale", "0.5")
    assert code == 0
    assert "grey is grey" in err
    assert "grey is grey" in (tmp_path / "o" / "report.html").read_text()
    cv2.imwrite(str(tmp_path / "colour.png"), np.stack([grey, grey, grey + 1], axis=2))
    *_, err = call("panel", tmp_path / "colour.png", "-o", tmp_path / "p", "--scale", "0.5")
    assert "is grey" not in err


def test_creep_as_long_as_the_scribe_found_is_doubted(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 3, (400, 400, 3))
    image = (noise + np.array([90, 140, 60])).astype(np.uint8)
    mask = np.zeros((400, 400), bool)
    cv2.line(image, (200, 100), (200, 300), (30, 30, 30), 4)
    cv2.imwrite(str(tmp_path / "cut.png"), image)
    for reach, doubted in ((20, False), (90, True)):
        mask[140:260, 195 - reach : 205 + reach] = True
        here = mask.copy()
        notes: list[str] = []
        assess_panels(
            [tmp_path / "cut.png"],
            tmp_path / f"out-{reach}",
            AssessConfig(0.1),
            Method("given", lambda path, image, here=here: here),
            note=notes.append,
        )
        (row,) = rows_of(tmp_path / f"out-{reach}" / "panels.csv")
        assert row["scribe_source"] == "auto"
        assert any("an arm that was not found" in note for note in notes) == doubted


@pytest.mark.parametrize(("reach", "told"), [(20, True), (0, False)])
def test_the_largest_creep_is_in_the_caption_where_it_is_drawn(
    tmp_path: Path, reach: int, told: bool
) -> None:
    image, mask = a_cut(rust=reach)
    notes_about(image, mask, tmp_path / "a", AssessConfig(0.1, (Scribe(200, 100, 200, 300),)))
    page = (tmp_path / "a" / "o" / "report.html").read_text()
    assert ("white, the largest creep" in page) == told
    assert f"Mean creep {2.05 if told else 0:.2f} mm: rating {6 if told else 10}." in page


def test_an_x_cut_is_two_scribes() -> None:
    mask = np.zeros((200, 200), bool)
    mask[95:106, 20:180] = mask[20:180, 95:106] = True
    arms = [Scribe(100, 20, 100, 180), Scribe(20, 100, 180, 100)]
    numbers = measure_panel(mask, arms, 0.1)
    assert numbers.creep.mean_mm == pytest.approx(0.55, abs=0.01)
    assert numbers.rating == 8
    assert numbers.scribe_length_mm == pytest.approx(32)
    assert numbers.scribe_area_mm2 == pytest.approx(mask.sum() * 0.01)


def test_an_x_cut_is_found_and_rated(call: Call, tmp_path: Path) -> None:
    code, out, err = call(
        "simulate-panels", "rendered", "--panels", 3, "--size", 400, "--scale", 0.2
    )
    assert (code, out.strip()) == (0, "rendered/truth.csv"), err
    truth = rows_of(tmp_path / "rendered" / "truth.csv")
    code, _, err = call("panel", "rendered", "--scale", 0.2, "-o", "out")
    assert code == 0, err
    for row, true in zip(rows_of(tmp_path / "out" / "panels.csv"), truth, strict=True):
        assert row["image"] == true["image"]
        assert len(row["scribe"].split()) == len(true["scribe"].split())
        assert float(row["creep_mean_mm"]) == pytest.approx(float(true["creep_mean_mm"]), abs=0.2)
    assert len(truth[2]["scribe"].split()) == 2
    assert call("simulate-panels", "rendered")[0] == 2


def test_the_colour_decides_where_the_coating_is_of_one_hue() -> None:
    def nothing(path: Path, image: np.ndarray) -> np.ndarray:
        return np.zeros(image.shape[:2], bool)

    method = ColourIfEven("net", nothing)
    config = PanelConfig(height=200, width=160, shading=0.6, stains=2, coating=(70, 110, 170))
    panel = render_panel(config, seed=3)
    mask, by = method.segment(Path("a.png"), panel.image)
    assert by == "colour"
    assert (mask == panel.mask).mean() > 0.99
    motley = panel.image.copy()
    motley[:, :40], motley[:, -40:] = (60, 90, 160), (70, 140, 80)
    mask, by = method.segment(Path("a.png"), motley)
    assert (by, mask.any()) == ("net", False)
    assert one_hue_share(motley, np.ones((200, 160), bool)) == 0


def test_on_a_coating_of_the_colour_of_rust_the_model_must_agree_with_the_colour() -> None:
    config = PanelConfig(height=200, width=160, coating=(176, 40, 38), shading=0.4)
    panel = render_panel(config, seed=3)
    for found, by in ((panel.mask, "colour"), (np.roll(panel.mask, 30, axis=1), "net")):
        method = ColourIfEven("net", lambda path, image, found=found: found)
        assert method.segment(Path("a.png"), panel.image)[1] == by


def test_a_scribe_reads_back() -> None:
    scribe = parse_scribe("10, 20,110.5,20")
    assert parse_scribe(str(scribe)) == scribe
    assert scribe.length_px == pytest.approx(100.5)


def notes_about(
    image: np.ndarray, mask: np.ndarray, folder: Path, config: AssessConfig, name: str = "given"
) -> list[str]:
    """What is doubted about an RGB image and its mask."""
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), image[..., ::-1])
    notes: list[str] = []
    method = Method(name, lambda path, image: mask)
    assess_panels([folder / "a.png"], folder / "o", config, method, note=notes.append)
    return notes


def a_cut(length: int = 200, *, rust: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """A grey cut in a green coating with rust on both of its sides; the mask leaves the cut out."""
    noise = np.random.default_rng(0).normal(0, 3, (400, 400, 3))
    image = (noise + np.array([60, 140, 90])).astype(np.uint8)
    mask = np.zeros((400, 400), bool)
    mask[100 : 100 + length, 200 - rust : 201 + rust] = True
    mask[:, 198:203] = False
    image[mask] = (120, 62, 28)
    image[100 : 100 + length, 198:203] = (90, 85, 80)
    return image, mask


def test_a_bare_cut_does_not_hide_the_creep_on_its_sides(tmp_path: Path) -> None:
    image, mask = a_cut()
    for name, scribes in (("found", None), ("given", (Scribe(200, 100, 200, 300),))):
        notes = notes_about(image, mask, tmp_path / name, AssessConfig(0.1, scribes))
        (row,) = rows_of(tmp_path / name / "o" / "panels.csv")
        assert float(row["creep_mean_mm"]) == pytest.approx(2.05, abs=0.1)
        assert row["rating"] == "6"
        assert float(row["other_area_mm2"]) == 0
        assert not notes


def test_a_scribe_without_rust_is_told_not_to_be_without_corrosion(tmp_path: Path) -> None:
    image, mask = a_cut()
    given = AssessConfig(0.1, (Scribe(200, 100, 200, 300),))
    none = np.zeros_like(mask)
    for number, (found, name, config, told) in enumerate(
        (
            (none, "colour", given, True),
            (none, "mask", given, False),
            (mask, "colour", given, False),
            (none, "colour", AssessConfig(0.1, ()), False),
        )
    ):
        notes = notes_about(image, found, tmp_path / str(number), config, name)
        assert any("no rust is seen at the scribe" in note for note in notes) == told


def test_corrosion_away_from_the_scribe_is_doubted(tmp_path: Path) -> None:
    image, mask = a_cut()
    aside = (Scribe(140, 100, 140, 300),)
    notes = notes_about(image, mask, tmp_path / "aside", AssessConfig(0.1, aside))
    assert any("counted as away from the scribe" in note for note in notes)


def test_corrosion_beyond_a_scribe_that_was_found_is_doubted(tmp_path: Path) -> None:
    image, mask = a_cut(rust=8)
    away = np.zeros(mask.shape, np.uint8)
    cv2.line(away, (200, 300), (270, 370), 1, 12)
    mask |= away > 0
    notes = notes_about(image, mask, tmp_path / "long", AssessConfig(0.1))
    assert any("beyond the scribe that was found" in note for note in notes)


@pytest.mark.parametrize(("width", "doubted"), [(0.0, False), (2.0, False), (30.0, True)])
def test_a_width_of_no_cut_is_doubted(tmp_path: Path, width: float, doubted: bool) -> None:
    image, mask = a_cut()
    config = AssessConfig(0.1, (Scribe(200, 100, 200, 300),), width)
    notes = notes_about(image, mask, tmp_path / "w", config)
    assert any("half of --scribe-width" in note for note in notes) == doubted


@pytest.mark.parametrize(("scale", "doubted"), [(10.0, True), (0.1, False), (0.001, True)])
def test_a_scale_of_no_panel_is_doubted(tmp_path: Path, scale: float, doubted: bool) -> None:
    image, mask = a_cut()
    notes = notes_about(image, mask, tmp_path / "s", AssessConfig(scale, ()))
    assert any("--scale is the size of a pixel" in note for note in notes) == doubted


@pytest.mark.parametrize(
    ("colour", "doubted"),
    [
        ((120, 62, 28), True),
        ((160, 40, 35), True),
        ((205, 190, 160), False),
    ],
    ids=["rust", "red", "beige"],
)
def test_what_is_of_the_colour_of_rust_is_doubted(
    tmp_path: Path, colour: tuple[int, int, int], doubted: bool
) -> None:
    noise = np.random.default_rng(0).normal(0, 3, (200, 200, 3))
    image = (noise + np.array(colour)).astype(np.uint8)
    mask = np.zeros((200, 200), bool)
    for name, told in (("colour", doubted), ("mask", False)):
        notes = notes_about(image, mask, tmp_path / name, AssessConfig(0.1), name)
        assert any("of the colour of rust" in note for note in notes) == told
