"""Claim: a 95 % interval holds the truth 95 % of the time, also where particles are few."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import i0e, i1e

from pitflow.measure.circular import bootstrap_direction
from pitflow.validate.claim import Claim, Finding, Study
from pitflow.validate.judge import judge_coverage, judge_least_coverage, show_share

_GROUPS = {
    "5 to 7": (5, 6, 7),
    "8 to 15": (8, 11, 15),
    "20 to 50": (20, 30, 50),
    "100 to 200": (100, 200),
}
_KAPPAS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Concentrations of the angles; at 0 there is no direction, and any that is told is wrong."""
_ROUNDS = 2
_CLEAR = 5.0
"""Least ``n R^2`` of the law at which a sample has a mean direction to speak of."""


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
                is_told = bool(np.isfinite(found.direction_lo))
                rows.append(
                    {
                        "group": group,
                        "n": n,
                        "kappa": kappa,
                        "length_held": found.length_lo <= length <= found.length_hi,
                        # Any direction may be the mean one: the truth is among them.
                        "direction_held": not is_told
                        or (kappa > 0.0 and (turn - found.direction_lo) % 360.0 <= width),
                        "is_told": is_told,
                        "is_clear": n * length**2 >= _CLEAR,
                    }
                )
    return pd.DataFrame(rows)


def judge(trials: pd.DataFrame) -> list[Finding]:
    """Return the coverage of both intervals by the number of particles.

    An interval that allows any direction holds the true one. The share of those is shown, and the
    share of the others that hold the truth: a weak direction is told where chance makes it look
    stronger, and then less sure than 95 %.
    """
    findings = []
    for group in _GROUPS:
        own = trials[trials["group"] == group]
        for clear, law in ((True, "clear direction"), (False, "weak or none")):
            some = own[own["is_clear"] == clear]
            findings += _of_directions(some, f"{law}, {group} particles", clear=clear)
        findings.append(
            judge_coverage(f"95 % interval of R holds it, {group} particles", own["length_held"])
        )
    return findings


def _of_directions(some: pd.DataFrame, where: str, *, clear: bool) -> list[Finding]:
    claim = f"95 % interval of the mean direction holds it, {where}"
    told = some[some["is_told"]]
    # To allow any direction is the right answer to a weak one, so that can be too often.
    return [
        judge_coverage(claim, some["direction_held"])
        if clear
        else judge_least_coverage(claim, some["direction_held"]),
        show_share(f"any direction allowed, {where}", ~some["is_told"].astype(bool)),
        show_share(f"direction told, and within its interval, {where}", told["direction_held"]),
    ]


STUDY: Study[np.random.Generator] = Study(
    "coverage", np.random.default_rng, (Claim("coverage", observe, judge),), seeds=60, quick_seeds=8
)
