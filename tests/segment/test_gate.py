from __future__ import annotations

import math

import numpy as np
import pytest

from pitflow.segment.classical.blobs import Seeds
from pitflow.segment.gate import Places, Search, clearness, gate_loss, in_turn, propose
from pitflow.segment.patches import Boxes

SHAPE = (200, 260)
NOTHING = np.zeros(SHAPE, bool)
NOWHERE = Places.none()


def seeds(*places: tuple[int, int, int]) -> Seeds:
    """Seeds at (level, row, column) of the level's grid."""
    level, row, column = np.array(places, np.intp).reshape(-1, 3).T
    return Seeds(level, row, column, np.ones(len(places)))


def looked_at(boxes: Boxes) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    for top, left, bottom, right in zip(*vars_of(boxes), strict=True):
        mask[top:bottom, left:right] = True
    return mask


def vars_of(boxes: Boxes) -> list[list[int]]:
    return [getattr(boxes, name).tolist() for name in ("top", "left", "bottom", "right")]


def test_a_blob_proposes_its_surroundings_wider_ones_more():
    fine = propose(seeds((0, 50, 80)), NOTHING, 0, NOWHERE)
    assert vars_of(fine) == [[47], [77], [54], [84]]
    wide = propose(seeds((2, 12, 20)), NOTHING, 0, NOWHERE)
    assert vars_of(wide) == [[34], [66], [63], [95]]


def with_snr(*blobs: tuple[int, int, int, float]) -> Seeds:
    """Seeds at (level, row, column) with their signal to noise."""
    level, row, column, snr = zip(*blobs, strict=True)
    return Seeds(*(np.array(each, np.intp) for each in (level, row, column)), np.array(snr))


def test_a_faint_blob_is_clearer_if_it_is_near_in_the_frames_around():
    here = with_snr((0, 50, 80, 4.0), (1, 60, 60, 3.6))
    before = with_snr((0, 50, 83, 3.0), (0, 52, 80, 2.0), (0, 120, 126, 12.0))
    after = with_snr((1, 60, 61, 4.8), (0, 90, 80, 9.0))
    np.testing.assert_allclose(clearness(here, ()), [4.0, 3.6])
    np.testing.assert_allclose(clearness(here, (before,)), [5.0, 3.6])
    np.testing.assert_allclose(clearness(here, (before, after)), [5.0, 6.0])
    np.testing.assert_allclose(clearness(here, (Seeds.none(), after)), [4.0, 6.0])
    assert clearness(Seeds.none(), (before,)).size == 0


def test_what_lies_beyond_the_border_is_not_proposed():
    assert vars_of(propose(seeds((0, 1, 259)), NOTHING, 0, NOWHERE)) == [[0], [256], [5], [260]]


def test_the_surroundings_of_a_pit_are_proposed_whole():
    pit = NOTHING.copy()
    pit[100:104, 120:124] = True
    proposed = looked_at(propose(seeds(), pit, 40, NOWHERE))
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    away = np.hypot(rows - 101.5, columns - 121.5)
    assert proposed[away < 38].all()
    assert not proposed[away > 70].any()


def test_a_particle_of_the_frame_before_is_looked_for_where_no_blob_took_its_place():
    before = Places(np.array([50, 150]), np.array([80, 200]))
    boxes = propose(seeds((0, 54, 84)), NOTHING, 0, before)
    assert vars_of(boxes) == [[51, 142], [81, 192], [58, 159], [88, 209]]
    assert len(propose(seeds(), NOTHING, 0, before)) == 2


def test_nothing_dark_and_no_pit_proposes_nothing():
    assert len(propose(seeds(), NOTHING, 24, NOWHERE)) == 0


@pytest.mark.parametrize("shape", [(100, 120), (600, 900), (2252, 2240)])
@pytest.mark.parametrize("every", [1, 7, 100])
def test_every_place_has_its_turn_once(shape, every):
    turns = np.zeros(shape, int)
    for frame in range(300, 300 + every):
        boxes = in_turn(shape, frame, every)
        for top, left, bottom, right in zip(*vars_of(boxes), strict=True):
            turns[top:bottom, left:right] += 1
        assert boxes.area_px <= max(2 * turns.size / every, 256**2)
    assert (turns == 1).all()


def test_turns_near_in_time_lie_all_over_the_frame():
    boxes = [in_turn((2252, 2240), frame, 100) for frame in range(10)]
    tops, lefts = (
        np.concatenate([getattr(box, name) for box in boxes]) for name in ("top", "left")
    )
    assert np.ptp(tops) > 1200
    assert np.ptp(lefts) > 1200


def test_boxes_hold_the_pixels_within_them():
    boxes = Boxes(*(np.array(side) for side in ([0, 50], [10, 60], [20, 55], [30, 80])))
    row, column = np.array([0, 19, 20, 54, 54, 0]), np.array([10, 29, 15, 60, 80, 60])
    assert boxes.hold(row, column).tolist() == [True, True, False, True, False, False]
    assert boxes.area_px == 20 * 20 + 5 * 20
    assert not boxes.hold(row[:0], column[:0]).size


def test_loss_over_what_was_searched_in_any_case():
    loss = gate_loss([Search(0.1), Search(0.2, 1.0, 150, 3), Search(0.3, 0.25, 50, 0)])
    assert loss.share == pytest.approx(0.2)
    assert (loss.frames_checked, loss.found, loss.lost) == (1.25, 200, 3)
    assert loss.lost_share == pytest.approx(0.015)
    assert "20.0 % of each frame; of parts searched whatever they showed, 1.5 % of 200" in str(loss)


def test_without_particles_there_is_no_loss_to_tell():
    loss = gate_loss([Search(0.1, 0.5, 0, 0)])
    assert math.isnan(loss.lost_share)
    assert str(loss) == (
        "the network looked only where something is darker than before (the gate), at 10.0 % of "
        "each frame"
    )


def test_few_particles_are_counted_and_make_no_percentage():
    assert "they showed, 1 of 3 particles" in str(gate_loss([Search(0.1, 0.5, 3, 1)]))


def test_without_a_gate_it_has_lost_nothing():
    loss = gate_loss([Search(0.1, 1.0, 800, 8), Search(0.3, 1.0, 200, 2)])
    assert str(loss) == (
        "the network looked everywhere; its gate (only where something is darker than before) "
        "would let it look at 20.0 % of each frame and lose 1.0 % of 1000 particles"
    )
