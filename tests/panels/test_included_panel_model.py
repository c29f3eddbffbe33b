"""The panel model that comes with the program does what its card says."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from pitflow.domains.included import INCLUDED
from pitflow.domains.panels.assess import PACKAGED_MODEL, choose_method
from pitflow.domains.panels.model import PanelModel, load_panel_model
from pitflow.domains.panels.pictures import read_panels
from pitflow.domains.panels.recipes import read_recipe
from pitflow.domains.panels.scores import dice_score
from pitflow.domains.recipe import Recipe
from pitflow.segment import dense
from pitflow.segment.checkpoint import WEIGHTS
from pitflow.segment.classical.rust import rust_mask
from pitflow.simulate.panel import draw_panel, render_panel


@pytest.fixture(scope="module")
def model() -> PanelModel:
    return load_panel_model(PACKAGED_MODEL)


def test_it_is_small_and_says_how_it_was_made(model: PanelModel) -> None:
    assert (INCLUDED / PACKAGED_MODEL / WEIGHTS).stat().st_size < 15e6
    assert "panel-model.sh" in model.card.command
    recipe = Recipe.model_validate(model.card.recipe)
    assert recipe == read_recipe(Path(__file__).parents[2] / "pipelines" / "panel-included.toml")
    assert "CC BY 4.0" in model.card.note
    assert model.card.classes == ("corrosion",)
    assert [data["files"] for data in model.card.data] == [480, 193]


def test_it_finds_the_rust_of_rendered_panels_of_any_size(model: PanelModel) -> None:
    for seed, side in ((901, 640), (902, 256)):
        config = draw_panel(np.random.default_rng(seed), side, crossed=seed % 2 == 0)
        panel = render_panel(config, seed)
        found = model.mask(panel.image)
        assert found.shape == panel.mask.shape
        assert dice_score(found, panel.mask) > 0.85


def test_it_finds_rust_on_coatings_of_its_colour(model: PanelModel) -> None:
    for seed in (903, 906, 910):
        config = draw_panel(np.random.default_rng(seed), 320, rust_coloured=True)
        panel = render_panel(config, seed)
        assert dice_score(model.mask(panel.image), panel.mask) > 0.75


def test_it_finds_rust_that_the_colour_does_not(shared_data: Path) -> None:
    method = choose_method(None)
    scores = []
    for panel in read_panels([shared_data / "rust"])[::16]:
        image, truth = panel.read()
        found, _ = method.segment(panel.image, image)
        scores.append((dice_score(found, truth), dice_score(rust_mask(image), truth)))
    by_default, by_colour = np.mean(scores, axis=0)
    assert by_default > by_colour + 0.3


def test_the_default_serves_a_photograph_of_many_hues(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image = cv2.resize(rng.integers(0, 255, (6, 6, 3), dtype=np.uint8), (120, 90))
    mask, by = choose_method(None).segment(tmp_path / "a.png", image)
    assert by == PACKAGED_MODEL
    assert mask.shape == (90, 120)


def test_what_it_had_to_adapt_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = dense.DensePredictor._do

    def left(self: dense.DensePredictor, *what: object) -> None:
        self.note("going on with the processor")
        batch(self, *what)

    monkeypatch.setattr(dense.DensePredictor, "_do", left)
    notes: list[str] = []
    method = choose_method(PACKAGED_MODEL, note=notes.append)
    method.segment(tmp_path / "a.png", np.zeros((60, 80, 3), np.uint8))
    assert notes == ["going on with the processor"]
