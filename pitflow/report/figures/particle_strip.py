"""One particle over time, with its blur or height (paper 002, Fig. 8)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pitflow.report.data import ReportData, floats, ints
from pitflow.report.example import example_track
from pitflow.report.panel import Panel
from pitflow.report.style import (
    ALARM,
    FAINT,
    INK,
    REFERENCE,
    SMALL,
    UNIT_IN,
    letter,
    new_figure,
    on_image,
    scale_bar,
    show_image,
    title_panel,
)
from pitflow.report.window import steel_limits, window_around

CROPS = 8
SMOOTH = 9
"""Detections in a row whose median stands for the blur in the middle of them."""


def spread_frames(frames: npt.NDArray[np.int64], number: int) -> list[int]:
    """Return up to ``number`` of the frames, evenly spaced, first and last among them."""
    at = np.linspace(0, len(frames) - 1, min(number, len(frames)))
    return [int(frame) for frame in frames[np.round(at).astype(int)]]


def draw_quantity(
    ax: Axes,
    track: pd.DataFrame,
    name: str,
    colour: str,
    label: str,
    *,
    error: str | None = None,
    smooth: int = 1,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Draw a column of the particles table over the frames of one track.

    Parameters
    ----------
    error:
        Column of the standard error, drawn as a band.
    smooth:
        Detections in a row of which the line is the median; the dots are single ones.

    Returns
    -------
    The frames, and the values of the line.
    """
    known = track[track[name].notna()]
    frame, value = ints(known, "frame"), floats(known, name)
    ax.plot(frame, value, ".", color=colour, ms=2.8, alpha=1.0 if smooth == 1 else 0.5)
    line = known[name].rolling(smooth, center=True, min_periods=1).median().to_numpy(np.float64)
    ax.plot(frame, line, color=colour, lw=0.6 if smooth == 1 else 1.0)
    if error is not None:
        around = floats(known, error)
        ax.fill_between(frame, value - around, value + around, color=colour, alpha=0.2, lw=0)
    ax.set_ylim(bottom=0)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    ax.set_xlabel("frame")
    ax.set_ylabel(label)
    return frame, line


def make(data: ReportData) -> Panel | str:
    """Draw crops that travel with the example particle, and its blur (or height) and contrast."""
    number = example_track(data)
    if number is None:
        return "No particle was followed over five frames or more, so none is shown by itself."
    track = data.tracks[data.tracks["particle"] == number]
    shown = spread_frames(ints(track[track["frame"].isin(data.good_frames)], "frame"), CROPS)
    half = float(np.clip(2.0 * np.nanmax(floats(track, "diameter_px"), initial=8.0), 16, 40))
    windows, crops, places = [], [], []
    for frame in shown:
        row = track[track["frame"] == frame].iloc[0]
        dx, dy = data.shift(frame)
        place = float(row["x"]) + dx, float(row["y"]) + dy
        windows.append(window_around(*place, half, data.shape))
        crops.append(windows[-1].of(data.frame_at(frame)).astype(np.float32) / data.gain(frame))
        places.append(place)
    between = steel_limits(*crops)

    columns = max(len(shown), 6)
    side = 10 / columns
    circle = 72 * UNIT_IN * 0.97 * side * 0.5
    height = side + 0.32 + 2.75
    figure = new_figure(height)
    for column, (frame, crop, window, place) in enumerate(
        zip(shown, crops, windows, places, strict=True)
    ):
        ax = figure.add_axes(
            (
                (column + 0.015) / columns,
                1 - (side + 0.26) / height,
                0.97 / columns,
                0.97 * side / height,
            )
        )
        show_image(ax, crop, window, between)
        ax.plot(*place, "o", mfc="none", mec=ALARM, ms=circle, mew=0.9)
        ax.set_xlim(*window.extent[:2])
        ax.set_ylim(*window.extent[2:])
        ax.set_title(f"frame {frame}", fontsize=SMALL, fontweight="normal")
        if column == 0:
            scale_bar(ax, data.um_per_px)
            on_image(ax, 0.05, 0.94, letter(0), "white", va="top", transform=ax.transAxes)

    calibrated = bool(track["z_um"].notna().any())
    left = figure.add_axes((0.075, 0.5 / height, 0.39, 1.85 / height))
    right = figure.add_axes((0.575, 0.5 / height, 0.39, 1.85 / height))
    drawn: dict[str, Any] = {"particle": number, "frames": shown, "calibrated": calibrated}
    if calibrated:
        drawn["z_um"] = draw_quantity(
            left, track, "z_um", REFERENCE, "height (µm)", error="z_err_um"
        )
        meaning = "height above the steel, with the standard error as a band."
    elif track["blur_px"].notna().any():
        drawn["blur_px"] = draw_quantity(
            left, track, "blur_px", REFERENCE, "blur (px)", smooth=SMOOTH
        )
        meaning = (
            f"blur: single frames (dots) and the median of {SMOOTH} in a row (line). It rises with "
            "the height above the steel, which is not given, as this recording is not calibrated. "
            "Near the focus almost all that is seen is the particle's own size, which is taken "
            "off; what is left is uncertain by as much as the dots scatter."
        )
    else:
        left.set_axis_off()
        left.text(0.5, 0.5, "blur was not measured", ha="center", color=FAINT)
        meaning = "blur was not measured."
    drawn["contrast"] = draw_quantity(
        right, track, "contrast", INK, "contrast (share of\nthe background)"
    )
    for panel, ax in enumerate((left, right), start=1):
        title_panel(ax, panel)
        ax.set_xlim(int(track["frame"].iloc[0]) - 1, int(track["frame"].iloc[-1]) + 1)
    pit = int(track["pit"].iloc[0])
    origin = f"which left pit {pit}" if pit >= 0 else "whose source is not known"
    return Panel(
        figure,
        f"Particle {number}, {origin}, from frame {shown[0]} to {shown[-1]}, chosen as a long and "
        "well visible track. (a) Crops that travel with it, all with the same grey scale, so that "
        f"a fainter and wider image means out of focus. (b) Its {meaning} (c) Its contrast.",
        photo=True,
        drawn=drawn,
    )
