"""Area of the pits and number of ejected particles over time."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pitflow.report.data import ReportData, by_pit, floats
from pitflow.report.panel import Panel
from pitflow.report.style import (
    BAND,
    SMALL,
    label_time,
    new_figure,
    pit_colour,
    pit_dashes,
    title_panel,
)


def draw_areas(ax: Axes, data: ReportData, labelled: list[int]) -> dict[int, float]:
    """Draw the area of every pit over time, the labelled ones in colour; return the last areas."""
    last: dict[int, float] = {}
    ends: list[tuple[float, float, int]] = []
    for pit, own in by_pit(data.tables["growth"]):
        time = data.times(own)
        area = floats(own, "area_px") * data.um_per_px**2
        last[pit] = float(area[-1])
        if pit in labelled:
            ax.plot(time, area, color=pit_colour(pit), ls=pit_dashes(pit), zorder=3)
            ends.append((float(time[-1]), float(area[-1]), pit))
        else:
            ax.plot(time, area, color=BAND, lw=0.7, zorder=1)
    ax.set_xlim(*data.span_s)
    ax.set_ylim(bottom=0)
    _label_ends(ax, ends)
    label_time(ax)
    ax.set_ylabel("area (µm²)")
    return last


def draw_ejections(ax: Axes, data: ReportData, labelled: list[int]) -> dict[int, int]:
    """Draw how many particles each pit has ejected by a time; return the totals."""
    total: dict[int, int] = {}
    ends: list[tuple[float, float, int]] = []
    since, until = data.span_s
    for pit, own in by_pit(data.tables["ejections"]):
        time = np.sort(data.times(own))
        total[pit] = len(time)
        steps = np.concatenate([[since], time, [until]])
        so_far = np.concatenate([[0], np.arange(1, len(time) + 1), [len(time)]])
        if pit in labelled:
            ax.step(
                steps,
                so_far,
                where="post",
                color=pit_colour(pit),
                ls=pit_dashes(pit),
                zorder=3,
            )
            ends.append((until, float(len(time)), pit))
        else:
            ax.step(steps, so_far, where="post", color=BAND, lw=0.7, zorder=1)
    ax.set_xlim(since, until)
    ax.set_ylim(bottom=0)
    _label_ends(ax, ends)
    label_time(ax)
    ax.set_ylabel("particles ejected so far")
    ax.yaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    return total


def make(data: ReportData) -> Panel | str:
    """Draw area and ejected particles over time for all pits."""
    if data.tables["growth"].empty:
        return "No pit was found, so there is no area to draw over time."
    pits = data.tables["pits"].sort_values("area_px", ascending=False)
    labelled = [int(pit) for pit in pits["pit"].head(data.config.max_pits)]
    figure = new_figure(3.6)
    left = figure.add_axes((0.075, 0.14, 0.385, 0.77))
    right = figure.add_axes((0.565, 0.14, 0.385, 0.77))
    drawn: dict[str, Any] = {"area_um2": draw_areas(left, data, labelled)}
    title_panel(left, 0, "Area of each pit")
    title_panel(right, 1, "Particles ejected")
    if data.tables["ejections"].empty:
        right.set_axis_off()
        right.text(0.5, 0.5, "no particle could be traced\nback to a pit", ha="center")
        drawn["ejected"] = {}
    else:
        drawn["ejected"] = draw_ejections(right, data, labelled)
    caption = (
        "(a) Area of each pit from its onset on. (b) How many particles each pit has ejected "
        "by that time; a steep stretch is a burst, a flat one a pause. The numbers at the line "
        "ends are the pits."
    )
    if len(pits) > len(labelled):
        caption += f" The {len(labelled)} largest pits are in colour, the others in grey."
    return Panel(figure, caption, drawn=drawn)


def _label_ends(ax: Axes, ends: list[tuple[float, float, int]]) -> None:
    """Write the pit's number beside each line's end, moved apart, and join the two by a line."""
    bottom, top = ax.get_ylim()
    ends = sorted(ends, key=lambda end: end[1])
    places = spread_out([value for _, value, _ in ends], 0.055 * (top - bottom), top)
    left, right = ax.get_xlim()
    beside = right + 0.035 * (right - left)
    for (time, value, pit), place in zip(ends, places, strict=True):
        ax.plot([time, beside], [value, place], color=pit_colour(pit), lw=0.5, clip_on=False)
        ax.annotate(
            str(pit),
            (beside, place),
            xytext=(1.5, 0),
            textcoords="offset points",
            fontweight="bold",
            fontsize=SMALL,
            va="center",
            annotation_clip=False,
        )


def spread_out(values: list[float], apart: float, top: float) -> list[float]:
    """Return ascending values moved as little as needed to be ``apart`` and not above ``top``."""
    places: list[float] = []
    for value in values:
        places.append(max(value, places[-1] + apart) if places else value)
    limit = top
    for index in range(len(places) - 1, -1, -1):
        places[index] = min(places[index], limit)
        limit = places[index] - apart
    return places
