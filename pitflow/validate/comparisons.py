"""Claim: tests of a bend, of current against growth and between concentrations keep their level."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter

from pitflow.config import CorrelationConfig
from pitflow.measure.compare import QUANTITIES, compare_directions, compare_groups
from pitflow.measure.current_correlation import correlate_current
from pitflow.measure.focus import compute_ballistics
from pitflow.measure.tracks import Floats
from pitflow.measure.trend import jonckheere_test, spearman_test
from pitflow.validate.claim import Claim, Finding
from pitflow.validate.judge import judge_at_most, judge_level

_TRACKS = 40
_FRAMES = (150, 400)
_ROUNDS = 2
_MM = (5.0, 10.0, 30.0, 100.0)
_RUNS_EACH = 4
_SETTLING = 50
"""Errors drawn before the first that counts, which then depends on those before it as all do."""
_COMPARISONS = 4
_PERSISTENCE = 0.5
"""Correlation of successive errors of the height, where they persist."""

_BENDS = {
    "bend": "F test of a parabola against the line, height falls evenly",
    "bend_persisting": "F test of a parabola against the line, height falls evenly, errors persist "
    f"(AR(1), {_PERSISTENCE:g})",
}
_TESTS = {
    "current": "current against ejections over all lags, unrelated",
    "growth": "current against growth over all lags, unrelated, both come to vary fourfold",
    "jonckheere": "Jonckheere-Terpstra test of a trend over concentration, there is none",
    "spearman": "Spearman test of a trend over concentration, there is none",
}
_PITS_EACH = 6
_SCATTER_DEG = (0.0, 20.0, 40.0)
"""Of the runs' directions about the one that is common to all."""


def observe(rng: np.random.Generator) -> pd.DataFrame:
    """Return p of every test on tables for which its null hypothesis is true."""
    rows = [
        (test, p)
        for test, persistence in zip(_BENDS, (0.0, _PERSISTENCE), strict=True)
        for p in compute_ballistics(_falling(rng, persistence), fps=15.0)["p"]
    ]
    for n in _FRAMES * _ROUNDS:
        rows.append(("current", _unrelated_current(n, rng)))
        rows.append(("growth", _unrelated_growth(n, rng)))
    for _ in range(_COMPARISONS):
        seed = int(rng.integers(1 << 30))
        runs = _alike(rng)
        mm, value = (runs[name].to_numpy() for name in ("concentration_mM", QUANTITIES[0].name))
        rows.append(
            ("jonckheere", jonckheere_test([value[mm == level] for level in _MM], seed=seed)[1])
        )
        rows.append(("spearman", spearman_test(mm, value, seed=seed)[1]))
        for scatter in _SCATTER_DEG:
            alike = compare_directions(_one_direction(rng, scatter), ["a", "b"], unit="run")
            rows.append(("directions", float(alike["p_adjusted"].min())))
        tests = compare_groups(runs, runs)
        between = tests.loc[tests["test"] == "Kruskal-Wallis", "p_adjusted"]
        rows.append(("any_quantity", float(between.min())))
    return pd.DataFrame(rows, columns=["test", "p"])


def judge(trials: pd.DataFrame) -> list[Finding]:
    """Return the share of p at or below 0.05 of every test."""
    p = dict(list(trials.groupby("test")["p"]))
    findings = [judge_at_most(claim, p[test] <= 0.05) for test, claim in _BENDS.items()]
    findings += [judge_level(claim, p[test]) for test, claim in _TESTS.items()]
    findings.append(
        judge_at_most(
            f"any of {len(QUANTITIES)} quantities called different between concentrations "
            "(Kruskal-Wallis, Benjamini-Hochberg), none is",
            p["any_quantity"] <= 0.05,
        )
    )
    findings.append(
        judge_at_most(
            "Watson-Williams test between concentrations, by runs that scatter 0 to 40 degrees "
            "about one direction",
            p["directions"] <= 0.05,
        )
    )
    return findings


def _falling(rng: np.random.Generator, persistence: float) -> pd.DataFrame:
    """Return heights over time of particles that fall evenly, successive errors correlated."""
    parts = []
    for particle in range(_TRACKS):
        frame = np.arange(int(rng.integers(10, 80)))
        fresh = rng.normal(0.0, 0.5, frame.size + _SETTLING)
        error = lfilter([1.0], [1.0, -persistence], fresh)[_SETTLING:]
        z_um = 10.0 - 0.1 * frame + error
        parts.append(pd.DataFrame({"particle": particle, "frame": frame, "z_um": z_um}))
    return pd.concat(parts, ignore_index=True)


def _unrelated_current(n: int, rng: np.random.Generator) -> float:
    """Return p of the clearest lag of a current that knows nothing of the ejections."""
    memory = rng.uniform(2.0, 8.0)
    noise = gaussian_filter1d(rng.normal(0.0, 1.0, n), memory)
    wanders = gaussian_filter1d(rng.normal(0.0, 1.0, n), memory)
    counts = rng.poisson(np.exp(wanders / wanders.std() - 0.5)).astype(np.float64)
    return _clearest(np.exp(noise / noise.std()), counts, rng)


def _unrelated_growth(n: int, rng: np.random.Generator) -> float:
    """Return the same of growth, where transients and bursts of growth become larger with time."""
    larger = np.linspace(1.0, 4.0, n)
    current = larger * _decays(n, rng) + 0.02 * rng.normal(0.0, 1.0, n)
    growth = rng.poisson(larger * (3.0 + 15.0 * _decays(n, rng))).astype(np.float64)
    return _clearest(current, growth, rng)


def _decays(n: int, rng: np.random.Generator) -> Floats:
    """Return events of random size, one in 20 frames in the mean, that decay within 6 frames."""
    sizes = rng.exponential(1.0, n) * (rng.random(n) < 0.05)
    return np.asarray(lfilter([1.0], [1.0, -np.exp(-1.0 / 6.0)], sizes))


def _clearest(current_a: Floats, other: Floats, rng: np.random.Generator) -> float:
    """Return p of the clearest lag of a series against the current."""
    n = current_a.size
    current = pd.DataFrame(
        {
            "frame": np.arange(n),
            "time_s": np.arange(n) / 15.0,
            "current_a": 1e-7 * current_a,
            "current_density_a_cm2": np.nan,
        }
    )
    config, seed = CorrelationConfig(surrogates=199), int(rng.integers(1 << 30))
    return float(correlate_current(current, {"other": other}, config=config, seed=seed)["p"].min())


def _alike(rng: np.random.Generator) -> pd.DataFrame:
    """Return runs at several concentrations, all quantities drawn from one law."""
    mm = np.repeat(_MM, _RUNS_EACH)
    runs = pd.DataFrame(
        {
            "run": [f"run {number}" for number in range(mm.size)],
            "label": [f"{level:g} mM" for level in mm],
            "concentration_mM": mm,
        }
    )
    drawn = np.exp(rng.normal(0.0, 0.5, (len(QUANTITIES), mm.size)))
    columns = [quantity.name for quantity in QUANTITIES]
    return runs.assign(**dict(zip(columns, drawn, strict=True)))


def _one_direction(rng: np.random.Generator, scatter_deg: float) -> pd.DataFrame:
    """Return pits of two groups of runs, each run's about a direction near the common one."""
    return pd.DataFrame(
        [
            {"run": f"{label}{number}", "label": label, "mean_angle_deg": angle, "n_ejected": 20}
            for label in "ab"
            for number in range(_RUNS_EACH)
            for turn in [rng.normal(0.0, scatter_deg)]
            for angle in (turn + np.degrees(rng.vonmises(0.0, 4.0, _PITS_EACH))) % 360.0
        ]
    )


CLAIM: Claim[np.random.Generator] = Claim("comparisons", observe, judge)
