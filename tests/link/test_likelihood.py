from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from pitflow.link.likelihood import JUMPS, Habits, LinkScore, log_density
from pitflow.link.motion import Prediction


def prediction(missed: int = 0, seen: int = 5) -> Prediction:
    return Prediction(
        row={0: 0},
        mean=np.array([[10.0, 20.0]]),
        covariance=np.array([[[4.0, 1.0], [1.0, 2.0]]]),
        missed=np.array([missed]),
        seen=np.array([seen]),
    )


def test_worth_is_a_log_likelihood_ratio():
    """Against scipy's densities."""
    habits, here, speed = Habits(), prediction(), 3.0
    odds = habits.log_odds(here)[0]
    score = LinkScore.of(here, habits, speed)
    kinds = [(1 - sum(share for share, _ in JUMPS), here.covariance[0])]
    kinds += [(share, (size * speed) ** 2 * np.eye(2)) for share, size in JUMPS]
    for z in ([10.0, 20.0], [12.0, 19.0], [30.0, 20.0]):
        density = sum(p * multivariate_normal(here.mean[0], s).pdf(z) for p, s in kinds)
        assert score(0, *z) == pytest.approx(odds + math.log(density))


def test_odds_fall_with_every_miss():
    habits = Habits(seen=0.9, ends=0.02, real=0.3)
    odds = [habits.log_odds(prediction(missed))[0] for missed in range(4)]
    assert all(a > b for a, b in pairwise(odds))
    chance = 0.9 * 0.98 / (0.98 + 0.02)
    assert odds[0] == pytest.approx(math.log(chance / (1 - chance)))
    assert habits.log_odds(prediction(seen=1))[0] < odds[0]


@pytest.mark.parametrize("n", [2_000, 120_000])
def test_density_of_uniform_events(n):
    """n events over 1000 x 1000 px and 50 frames."""
    rng = np.random.default_rng(0)
    events = rng.uniform(0, 1000, (n, 2))
    inside = rng.uniform(200, 800, (500, 2))
    density = np.exp(log_density(events, inside, n_frames=50))
    assert np.mean(density) == pytest.approx(n / 1e6 / 50, rel=0.1)


def test_density_of_nothing():
    assert np.exp(log_density(np.zeros((0, 2)), np.zeros((3, 2)), 10)).max() < 1e-6
