"""The ISBI scores on tracks drawn by hand, with the answers worked out in the docstrings.

Every track runs along x at 10 px per frame, so tracks of different rows (y) are far apart.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from pitflow.score import score_tracks

GATE = 5.0


def track(particle: int, frames: range, y: float = 0.0, dx: float = 0.0) -> pd.DataFrame:
    t = np.asarray(frames)
    return pd.DataFrame({"particle": particle, "frame": t, "x": 10.0 * t + dx, "y": y})


def tracks(*parts: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(parts, ignore_index=True) if parts else track(0, range(0))


def test_perfect():
    """Same tracks, other numbers: everything is 1."""
    true = tracks(track(0, range(10)), track(1, range(3, 9), y=50))
    found = tracks(track(7, range(3, 9), y=50), track(3, range(10)))
    score = score_tracks(true, found, GATE)
    assert (score.alpha, score.beta, score.jsc, score.jsc_theta) == (1, 1, 1, 1)
    assert score.rmse_px == 0
    assert (score.n_true, score.n_found, score.n_paired) == (2, 2, 2)


def test_nothing_found():
    """All dummies: d(X, Y) = d(X, empty)."""
    score = score_tracks(track(0, range(10)), tracks(), GATE)
    assert (score.alpha, score.beta, score.jsc, score.jsc_theta) == (0, 0, 0, 0)
    assert np.isnan(score.rmse_px)


def test_nothing_true():
    score = score_tracks(tracks(), track(0, range(10)), GATE)
    assert np.isnan(score.alpha)
    assert (score.beta, score.jsc, score.jsc_theta) == (0, 0, 0)


def test_shifted():
    """
    Shifted by 2 px at a gate of 5: d(X, Y) = 2 * 10 of 5 * 10, alpha = 1 - 2/5.

        X  *----*----*----*
        Y   *----*----*----*
    """
    score = score_tracks(track(0, range(10)), track(0, range(10), y=2.0), GATE)
    assert score.alpha == pytest.approx(0.6)
    assert score.beta == pytest.approx(0.6)
    assert (score.jsc, score.jsc_theta) == (1, 1)
    assert score.rmse_px == pytest.approx(2.0)


def test_split():
    """
    One true track of 10 found as 6 + 4. The longer half is paired, the other is spurious.

        X  *--*--*--*--*--*--*--*--*--*
        Y  1--1--1--1--1--1  2--2--2--2

    d(X, empty) = 50, d(X, Y) = 4 * 5 = 20, spurious = 4 * 5 = 20.
    alpha = 30/50, beta = 30/70; points: TP 6, FN 4, FP 4; tracks: TP 1, FP 1.
    """
    found = tracks(track(1, range(6)), track(2, range(6, 10)))
    score = score_tracks(track(0, range(10)), found, GATE)
    assert score.alpha == pytest.approx(30 / 50)
    assert score.beta == pytest.approx(30 / 70)
    assert score.jsc == pytest.approx(6 / 14)
    assert score.jsc_theta == pytest.approx(1 / 2)


def test_merged():
    """
    Two true tracks joined into one: the longer is paired with it, the other is missed.

        X  1--1--1--1--1--1
                             2--2--2--2   (the same row)
        Y  *--*--*--*--*--*--*--*--*--*

    d(X, empty) = 50. Paired with 1: 6 matches, and 4 frames where only Y exists cost 4 * 5;
    d(X, Y) = 20 + 4 * 5 (track 2 on a dummy) = 40. alpha = 10/50, no spurious track.
    Points: TP 6, FN 4, FP 4; tracks: TP 1, FN 1.
    """
    true = tracks(track(1, range(6)), track(2, range(6, 10)))
    score = score_tracks(true, track(0, range(10)), GATE)
    assert score.alpha == pytest.approx(10 / 50)
    assert score.beta == pytest.approx(10 / 50)
    assert score.jsc == pytest.approx(6 / 14)
    assert score.jsc_theta == pytest.approx(1 / 2)


def test_mostly_wrong_track_is_worse_than_a_dummy():
    """
    A found track that meets the true one in 2 of its 8 frames and goes on alone for 6.

        X  *--*
        Y  *--*--*--*--*--*--*--*

    Pairing would cost 6 * 5 and save 2 * 5, so X is paired with the dummy.
    """
    score = score_tracks(track(0, range(2)), track(0, range(8)), GATE)
    assert (score.alpha, score.beta, score.jsc, score.jsc_theta) == (0, 0, 0, 0)


def test_spurious():
    """A true track found, and one of 5 invented far away: beta = 50 / (50 + 25)."""
    found = tracks(track(0, range(10)), track(1, range(5), y=90))
    score = score_tracks(track(0, range(10)), found, GATE)
    assert score.alpha == 1
    assert score.beta == pytest.approx(50 / 75)
    assert score.jsc == pytest.approx(10 / 15)
    assert score.jsc_theta == pytest.approx(1 / 2)


def test_beyond_the_gate_does_not_match():
    score = score_tracks(track(0, range(10)), track(0, range(10), y=5.5), GATE)
    assert (score.alpha, score.jsc, score.jsc_theta) == (0, 0, 0)


def test_exchanged_identities():
    """
    Two tracks swap numbers half way: each found track agrees with a true one in 5 of 10 frames.

        X  1--1--1--1        Y  1--1  2--2
           2--2--2--2           2--2  1--1

    Pairing saves 5 * 5 and costs nothing else (min(d, gate) = gate where they part).
    """
    true = tracks(track(1, range(10)), track(2, range(10), y=50))
    found = tracks(
        track(1, range(5)), track(1, range(5, 10), y=50),
        track(2, range(5), y=50), track(2, range(5, 10)),
    )  # fmt: skip
    score = score_tracks(true, found, GATE)
    assert score.alpha == pytest.approx(0.5)
    assert score.jsc == pytest.approx(10 / 30)
    assert score.jsc_theta == 1


def test_unlinked_rows_are_in_no_track():
    found = tracks(track(0, range(10)), track(-1, range(10), y=1.0))
    assert score_tracks(track(0, range(10)), found, GATE).jsc == 1


@pytest.mark.parametrize("seed", range(5))
def test_pairing_is_optimal(seed):
    """Against the definition, by trying every pairing of up to four tracks with dummies."""
    rng = np.random.default_rng(seed)

    def draw(n: int) -> pd.DataFrame:
        parts = []
        for k in range(n):
            start = int(rng.integers(0, 6))
            t = range(start, start + int(rng.integers(1, 8)))
            part = track(k, t)
            part[["x", "y"]] = rng.uniform(0, 8, (len(part), 2))
            parts.append(part)
        return tracks(*parts)

    true, found = draw(3), draw(4)
    x = [true[true.particle == k].set_index("frame")[["x", "y"]] for k in range(3)]
    y = [found[found.particle == k].set_index("frame")[["x", "y"]] for k in range(4)]
    empty = x[0].iloc[:0]

    def distance(a: pd.DataFrame, b: pd.DataFrame) -> float:
        total = 0.0
        for t in set(a.index) | set(b.index):
            both = t in a.index and t in b.index
            total += min(GATE, np.hypot(*(a.loc[t] - b.loc[t]))) if both else GATE
        return total

    candidates = [*y, empty, empty, empty]
    best = min(
        sum(distance(a, candidates[k]) for a, k in zip(x, choice, strict=True))
        for choice in permutations(range(len(candidates)), 3)
    )
    whole = sum(distance(a, empty) for a in x)
    assert score_tracks(true, found, GATE).alpha == pytest.approx(1 - best / whole)
