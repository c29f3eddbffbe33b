"""What a comparison of runs found, and what to doubt about it, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from pitflow.lag import ALPHA
from pitflow.report.data import floats
from pitflow.report.words import count, listing, p_value, signed
from pitflow.visible import LEAST_VISIBLE, seen_all_round

WORDS = {
    "area_um2": "final area of pits",
    "growth_um2_s": "growth of pits",
    "ejections_per_s": "rate of ejection of pits",
    "speed_um_s": "speed at departure",
    "resultant_square": "directional preference (unbiased R²)",
    "pits_per_mm2": "number of pits per area",
    "lag_s": "lag of ejection behind growth",
    "mean_angle_deg": "direction of ejection",
}
UNITS = {
    "area_um2": "µm²",
    "growth_um2_s": "µm²/s",
    "ejections_per_s": "1/s",
    "speed_um_s": "µm/s",
    "pits_per_mm2": "1/mm²",
    "lag_s": "s",
}


def findings(runs: pd.DataFrame, pits: pd.DataFrame, tests: pd.DataFrame) -> list[str]:
    """Return the findings as sentences, most important first."""
    labels = list(dict.fromkeys(runs["label"]))
    n_pits = int(runs["n_pits"].sum())
    sentences = [
        (
            f"{count(len(runs), 'run')} in {count(len(labels), 'group')}: {count(n_pits, 'pit')}, "
            f"{count(int(runs['n_ejected'].sum()), 'particle')} ejected."
        )
    ]
    sentences += _preferring(pits)
    sentences += _split(runs)
    sentences += _differences(tests)
    sentences += _trends(tests)
    sentences += _directions(tests)
    return sentences + _lags(runs)


def _preferring(pits: pd.DataFrame) -> list[str]:
    """Say how many pits prefer a direction, of those tested that are seen on all sides."""
    tested = pits[pits["rayleigh_q"].notna()] if len(pits) else pits
    seen = tested[seen_all_round(tested)]
    if seen.empty:
        return []
    found = int((seen["rayleigh_q"] <= ALPHA).sum())
    which = "" if len(seen) == len(tested) else " that are seen on all sides"
    return [
        (
            f"{found} of {count(len(seen), 'tested pit')}{which} "
            f"eject{'s' if found == 1 else ''} in a preferred direction (q ≤ {ALPHA:g} within "
            "their run)."
        )
    ]


def warnings(runs: pd.DataFrame, pits: pd.DataFrame, tests: pd.DataFrame) -> list[str]:
    """Return what a reader must know before trusting the tests."""
    sizes = runs.groupby("label")["run"].nunique()
    told = []
    single = [str(label) for label in sizes.index[sizes < 2]]
    if len(sizes) > 1 and single:
        told.append(
            f"Pseudo-replication: {listing(single)} "
            f"{'has' if len(single) == 1 else 'have'} one run only. Tests between groups take "
            "pits for replicates, but pits of one run share sample, solution and camera: a small p "
            "may tell two runs apart, not two concentrations. Repeat each concentration to know."
        )
    if ((tests["unit"] == "pit") & (tests["test"] == "Spearman")).any():
        told.append(
            "Pseudo-replication: the trends over concentration take pits for replicates, since "
            "there are fewer than four runs with a concentration. A small p may tell single runs "
            "apart. Add runs to know."
        )
    if len(sizes) > 1 and not single:
        least = _least_p(list(sizes))
        if least > ALPHA:
            told.append(
                f"With {listing([str(size) for size in sizes])} runs the smallest p that a test "
                f"between the groups can give is {least:.2g}: too few runs for any evidence."
            )
    if len(sizes) < 2:
        told.append("There is one group only, so nothing is tested between groups.")
    unknown = list(runs.loc[runs["concentration_mM"].isna(), "run"])
    if unknown:
        told.append(
            f"The concentration of {listing(unknown[:5] + ['others'] * (len(unknown) > 5))} "
            "is not known from the name; it is in no trend. --groups FILE.csv gives it."
        )
    empty = list(runs.loc[runs["n_pits"] == 0, "run"])
    if empty:
        told.append(f"No pit was found in {listing(empty)}.")
    told += _hidden(pits)
    quiet = [
        str(run)
        for run, n, ejected in zip(runs["run"], runs["n_pits"], runs["n_ejected"], strict=True)
        if n and not ejected
    ]
    if quiet:
        told.append(f"No particle was traced back to a pit in {listing(quiet)}.")
    for name, words in (("fps", "frame rates"), ("um_per_px", "sizes of a pixel")):
        if runs[name].min() < runs[name].max():
            told.append(
                f"The runs have different {words} ({runs[name].min():g} to {runs[name].max():g}); "
                "quantities are in µm and s, but what can be seen differs."
            )
    return told


def shared_recordings(recordings: Mapping[str, str]) -> list[str]:
    """Warn of runs of one recording, which are one sample however often it is analysed.

    Parameters
    ----------
    recordings:
        Run -> what tells its recording from others; empty where that is not known.
    """
    runs_of: dict[str, list[str]] = {}
    for run, recording in recordings.items():
        runs_of.setdefault(recording or run, []).append(run)
    return [
        (
            f"Pseudo-replication: {listing(runs)} are of one recording, so they are one sample and "
            "no replicates, nor different conditions. A test that counts both finds too small a p."
        )
        for runs in runs_of.values()
        if len(runs) > 1
    ]


def _hidden(pits: pd.DataFrame) -> list[str]:
    """Name the pits not seen on all sides, which are left out of what is said of directions."""
    hidden = pits[~seen_all_round(pits)]
    hidden = hidden[hidden["n_ejected"] > 0] if len(hidden) else hidden
    if hidden.empty:
        return []
    named = [f"{run}: {pit}" for run, pit in zip(hidden["run"], hidden["pit"], strict=True)]
    more = [f"{len(named) - 8} more (see pits.csv)"] if len(named) > 8 else []
    return [
        (
            "The edge of the frame or another pit hides more than "
            f"{100 * (1 - LEAST_VISIBLE):.0f} % of the directions around "
            f"{'this pit' if len(named) == 1 else 'these pits'} (run: pit), which alone can look "
            f"like a preferred direction: {listing(named[:8] + more)}. They count in no preference "
            "and no direction here."
        )
    ]


def _split(runs: pd.DataFrame) -> list[str]:
    """Name the runs with pits that eject to several sides, which a mean direction does not tell."""
    split = runs[runs["n_split"] > 0]
    if split.empty:
        return []
    named = [f"{n} in {run}" for n, run in zip(split["n_split"], split["run"], strict=True)]
    n = int(split["n_split"].sum())
    return [
        (
            f"{count(n, 'pit')} eject{'s' if n == 1 else ''} in several separate directions "
            f"({listing(named)}), with dips between them deeper than chance makes. Of "
            f"{'it' if n == 1 else 'these'} R² and the mean direction tell little: opposed "
            "directions cancel, however strong each is."
        )
    ]


def _least_p(sizes: Sequence[int]) -> float:
    """Return p of the test between groups of these sizes where their ranks are apart."""
    groups = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    if len(groups) == 2:
        return float(stats.mannwhitneyu(*groups, alternative="two-sided").pvalue)
    return float(stats.kruskal(*groups).pvalue)


def _differences(tests: pd.DataFrame) -> list[str]:
    """Say which quantities differ: by the test over all groups, or over the two that have it."""
    over_all = tests["test"] == "Kruskal-Wallis"
    two_only = (tests["test"] == "Mann-Whitney") & ~tests["quantity"].isin(
        tests.loc[over_all, "quantity"]
    )
    overall = tests[(over_all | two_only) & tests["p"].notna()]
    if overall.empty:
        return []
    units = sorted(overall["unit"].unique())
    by = f"units of the tests: {listing([f'{unit}s' for unit in units])}"
    found = overall[overall["p_adjusted"] <= ALPHA].sort_values("p_adjusted")
    if found.empty:
        return [
            (
                f"No quantity is shown to differ between the groups (smallest "
                f"{p_value(float(overall['p_adjusted'].min()), 'q')}; {by})."
            )
        ]
    named = [
        f"the {WORDS[name]} ({p_value(float(q), 'q')}"
        f"{f', {groups} only' if test == 'Mann-Whitney' and over_all.any() else ''})"
        for name, q, groups, test in zip(
            found["quantity"], found["p_adjusted"], found["groups"], found["test"], strict=True
        )
    ]
    return [f"The groups differ in {listing(named)}; {by}."]


def _trends(tests: pd.DataFrame) -> list[str]:
    trends = tests[(tests["test"] == "Spearman") & tests["p"].notna()]
    if trends.empty:
        return []
    found = trends[trends["p_adjusted"] <= ALPHA]
    if found.empty:
        return [
            (
                "No quantity rises or falls steadily with concentration (smallest "
                f"{p_value(float(trends['p_adjusted'].min()), 'q')}, Spearman; units of the tests: "
                f"{trends['unit'].iloc[0]}s)."
            )
        ]
    named = [
        f"the {WORDS[name]} {'rises' if rho > 0 else 'falls'} (rho = {signed(float(rho))}, "
        f"{p_value(float(q), 'q')}, {n} {unit}s)"
        for name, rho, q, n, unit in zip(
            found["quantity"], found["effect"], found["p_adjusted"], found["n"], found["unit"],
            strict=True,
        )
    ]  # fmt: skip
    return [f"With concentration, {listing(named)}."]


def _directions(tests: pd.DataFrame) -> list[str]:
    pairs = tests[(tests["test"] == "Watson-Williams") & tests["p"].notna()]
    if pairs.empty:
        return []
    unit = f"{pairs['unit'].iloc[0]}s"
    note = (
        f"units of the test: {unit}; directions are those of the image, so this holds for samples "
        "mounted alike"
    )
    found = pairs[pairs["p_adjusted"] <= ALPHA]
    if found.empty:
        least = p_value(float(pairs["p_adjusted"].min()))
        return [
            (
                "There is no evidence that different groups eject in different directions "
                f"(smallest {least}, Watson-Williams, Holm); {note}."
            )
        ]
    named = [
        f"{groups} ({p_value(float(p))})"
        for groups, p in zip(found["groups"], found["p_adjusted"], strict=True)
    ]
    return [f"Directions of ejection differ between {listing(named)}; {note}."]


def _lags(runs: pd.DataFrame) -> list[str]:
    tested = runs[runs["lag_p"].notna()]
    if tested.empty:
        return []
    evident = tested[tested["lag_s"].notna()]
    if evident.empty:
        return ["In no run is there evidence that ejection follows growth."]
    lag = floats(evident, "lag_s")
    middle = float(np.median(lag))
    span = f"{signed(middle)} s"
    if np.ptp(lag) > 0:
        span += f" in the median ({signed(float(lag.min()))} to {signed(float(lag.max()))} s)"
    opposite = int((evident["lag_r"] < 0).sum())
    against = f"; in {opposite} of these they are opposite (r < 0)" if opposite else ""
    return [
        (
            f"In {len(evident)} of {count(len(tested), 'tested run')} the directions of growth and "
            f"ejection go together (q ≤ {ALPHA:g}, p adjusted over the runs), with a lag of {span};"
            f" positive: ejection is later{against}."
        )
    ]
