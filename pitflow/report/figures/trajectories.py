"""All tracks over the last good frame (paper 002, Fig. 7)."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from pitflow.report.data import ReportData, floats, ints
from pitflow.report.figures.overview import draw_outlines
from pitflow.report.outline import pit_outlines
from pitflow.report.panel import Panel
from pitflow.report.style import DOUBLE, new_figure, pit_colours, scale_bar, show_image
from pitflow.report.window import reduce, steel_limits, whole


def draw_trajectories(ax: Axes, data: ReportData, shift: tuple[float, float]) -> dict[str, int]:
    """Draw every track as one line in its pit's colour, those without a source below the others.

    Returns
    -------
    ``tracks`` drawn, and ``no_source``: how many of them lead back to no pit.
    """
    tracks = data.tracks
    path = np.column_stack([floats(tracks, "x"), floats(tracks, "y")]) + shift
    starts = np.flatnonzero(np.diff(ints(tracks, "particle"), prepend=-1))
    pits = ints(tracks, "pit")[starts]
    lines = np.split(path, starts[1:]) if starts.size else []
    for has_source, width, alpha in ((False, 0.5, 0.7), (True, 0.6, 0.9)):
        chosen = np.flatnonzero((pits >= 0) == has_source)
        ax.add_collection(
            LineCollection(
                [lines[index] for index in chosen],
                colors=pit_colours(pits[chosen]),
                linewidths=width,
                alpha=alpha,
                rasterized=True,
            )
        )
    return {"tracks": len(lines), "no_source": int((pits < 0).sum())}


def make(data: ReportData) -> Panel | str:
    """Draw the tracks over the last good frame."""
    if data.tracks.empty:
        return "No particle was tracked, so there are no tracks to draw."
    if data.good_frames.size == 0:
        return "No frame of the recording could be shown behind the tracks."
    frame = int(data.good_frames[-1])
    window = whole(data.shape)
    height, width = data.shape
    wide = DOUBLE * min(width / height, 1.0)
    figure = new_figure(wide * height / width, wide)
    ax = figure.add_axes((0, 0, 1, 1))
    image = reduce(data.frame_at(frame), 1200)
    bottom, top = steel_limits(image)
    # The frame is background here: lifted towards white, it leaves the contrast to the tracks.
    show_image(ax, image, window, (bottom - 1.5 * (top - bottom), top))
    ax.set_xlim(window.extent[0], window.extent[1])
    ax.set_ylim(window.extent[2], window.extent[3])
    drawn: dict[str, Any] = {"frame": frame}
    drawn |= draw_trajectories(ax, data, data.shift(frame))
    drawn["pits"] = draw_outlines(ax, pit_outlines(data, frame))
    scale_bar(ax, data.um_per_px)
    return Panel(
        figure,
        f"Paths of all {drawn['tracks']:,} tracked particles over the last good frame ({frame}), "
        "in "
        + (
            "the colour of their source pit."
            if not drawn["no_source"]
            else "grey, for none of them could be traced back to a pit."
            if drawn["no_source"] == drawn["tracks"]
            else f"the colour of their source pit; {drawn['no_source']:,} of them, in grey, could "
            "not be traced back to a pit."
        ),
        photo=True,
        drawn=drawn,
    )
