"""How many particles it takes to see a preference of a given strength."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pitflow.measure.circular import concentration, rayleigh_test
from pitflow.validate.claim import Claim, Finding, Study
from pitflow.validate.judge import binomial_interval

SIZES = (5, 7, 10, 14, 20, 28, 40, 56, 80, 113, 160, 226, 320)
LENGTHS = (0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7)
_DRAWS = 100
_ASKED = 0.8


def observe(rng: np.random.Generator) -> pd.DataFrame:
    """Return how many of some samples of each size and strength the Rayleigh test finds."""
    rows = []
    for length in LENGTHS:
        kappa = float(concentration(length))
        for n in SIZES:
            angles = rng.vonmises(0.0, kappa, (_DRAWS, n))
            seen = np.abs(np.exp(1j * angles).mean(axis=1))
            hits = int(np.count_nonzero(rayleigh_test(n, seen) <= 0.05))
            rows.append((length, n, hits, _DRAWS))
    return pd.DataFrame(rows, columns=["resultant_length", "n", "found", "draws"])


def power_curves(trials: pd.DataFrame) -> pd.DataFrame:
    """Return ``power`` with ``low`` and ``high`` by resultant length and number of particles."""
    sums = trials.groupby(["resultant_length", "n"])[["found", "draws"]].sum().reset_index()
    ends = [binomial_interval(int(k), int(n)) for k, n in sums[["found", "draws"]].to_numpy()]
    low, high = np.array(ends).T
    return sums.assign(power=sums["found"] / sums["draws"], low=low, high=high)


def judge(trials: pd.DataFrame) -> list[Finding]:
    """Return the number of particles at which 80 % of the samples are found preferential."""
    curves = power_curves(trials)
    findings = []
    for length, own in curves.groupby("resultant_length"):
        ends = [_crossing(own, name) for name in ("power", "high", "low")]
        claim = f"particles for a power of 80 % at R = {length:g}, Rayleigh test"
        n = int(own["draws"].sum())
        findings.append(Finding(claim, "", ends[0], ends[1], ends[2], n, None, "particles"))
    return findings


def _crossing(curve: pd.DataFrame, name: str) -> float:
    """Return the size at which a curve crosses the power asked for; NaN if it does not."""
    power, n = curve[name].to_numpy(), np.log(curve["n"].to_numpy(dtype=np.float64))
    if power.max() < _ASKED or power.min() >= _ASKED:
        return np.nan
    return float(np.exp(np.interp(_ASKED, np.maximum.accumulate(power), n)))


STUDY: Study[np.random.Generator] = Study(
    "power", np.random.default_rng, (Claim("power", observe, judge),), seeds=40, quick_seeds=5
)
