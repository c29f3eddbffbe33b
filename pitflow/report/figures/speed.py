"""Speed of one particle over time, its outliers marked (paper 002, Fig. 9)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pitflow.report.data import ReportData, floats, ints
from pitflow.report.example import example_track
from pitflow.report.panel import Panel
from pitflow.report.style import ALARM, REFERENCE, new_figure
from pitflow.report.words import count


def draw_speed(ax: Axes, track: pd.DataFrame, um_s_per_px: float) -> dict[str, Any]:
    """Draw the speed of a track in px per frame (left) and um/s (right), outliers as squares.

    Returns
    -------
    ``frame``, ``speed_px`` and ``outliers`` (frames).
    """
    known = track[track["speed_px"].notna()]
    frame, speed = ints(known, "frame"), floats(known, "speed_px")
    ax.plot(frame, speed, ".-", color=REFERENCE, ms=2.8, lw=0.6)
    outlier = known["is_outlier"].to_numpy(dtype=bool)
    ax.plot(frame[outlier], speed[outlier], "s", mfc="none", mec=ALARM, ms=8.5, mew=1.1)
    ax.set_ylim(0, 1.15 * max(float(speed.max(initial=0.0)), 1e-3))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    ax.set_xlabel("frame")
    ax.set_ylabel("speed (px/frame)")
    right = ax.secondary_yaxis(
        "right",
        functions=(lambda v: np.multiply(v, um_s_per_px), lambda v: np.divide(v, um_s_per_px)),
    )
    right.set_ylabel("speed (µm/s)")
    right.spines["right"].set_visible(True)
    return {"frame": frame, "speed_px": speed, "outliers": frame[outlier]}


def make(data: ReportData) -> Panel | str:
    """Draw the speed of the example particle."""
    number = example_track(data)
    if number is None:
        return "No particle was followed over five frames or more, so no speed is drawn."
    track = data.tracks[data.tracks["particle"] == number]
    if track["speed_px"].notna().sum() < 2:
        return f"Particle {number} has no measured speed."
    figure = new_figure(2.9)
    ax = figure.add_axes((0.075, 0.19, 0.84, 0.77))
    drawn = {"particle": number} | draw_speed(ax, track, data.um_per_px * data.fps)
    marked = len(drawn["outliers"])
    events = int((data.tables["outliers"]["particle"] == number).sum())
    verdict = (
        f"the {count(marked, 'frame')} of {count(events, 'velocity outlier')} marked with a square"
        if marked
        else "none of its steps is an outlier"
    )
    median = float(np.median(drawn["speed_px"]))
    return Panel(
        figure,
        f"Speed of the same particle {number}: median {median:.2f} px/frame "
        f"({median * data.um_per_px * data.fps:.1f} µm/s); {verdict}. An outlier is an event "
        "of one or more steps faster than the track's own smooth trend that passes the test "
        "described under “How each number was made”.",
        drawn=drawn,
    )
