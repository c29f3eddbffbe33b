import numpy as np
import pandas as pd
import pytest

from pitflow.measure.visibility import compute_visibility


def pits(*rows):
    table = pd.DataFrame(rows, columns=["pit", "x", "y", "radius"]).astype({"pit": "int64"})
    return table.assign(area_px=np.pi * table["radius"] ** 2)


def visible(*rows):
    return compute_visibility(pits(*rows), shape=(1000, 1000), reach_px=40.0)


def test_a_pit_in_the_open_is_seen_all_round():
    assert visible((3, 500, 500, 10)).to_dict() == {3: 1.0}


def test_the_edge_hides_what_lies_beyond_it():
    # 25 px from the edge with 50 px to go: hidden within acos(1/2) = 60 degrees either way.
    assert visible((0, 500, 25, 10))[0] == pytest.approx(1 - 120 / 360, abs=0.02)


@pytest.mark.parametrize("place", [(25, 300), (774, 300), (400, 25), (400, 574)])
def test_all_four_edges_hide_alike(place):
    share = compute_visibility(pits((0, *place, 10)), shape=(600, 800), reach_px=40.0)
    assert share[0] == pytest.approx(1 - 120 / 360, abs=0.02)


@pytest.mark.parametrize(("away", "hides"), [(62, True), (68, False)])
def test_a_neighbour_hides_as_far_as_one_looks(away, hides):
    """50 px from the centre, which is 40 px from the rim: the neighbour's rim lies 15 px nearer."""
    share = visible((0, 500, 500, 10), (1, 500 + away, 500, 15))
    assert (share[0] < 1) == hides


def test_a_neighbour_hides_its_own_width():
    share = visible((0, 500, 500, 10), (1, 530, 500, 15))
    assert share[0] == pytest.approx(1 - 60 / 360, abs=0.02)
    assert share[1] < 1


def test_no_pits():
    assert compute_visibility(pits(), shape=(10, 10), reach_px=5.0).empty
