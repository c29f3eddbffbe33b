"""Claim: one direction, however wide or skewed, is not taken for several, and two are told."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pitflow.measure.circular import Floats, count_modes
from pitflow.validate.claim import Claim, Finding, Study
from pitflow.validate.judge import judge_at_most, show_share

_SIZES = (20, 40, 100)
_ARCS_DEG = (120.0, 180.0, 240.0)
_KAPPA = 4.0


def observe(rng: np.random.Generator) -> pd.DataFrame:
    """Return the number of directions found in samples of known laws."""
    rows = []
    for n in _SIZES:
        samples = [("flat", rng.uniform(0.0, width, n)) for width in _ARCS_DEG]
        samples += [("skewed", 30.0 * rng.gamma(2.0, 1.0, n)), ("opposed", _opposed(n, rng))]
        rows += [(law, n, count_modes(angles)) for law, angles in samples]
    return pd.DataFrame(rows, columns=["law", "n", "n_modes"])


def judge(trials: pd.DataFrame) -> list[Finding]:
    """Return how often several directions are found where there is one, and where there are two."""
    several = trials["n_modes"] >= 2
    findings = [
        judge_at_most(f"several directions found, ejection {law}", several[trials["law"] == name])
        for name, law in (
            ("flat", "uniform over an arc of 120 to 240 degrees"),
            ("skewed", "about one direction, skewed"),
        )
    ]
    for n in _SIZES:
        own = (trials["law"] == "opposed") & (trials["n"] == n)
        claim = f"two opposed directions found, von Mises of kappa {_KAPPA:g}, {n} particles"
        findings.append(show_share(claim, trials.loc[own, "n_modes"] == 2))
    return findings


def _opposed(n: int, rng: np.random.Generator) -> Floats:
    turn = 180.0 * (np.arange(n) % 2)
    return np.asarray(turn + np.degrees(rng.vonmises(0.0, _KAPPA, n)), dtype=np.float64)


STUDY: Study[np.random.Generator] = Study(
    "modes", np.random.default_rng, (Claim("modes", observe, judge),), seeds=100, quick_seeds=10
)
