"""What the current has to do with growth and ejection: the answers of its tables, in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pitflow.lag import ALPHA, find_clearest
from pitflow.report.data import ReportData, floats
from pitflow.report.words import count, delay, listing, p_value, signed

_COVERED = 0.95
"""Share of the frames below which it is told where the current is known."""
_CROWDED = 0.5
"""Share of the time above which transients hide the baseline."""
_AT_ONCE_S = 0.5
"""Growth and current within this time of each other are one event."""

WHAT = {"ejections": ("ejection of particles", "Ejection"), "growth": ("growth of pits", "Growth")}


@dataclass(frozen=True, slots=True)
class CurrentLag:
    """The lag at which a series goes together with the current most clearly."""

    series: str
    lag: int
    r: float
    p: float

    @property
    def is_evidence(self) -> bool:
        """Whether that is more than chance explains."""
        return bool(self.p <= ALPHA)

    def in_words(self, fps: float | None) -> str:
        """Return the answer as one sentence."""
        long, short = WHAT[self.series]
        numbers = f"r = {signed(self.r)}, {p_value(self.p)}"
        if not self.is_evidence:
            return (
                f"There is no evidence that the {long} goes with the current: even "
                "where it stands out most from what chance gives the correlation is no larger than "
                f"chance explains ({numbers})."
            )
        against = "" if self.r > 0 else ", the one high when the other is low"
        if self.lag == 0:
            return f"{short} goes with the current without a delay{against} ({numbers})."
        order = "follows" if self.lag > 0 else "precedes"
        return f"{short} {order} the current by {delay(self.lag, fps)}{against} ({numbers})."


def clearest_lags(correlation: pd.DataFrame) -> list[CurrentLag]:
    """Return the clearest lag of each series, ejections first."""
    answers = []
    for series in WHAT:
        best = find_clearest(correlation[correlation["series"] == series])
        if best is not None:
            answers.append(CurrentLag(series, int(best["lag"]), float(best["r"]), float(best["p"])))
    return answers


def current_findings(data: ReportData) -> list[str]:
    """Return the findings about the current; none where there is none."""
    current = data.tables["current"]
    if current.empty:
        return []
    answers = clearest_lags(data.tables["current_correlation"])
    sentences = [answer.in_words(data.even_fps) for answer in answers]
    if not sentences:
        sentences = [
            (
                "The current could not be compared with growth and ejection: too few frames have "
                "both."
            )
        ]
    sentences = [*_coverage(current), *sentences, *_sign(answers, data.fps)]
    transients = data.tables["transients"]
    if len(transients):
        sentences.append(f"{_transients(transients)}.")
        sentences += _crowding(current, transients)
    return sentences


def _known(current: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return in which frames the current, or its density, is known."""
    return current[["current_a", "current_density_a_cm2"]].notna().any(axis=1).to_numpy()


def _coverage(current: pd.DataFrame) -> list[str]:
    """Say where the current is known; nothing where it is in nearly all frames."""
    known = _known(current)
    if known.mean() >= _COVERED:
        return []
    time = floats(current, "time_s")[known]
    span = f" ({time[0]:.1f} to {time[-1]:.1f} s)" if time.size else ""
    return [
        (
            f"The current is known in {int(known.sum()):,} of {count(known.size, 'frame')}{span}; "
            "what is said of it holds for these."
        )
    ]


def _sign(answers: list[CurrentLag], fps: float) -> list[str]:
    """Say what it may mean that the current is low while pits grow."""
    reversed_ = [
        answer
        for answer in answers
        if answer.series == "growth" and answer.is_evidence and answer.r < 0
        if abs(answer.lag) <= _AT_ONCE_S * fps
    ]
    if not reversed_:
        return []
    return [
        (
            "Metal that dissolves is anodic current, so this file may count cathodic current as "
            "positive; transients are looked for upwards only. Turn its signs round if so."
        )
    ]


def _transients(transients: pd.DataFrame) -> str:
    parts = [count(len(transients), "transient") + " of the current"]
    charge, density = floats(transients, "charge_c"), floats(transients, "charge_c_cm2")
    if np.isfinite(charge).any():
        parts.append(f"with {quantity(float(np.nansum(charge)), 'C')} of charge in all")
    elif np.isfinite(density).any():
        parts.append(f"with {quantity(float(np.nansum(density)), 'C/cm²')} of charge in all")
    return f"There {'is' if len(transients) == 1 else 'are'} {listing([' '.join(parts)])}"


def _crowding(current: pd.DataFrame, transients: pd.DataFrame) -> list[str]:
    """Return what it means that transients fill most of the time; nothing where they do not."""
    time = floats(current, "time_s")[_known(current)]
    inside = np.zeros(time.size, dtype=bool)
    for onset, end in zip(floats(transients, "onset_s"), floats(transients, "end_s"), strict=True):
        inside |= (time >= onset) & (time <= end)
    if not inside.size or inside.mean() <= _CROWDED:
        return []
    return [
        (
            f"They fill {100 * inside.mean():.0f} % of the time, so the baseline between them is "
            "hardly seen: their heights and charges may be too small."
        )
    ]


def quantity(value: float, unit: str) -> str:
    """Return a number with three digits and a metric prefix, as in "1.27 µA"."""
    factor, prefix = metric(abs(value))
    return f"{value / factor:.3g} {prefix}{unit}"


def metric(size: float) -> tuple[float, str]:
    """Return the metric prefix for numbers of a size, and its factor."""
    for factor, prefix in ((1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p")):
        if size >= factor:
            return factor, prefix
    return 1e-12, "p"
