"""What was around when a particle suddenly changed speed (paper 002, Fig. 10)."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pitflow.frame import Image
from pitflow.report.data import ReportData, floats, ints
from pitflow.report.figures.overview import draw_outlines
from pitflow.report.outline import pit_outlines
from pitflow.report.panel import Panel
from pitflow.report.style import (
    ALARM,
    DOUBLE,
    SINGLE,
    SMALL,
    letter,
    letters,
    new_figure,
    scale_bar,
    show_image,
)
from pitflow.report.window import Window, window_around
from pitflow.report.words import count

SHOWN = 5
HALF_PX = 45


def draw_outlier(
    ax: Axes,
    crop: Image,
    window: Window,
    place: tuple[float, float],
    step: tuple[float, float],
    spread: float,
) -> float:
    """Draw a background-free crop, the particle circled and an arrow along its motion.

    Returns
    -------
    The direction of motion, degrees clockwise from the right; NaN when it does not move.
    """
    show_image(ax, crop, window, (-spread, spread))
    ax.set_xlim(*window.extent[:2])
    ax.set_ylim(*window.extent[2:])
    ax.plot(*place, "o", mfc="none", mec=ALARM, ms=13.5, mew=1.1)
    length = float(np.hypot(*step))
    if not length > 0:
        return float("nan")
    along = np.array(step) / length
    start = np.array(place) + 0.13 * window.width * along
    arrow = ax.annotate(
        "",
        xy=tuple(start + 0.2 * window.width * along),
        xytext=tuple(start),
        arrowprops={"arrowstyle": "-|>", "color": ALARM, "lw": 1.3, "shrinkA": 0, "shrinkB": 0},
        # An arrow that leaves the crop is cut at its edge, not left out.
        annotation_clip=False,
    )
    if arrow.arrow_patch is not None:
        arrow.arrow_patch.set_clip_path(ax.patch)
    return float(np.degrees(np.arctan2(step[1], step[0])) % 360)


def motion(data: ReportData, particle: int, frame: int) -> tuple[float, float]:
    """Return the displacement (dx, dy) px of a particle around a frame, (0, 0) when unknown."""
    track = data.tracks[data.tracks["particle"] == particle]
    near = track[track["frame"].between(frame - 1, frame + 1)]
    if len(near) < 2:
        return 0.0, 0.0
    x, y = floats(near, "x"), floats(near, "y")
    return float(x[-1] - x[0]), float(y[-1] - y[0])


def make(data: ReportData) -> Panel | str:
    """Draw the surroundings of the strongest velocity outliers, one per particle."""
    outliers = data.tables["outliers"]
    if outliers.empty:
        return (
            "No velocity outlier was found: no event passed the test described under “How each "
            "number was made”."
        )
    visible = outliers[outliers["frame"].isin(data.good_frames)]
    strongest = visible.sort_values("score", ascending=False).drop_duplicates("particle")
    strongest = strongest.head(SHOWN)
    if strongest.empty:
        return "All velocity outliers lie in frames that cannot be shown."
    side, several = DOUBLE / SHOWN, len(strongest) > 1
    height, width = side + 0.74, max(side * len(strongest), SINGLE)
    figure = new_figure(height, width)
    drawn: dict[str, Any] = {"events": []}
    crops, windows, places = [], [], []
    for x, y, frame in zip(
        floats(strongest, "x"), floats(strongest, "y"), ints(strongest, "frame"), strict=True
    ):
        dx, dy = data.shift(int(frame))
        places.append((float(x) + dx, float(y) + dy))
        windows.append(window_around(*places[-1], HALF_PX, data.shape))
        crops.append(background_free(data, int(frame), windows[-1]))
    spread = float(
        np.median([_darkest_near(*seen) for seen in zip(crops, windows, places, strict=False)])
    )
    for column, (_, row) in enumerate(strongest.iterrows()):
        frame, particle = int(row["frame"]), int(row["particle"])
        ax = figure.add_axes(
            (
                (column + 0.015) * side / width,
                0.02 / height,
                0.97 * side / width,
                0.97 * side / height,
            )
        )
        direction = draw_outlier(
            ax,
            crops[column],
            windows[column],
            places[column],
            motion(data, particle, frame),
            spread,
        )
        draw_outlines(ax, pit_outlines(data, frame))
        if column == 0:
            scale_bar(ax, data.um_per_px, np.array([places[0]]))
        near = int(row["nearest_pit"])
        where = (
            f"{float(row['distance_px']) * data.um_per_px:.0f} µm from pit {near}"
            if near >= 0
            else "no other pit"
        )
        ax.set_title(
            f"{letter(column) + '  ' if several else ''}particle {particle}, frame {frame}\n"
            f"{float(row['speed_px']):.1f} px/frame, score {float(row['score']):.0f}\n{where}",
            loc="left",
            fontsize=SMALL,
            fontweight="normal",
        )
        drawn["events"].append((particle, frame, direction))
    return Panel(
        figure,
        f"{letters(len(strongest))}The strongest of {count(len(outliers), 'velocity outlier')} in "
        f"{count(outliers['particle'].nunique(), 'particle')}: frame minus background "
        "(dark: darker than the empty scene), the particle circled, the arrow in its direction of "
        "motion, pits outlined. The speed is that of the one step, not smoothed. The score counts "
        "robust standard deviations from the track's trend; the distance is to the centre of the "
        "nearest pit other than the source.",
        photo=True,
        drawn=drawn,
    )


def _darkest_near(crop: Image, window: Window, place: tuple[float, float]) -> float:
    """Return the strongest difference within a few px of the particle, at least 3 grey levels."""
    x, y = round(place[0]) - window.x0, round(place[1]) - window.y0
    near = crop[max(y - 6, 0) : y + 7, max(x - 6, 0) : x + 7]
    return max(float(np.abs(near).max(initial=0.0)) * 1.2, 3.0)


def background_free(data: ReportData, frame: int, window: Window) -> Image:
    """Return frame minus background in a window of the frame, at the reference's brightness."""
    dx, dy = (round(step) for step in data.shift(frame))
    height, width = data.shape
    columns = np.clip(np.arange(window.x0, window.x1) - dx, 0, width - 1)
    rows = np.clip(np.arange(window.y0, window.y1) - dy, 0, height - 1)
    crop = window.of(data.frame_at(frame)).astype(np.float32) / np.float32(data.gain(frame))
    return crop - data.background_at(frame)[np.ix_(rows, columns)].astype(np.float32)
