"""Runs beside each other: polar histograms of every pit (paper 002, App. C), and quantities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.patches import Circle, Wedge
from matplotlib.ticker import MaxNLocator

from pitflow.lag import ALPHA
from pitflow.report.compare_words import UNITS, WORDS
from pitflow.report.data import Floats, floats
from pitflow.report.figures.polar import BIN_DEG, shares
from pitflow.report.panel import Panel
from pitflow.report.style import (
    BAND,
    DOUBLE,
    FAINT,
    INK,
    PIT_COLOURS,
    SMALL,
    letter,
    letters,
    new_figure,
    title_panel,
)
from pitflow.report.words import count
from pitflow.visible import seen_all_round

PITS_PER_ROW = 8
_LEFT, _CELL = 1.84, 1.02
_RADIUS = 0.4
_PITCH = 1.2
"""From row to row, in cells."""

_NONE = np.empty(0)
_SIGNED = ("resultant_square", "lag_s")


def draw_polar(
    runs: pd.DataFrame, pits: pd.DataFrame, angles: Mapping[tuple[str, int], Floats]
) -> Panel | str:
    """Draw the departures of every pit, a row per run in order of concentration.

    Areas are shares, on one scale for all pits. At most 8 pits of a run are drawn, those with most
    ejections.

    Parameters
    ----------
    angles:
        (run, pit) -> departure angles, degrees.
    """
    if not any(values.size for values in angles.values()):
        return "No particle was traced back to a pit in any run, so there are no directions."
    shown: list[tuple[pd.Series, pd.DataFrame]] = []
    hidden = 0
    for _, run in runs.iterrows():
        own = pits[(pits["run"] == run["run"]) & (pits["n_ejected"] > 0)]
        known = [angles.get((run["run"], int(pit)), _NONE).size > 0 for pit in own["pit"]]
        own = own[np.array(known, dtype=bool)]
        own = own.assign(is_seen_round=seen_all_round(own))
        best = own.sort_values("n_ejected", ascending=False, kind="stable").head(PITS_PER_ROW)
        hidden += len(own) - len(best)
        shown.append((run, best.sort_values("pit")))
    top = max(
        float(np.sqrt(shares(angles[run["run"], int(pit)]).max()))
        for run, own in shown
        for pit in own["pit"]
    )
    height = _CELL * _PITCH * len(shown) + 0.1
    figure = new_figure(height)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set_xlim(-_LEFT / _CELL, (DOUBLE - _LEFT) / _CELL)
    ax.set_ylim(height / _CELL, 0)
    ax.set_aspect("equal")
    ax.axis("off")
    colours = group_colours(list(runs["label"]))
    previous = ""
    for row, (run, own) in enumerate(shown):
        y = _PITCH * row + 0.62
        label = str(run["label"])
        if row and label != previous:
            ax.axhline(_PITCH * row + 0.03, color=BAND, lw=0.6)
        edge = -_LEFT / _CELL + 0.12
        if label != previous:
            ax.text(
                edge + 0.2, y - 0.18, label, fontweight="bold", color=colours[label], va="center"
            )
        name = str(run["run"])
        short = name if len(name) <= 19 else f"{name[:8]}…{name[-10:]}"
        if len(shown) > 1:
            ax.text(edge, y - 0.18, letter(row), fontweight="bold", va="center")
        ax.text(edge + 0.2, y + 0.05, short, fontsize=SMALL, va="center")
        if own.empty:
            ax.text(0.1, y, "no ejections", fontsize=SMALL, va="center")
        for place, (_, pit) in enumerate(own.iterrows()):
            _draw_rose(ax, place + 0.5, y, angles[name, int(pit["pit"])], pit, top, colours[label])
        previous = label
    caption = (
        f"{letters(len(shown))}Directions of departure of every pit, a run in each row, one angle "
        "per particle: 0° right, 90° down, as on "
        f"the screen; sectors of {BIN_DEG}°. The area of a sector is its share of the pit's "
        "particles, on one scale for all. The line points in the mean direction and is as long as "
        "the resultant R (1: the circle); dark where the preference is significant (q ≤ "
        f"{ALPHA:g} within the run) and the pit is seen on all sides. Below each: pit, particles."
    )
    if hidden:
        caption += f" pits.csv holds {count(hidden, 'more pit')} with as many ejections or fewer."
    return Panel(figure, caption, drawn={"pits": sum(len(own) for _, own in shown), "top": top})


def draw_quantities(runs: pd.DataFrame, pits: pd.DataFrame, order: Sequence[str]) -> Panel:
    """Draw every quantity by group: pits as dots, runs as bars."""
    names = [name for name in WORDS if name in runs]
    columns = 3
    rows = -(-len(names) // columns)
    # Room below for the names of the groups, which many or long ones turn.
    below = 0.95 if _is_crowded(order) else 0.4
    tall = 1.8 + below + 0.35
    figure = new_figure(tall * rows)
    colours = group_colours(list(order))
    drawn: dict[str, Any] = {}
    for place, name in enumerate(names):
        across, down = place % columns, place // columns
        bottom = (rows - down - 1 + below / tall) / rows
        ax = figure.add_axes((0.085 + 0.332 * across, bottom, 0.24, 1.8 / tall / rows))
        drawn[name] = _draw_groups(ax, runs, pits, name, order, colours)
        label = f"{WORDS[name]} ({UNITS[name]})" if name in UNITS else WORDS[name]
        ax.set_ylabel(fill(label, 22))
        title_panel(ax, place)
    return Panel(
        figure,
        f"{letters(len(names))}Dots: pits; bars: runs, as the median of their pits (of R² the "
        "mean). R² is the squared "
        "resultant length without what few particles give by chance: 0 on average where no "
        "direction is preferred, so that single values may be negative. Lags are those of runs in "
        "which growth and ejection go together by more than chance.",
        drawn=drawn,
    )


def group_colours(labels: Sequence[str]) -> dict[str, str]:
    """Return the colour of each group, in the order of the labels."""
    unlike = list(dict.fromkeys(labels))
    return {label: PIT_COLOURS[place % len(PIT_COLOURS)] for place, label in enumerate(unlike)}


def _is_crowded(order: Sequence[str]) -> bool:
    """Return whether the names of the groups need more room than there is side by side."""
    return len(order) > 6 or max(map(len, order)) > 8


def _draw_groups(
    ax: Axes,
    runs: pd.DataFrame,
    pits: pd.DataFrame,
    name: str,
    order: Sequence[str],
    colours: Mapping[str, str],
) -> int:
    """Draw one quantity by group and return the number of pits or runs drawn."""
    of_pits = name in pits.columns
    number = 0
    for place, label in enumerate(order):
        own = runs[(runs["label"] == label) & runs[name].notna()]
        for run_place, (_, run) in enumerate(own.iterrows()):
            middle = place + (0.6 * ((run_place + 0.5) / len(own)) - 0.3)
            half = min(0.24, 0.26 / len(own))
            if of_pits:
                dots = floats(pits[pits["run"] == run["run"]], name)
                dots = dots[np.isfinite(dots)]
                spread = half * 0.8 * np.linspace(-1, 1, dots.size) if dots.size > 1 else [0.0]
                ax.plot(
                    middle + np.asarray(spread), dots, "o", ms=2.4, mec="none",
                    mfc=colours[label], alpha=0.55,
                )  # fmt: skip
                number += dots.size
            else:
                number += 1
            ax.plot([middle - half, middle + half], [run[name]] * 2, color=INK, lw=1.4, zorder=4)
    if number == 0:
        # Lags are shown where they are evident only.
        text = "no evident lag" if name == "lag_s" else "nothing measured"
        ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", color=FAINT)
        ax.yaxis.set_ticks([])
    else:
        ax.yaxis.set_major_locator(MaxNLocator(5))
    ax.set_xlim(-0.6, len(order) - 0.4)
    many = _is_crowded(order)
    ax.set_xticks(
        range(len(order)),
        [label if len(label) <= 16 else f"{label[:15]}…" for label in order],
        rotation=40 if many else 0,
        ha="right" if many else "center",
        fontsize=SMALL,
    )
    if number and name in _SIGNED:
        ax.axhline(0, color=FAINT, lw=0.6, zorder=1)
    elif number:
        ax.set_ylim(0, max(1.06 * ax.get_ylim()[1], 1e-9))
    ax.grid(axis="y", color=BAND, lw=0.5)
    return number


def _draw_rose(
    ax: Axes, x: float, y: float, angles: Floats, pit: pd.Series, top: float, colour: str
) -> None:
    ax.add_patch(Circle((x, y), _RADIUS, fill=False, ec=FAINT, lw=0.5))
    share = shares(angles)
    wedges = [
        # The axis points down, so angles grow clockwise on the screen by themselves.
        Wedge((x, y), _RADIUS * np.sqrt(value) / top, BIN_DEG * k, BIN_DEG * (k + 1))
        for k, value in enumerate(share)
        if value > 0
    ]
    ax.add_collection(PatchCollection(wedges, facecolors=colour, alpha=0.75, linewidths=0))
    mean, length = float(pit["mean_angle_deg"]), float(pit["resultant_length"])
    if np.isfinite(mean) and np.isfinite(length):
        turn = np.radians(mean)
        clear = bool(pit["rayleigh_q"] <= ALPHA and pit["is_seen_round"])
        ax.plot(
            [x, x + _RADIUS * length * np.cos(turn)],
            [y, y + _RADIUS * length * np.sin(turn)],
            color=INK if clear else FAINT,
            lw=1.4 if clear else 0.8,
            solid_capstyle="round",
            zorder=4,
        )
    text = f"{int(pit['pit'])}: n = {int(pit['n_ejected'])}"
    ax.text(x, y + _RADIUS + 0.08, text, fontsize=SMALL, ha="center", va="center")
