"""How the ejection angle is measured (paper 002, Fig. 3)."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from pitflow.report.data import ReportData, floats
from pitflow.report.example import busiest_pit, pit_centre, pit_radius
from pitflow.report.outline import pit_outlines
from pitflow.report.panel import Panel
from pitflow.report.style import (
    INK,
    SINGLE,
    new_figure,
    on_image,
    pit_colour,
    scale_bar,
    show_image,
)
from pitflow.report.window import window_around


def draw_construction(
    ax: Axes, centre: tuple[float, float], particle: tuple[float, float], colour: str
) -> float:
    """Draw the angle from +x, clockwise on the screen, to a particle; return it in degrees."""
    (x, y), (px, py) = centre, particle
    angle = float(np.degrees(np.arctan2(py - y, px - x)) % 360)
    distance = float(np.hypot(px - x, py - y))
    around = np.radians(np.linspace(0, angle, 90))
    left, right = ax.get_xlim()
    # The label of the horizontal stays in view where the pit is near the right edge.
    end = min(x + 1.15 * distance, right - 0.08 * (right - left))
    for ink, width in (("white", 2.6), (None, 1.1)):
        ax.plot([x, end], [y, y], color=ink or INK, lw=width)
        ax.plot([x, px], [y, py], color=ink or colour, lw=width)
        radius = 0.45 * distance
        ax.plot(
            x + radius * np.cos(around), y + radius * np.sin(around), color=ink or colour, lw=width
        )
    ax.plot(x, y, "+", color="white", ms=7.8, mew=2.5)
    ax.plot(x, y, "+", color="black", ms=6.4, mew=1.1)
    ax.plot(px, py, "o", mfc="none", mec="white", ms=10.6, mew=2.1)
    ax.plot(px, py, "o", mfc="none", mec=colour, ms=10.6, mew=1.1)
    half = np.radians(angle / 2)
    on_image(
        ax,
        x + 0.62 * distance * np.cos(half),
        y + 0.62 * distance * np.sin(half),
        f"{angle:.0f}°",
        "white",
        ha="center",
        va="center",
        fontsize=9.0,
    )
    on_image(ax, end + 0.01 * (right - left), y, "0°", "white", va="center")
    return angle


def make(data: ReportData) -> Panel | str:
    """Draw the construction for a clear particle of the busiest pit."""
    pit = busiest_pit(data)
    if pit is None:
        return "No pit was found, so there is no centre from which an angle could be measured."
    radius = pit_radius(data, pit)
    tracks = data.tracks
    distance = floats(tracks, "distance_px")
    clear = tracks[
        (tracks["pit"] == pit)
        & tracks["frame"].isin(data.good_frames)
        & tracks["angle_deg"].between(20, 340)
        & (distance > 1.4 * radius + 8)
        & (distance < 4.0 * radius + 80)
    ]
    if clear.empty:
        return f"No tracked particle was seen near pit {pit}, so no angle can be shown on it."
    # A dark particle of some size shows well; a dark dot of 2 px does not.
    visible = floats(clear, "contrast") * np.minimum(floats(clear, "diameter_px"), 12.0)
    row = clear.iloc[int(np.argmax(np.nan_to_num(visible)))]
    frame = int(row["frame"])
    dx, dy = data.shift(frame)
    x, y = pit_centre(data, pit)
    x, y, px, py = x + dx, y + dy, float(row["x"]) + dx, float(row["y"]) + dy
    window = window_around(x, y, 1.4 * float(row["distance_px"]), data.shape)
    figure = new_figure(SINGLE, SINGLE)
    ax = figure.add_axes((0.0, 0.0, 1.0, 0.94))
    show_image(ax, window.of(data.frame_at(frame)), window)
    left, right, bottom, top = window.extent
    ax.set_xlim(left, right)
    ax.set_ylim(bottom, top)
    scale_bar(ax, data.um_per_px)
    ax.add_collection(
        LineCollection(pit_outlines(data, frame).get(pit, []), colors=pit_colour(pit))
    )
    angle = draw_construction(ax, (x, y), (px, py), pit_colour(pit))
    ax.set_title(f"Pit {pit}, frame {frame}", loc="left")
    drawn: dict[str, Any] = {"angle_deg": angle, "pit": pit, "frame": frame}
    return Panel(
        figure,
        "From the horizontal to the right (0°, black), clockwise on the "
        f"screen, to the line from the centre of the pit (+) to the particle; here "
        f"{angle:.0f}°. 90° points down, 180° left, 270° up.",
        photo=True,
        drawn=drawn,
    )
