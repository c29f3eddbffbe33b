"""Objects of any size are found by what knows one size only."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from pitflow.domains.sem.scales import find_at_scales, usual_zoom
from pitflow.frame import Image
from pitflow.segment.instance import Instance, trimmed

LEARNED = 40.0


def discs(*places: tuple[float, float, float], side: int = 300) -> np.ndarray:
    """Labels of discs given by row, column and diameter."""
    rows, columns = np.mgrid[:side, :side]
    labels = np.zeros((side, side), np.int32)
    for number, (y, x, diameter) in enumerate(places, start=1):
        labels[(rows - y) ** 2 + (columns - x) ** 2 <= diameter**2 / 4] = number
    return labels


def look(image: Image) -> list[Instance]:
    """Finds bright parts of 16 to 100 px, the surer the nearer to the learned size."""
    labels, n = ndimage.label(image > 128)
    found = []
    for value in range(1, n + 1):
        diameter = 2 * math.sqrt(np.count_nonzero(labels == value) / math.pi)
        if 16 <= diameter <= 100:
            score = math.exp(-abs(math.log(diameter / LEARNED)) / 2)
            found.append(trimmed(0, 0, labels == value, score))
    return [one for one in found if one is not None]


def test_a_micrograph_is_brought_to_the_learned_size() -> None:
    assert usual_zoom(discs((60, 60, 20), (150, 60, 20), (200, 200, 90)), 40) == pytest.approx(
        2, rel=0.05
    )
    assert usual_zoom(np.zeros((9, 9), np.int32), 40) == 1
    assert usual_zoom(discs((150, 150, 280)), 40) == 0.4


@pytest.mark.parametrize("diameter", [8, 14, 18, 40, 90, 150, 220, 245])
def test_objects_of_any_size_come_out_once_and_whole(diameter: float) -> None:
    labels = discs((150, 150, diameter), (30, 30, 18), (270, 40, 18), (40, 270, 18))
    found = find_at_scales(look, (200 * (labels > 0)).astype(np.uint8), LEARNED, 0.01)
    assert len(found) == 4
    for number in range(1, 5):
        truth = labels == number
        masks = [one.part(0, 0, *labels.shape) for one in found]
        overlaps = [np.count_nonzero(m & truth) / np.count_nonzero(m | truth) for m in masks]
        assert max(overlaps) > 0.8


def test_what_is_of_the_learned_size_is_the_surest() -> None:
    labels = discs((150, 150, 40), (60, 60, 90))
    found = find_at_scales(look, (200 * (labels > 0)).astype(np.uint8), LEARNED, 0.01)
    assert [one.mask.shape[0] for one in found] == [41, pytest.approx(90, abs=3)]
    assert found[0].score == pytest.approx(1, abs=0.03)


def test_nothing_is_found_in_nothing() -> None:
    assert find_at_scales(look, np.zeros((40, 30), np.uint8), LEARNED, 0.01) == []


@pytest.mark.parametrize(
    ("diameters", "larger"),
    [((8,), ()), ((13,), (20, 20, 20)), ((8, 8, 6), (18, 18))],
    ids=["none is seen", "only the largest are seen", "only the larger of the small are then seen"],
)
def test_what_is_too_small_to_be_seen_is_looked_at_from_nearer(
    diameters: tuple[int, ...], larger: tuple[int, ...]
) -> None:
    places = [(20 + 26 * (n % 10), 20 + 26 * (n // 10)) for n in range(60)]
    small = [(*place, diameters[n % len(diameters)]) for n, place in enumerate(places)]
    labels = discs(*small, *((282, 30 + 60 * n, size) for n, size in enumerate(larger)))

    def short_sighted(image: Image) -> list[Instance]:
        return [
            replace(one, score=1.0)
            for one in look(image)
            if np.count_nonzero(one.mask) > 15**2 * np.pi / 4
        ]

    found = find_at_scales(short_sighted, (200 * (labels > 0)).astype(np.uint8), LEARNED, 0.01)
    assert len(found) == len(small) + len(larger)
