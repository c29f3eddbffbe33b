"""Claim: a test at 5 % finds what is not there 5 % of the time."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pitflow.measure.circular import (
    mean_vector,
    rao_test,
    rayleigh_test,
    watson_williams_test,
)
from pitflow.measure.pits import adjust_p
from pitflow.validate.claim import Claim, Finding
from pitflow.validate.judge import judge_level

_SIZES = (5, 8, 12, 20, 40, 100)
_ROUNDS = 12
_PITS = 8
_KAPPA = 3.0

_TESTS = {
    "rayleigh": "Rayleigh test, no preferred direction",
    "rao": "Rao's spacing test, no preferred direction",
    "watson_williams": "Watson-Williams test by permutation, two pits with one mean direction",
    "any_of_8": "any of 8 pits called preferential (Benjamini-Hochberg), none is",
}


def observe(rng: np.random.Generator) -> pd.DataFrame:
    """Return p of every test on samples for which its null hypothesis is true."""
    rows: list[tuple[str, int, float]] = []
    for n in _SIZES * _ROUNDS:
        angles = rng.uniform(0.0, 360.0, n)
        rows.append(("rayleigh", n, float(rayleigh_test(n, mean_vector(angles)[1]))))
        rows.append(("rao", n, rao_test(angles, seed=int(rng.integers(1 << 30)))))
        first, second = (np.degrees(rng.vonmises(1.0, _KAPPA, size)) for size in (n, n + 3))
        seed = int(rng.integers(1 << 30))
        p = watson_williams_test(first, second, draws=399, seed=seed)
        rows.append(("watson_williams", n, p))
        sizes = rng.integers(5, 60, _PITS)
        lengths = [mean_vector(rng.uniform(0.0, 360.0, size))[1] for size in sizes]
        rows.append(("any_of_8", n, float(adjust_p(rayleigh_test(sizes, lengths)).min())))
    return pd.DataFrame(rows, columns=["test", "n", "p"])


def judge(trials: pd.DataFrame) -> list[Finding]:
    """Return the share of p at or below 0.05 of every test."""
    p = dict(list(trials.groupby("test")["p"]))
    return [judge_level(claim, p[test]) for test, claim in _TESTS.items()]


CLAIM: Claim[np.random.Generator] = Claim("levels", observe, judge)
