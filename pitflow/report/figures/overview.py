"""One frame with its pits and particles, and the busiest pit enlarged (paper 002, Fig. 2)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection, LineCollection

from pitflow.frame import Image
from pitflow.report.data import ReportData, floats, ints
from pitflow.report.example import busiest_frame, busiest_pit, pit_centre, pit_radius
from pitflow.report.outline import Outline, pit_outlines
from pitflow.report.panel import Panel
from pitflow.report.style import (
    DOUBLE,
    INK,
    PIT_COLOURS,
    Points,
    new_figure,
    on_image,
    pit_colour,
    pit_colours,
    scale_bar,
    show_image,
    title_panel,
)
from pitflow.report.window import STACKED, Window, reduce, whole, window_around
from pitflow.report.words import count


def draw_outlines(ax: Axes, outlines: dict[int, Outline]) -> list[int]:
    """Draw and number the pits; return the numbers of those whose label is in view."""
    for pit, lines in outlines.items():
        ax.add_collection(LineCollection(lines, colors=pit_colour(pit), linewidths=0.9))
    left, right = ax.get_xlim()
    bottom, top = ax.get_ylim()
    gap = 0.008 * (right - left)
    drawn = []
    for pit, lines in outlines.items():
        points = np.concatenate(lines)
        x, y = points[:, 0].max() + gap, points[:, 1].min()
        if not (left <= points[:, 0].mean() <= right and top <= points[:, 1].mean() <= bottom):
            continue
        near_edge = x > right - 0.06 * (right - left)
        if near_edge:
            x = points[:, 0].min() - gap
        y = min(max(y, top + 0.03 * (bottom - top)), bottom)
        align = "right" if near_edge else "left"
        on_image(ax, min(x, right), y, f"{pit}", pit_colour(pit), ha=align, va="center")
        drawn.append(pit)
    return drawn


def draw_particles(ax: Axes, data: ReportData, frame: int, *, smallest_px: float) -> int:
    """Circle the tracked particles of a frame in their pit's colour; return how many in view."""
    tracks = data.tracks[data.tracks["frame"] == frame]
    dx, dy = data.shift(frame)
    places = np.column_stack([floats(tracks, "x") + dx, floats(tracks, "y") + dy])
    diameters = np.maximum(1.5 * np.nan_to_num(floats(tracks, "diameter_px")), smallest_px)
    return _circle(ax, places, diameters, np.array(pit_colours(ints(tracks, "pit"))))


def draw_bubbles(ax: Axes, data: ReportData, frame: int) -> int:
    """Draw dashed circles close around the gas bubbles of a frame; return how many in view."""
    bubbles = data.tables["bubbles"]
    bubbles = bubbles[bubbles["frame"] == frame]
    places = np.column_stack([floats(bubbles, "x"), floats(bubbles, "y")])
    colours = np.full(len(bubbles), INK)
    # On their rims, which are black, nothing would be seen.
    return _circle(ax, places, 1.2 * floats(bubbles, "diameter_px"), colours, linestyles="dashed")


def _circle(
    ax: Axes, places: Points, diameters: Points, colours: npt.NDArray[np.str_], **look: Any
) -> int:
    """Draw circles about (n, 2) places within the limits of the axes; return how many."""
    left, right = ax.get_xlim()
    bottom, top = ax.get_ylim()
    x, y = places.T
    inside = (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
    ax.add_collection(
        EllipseCollection(
            diameters[inside],
            diameters[inside],
            np.zeros(int(inside.sum())),
            units="xy",
            offsets=places[inside],
            offset_transform=ax.transData,
            facecolors="none",
            edgecolors=colours[inside].tolist(),
            linewidths=0.6,
            **look,
        )
    )
    return int(inside.sum())


def draw_frame(
    ax: Axes, data: ReportData, frame: int, image: Image, window: Window, *, max_px: int
) -> dict[str, Any]:
    """Draw a window of a frame with scale bar, numbered pits and circled particles.

    Returns
    -------
    ``pits`` (numbers in view), ``particles`` and ``bubbles`` (circles in view), ``bar_um`` (scale
    bar).
    """
    show_image(ax, reduce(window.of(image), max_px), window)
    left, right, bottom, top = window.extent
    ax.set_xlim(left, right)
    ax.set_ylim(bottom, top)
    outlines = pit_outlines(data, frame)
    points = [line for lines in outlines.values() for line in lines]
    bar = scale_bar(ax, data.um_per_px, np.concatenate(points) if points else None)
    particles = draw_particles(ax, data, frame, smallest_px=0.011 * window.width)
    bubbles = draw_bubbles(ax, data, frame)
    pits = draw_outlines(ax, outlines)
    return {"pits": pits, "particles": particles, "bubbles": bubbles, "bar_um": bar}


def make(data: ReportData) -> Panel | str:
    """Draw the frame with most particles, and its busiest pit enlarged."""
    if data.good_frames.size == 0:
        return "No frame of the recording could be shown: all of them are lost or damaged."
    frame = busiest_frame(data)
    image = data.frame_at(frame)
    pit = busiest_pit(data)
    height, width = data.shape
    stacked = width >= STACKED * height
    zoom = None if pit is None else _around(data, frame, pit, across=2.5 if stacked else 1.0)
    if stacked:
        wide, below = 10.0, 0.0 if zoom is None else 10.0 * zoom.height / zoom.width + 0.35
    else:
        wide, below = 5.7 * min(width / height, 1.0) if zoom is not None else 7.0, 0.0
    tall = wide * height / width + below
    tall = max(tall, 4.2 if zoom is not None and not stacked else 0.0) + 0.32
    full = wide if zoom is None else DOUBLE
    figure = new_figure(tall, full)
    share = 1 - 0.3 / tall
    ax = figure.add_axes((0.0, below / tall, wide / full, share - below / tall))
    ax.set_anchor("NW")
    drawn: dict[str, Any] = {"frame": frame}
    drawn["full"] = draw_frame(ax, data, frame, image, whole(data.shape), max_px=1000)
    title = f"Frame {frame}, {data.seconds(frame):.1f} s"
    if zoom is None:
        ax.set_title(title, loc="left")
    else:
        title_panel(ax, 0, title)
    unlinked = int(
        ((data.tables["particles"]["frame"] == frame) & (data.tables["particles"]["particle"] < 0))
        .to_numpy()
        .sum()
    )
    pits, particles = len(drawn["full"]["pits"]), drawn["full"]["particles"]
    of_one = pit is not None and bool((data.tracks["pit"] == pit).any())
    whose = f"most particles of pit {pit}" if of_one else "most particles"
    why = f"the one in which {whose} are under way" if particles else "the last good one"
    caption = "" if zoom is None else "(a) "
    caption += f"Frame {frame} ({data.seconds(frame):.1f} s), {why}: "
    caption += f"{count(pits, 'pit')} and {count(particles, 'tracked particle')}."
    if pits:
        caption += " Every pit, outlined and numbered, keeps its colour and number on this page."
    if pits > len(PIT_COLOURS):
        caption += f" Colours come again after {len(PIT_COLOURS)} pits."
    if particles:
        caption += (
            " Tracked particles are circled in the colour of the pit they came from (grey: no "
            "source pit)."
        )
    if drawn["full"]["bubbles"]:
        caption += " Dashed: gas bubbles, in which nothing is taken for a particle."
    if unlinked:
        caption += f" {unlinked} further detections belong to no track and are not drawn."
    if pit is not None and zoom is not None:
        left, right, bottom, top = zoom.extent
        ax.plot(
            [left, right, right, left, left],
            [top, top, bottom, bottom, top],
            color=INK,
            lw=0.9,
        )
        zoom_ax = figure.add_axes(
            (0.0, 0.0, 1.0, (below - 0.35) / tall)
            if stacked
            else (wide / 10 + 0.015, 0.0, 0.985 - wide / 10, share)
        )
        zoom_ax.set_anchor("NW")
        drawn["zoom"] = draw_frame(zoom_ax, data, frame, image, zoom, max_px=700)
        title_panel(zoom_ax, 1, f"Around pit {pit} (black frame in a)")
        merit = "which ejected most particles" if data.pit(pit)["n_ejected"] else "the largest"
        caption += f" (b) The surroundings of pit {pit}, {merit}."
    return Panel(figure, caption, photo=True, drawn=drawn)


def _around(data: ReportData, frame: int, pit: int, *, across: float) -> Window | None:
    """Return the window around a pit, or None where that is no smaller than half the frame."""
    x, y = pit_centre(data, pit)
    dx, dy = data.shift(frame)
    half = float(np.clip(3.0 * pit_radius(data, pit) + 60, 80, 280))
    zoom = window_around(x + dx, y + dy, half, data.shape, across=across)
    is_smaller = zoom.width * zoom.height < 0.5 * data.shape[0] * data.shape[1]
    return zoom if is_smaller else None
