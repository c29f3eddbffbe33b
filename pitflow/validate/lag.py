"""Claim: a planted lag is found, and none is found where none is planted."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter1d

from pitflow.config import CorrelationConfig
from pitflow.lag import find_lag
from pitflow.measure.correlation import compute_correlation
from pitflow.validate.claim import Claim, Finding, Study
from pitflow.validate.judge import judge_at_least, judge_level, show_share
from pitflow.validate.recording import Recording

_LIVES = (150, 300)
_MEMORIES = (3.0, 8.0, 20.0)
_RATES = (0.15, 0.6)


def observe(recording: Recording) -> pd.DataFrame:
    """Return the strongest lag, its r and p, pooled (pit -1) and per pit."""
    correlation = recording.tables["correlation"]
    found = (find_lag(correlation, int(pit)) for pit in correlation["pit"].unique())
    rows = [(a.pit, a.lag, a.r, a.p, a.q, recording.config.lag) for a in found if a is not None]
    return pd.DataFrame(rows, columns=["pit", "lag", "r", "p", "q", "planted"])


def judge_planted(trials: pd.DataFrame) -> list[Finding]:
    """Return how often the planted lag is found to within a frame with r of 0.3 and more."""
    pooled = trials[trials["pit"] == -1]
    single = trials[(trials["pit"] >= 0) & trials["p"].notna()]
    hit = ((pooled["lag"] - pooled["planted"]).abs() <= 1) & (pooled["r"] >= 0.3)
    return [
        judge_at_least("lag within 1 frame and r >= 0.3, all pits together", hit, share=0.9),
        show_share(
            "planted lag called evidence (p <= 0.05), all pits together", pooled["p"] <= 0.05
        ),
        show_share(
            "planted lag called evidence (q <= 0.05, Benjamini-Hochberg), single pits",
            single["q"] <= 0.05,
        ),
    ]


def judge_absent(trials: pd.DataFrame) -> list[Finding]:
    """Return how often a lag is found where ejection does not follow growth."""
    pooled, single = trials[trials["pit"] == -1], trials[trials["pit"] >= 0]
    return [
        judge_level("lag test on recordings, uniform ejection, all pits together", pooled["p"]),
        judge_level("lag test on recordings, uniform ejection, single pits", single["p"]),
        judge_level(
            "lag test on recordings, uniform ejection, any pit (Benjamini-Hochberg)",
            single.groupby("seed")["q"].min(),
        ),
    ]


PLANTED: Claim[Recording] = Claim("lag", observe, judge_planted)
ABSENT: Claim[Recording] = Claim("lag-absent", observe, judge_absent)


def observe_independent(rng: np.random.Generator) -> pd.DataFrame:
    """Return p of the lag test for growth and ejection that wander independently of each other."""
    rows = []
    for n in _LIVES:
        for memory in _MEMORIES:
            for rate in _RATES:
                growth, ejections = _unrelated(n, memory, rate, rng)
                config = CorrelationConfig(surrogates=199)
                seed = int(rng.integers(1 << 30))
                table = compute_correlation(growth, ejections, config=config, seed=seed)
                found = find_lag(table)
                rows.append((n, memory, rate, np.nan if found is None else found.p))
    return pd.DataFrame(rows, columns=["frames", "memory", "rate", "p"])


def judge_independent(trials: pd.DataFrame) -> list[Finding]:
    """Return the share of p at or below 0.05."""
    return [judge_level("lag test, growth and ejection wander independently", trials["p"])]


def _unrelated(
    n: int, memory: float, rate: float, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    growth = _wandering(n, memory, rng)
    ejection = _wandering(n, memory, rng)
    left = np.flatnonzero(rng.random(n) < rate)
    return (
        pd.DataFrame(
            {
                "pit": 0,
                "frame": np.arange(n),
                "new_px": 12.0,
                "angle_deg": growth % 360.0,
                "resultant_length": 0.7,
            }
        ),
        pd.DataFrame({"pit": 0, "frame": left, "angle_deg": ejection[left] % 360.0}),
    )


def _wandering(n: int, memory: float, rng: np.random.Generator) -> np.ndarray:
    pad = int(8 * memory)
    noise = gaussian_filter1d(rng.normal(0.0, 1.0, n + 2 * pad), memory)[pad:-pad]
    return np.asarray(rng.uniform(0.0, 360.0) + 60.0 * noise / noise.std())


INDEPENDENT: Study[np.random.Generator] = Study(
    "independent",
    np.random.default_rng,
    (Claim("lag-independent", observe_independent, judge_independent),),
    seeds=120,
    quick_seeds=10,
)
