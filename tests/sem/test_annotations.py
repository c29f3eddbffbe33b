"""What is drawn into a micrograph is told from the micrograph."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from pitflow.domains.included import INCLUDED
from pitflow.domains.sem import model
from pitflow.domains.sem.analyse import model_finder
from pitflow.domains.sem.annotations import coloured_pixels, find_annotations
from pitflow.domains.sem.data_bar import find_data_bar
from pitflow.domains.sem.labels import read_labels
from pitflow.domains.sem.micrographs import list_micrographs, read_grey
from pitflow.segment.checkpoint import read_card
from pitflow.segment.instance import Instance

BAR = (slice(352, 357), slice(20, 150))


def surface() -> np.ndarray:
    """Textured steel with pits, two of them saturated, and a few saturated specks."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:400, :500]
    image = 140 + rng.normal(0, 8, rows.shape)
    for y, x, radius, depth in ((90, 100, 30, 60), (200, 300, 45, 220), (300, 420, 12, 220)):
        image -= depth / (1 + np.exp(np.hypot(rows - y, columns - x) - radius))
    image[rng.random(rows.shape) < 0.001] = 255
    return image.clip(0, 255).astype(np.uint8)


def scale_bar(image: np.ndarray, ink: int) -> None:
    cv2.putText(image, "10 um", (30, 340), cv2.FONT_HERSHEY_SIMPLEX, 0.9, ink, 2, cv2.LINE_AA)
    image[BAR] = ink


def bright(image: np.ndarray) -> None:
    scale_bar(image, 255)


def dark(image: np.ndarray) -> None:
    scale_bar(image, 0)


def white_box(image: np.ndarray) -> None:
    image[310:365, 12:160] = 255
    scale_bar(image, 0)


def black_box(image: np.ndarray) -> None:
    image[310:365, 12:160] = 0
    scale_bar(image, 255)


def one_line(image: np.ndarray) -> None:
    cv2.putText(image, "15kV X1,000 10um 0012", (20, 385), cv2.FONT_HERSHEY_PLAIN, 1.6, 255, 1)


@pytest.mark.parametrize("draw", [bright, dark, white_box, black_box, one_line])
@pytest.mark.parametrize("depth", [1, 257])
def test_what_is_drawn_is_found_and_nothing_else(
    draw: Callable[[np.ndarray], None], depth: int
) -> None:
    plain = surface()
    image = plain.copy()
    draw(image)
    assert not find_annotations(plain).any()
    drawn = find_annotations(image.astype(np.uint16) * depth if depth > 1 else image)
    written = image != plain
    assert drawn[written].mean() > 0.95
    # Nothing but a rectangle around: a bar with its text, or a line of text.
    y, x = np.nonzero(written)
    around = np.zeros(image.shape, dtype=bool)
    around[y.min() - 4 : y.max() + 5, max(x.min() - 4, 0) : x.max() + 5] = True
    assert not drawn[~around].any()


def test_a_lossy_format_hides_nothing_that_is_drawn() -> None:
    image = surface()
    bright(image)
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 75])
    blurred = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
    assert find_annotations(blurred)[BAR].all()


def letter(image: np.ndarray) -> None:
    cv2.putText(image, "A", (30, 340), cv2.FONT_HERSHEY_SIMPLEX, 0.7, 255, 2, cv2.LINE_AA)


def arrow(image: np.ndarray) -> None:
    cv2.arrowedLine(image, (60, 340), (110, 300), 255, 3, cv2.LINE_AA, tipLength=0.3)


@pytest.mark.parametrize("draw", [letter, arrow])
@pytest.mark.parametrize("quality", [None, 80])
def test_a_white_letter_or_arrow_alone_is_drawn(
    draw: Callable[[np.ndarray], None], quality: int | None
) -> None:
    plain = surface()
    image = plain.copy()
    draw(image)
    written = np.abs(image.astype(int) - plain) > 60
    if quality:
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        image = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
    drawn = find_annotations(image)
    assert drawn[written].mean() > 0.95
    assert not drawn[cv2.dilate(written.astype(np.uint8), np.ones((7, 7), np.uint8)) == 0].any()


def slit(pits: np.ndarray, image: np.ndarray, y: int, number: int) -> None:
    curve = np.array([(40, y), (60, y + 6), (85, y + 3), (100, y - 8)], np.int32)
    cv2.polylines(pits, [curve], isClosed=False, color=number, thickness=5)


def rimmed(pits: np.ndarray, image: np.ndarray, y: int, number: int) -> None:
    cv2.circle(image, (400, y), 12, 255, 3, cv2.LINE_AA)
    cv2.circle(pits, (400, y), 11, number, cv2.FILLED)


@pytest.mark.parametrize("draw", [slit, rimmed])
def test_slits_and_pits_with_saturated_rims_are_not_hidden(draw: Callable[..., None]) -> None:
    """Slits are black strokes, rims are white ones."""
    image = surface()
    pits = np.zeros(image.shape, np.uint8)
    for number, y in enumerate(range(20, 390, 30), start=1):
        draw(pits, image, y, number)
    image[pits > 0] = 0
    drawn = find_annotations(image)
    for number in np.unique(pits[pits > 0]):
        assert drawn[pits == number].mean() < 0.5


def test_colour_in_a_grey_image_is_drawn() -> None:
    grey = surface()
    colours = np.repeat(grey[..., None], 3, axis=2)
    assert coloured_pixels(colours) is None
    cv2.arrowedLine(colours, (60, 200), (120, 260), (0, 0, 255), 3)
    coloured = coloured_pixels(colours)
    assert coloured is not None
    np.testing.assert_array_equal(coloured, (colours != grey[..., None]).any(axis=2))
    drawn = find_annotations(grey, coloured)
    assert drawn[coloured].all()
    assert drawn.mean() < 3 * coloured.mean()
    # Of a photograph, or a false-colour image, colour tells nothing.
    colours[..., 2] = colours[..., 2] * 0.9
    assert coloured_pixels(colours) is None


def test_a_bar_above_the_picture_is_no_picture() -> None:
    image = np.concatenate([np.zeros((40, 500), np.uint8), surface()])
    cv2.putText(image, "20 kV  WD 15 mm  50 um", (10, 28), 0, 0.8, 255, 2)
    drawn = find_annotations(image)
    assert drawn[:40].all()
    assert not drawn[44:].any()


def test_what_a_model_finds_on_something_drawn_is_no_pit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = surface()
    bright(image)
    pit = Instance(60, 70, np.ones((60, 60), bool), 0.9)
    letters = Instance(320, 30, np.ones((22, 70), bool), 0.8)

    class Model:
        card = read_card(INCLUDED / "micrographs")

        def find(self, *_: object) -> list[Instance]:
            return [pit, letters]

    monkeypatch.setattr(model, "load_instance_model", lambda *_, **__: Model())
    find, _ = model_finder("any")
    found = find(tmp_path, image, None)
    assert found.scores == {1: 0.9}
    assert found.left_out is not None
    assert found.left_out[BAR].all()


def test_particles_are_no_annotations(shared_data: Path) -> None:
    hidden = labelled = 0
    for path in list_micrographs([shared_data / "em-particles"])[::8]:
        image = read_grey(path)
        end = find_data_bar(image)
        labels = read_labels(path.with_name(f"{path.stem}_labels.png"))[:end]
        drawn = find_annotations(image[:end])
        for number in np.unique(labels[labels > 0]):
            labelled += 1
            hidden += drawn[labels == number].mean() > 0.5
    assert labelled > 400
    assert hidden <= 0.003 * labelled
