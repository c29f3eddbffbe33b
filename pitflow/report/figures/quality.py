"""Brightness, drift and number of particles over the recording, with the frames at fault."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pitflow.report.data import ReportData, floats, ints
from pitflow.report.panel import Panel
from pitflow.report.style import (
    ALARM,
    DASHED,
    FAINT,
    INK,
    PIT_COLOURS,
    REFERENCE,
    new_figure,
    title_panel,
)

FAULTS = {
    "gap": (ALARM, "v", "lost"),
    "damaged": (PIT_COLOURS[6], "X", "damaged"),
    "duplicate": (PIT_COLOURS[4], "D", "duplicate"),
}


def draw_faults(ax: Axes, data: ReportData) -> dict[str, int]:
    """Mark the frames at fault along the time axis; return how many there are of each kind."""
    frames = data.tables["frames"]
    found: dict[str, int] = {}
    for quality, (colour, mark, label) in FAULTS.items():
        bad = ints(frames[frames["quality"] == quality], "frame")
        found[quality] = len(bad)
        if bad.size:
            ax.plot(
                bad,
                np.full(bad.shape, 1.0),
                mark,
                color=colour,
                ms=3.5,
                clip_on=False,
                transform=ax.get_xaxis_transform(),
                label=label,
            )
    return found


def make(data: ReportData) -> Panel | str:
    """Draw brightness, drift and particles over the frames."""
    frames = data.tables["frames"].sort_values("frame")
    if frames.empty:
        return "The recording has no frames."
    frame = ints(frames, "frame")
    figure = new_figure(5.4)
    rows = []
    for place in range(3):
        rows.append(figure.add_axes((0.085, 0.72 - 0.31 * place, 0.9, 0.22)))
    gain, drift, number = rows
    gain.plot(frame, floats(frames, "gain"), color=INK, lw=0.7)
    gain.set_ylabel("brightness\n(first frame = 1)")
    low, high = gain.get_ylim()
    gain.set_ylim(min(low, 0.95), max(high, 1.05))
    drift.plot(frame, floats(frames, "shift_x_px"), color=REFERENCE, lw=0.7, label="to the right")
    drift.plot(frame, floats(frames, "shift_y_px"), color=ALARM, lw=0.7, ls=DASHED, label="down")
    drift.set_ylabel("stage drift\n(px)")
    low, high = drift.get_ylim()
    drift.set_ylim(min(low, -0.5), max(high, 0.5))
    drift.axhline(0, color=FAINT, lw=0.5)
    drift.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, borderaxespad=0.0)
    seen = floats(frames, "n_particles")
    seen[(frames["quality"] != "ok").to_numpy()] = np.nan
    number.plot(frame, seen, color=INK, lw=0.7)
    number.set_ylabel("particles\ndetected")
    number.set_ylim(0, max(number.get_ylim()[1], 1.0))
    number.set_xlabel("frame")
    drawn: dict[str, Any] = {"faults": draw_faults(gain, data), "frames": len(frames)}
    for place, ax in enumerate(rows):
        title_panel(ax, place)
        ax.set_xlim(frame[0], max(frame[-1], frame[0] + 1))
    for ax in rows[:2]:
        ax.tick_params(labelbottom=False)
    marked = sum(drawn["faults"].values())
    if marked:
        gain.legend(loc="lower right", bbox_to_anchor=(1.0, 1.05), ncols=3, borderaxespad=0.0)
    return Panel(
        figure,
        "(a) Brightness, (b) drift of the stage and (c) number of detected particles in every "
        "frame. "
        + (
            "Marks at the top of (a) are frames that were lost, damaged or repeated. Neither pits "
            "nor particles are looked for in them; they keep their numbers, and tracks go on "
            "across them."
            if marked
            else "No frame was lost, damaged or repeated."
        ),
        drawn=drawn,
    )
