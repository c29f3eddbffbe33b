"""Blur, or height, of the particles over the time since they left their pit."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pitflow.report.data import Floats, Ints, ReportData, floats
from pitflow.report.panel import Panel
from pitflow.report.style import REFERENCE, new_figure
from pitflow.report.words import count

FEWEST = 5


def quartiles_over_age(age: Ints, value: Floats) -> tuple[Ints, Floats]:
    """Return the ages with at least ``FEWEST`` values, and (n, 3) quartiles of each."""
    known = np.isfinite(value)
    order = np.argsort(age[known], kind="stable")
    ages, starts, counts = np.unique(age[known][order], return_index=True, return_counts=True)
    groups = np.split(value[known][order], starts[1:])
    kept = np.flatnonzero(counts >= FEWEST)
    middle = [np.percentile(groups[index], [25, 50, 75]) for index in kept]
    return ages[kept], np.array(middle, dtype=np.float64).reshape(-1, 3)


def draw_over_age(ax: Axes, age_s: Floats, quartiles: Floats) -> None:
    """Draw the median over the age with the middle half of the particles as a band."""
    ax.fill_between(age_s, quartiles[:, 0], quartiles[:, 2], color=REFERENCE, alpha=0.2, lw=0)
    ax.plot(age_s, quartiles[:, 1], color=REFERENCE)
    ax.set_xlim(0, age_s[-1])
    ax.set_ylim(bottom=0)
    ax.set_xlabel("time since the particle left its pit (s)")


def make(data: ReportData) -> Panel | str:
    """Draw height over age where it is calibrated, blur over age where it is not."""
    tracks = data.sure_tracks[data.sure_tracks["pit"] >= 0]
    calibrated = bool(tracks["z_um"].notna().any())
    name = "z_um" if calibrated else "blur_px"
    if tracks[name].notna().sum() == 0:
        return "No blur was measured on a particle that left a pit, so nothing is said of height."
    left = data.tables["ejections"].groupby("particle")["frame"].min()
    first = tracks.groupby("particle")["frame"].transform("min")
    departure = tracks.assign(frame=tracks["particle"].map(left).fillna(first).astype("int64"))
    frames_since = np.rint((data.times(tracks) - data.times(departure)) * data.fps)
    age, quartiles = quartiles_over_age(
        np.maximum(frames_since, 0).astype(np.int64), floats(tracks, name)
    )
    if age.size < 2:
        return f"Fewer than {FEWEST} particles of the same age have a measured blur."
    figure = new_figure(2.9)
    ax = figure.add_axes((0.075, 0.19, 0.9, 0.77))
    draw_over_age(ax, age / data.fps, quartiles)
    ax.set_ylabel("height (µm)" if calibrated else "blur (px)")
    drawn: dict[str, Any] = {"age": age, "quartiles": quartiles, "calibrated": calibrated}
    n = tracks.loc[tracks[name].notna(), "particle"].nunique()
    meaning = (
        "Height above the steel, from the calibrated blur,"
        if calibrated
        else "Blur, the measure of height as long as the height is not calibrated,"
    )
    return Panel(
        figure,
        f"{meaning} of the {count(n, 'particle')} that left a pit: median (line) and middle half "
        f"(band) over the time since they left, wherever at least {FEWEST} particles of that age "
        "are seen.",
        drawn=drawn,
    )
