"""The model that comes with the program, on rendered pits."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from pitflow.cli import main
from pitflow.domains.included import INCLUDED
from pitflow.segment.checkpoint import read_card

PLACES = [
    (60, 70, 18),
    (70, 240, 30),
    (190, 90, 42),
    (230, 250, 14),
    (150, 330, 24),
    (270, 360, 30),
]


def test_it_finds_rendered_pits_once_each_at_any_depth(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:320, :420]
    labels = np.zeros(rows.shape, np.int32)
    image = 150 + rng.normal(0, 6, rows.shape)
    for number, (y, x, radius) in enumerate(PLACES, start=1):
        away = np.hypot(rows - y, columns - x) / radius
        labels[away < 1] = number
        image -= 75 / (1 + np.exp((away - 1) * 12))
    cv2.imwrite(str(tmp_path / "pits.tif"), (image * 200).astype(np.uint16))
    with pytest.raises(SystemExit) as stopped:
        raise SystemExit(main(["sem", str(tmp_path / "pits.tif"), "-o", str(tmp_path / "out")]))
    assert not stopped.value.code
    found = cv2.imread(str(tmp_path / "out" / "pits_labels.png"), cv2.IMREAD_UNCHANGED)
    table = pd.read_csv(tmp_path / "out" / "pits.csv")
    assert len(table) == found.max() == len(PLACES)
    for number in range(1, len(PLACES) + 1):
        truth = labels == number
        value = np.bincount(found[truth]).argmax()
        both = np.count_nonzero(truth & (found == value))
        assert value > 0
        assert both / np.count_nonzero(truth | (found == value)) > 0.7
    # A pixel is at its centre, in the drawing and in the table: nothing is off to one side.
    placed = table.sort_values("x")[["y", "x"]].to_numpy()
    drawn = np.array(sorted(PLACES, key=lambda place: place[1]))[:, :2]
    assert np.abs((placed - drawn).mean(axis=0)).max() < 0.3


def test_its_card_says_what_it_learned_from_and_how_good_it_is() -> None:
    card = read_card(INCLUDED / "micrographs")
    assert "EMPS" in card.note
    assert "MIT" in card.note
    assert card.scores["test, seen by no training"]["ap50"] > 0.85
    size = sum(path.stat().st_size for path in INCLUDED.rglob("*") if path.is_file())
    assert size <= 20 * 2**20
