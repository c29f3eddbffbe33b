from __future__ import annotations

import math

import numpy as np
import pytest

from pitflow.segment.classical.blobs import Seeds
from pitflow.segment.gate import Search, gate_loss, outside, propose
from pitflow.segment.tiles import plan_tiles

SHAPE = (200, 260)
PLAN = plan_tiles(SHAPE, 64, halo=16)
NOTHING = np.zeros(SHAPE, bool)


def seeds(*places: tuple[int, int, int]) -> Seeds:
    """Seeds at (level, row, column) of the level's grid."""
    level, row, column = np.array(places, np.intp).reshape(-1, 3).T
    return Seeds(level, row, column, np.ones(len(places)))


def test_a_blob_proposes_the_tile_that_answers_for_it():
    # Tiles answer for squares of 32 px.
    assert propose(PLAN, seeds((0, 50, 80)), NOTHING, 0) == [(1, 2)]
    assert propose(PLAN, seeds((2, 12, 20)), NOTHING, 0) == [(1, 2)]


def test_a_blob_at_the_edge_of_a_tile_proposes_its_neighbours():
    assert propose(PLAN, seeds((0, 32, 64)), NOTHING, 0) == [(0, 1), (0, 2), (1, 1), (1, 2)]


def test_the_surroundings_of_a_pit_are_proposed_whole():
    pit = NOTHING.copy()
    pit[100:104, 120:124] = True
    proposed = propose(PLAN, seeds(), pit, 40)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    near = np.hypot(rows - 101.5, columns - 121.5) < 38
    assert set(PLAN.touched(near)) <= set(proposed)
    assert set(proposed) <= set(PLAN.touched(np.hypot(rows - 101.5, columns - 121.5) < 60))


def test_nothing_dark_and_no_pit_proposes_nothing():
    assert propose(PLAN, seeds(), NOTHING, 24) == []


def test_around_is_what_touched_says_of_the_same_pixels():
    rng = np.random.default_rng(4)
    row, column = rng.integers(SHAPE[0], size=9), rng.integers(SHAPE[1], size=9)
    for plan in (PLAN, plan_tiles(SHAPE, 80, halo=16, overlap=12), plan_tiles((30, 30), 64)):
        inside = (row < plan.shape[0]) & (column < plan.shape[1])
        where = np.zeros(plan.shape, bool)
        where[row[inside], column[inside]] = True
        assert plan.around(row[inside], column[inside], 0) == plan.touched(where)


def test_what_lies_outside_of_the_proposed_tiles_is_counted():
    assert outside(PLAN, [(1, 2)], np.array([50, 50, 3]), np.array([80, 10, 80])) == 2


def test_loss_over_the_frames_that_were_searched_everywhere():
    loss = gate_loss([Search(100, 10), Search(100, 20, found=200, lost=3), Search(100, 30)])
    assert (loss.share, loss.full_frames, loss.found, loss.lost) == (0.2, 1, 200, 3)
    assert loss.lost_share == pytest.approx(0.015)
    assert "20 % of the tiles; on 1 frame searched everywhere, 1.5 % of 200" in str(loss)


def test_without_particles_there_is_no_loss_to_tell():
    loss = gate_loss([Search(50, 5, found=0, lost=0)])
    assert math.isnan(loss.lost_share)
    assert str(loss) == "the gate let the network look at 10 % of the tiles"
