import numpy as np
import pandas as pd
import pytest

from pitflow.link.looks import LookScore, describe


def particles(n=60, length=20, seed=0):
    """Tracks whose mass and size keep within 10 %, among particles that differ by 60 % and 30 %."""
    rng = np.random.default_rng(seed)
    track = np.repeat(np.arange(n), length)
    frame = np.tile(np.arange(length), n)
    own = rng.normal(0, [0.6, 0.3], (n, 2))
    return track, frame, own[track] + rng.normal(0, 0.1, (n * length, 2))


def test_description_is_the_logarithm_and_nan_where_there_is_none():
    table = pd.DataFrame({"mass": [1.0, -2.0, np.e], "diameter_px": [np.e, 1.0, 0.0]})
    np.testing.assert_allclose(describe(table), [[0, 1], [np.nan, 0], [1, np.nan]])
    assert np.isnan(describe(table[["mass"]])[:, 1]).all()


def test_log_odds_are_those_of_the_two_normal_laws():
    score = LookScore.learned(*particles())
    own = score.noise * 2
    np.testing.assert_allclose(np.sqrt(own), 0.1 * np.sqrt(2), rtol=0.25)
    np.testing.assert_allclose(np.sqrt(score.spread), np.sqrt(2) * np.array([0.6, 0.3]), rtol=0.3)
    a = np.zeros((1, 2))
    # Alike: the ratio of the normal densities at 0; unlike: as any two particles.
    ratio = np.sqrt(np.prod(score.spread) / np.prod(own[np.searchsorted(score.limits, 0.0)]))
    assert score(a, a)[0] == pytest.approx(np.log(ratio), abs=0.1)
    assert score(a, a + np.array([2.0, 0.0]))[0] == pytest.approx(np.log(score.strange))


def test_pairs_one_by_one_score_as_all_at_once():
    track, frame, looks = particles()
    looks[5] = np.nan
    score = LookScore.learned(track, frame, looks)
    one_by_one = score.pairwise(looks)
    a, b = np.arange(0, 200), np.arange(3, 203)
    expected = score(looks[a], looks[b])
    assert expected[5] == expected[2] == 0.0
    np.testing.assert_allclose([one_by_one(i, j) for i, j in zip(a, b, strict=True)], expected)


def test_where_nothing_is_known_looks_say_nothing():
    track, frame, looks = particles()
    for score in (
        LookScore.unknown(),
        LookScore.learned(track[:9], frame[:9], looks[:9]),
        LookScore.learned(track, frame, np.full_like(looks, np.nan)),
    ):
        assert (score(looks[:5], looks[5:10]) == 0).all()
        assert score.pairwise(looks)(0, 7) == 0.0


def test_faint_particles_may_differ_more():
    track, frame, looks = particles(n=200)
    rng = np.random.default_rng(1)
    faint = track % 2 == 0
    looks[faint, 0] -= 5.0
    looks[faint] += rng.normal(0, 0.3, (faint.sum(), 2))
    score = LookScore.learned(track, frame, looks)
    off = np.array([[0.4, 0.0]])
    dark, pale = np.zeros((1, 2)), np.array([[-5.0, 0.0]])
    assert score(pale, pale + off)[0] > score(dark, dark + off)[0] + 1


def test_masses_that_come_in_steps_leave_classes_empty():
    """Four fifths stand out by exactly as much: looks are learnt nevertheless, and never NaN."""
    track, frame, _ = particles()
    mass = np.where(np.random.default_rng(2).random(len(track)) < 0.8, 0.0, 0.3)
    score = LookScore.learned(track, frame, np.column_stack([mass, np.zeros(len(mass))]))
    assert score.strange < 1
    assert np.isfinite(score.noise).all()
    far = np.array([[0.4, 0.0]])
    assert np.isfinite(score(np.zeros((1, 2)), far)).all()
