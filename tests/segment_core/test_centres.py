"""Particles are counted by their centres, and share the pixels of a region."""

from __future__ import annotations

import numpy as np

from pitflow.domains.particles.centres import draw_centres
from pitflow.segment.centres import find_centres


def discs(*places: tuple[float, float], diameter: float, scale: float = 0.25) -> np.ndarray:
    x, y = np.array(places).T
    return draw_centres((64, 80), x, y, np.full(len(places), diameter), scale=scale)


def test_every_disc_gives_one_centre_of_full_score() -> None:
    places = [(10.0, 12.0), (17.0, 12.0), (50.3, 40.6)]
    for diameter in (3.0, 8.0, 16.0):
        found = find_centres(discs(*places, diameter=diameter).astype(np.float32), 0.5)
        assert len(found.row) == 3
        for row, column in zip(found.row, found.column, strict=True):
            assert min(np.hypot(row - y, column - x) for x, y in places) < 4
        assert (found.score > 0.6).all()


def test_the_place_is_that_of_the_whole_disc() -> None:
    places = np.array([(10.0, 12.0), (30.4, 12.3), (50.5, 40.75)])
    soft = np.zeros((64, 80), np.float32)
    rows, columns = np.mgrid[:64, :80]
    for x, y in places:
        soft = np.maximum(soft, np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 3))
    found = find_centres(soft.astype(np.float32), 0.3)
    order = np.argsort(found.place[:, 0])
    np.testing.assert_allclose(found.place[order], places, atol=0.05)
    assert find_centres(np.zeros((20, 20), np.float32), 0.1).place.shape == (0, 2)


def test_what_is_unlikely_is_left_out_and_the_best_comes_first() -> None:
    probability = 0.9 * discs((10, 10), diameter=4) + 0.3 * discs((40, 30), diameter=4)
    found = find_centres(probability.astype(np.float32), 0.5)
    assert found.row.tolist() == [10]
    both = find_centres(probability.astype(np.float32), 0.1)
    assert both.row.tolist() == [10, 30]
    assert both.score[0] > both.score[1]
    assert find_centres(np.zeros((20, 20), np.float32), 0.1).row.size == 0
