from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from pitflow.score.assignment import best_pairs, match_points, pairs_within


def test_optimal_not_greedy():
    """
    Nearest first would pair b with q and leave a and p alone.

        a . . q . b . . p        (a-q 3, q-b 2, b-p 3; gate 5)
    """
    i, j, distance = match_points([0, 0], [[0, 0], [5, 0]], [0, 0], [[3, 0], [8, 0]], 5.0)
    pairs = zip(i.tolist(), j.tolist(), distance.tolist(), strict=True)
    assert sorted(pairs) == [(0, 0, 3.0), (1, 1, 3.0)]


def test_two_far_pairs_are_no_better_than_a_near_one():
    """
    To leave a alone costs less than to pair both: 2 + 5 against 4 + 4.

        a . . . q . b . . . p        (a-q 4, q-b 2, b-p 4; gate 5)
    """
    i, j, _ = match_points([0, 0], [[0, 0], [6, 0]], [0, 0], [[4, 0], [10, 0]], 5.0)
    assert (i.tolist(), j.tolist()) == ([1], [0])


def test_other_frames_never_match():
    i, _, _ = match_points([0], [[0, 0]], [1], [[0, 0]], 5.0)
    assert len(i) == 0


@pytest.mark.parametrize("gate", [0.5, 5.0])
def test_each_frame_is_matched_by_itself(gate):
    """Against a dense assignment in each frame; few points each, so many groups of two pairs."""
    rng = np.random.default_rng(3)
    frame_a, frame_b = rng.integers(3, 40, 120), rng.integers(3, 40, 130)
    a, b = (rng.uniform(0, 5 * gate, (n, 2)) for n in (120, 130))
    i, j, distance = match_points(frame_a, a, frame_b, b, gate)
    np.testing.assert_array_equal(frame_a[i], frame_b[j])
    assert len(set(i)) == len(i) and len(set(j)) == len(j)
    for frame in range(3, 40):
        own_a, own_b = a[frame_a == frame], b[frame_b == frame]
        away = np.hypot(*(own_a[:, None] - own_b[None]).transpose(2, 0, 1))
        gain = np.maximum(gate - away, 0)
        best = gain[linear_sum_assignment(gain, maximize=True)].sum()
        assert np.sum(gate - distance[frame_a[i] == frame]) == pytest.approx(best)


def test_what_is_as_far_as_the_gate_is_worth_nothing():
    i, _, distance = pairs_within([0], [[0, 0]], [0], [[3, 4]], 5.0)
    assert (len(i), distance.tolist()) == (1, [5.0])
    assert len(match_points([0], [[0, 0]], [0], [[3, 4]], 5.0)[0]) == 0


@pytest.mark.parametrize(("n", "m"), [(0, 1), (1, 0), (0, 0)])
def test_empty(n, m):
    i, j, distance = pairs_within(np.zeros(n), np.ones((n, 2)), np.zeros(m), np.ones((m, 2)), 5.0)
    assert len(i) == len(j) == len(distance) == 0
    assert best_pairs(i, j, distance).shape == (0,)


@pytest.mark.parametrize("seed", range(5))
def test_one_to_one_and_best(seed):
    """Against one dense assignment over all points."""
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(0, 30, (40, 2)), rng.uniform(0, 30, (50, 2))
    i, j, distance = match_points(np.zeros(40), a, np.zeros(50), b, 5.0)
    assert len(set(i)) == len(i) and len(set(j)) == len(j)
    gain = np.maximum(5.0 - np.hypot(*(a[:, None] - b[None]).transpose(2, 0, 1)), 0)
    assert np.sum(5.0 - distance) == pytest.approx(
        gain[linear_sum_assignment(gain, maximize=True)].sum()
    )
