"""Current beside ejection and growth on one time axis, and their correlation over lag."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy.ndimage import gaussian_filter1d

from pitflow.report.current_answer import CurrentLag, clearest_lags, metric
from pitflow.report.data import Floats, ReportData, floats, ints
from pitflow.report.panel import Panel
from pitflow.report.style import (
    ALARM,
    BAND,
    FAINT,
    INK,
    PIT_COLOURS,
    REFERENCE,
    label_time,
    letter,
    new_figure,
    title_panel,
)
from pitflow.report.words import listing, signed

ABSENT = (
    "No current was given with this recording: pitflow run --current FILE sets a potentiostat's "
    "file beside the video."
)
COLOURS = {"ejections": PIT_COLOURS[1], "growth": PIT_COLOURS[2]}
RATES = {
    "ejections_per_s": ("ejections", "ejections\n(1/s)"),
    "growth_um2_s": ("growth", "growth\n(µm²/s)"),
}
"""Column of the current table -> series, and label."""
TITLES = {"ejections": "Ejections against current", "growth": "Growth against current"}


def draw_lags(ax: Axes, own: pd.DataFrame, fps: float, answer: CurrentLag, colour: str) -> None:
    """Draw r over lag with the band that chance gives; mark the clearest lag if it is evidence."""
    own = own.sort_values("lag")
    lag = ints(own, "lag") / fps
    ax.fill_between(lag, floats(own, "r_lo"), floats(own, "r_hi"), color=BAND, lw=0)
    ax.axhline(0, color=FAINT, lw=0.5)
    ax.axvline(0, color=FAINT, lw=0.5, ls=(0, (4, 3)))
    ax.plot(lag, floats(own, "r"), color=colour)
    if answer.is_evidence:
        ax.plot(answer.lag / fps, answer.r, "o", color=ALARM, ms=4.3, zorder=5)
        ax.annotate(
            f"{signed(answer.lag / fps)} s",
            (answer.lag / fps, answer.r),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            color=ALARM,
            fontweight="bold",
        )
    ax.set_xlim(lag[0], lag[-1])
    ax.margins(y=0.16)
    ax.set_xlabel("lag (s)")
    ax.set_ylabel("correlation r")


def make(data: ReportData) -> Panel | str:
    """Draw current, potential, ejection rate and growth rate over time, and the correlations."""
    current = data.tables["current"]
    if current.empty:
        return ABSENT
    time = floats(current, "time_s")
    answers = clearest_lags(data.tables["current_correlation"])
    has_potential = bool(current["potential_v"].notna().any())
    rates = [name for name in RATES if name in current]
    rows = 1 + has_potential + len(rates)
    height = 1.4 * rows + (3.3 if answers else 0.6)
    figure = new_figure(height)
    axes = [
        figure.add_axes((0.12, 1 - (0.3 + 1.4 * row + 1.0) / height, 0.865, 1.0 / height))
        for row in range(rows)
    ]
    drawn: dict[str, Any] = {"transients": _draw_current(axes[0], data, current, time)}
    if has_potential:
        axes[1].plot(time, floats(current, "potential_v"), color=REFERENCE, lw=0.7)
        axes[1].set_ylabel("potential\n(V)")
    for ax, name in zip(axes[rows - len(rates) :], rates, strict=True):
        series, label = RATES[name]
        _draw_rate(ax, time, floats(current, name), data.fps, COLOURS[series])
        ax.set_ylabel(label)
    for place, ax in enumerate(axes):
        title_panel(ax, place)
        ax.set_xlim(time[0], max(time[-1], time[0] + 1e-6))
        label_time(ax)
        ax.yaxis.set_label_coords(-0.08, 0.5)
    for ax in axes[:-1]:
        ax.tick_params(labelbottom=False)
        ax.set_xlabel("")
    correlation = data.tables["current_correlation"]
    for place, answer in enumerate(answers):
        ax = figure.add_axes((0.12 + 0.475 * place, 0.5 / height, 0.39, 1.75 / height))
        own = correlation[correlation["series"] == answer.series]
        draw_lags(ax, own, data.fps, answer, COLOURS[answer.series])
        title_panel(ax, rows + place, TITLES[answer.series])
    words = " ".join(answer.in_words(data.even_fps) for answer in answers)
    shaded = (
        " Shaded: transients of the current, rises above its baseline and their decay."
        if drawn["transients"]
        else ""
    )
    return Panel(
        figure,
        f"{words} {_contents(has_potential, rates)} The lines over the rates are their averages "
        f"(Gaussian, sigma a third of a second).{shaded}{_of_lags(rows, len(answers))}".strip(),
        drawn=drawn,
    )


def _contents(has_potential: bool, rates: list[str]) -> str:
    """Return what stands in the panels over time, by their letters."""
    shown = ["current", *(["potential"] if has_potential else [])]
    shown += [f"{RATES[name][0]} per second" for name in rates]
    named = listing([f"({letter(place)}) {what}" for place, what in enumerate(shown)])
    return f"Over time: {named}."


def _of_lags(first: int, number: int) -> str:
    """Return how to read the panels over lag, of which ``first`` is the place of the first."""
    if not number:
        return ""
    letters = listing([letter(first + place) for place in range(number)])
    return (
        f" ({letters}) Correlation of what varies faster than the range of lags; right "
        "of the dashed line the current comes first. Inside the grey band a single lag is what "
        "unrelated series of the same kind give; p is for the lag that stands out most, over all "
        "lags."
    )


def _draw_current(ax: Axes, data: ReportData, current: pd.DataFrame, time: Floats) -> int:
    """Draw the current, or its density, with the transients shaded; return how many."""
    name, unit = "current_a", "A"
    if not current[name].notna().any():
        name, unit = "current_density_a_cm2", "A/cm²"
    value = floats(current, name)
    factor, prefix = metric(float(np.nanmax(np.abs(value), initial=1e-12)))
    transients = data.tables["transients"]
    for start, stop in zip(floats(transients, "onset_s"), floats(transients, "end_s"), strict=True):
        ax.axvspan(start, stop, color=ALARM, alpha=0.18, lw=0)
    ax.plot(time, value / factor, color=INK, lw=0.7)
    ax.set_ylabel(f"current\n({prefix}{unit})")
    return len(transients)


def _draw_rate(ax: Axes, time: Floats, rate: Floats, fps: float, colour: str) -> None:
    """Draw a rate per frame, and its running average where it is known."""
    ax.fill_between(time, rate, color=colour, alpha=0.25, lw=0, step="mid")
    known = np.isfinite(rate)
    width = max(fps / 3, 1.0)
    total = gaussian_filter1d(np.where(known, rate, 0.0), width, mode="nearest")
    share = gaussian_filter1d(known.astype(np.float64), width, mode="nearest")
    ax.plot(time, np.where(known, total / np.maximum(share, 1e-9), np.nan), color=colour)
    ax.set_ylim(0, None)
