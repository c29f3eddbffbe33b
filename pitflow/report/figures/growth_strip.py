"""One pit growing: raw crops and what changed between them (paper 002, Fig. 5)."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from pitflow.frame import Image
from pitflow.report.data import ReportData, by_pit, floats, ints
from pitflow.report.outline import outline
from pitflow.report.panel import Panel
from pitflow.report.style import (
    SMALL,
    bare,
    letter,
    new_figure,
    on_image,
    pit_colour,
    scale_bar,
    show_image,
)
from pitflow.report.window import Window, limits, window_around

STEPS = 5
EVEN = 0.05


def steps_of_equal_growth(growth: pd.DataFrame, good: npt.NDArray[np.int64]) -> list[int]:
    """Return up to ``STEPS`` good frames of one pit between which it grew by about equal areas.

    The first is the last good frame before the growth table starts, where there is one, so that
    the second shows all that the onset brought.
    """
    growth = growth.sort_values("frame")
    frames, area = ints(growth, "frame"), np.maximum.accumulate(floats(growth, "area_px"))
    wanted = np.linspace(area[0], area[-1], STEPS)
    at = frames[np.minimum(np.searchsorted(area, wanted), len(frames) - 1)]
    before = good[good < frames[0]]
    chosen = [int(before[-1])] if before.size else []
    chosen += [int(good[np.argmin(np.abs(good - frame))]) for frame in at]
    return sorted(set(chosen))


def draw_change(
    ax: Axes,
    change: Image,
    window: Window,
    new: pd.DataFrame,
    onset: tuple[float, float],
    colour: str,
    spread: float,
) -> float:
    """Draw a difference crop with the new pixels outlined and an arrow along their mean direction.

    The arrow is as long as their mean resultant, so growth on all sides alike leaves none.

    Returns
    -------
    The circular mean direction of the new pixels about ``onset``, degrees; NaN where they lie
    on all sides alike (resultant below ``EVEN``) or there are none.
    """
    show_image(ax, change, window, (-spread, spread))
    if new.empty:
        return float("nan")
    ax.add_collection(
        LineCollection(outline(ints(new, "x"), ints(new, "y")), colors=colour, linewidths=0.5)
    )
    away = np.arctan2(floats(new, "y") - onset[1], floats(new, "x") - onset[0])
    resultant = np.mean(np.exp(1j * away))
    ax.plot(*onset, "+", color="white", ms=5.7, mew=1.1)
    if abs(resultant) < EVEN:
        return float("nan")
    mean = float(np.angle(resultant))
    length = 0.1 * window.width + 0.4 * window.width * float(abs(resultant))
    ax.annotate(
        "",
        xy=(onset[0] + length * np.cos(mean), onset[1] + length * np.sin(mean)),
        xytext=onset,
        arrowprops={"arrowstyle": "-|>", "color": "white", "lw": 1.4, "shrinkA": 0, "shrinkB": 0},
    )
    return float(np.degrees(mean) % 360)


def make(data: ReportData) -> Panel | str:
    """Draw the pit that grew by the largest area."""
    growth = data.tables["growth"]
    if growth.empty or data.good_frames.size == 0:
        return "No pit was found, so there is no growth to show."
    gained = {pit: np.ptp(floats(own, "area_px")) for pit, own in by_pit(growth)}
    pit = max(gained, key=lambda pit: gained[pit])
    own = growth[growth["pit"] == pit]
    pixels = data.tables["pit_pixels"]
    pixels = pixels[pixels["pit"] == pit]
    frames = steps_of_equal_growth(own, data.good_frames)
    if pixels.empty or len(frames) < 2:
        return f"Pit {pit} is seen in too few frames to show its growth."
    row = data.pit(pit)
    onset = float(row["onset_x"]), float(row["onset_y"])
    x, y = floats(pixels, "x"), floats(pixels, "y")
    half = max(np.ptp(x), np.ptp(y)) * 0.5 + 20
    window = window_around((x.max() + x.min()) / 2, (y.max() + y.min()) / 2, half, data.shape)
    crops = [_drift_removed(data, frame, window) for frame in frames]
    between = limits(*crops, low=1, high=99)
    changes = [late - early for early, late in itertools.pairwise(crops)]
    spread = max(float(np.percentile(np.abs(np.stack(changes)), 99)), 1.0)

    columns = len(frames)
    side = 10 / columns
    height = 2 * side + 0.48
    figure = new_figure(height)
    drawn: dict[str, Any] = {"pit": pit, "frames": frames, "areas_px": [], "directions_deg": []}
    um2 = data.um_per_px**2
    for column, (frame, crop) in enumerate(zip(frames, crops, strict=True)):
        ax = figure.add_axes(
            (
                (column + 0.015) / columns,
                (side + 0.02) / height,
                0.97 / columns,
                0.97 * side / height,
            )
        )
        show_image(ax, crop, window, between)
        now = pixels[pixels["frame"] <= frame]
        if not now.empty:
            ax.add_collection(
                LineCollection(
                    outline(ints(now, "x"), ints(now, "y")),
                    colors=pit_colour(pit),
                    linewidths=0.5,
                )
            )
        drawn["areas_px"].append(len(now))
        ax.set_title(
            f"frame {frame} ({data.seconds(frame):.1f} s)\n{len(now) * um2:,.0f} µm²",
            fontsize=SMALL,
            fontweight="normal",
        )
        if column == 0:
            scale_bar(ax, data.um_per_px)
            _letter_row(ax, 0)
        below = figure.add_axes(
            ((column + 0.015) / columns, 0, 0.97 / columns, 0.97 * side / height)
        )
        if column == 0:
            bare(below)
            _letter_row(below, 1)
            below.text(
                0.5,
                0.5,
                "change since\nthe picture\nbefore (dark:\nbecame darker)",
                ha="center",
                va="center",
                fontsize=SMALL,
                transform=below.transAxes,
            )
            continue
        new = pixels[pixels["frame"].between(frames[column - 1] + 1, frame)]
        drawn["directions_deg"].append(
            draw_change(below, changes[column - 1], window, new, onset, pit_colour(pit), spread)
        )
        direction = drawn["directions_deg"][-1]
        on_image(
            below,
            0.04,
            0.95,
            f"{direction:.0f}°" if np.isfinite(direction) else "all sides",
            va="top",
            transform=below.transAxes,
        )
    return Panel(
        figure,
        f"Pit {pit}, the one that grew most. (a) The pit at {columns} times, between "
        "which it grew by about the same area (its outline in colour). (b) The difference to "
        "the crop before, with the pixels that became pit outlined; the arrow points from the "
        "pit's first pixels (+) in the mean direction of the new ones and is the longer the more "
        "they lie on one side.",
        photo=True,
        drawn=drawn,
    )


def _letter_row(ax: Axes, row: int) -> None:
    """Write the letter of a row of crops into the corner of its first."""
    on_image(ax, 0.04, 0.95, letter(row), "white", va="top", transform=ax.transAxes)


def _drift_removed(data: ReportData, frame: int, window: Window) -> npt.NDArray[np.float32]:
    """Return what the window of the tables' geometry shows in ``frame``, brightness levelled."""
    dx, dy = (round(step) for step in data.shift(frame))
    height, width = data.shape
    columns = np.clip(np.arange(window.x0, window.x1) + dx, 0, width - 1)
    rows = np.clip(np.arange(window.y0, window.y1) + dy, 0, height - 1)
    crop = data.frame_at(frame)[np.ix_(rows, columns)]
    return crop.astype(np.float32) / np.float32(data.gain(frame))
