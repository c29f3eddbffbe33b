"""Dips between directions, by counting and by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from pitflow.measure.dip import _best_arcs, _gain_of_one_more, dip_test


def test_best_arcs_of_a_short_row_by_trying_all():
    value = np.random.default_rng(0).normal(size=8)
    runs = [value[i:j].sum() for i in range(8) for j in range(i + 1, 9)]
    pairs = [
        value[i:j].sum() + value[k:m].sum()
        for i in range(8)
        for j in range(i + 1, 8)
        for k in range(j, 8)
        for m in range(k + 1, 9)
    ]
    best = _best_arcs(value, 2)
    assert best[0] == 0
    assert best[1] == pytest.approx(max(0, *runs))
    assert best[2] == pytest.approx(max(0, *runs, *pairs))


def test_a_second_heap_gains_its_own_mass():
    """Seven tenths in one bin and three in another: over a low density the second gains 0.3."""
    counts = np.zeros((1, 180))
    counts[0, [10, 100]] = 7, 3
    assert _gain_of_one_more(counts, 1)[0] == pytest.approx(0.3, abs=0.01)
    assert _gain_of_one_more(counts, 2)[0] == pytest.approx(0, abs=1e-12)
    # The same where the first bin lies on either side of 0 degrees.
    counts[0, 10], counts[0, [0, 179]] = 0, (4, 3)
    assert _gain_of_one_more(counts, 1)[0] == pytest.approx(0.3, abs=0.02)


def test_the_dip_test_holds_its_level_for_flat_laws_and_finds_two_heaps():
    rng = np.random.default_rng(1)
    flat = [dip_test(rng.uniform(300, 420, 40), 1) for _ in range(60)]
    assert np.mean(np.array(flat) <= 0.05) <= 0.15
    heaps = np.concatenate([rng.normal(0, 15, 12), rng.normal(150, 15, 12)])
    assert dip_test(heaps, 1) < 0.02
    assert dip_test(heaps, 2) > 0.2
