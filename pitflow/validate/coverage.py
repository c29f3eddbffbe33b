"""Claim: a 95 % interval holds the truth 95 % of the time, also where particles are few."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import i0e, i1e

from pitflow.measure.circular import bootstrap_direction
from pitflow.validate.claim import Claim, Finding, Study
from pitflow.validate.judge import judge_coverage

_GROUPS = {
    "8 to 15": (8, 11, 15),
    "20 to 50": (20, 30, 50),
    "100 to 200": (100, 200),
}
_KAPPAS = (0.5, 1.0, 2.0, 4.0, 8.0)
_ROUNDS = 2
_CLEAR = 5.0
"""Least ``n R^2`` at which a sample has a mean direction to speak of."""


def observe(rng: np.random.Generator) -> pd.DataFrame:
    """Return whether the intervals hold the truth, for samples of von Mises angles."""
    rows = []
    for group, sizes in _GROUPS.items():
        for n in sizes:
            for kappa in _KAPPAS * _ROUNDS:
                turn = rng.uniform(0.0, 360.0)
                angles = (turn + np.degrees(rng.vonmises(0.0, kappa, n))) % 360.0
                found = bootstrap_direction(angles, confidence=0.95, resamples=500, rng=rng)
                length = float(i1e(kappa) / i0e(kappa))
                width = (found.direction_hi - found.direction_lo) % 360.0
                rows.append(
                    {
                        "group": group,
                        "n": n,
                        "kappa": kappa,
                        "length_held": found.length_lo <= length <= found.length_hi,
                        "direction_held": (turn - found.direction_lo) % 360.0 <= width,
                        "is_clear": n * length**2 >= _CLEAR,
                    }
                )
    return pd.DataFrame(rows)


def judge(trials: pd.DataFrame) -> list[Finding]:
    """Return the coverage of both intervals by the number of particles."""
    findings = []
    for group in _GROUPS:
        own = trials[trials["group"] == group]
        clear = own[own["is_clear"]]
        for claim, held in (
            ("95 % interval of R", own["length_held"]),
            ("95 % interval of the mean direction", clear["direction_held"]),
        ):
            findings.append(judge_coverage(f"{claim} holds it, {group} particles", held))
    return findings


STUDY: Study[np.random.Generator] = Study(
    "coverage", np.random.default_rng, (Claim("coverage", observe, judge),), seeds=60, quick_seeds=8
)
