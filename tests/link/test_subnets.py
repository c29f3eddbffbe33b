from __future__ import annotations

from itertools import count, product

import numpy as np
import pytest

from pitflow.link import subnets
from pitflow.link.subnets import SubnetSolver, choose_links


class Spot:
    """As much of a trackpy point as a solver needs."""

    numbers = count()

    def __init__(self, x: float) -> None:
        self.x = x
        self.uuid = next(Spot.numbers)
        self.forward_cands: list[tuple[Spot, float]] = []


def solve(sources: list[float], targets: list[float], reach: float) -> set[tuple[float, float]]:
    a, b = [Spot(x) for x in sources], [Spot(x) for x in targets]
    for source in a:
        source.forward_cands = [(t, abs(t.x - source.x)) for t in b if abs(t.x - source.x) < reach]
    solver = SubnetSolver(lambda s, t: reach**2 - (s.x - t.x) ** 2)
    left, right = solver(set(a), set(b), reach, max_size=30)
    assert {p for p in left if p} == set(a)
    assert {p for p in right if p} == set(b)
    return {(s.x, t.x) for s, t in zip(left, right, strict=True) if s and t}


def test_the_whole_counts():
    """
    Nearest first would give a to q and leave p alone.

        p . . a . q . . b     worth 16 - d^2:  ap 7, aq 12, bq 7
    """
    assert solve([3, 8], [0, 5], 4.0) == {(3, 0), (8, 5)}


def test_no_candidate_and_one_to_one():
    assert solve([], [4], 4.0) == set()
    assert solve([1], [2], 4.0) == {(1, 2)}
    assert solve([1], [2, 1.5], 4.0) == {(1, 1.5)}
    assert solve([1, 1.2], [2], 4.0) == {(1.2, 2)}


def test_a_link_worth_nothing_is_not_made():
    source, target = Spot(0), Spot(1)
    left, right = SubnetSolver(lambda s, t: -1.0)({source}, {target}, 5.0)
    assert list(zip(left, right, strict=True)) == [(source, None), (None, target)]


@pytest.mark.parametrize("seed", range(10))
def test_best_of_all(seed):
    """Against trying every choice for up to four tracks."""
    rng = np.random.default_rng(seed)
    worth = np.where(rng.random((4, 5)) < 0.6, rng.uniform(0, 1, (4, 5)), 0)
    i, j = np.nonzero(worth)
    chosen, thinned = choose_links(i, j, worth[i, j])
    best = 0.0
    for choice in product(range(-1, 5), repeat=4):
        used = [c for c in choice if c >= 0]
        if len(set(used)) == len(used):
            best = max(best, sum(worth[r, c] for r, c in enumerate(choice) if c >= 0))
    assert thinned == 0
    assert worth[i[chosen], j[chosen]].sum() == pytest.approx(best)
    assert len(set(i[chosen])) == len(set(j[chosen])) == len(chosen)


def test_large_groups_are_thinned(monkeypatch):
    """A band of 60 x 60 links, too large for a table of 100: still one to one, and told."""
    monkeypatch.setattr(subnets, "LARGEST_TABLE", 100)
    i, j = np.nonzero(np.abs(np.subtract.outer(np.arange(60), np.arange(60))) <= 2)
    worth = np.random.default_rng(0).uniform(1, 2, len(i))
    chosen, thinned = choose_links(i, j, worth)
    assert thinned > 0
    assert len(chosen) > 20
    assert len(set(i[chosen])) == len(set(j[chosen])) == len(chosen)


def test_equal_links_can_be_thinned(monkeypatch):
    monkeypatch.setattr(subnets, "LARGEST_TABLE", 100)
    i, j = np.nonzero(np.ones((40, 40)))
    chosen, thinned = choose_links(i, j, np.ones(len(i)))
    assert thinned > 0
    assert len(set(i[chosen])) == len(set(j[chosen])) == len(chosen) > 0
