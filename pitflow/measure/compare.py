"""Runs beside each other: what each pit and each run gives, and tests between concentrations.

Pits of one run share its sample, its solution and its camera, so they are not independent: where
every concentration has several runs, the run is the unit of every test. Where it has not, pits
stand in for it, and the result says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from pitflow.clock import Clock
from pitflow.holm import holm
from pitflow.lag import ALPHA, find_lag
from pitflow.measure.circular import (
    mean_vector,
    unbiased_square,
    watson_williams_test,
)
from pitflow.measure.pits import adjust_p
from pitflow.measure.trend import jonckheere_test, mann_whitney_test, spearman_test
from pitflow.visible import seen_all_round

Floats = npt.NDArray[np.float64]
Unit = Literal["run", "pit"]

_MIN_TREND_RUNS = 4
_COLUMNS = ("quantity", "test", "unit", "groups", "n", "statistic", "effect", "p")


@dataclass(frozen=True)
class RunTables:
    """A finished run among others.

    Parameters
    ----------
    run:
        Its name, unlike the others'.
    label:
        Name of its group.
    concentration_mm:
        Of the solution, mM; NaN where it is not known.
    fps, um_per_px, area_mm2:
        Rate, scale, and the field of view.
    n_frames:
        Frames analysed.
    tables:
        ``pits``, ``growth``, ``ejections``, ``correlation``; ``frames`` where their rate varies.
    recording:
        What tells its recording from others; empty: not known.
    """

    run: str
    label: str
    concentration_mm: float
    fps: float
    um_per_px: float
    area_mm2: float
    n_frames: int
    tables: Mapping[str, pd.DataFrame]
    recording: str = ""

    @property
    def clock(self) -> Clock:
        """When its frames were taken."""
        frames = self.tables.get("frames")
        return Clock.even() if frames is None else Clock.of(frames, self.fps)

    @property
    def duration_s(self) -> float:
        """Length of what was analysed, s."""
        clock = self.clock
        span = self.n_frames - 1 if clock.is_even else clock.moment[-1] - clock.moment[0]
        return float(span + 1) / self.fps


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number that is compared.

    Parameters
    ----------
    name:
        Its column.
    of_pits:
        Whether a pit has it, or only a run.
    by:
        What a run's pits give together.
    """

    name: str
    of_pits: bool = True
    by: Literal["median", "mean"] = "median"


QUANTITIES = (
    Quantity("area_um2"),
    Quantity("growth_um2_s"),
    Quantity("ejections_per_s"),
    Quantity("speed_um_s"),
    Quantity("resultant_square", by="mean"),
    Quantity("pits_per_mm2", of_pits=False),
    Quantity("lag_s", of_pits=False),
)


def compute_pit_summary(runs: Sequence[RunTables]) -> pd.DataFrame:
    """Return one row per pit of every run.

    Returns
    -------
    DataFrame
        ``run``, ``label``, ``concentration_mM``, ``pit``, ``area_um2``, ``growth_um2_s`` (mean from
        onset to the end), ``is_stable``, ``n_ejected``, ``ejections_per_s`` (since onset),
        ``speed_um_s`` (median at departure), ``mean_angle_deg``, ``resultant_length``,
        ``resultant_square`` (the square of it without the bias of few particles, negative where
        the directions are more even than chance makes them; NaN of a pit that is not seen on all
        sides, for what hides its particles makes them prefer the others), ``rayleigh_q``,
        ``n_modes`` and ``omnibus_q`` (of several directions, see `pitflow.measure.pits`),
        ``visible_share``.
    """
    parts = [_pits_of(run) for run in runs]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def compute_run_summary(runs: Sequence[RunTables], pits: pd.DataFrame) -> pd.DataFrame:
    """Return one row per run; quantities of pits are medians over its pits.

    ``resultant_square`` is the mean over the pits: it is unbiased for each, but its law is skewed
    the more the fewer particles there are, and the median follows the skew.

    Further columns beside those of the pits: ``n_pits``, ``n_seen_round`` (pits seen on all sides),
    ``n_preferring`` (those of them with q of 0.05 and less), ``n_split`` (those of them whose
    particles leave in several separate directions), ``pits_per_mm2``, ``duration_s``, and
    ``lag_frames``, ``lag_r``, ``lag_p`` of the clearest lag over all pits (`find_lag`), ``lag_q``
    (p adjusted over the runs by Benjamini and Hochberg) and ``lag_s``, empty where the lag is no
    more than chance by that.
    """
    rows = []
    for run in runs:
        own = pits[pits["run"] == run.run]
        seen = own[seen_all_round(own)]
        lag = find_lag(run.tables["correlation"])
        middle = {
            quantity.name: float(own[quantity.name].agg(quantity.by)) if len(own) else np.nan
            for quantity in QUANTITIES
            if quantity.of_pits
        }
        rows.append(
            {
                "run": run.run,
                "label": run.label,
                "concentration_mM": run.concentration_mm,
                "fps": run.fps,
                "um_per_px": run.um_per_px,
                "duration_s": run.duration_s,
                "n_pits": len(own),
                "n_ejected": int(own["n_ejected"].sum()),
                "n_seen_round": len(seen),
                "n_preferring": int((seen["rayleigh_q"] <= ALPHA).sum()),
                "n_split": int(((seen["n_modes"] >= 2) & (seen["omnibus_q"] <= ALPHA)).sum()),
                "pits_per_mm2": len(own) / run.area_mm2,
                **middle,
                "resultant_length": float(seen["resultant_length"].median())
                if len(seen)
                else np.nan,
                "lag_frames": np.nan if lag is None else float(lag.lag),
                "lag_r": np.nan if lag is None else lag.r,
                "lag_p": np.nan if lag is None else lag.p,
            }
        )
    table = pd.DataFrame(rows)
    # Every run has its chance of a lag that is none.
    table["lag_q"] = adjust_p(table["lag_p"].to_numpy(dtype=np.float64))
    return table.assign(
        lag_s=np.where(table["lag_q"] <= ALPHA, table["lag_frames"] / table["fps"], np.nan)
    )


def group_order(runs: pd.DataFrame) -> list[str]:
    """Return the groups' labels by concentration, those without one last."""
    first = runs.groupby("label", sort=True)["concentration_mM"].mean()
    return [str(label) for label in first.sort_values(kind="stable", na_position="last").index]


def replication(runs: pd.DataFrame) -> Unit:
    """Return the unit of the tests between groups: runs, where every group has two or more."""
    return "run" if runs.groupby("label")["run"].nunique().min() >= 2 else "pit"


def trend_unit(runs: pd.DataFrame) -> Unit:
    """Return the unit of trends: runs, from four at three concentrations on."""
    known = runs["concentration_mM"].dropna()
    return "run" if len(known) >= _MIN_TREND_RUNS and known.nunique() >= 3 else "pit"


def compare_groups(runs: pd.DataFrame, pits: pd.DataFrame) -> pd.DataFrame:
    """Test every quantity between groups, and for a trend over concentration.

    Between groups: Mann-Whitney for two, Kruskal-Wallis for more, with every pair by Mann-Whitney
    (Holm, and no surer than the test of all groups). Trend: Spearman's rank correlation and
    Jonckheere-Terpstra, by permutation; its unit is that of `trend_unit`, whatever quantities some
    runs lack. Over the quantities p is adjusted by Benjamini and Hochberg, apart for tests between
    groups and for trends.

    Parameters
    ----------
    runs, pits:
        From `compute_run_summary` and `compute_pit_summary`.

    Returns
    -------
    DataFrame
        ``quantity``, ``test``, ``unit`` (run or pit), ``groups``, ``n``, ``statistic``, ``effect``
        (epsilon squared, rank-biserial r, or rho), ``p``, ``p_adjusted``.
    """
    rows = []
    order = group_order(runs)
    for quantity in QUANTITIES:
        unit: Unit = replication(runs) if quantity.of_pits else "run"
        values = runs if unit == "run" else pits
        groups = _groups(values, quantity.name, order)
        rows += _between(quantity.name, unit, groups)
        rows += _trend(quantity, runs, pits)
    table = pd.DataFrame(rows, columns=list(_COLUMNS))
    return table.assign(p_adjusted=_adjusted(table))


def compare_directions(pits: pd.DataFrame, order: Sequence[str], *, unit: Unit) -> pd.DataFrame:
    """Test whether the directions of ejection differ between groups: Watson-Williams, by pairs.

    The particles of one pit share its direction, and the pits of one run its flow and mounting. So
    where runs replicate, each counts once, with the mean direction of its pits' mean directions.
    p is adjusted over the pairs by Holm.

    Parameters
    ----------
    pits:
        ``run``, ``label``, ``mean_angle_deg``, ``n_ejected``, perhaps ``visible_share``.
    order:
        Labels of the groups.
    unit:
        As `replication` returns it.
    """
    # What hides a pit's particles on one side turns its mean direction to the other.
    usable = pits["mean_angle_deg"].notna() & (pits["n_ejected"] >= 4) & seen_all_round(pits)
    known = pits[usable]
    if unit == "run":
        known = _run_directions(known)
    groups = {
        label: angles
        for label, angles in _groups(known, "mean_angle_deg", order).items()
        if angles.size >= 2
    }
    rows = [
        _row(
            "mean_angle_deg", "Watson-Williams", unit, f"{first} / {second}",
            groups[first].size + groups[second].size, np.nan,
            _apart(groups[first], groups[second]),
            watson_williams_test(groups[first], groups[second]),
        )
        for first, second in combinations(groups, 2)
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=list(_COLUMNS))
    return table.assign(p_adjusted=holm(table["p"].to_numpy(dtype=np.float64)))


def _run_directions(pits: pd.DataFrame) -> pd.DataFrame:
    """Return the mean direction of each run's pits, every pit counted once."""
    rows = [
        {"run": run, "label": label, "mean_angle_deg": mean_vector(own["mean_angle_deg"])[0]}
        for (run, label), own in pits.groupby(["run", "label"])
    ]
    return pd.DataFrame(rows, columns=["run", "label", "mean_angle_deg"])


def _pits_of(run: RunTables) -> pd.DataFrame:
    pits, growth, ejections = (run.tables[name] for name in ("pits", "growth", "ejections"))
    number = pits["pit"].to_numpy(dtype=np.int64)
    by_pit = growth.groupby("pit")
    # From a pit's first frame to the last: the area then less the area at onset.
    grown = (by_pit["area_px"].last() - by_pit["area_px"].first()).reindex(number)
    frame, clock = by_pit["frame"], run.clock
    lasting = clock.moment_of(frame.max().reindex(number)) - clock.moment_of(
        frame.min().reindex(number)
    )
    seconds = np.where(lasting > 0, lasting, np.nan) / run.fps
    speed = ejections.groupby("pit")["speed_um_s"].median().reindex(number)
    n_ejected = pits["n_ejected"].to_numpy(dtype=np.int64)
    # R of few angles is near 1 by chance.
    length = np.where(n_ejected >= 5, pits["resultant_length"].to_numpy(dtype=np.float64), np.nan)
    square = unbiased_square(length, np.maximum(n_ejected, 2))
    further = pits.reindex(columns=["n_modes", "omnibus_q", "visible_share"])
    return pd.DataFrame(
        {
            "run": run.run,
            "label": run.label,
            "concentration_mM": run.concentration_mm,
            "pit": number,
            "area_um2": pits["area_um2"].to_numpy(dtype=np.float64),
            "growth_um2_s": grown.to_numpy(dtype=np.float64) * run.um_per_px**2 / seconds,
            "is_stable": pits["is_stable"].to_numpy(dtype=bool),
            "n_ejected": n_ejected,
            "ejections_per_s": n_ejected / seconds,
            "speed_um_s": speed.to_numpy(dtype=np.float64),
            "mean_angle_deg": pits["mean_angle_deg"].to_numpy(dtype=np.float64),
            "resultant_length": length,
            "resultant_square": np.where(seen_all_round(pits), square, np.nan),
            "rayleigh_q": pits["rayleigh_q"].to_numpy(dtype=np.float64),
            **{name: further[name].to_numpy(dtype=np.float64) for name in further},
        }
    )


def _groups(values: pd.DataFrame, name: str, order: Sequence[str]) -> dict[str, Floats]:
    known = values[values[name].notna()]
    groups = {
        label: known.loc[known["label"] == label, name].to_numpy(dtype=np.float64)
        for label in order
    }
    return {label: group for label, group in groups.items() if group.size}


def _row(
    quantity: str, test: str, unit: str, groups: str, n: int, statistic: float, effect: float,
    p: float,
) -> dict[str, object]:  # fmt: skip
    return {
        "quantity": quantity, "test": test, "unit": unit, "groups": groups, "n": n,
        "statistic": statistic, "effect": effect, "p": p,
    }  # fmt: skip


def _between(name: str, unit: Unit, groups: dict[str, Floats]) -> list[dict[str, object]]:
    """Return the test over all groups, and if there are more than two, that of each pair."""
    labels = list(groups)
    if len(labels) < 2 or max(group.size for group in groups.values()) < 2:
        return []
    n = int(sum(group.size for group in groups.values()))
    if len(labels) == 2:
        return [_pair(name, unit, groups, labels[0], labels[1])]
    pooled = np.concatenate(list(groups.values()))
    if np.ptp(pooled) == 0:
        return [_row(name, "Kruskal-Wallis", unit, " / ".join(labels), n, 0.0, 0.0, 1.0)]
    h, p = stats.kruskal(*groups.values())
    whole = _row(
        name, "Kruskal-Wallis", unit, " / ".join(labels), n, float(h), float(h) / (n - 1), float(p)
    )
    pairs = [_pair(name, unit, groups, *pair) for pair in combinations(labels, 2)]
    return [whole, *pairs]


def _pair(
    name: str, unit: Unit, groups: dict[str, Floats], first: str, second: str
) -> dict[str, object]:
    a, b = groups[first], groups[second]
    u, p = mann_whitney_test(a, b)
    effect = 1.0 - 2.0 * u / (a.size * b.size)
    n = a.size + b.size
    return _row(name, "Mann-Whitney", unit, f"{first} / {second}", n, u, effect, p)


def _trend(quantity: Quantity, runs: pd.DataFrame, pits: pd.DataFrame) -> list[dict[str, object]]:
    """Return the tests of a trend over concentration; none where too few have the quantity."""
    unit = trend_unit(runs)
    if unit == "pit" and not quantity.of_pits:
        return []
    values = runs if unit == "run" else pits
    known = values[values["concentration_mM"].notna() & values[quantity.name].notna()]
    levels = np.unique(known["concentration_mM"])
    fewest = _MIN_TREND_RUNS if unit == "run" else 2 * levels.size
    if levels.size < 3 or len(known) < fewest:
        return []
    x = known["concentration_mM"].to_numpy(dtype=np.float64)
    y = known[quantity.name].to_numpy(dtype=np.float64)
    rho, p = spearman_test(x, y)
    z, p_jonckheere = jonckheere_test([y[x == level] for level in levels])
    span = f"{levels[0]:g} to {levels[-1]:g} mM"
    return [
        _row(quantity.name, "Spearman", unit, span, len(known), rho, rho, p),
        _row(quantity.name, "Jonckheere-Terpstra", unit, span, len(known), z, rho, p_jonckheere),
    ]


def _adjusted(table: pd.DataFrame) -> Floats:
    """Return p adjusted: over the quantities by test family; pairs within their quantity.

    A pair is no surer than that its quantity differs between any groups at all.
    """
    p = table["p"].to_numpy(dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    is_pair = (table["test"] == "Mann-Whitney").to_numpy()
    several = table.groupby("quantity")["test"].transform(
        lambda own: (own == "Kruskal-Wallis").any()
    )
    within = is_pair & several.to_numpy(dtype=bool) if len(table) else is_pair
    overall = ~within
    families: list[Sequence[str]] = [
        ("Kruskal-Wallis", "Mann-Whitney"), ("Spearman",), ("Jonckheere-Terpstra",)
    ]  # fmt: skip
    for family in families:
        own = overall & table["test"].isin(list(family)).to_numpy()
        adjusted[own] = adjust_p(p[own])
    for quantity in table.loc[within, "quantity"].unique():
        same = (table["quantity"] == quantity).to_numpy()
        whole = adjusted[same & (table["test"] == "Kruskal-Wallis").to_numpy()]
        adjusted[same & within] = np.maximum(holm(p[same & within]), whole)
    return adjusted


def _apart(first: Floats, second: Floats) -> float:
    """Return the angle from the first group's mean direction to the second's, degrees."""
    difference = mean_vector(second)[0] - mean_vector(first)[0]
    return float((difference + 180.0) % 360.0 - 180.0)
