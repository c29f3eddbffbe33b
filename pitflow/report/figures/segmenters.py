"""The same crop through different segmenters (paper 002, Figs. 11, 13 and 14)."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from matplotlib.axes import Axes

from pitflow.frame import CLASS_PARTICLE, CLASS_PIT, Image
from pitflow.report.data import ClassMap, ReportData
from pitflow.report.example import busiest_frame, busiest_pits, pit_centre, pit_radius
from pitflow.report.panel import Panel
from pitflow.report.style import letters, new_figure, scale_bar, title_panel
from pitflow.report.window import Window, steel_limits, stretch, window_around
from pitflow.report.words import listing

PARTICLE_RGB = (213, 94, 0)
PIT_RGB = (0, 114, 178)

_ROWS = 3
"""Pits that are shown, a row for each."""
_OWN = 2
"""Columns without the baselines: raw, and this run's."""
_HEAD = 0.28
"""Height of a row's titles."""


def overlay(image: Image, classes: ClassMap, between: tuple[float, float]) -> Image:
    """Return the stretched crop as RGB with particles filled orange and pits tinted blue."""
    colour = np.repeat(stretch(image, between)[..., None], 3, axis=2).astype(np.float32)
    for value, ink, opacity in ((CLASS_PIT, PIT_RGB, 0.45), (CLASS_PARTICLE, PARTICLE_RGB, 0.75)):
        where = classes == value
        colour[where] = (1 - opacity) * colour[where] + opacity * np.array(ink, np.float32)
    return np.round(colour).astype(np.uint8)


def draw_classes(
    ax: Axes, image: Image, classes: ClassMap, window: Window, between: tuple[float, float]
) -> dict[str, int]:
    """Draw a class map over its crop; return the number of particles and of pixels per class."""
    ax.imshow(overlay(image, classes, between), extent=window.extent)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    particle = (classes == CLASS_PARTICLE).astype(np.uint8)
    return {
        "particles": cv2.connectedComponents(particle, connectivity=8)[0] - 1,
        "particle_px": int(particle.sum()),
        "pit_px": int((classes == CLASS_PIT).sum()),
    }


def make(data: ReportData) -> Panel | str:
    """Draw crops near the busiest pits: raw, this run's classes, and the baselines'."""
    if data.good_frames.size == 0:
        return "No frame of the recording could be shown, so there is nothing to compare on."
    frame = busiest_frame(data)
    pits = busiest_pits(data)[:_ROWS]
    windows = [_around(data, frame, pit) for pit in pits] or [_around(data, frame, None)]
    rows = [_maps(data, frame, window) for window in windows]
    names = list(rows[0])
    side = 10 / max(len(names), 3)
    height = len(rows) * (side + _HEAD)
    figure = new_figure(height)
    drawn: dict[str, Any] = {"frame": frame, "window": windows[0], "pits": pits, "rows": []}
    image = data.frame_at(frame)
    for row, (window, maps) in enumerate(zip(windows, rows, strict=True)):
        crop = window.of(image)
        between = steel_limits(crop)
        bottom = height - (row + 1) * (side + _HEAD)
        counts = {}
        for column, (name, classes) in enumerate(maps.items()):
            ax = figure.add_axes(
                (
                    (column + 0.01) * side / 10,
                    (bottom + 0.01) / height,
                    0.098 * side,
                    0.98 * side / height,
                )
            )
            counts[name] = draw_classes(ax, crop, classes, window, between)
            found = counts[name]["particles"]
            title_panel(
                ax,
                row * len(names) + column,
                _place(pits, row) if column == 0 else f"{name}: {found}",
            )
            ax.set_xlim(*window.extent[:2])
            ax.set_ylim(*window.extent[2:])
            if column == 0:
                scale_bar(ax, data.um_per_px)
        drawn["rows"].append(counts)
    drawn |= drawn["rows"][0]
    caption = letters(len(rows) * len(names)) + _caption(frame, pits, len(names))
    return Panel(figure, caption, photo=True, drawn=drawn)


def _around(data: ReportData, frame: int, pit: int | None) -> Window:
    """Return the window around a pit, or of the middle of the frame."""
    if pit is None:
        centre, half = (data.shape[1] / 2, data.shape[0] / 2), 110.0
    else:
        centre = pit_centre(data, pit)
        half = float(np.clip(1.6 * pit_radius(data, pit) + 55, 80, 170))
    dx, dy = data.shift(frame)
    return window_around(centre[0] + dx, centre[1] + dy, half, data.shape)


def _maps(data: ReportData, frame: int, window: Window) -> dict[str, ClassMap]:
    """Return the class maps of one window by the name of what made them."""
    own = data.parameters.segment.segmenter
    mine = window.of(data.mask_at(frame)).astype(np.uint8)
    maps = {"raw": np.zeros_like(mine), f"{own} (this run)": mine}
    if data.baselines is not None:
        maps |= {name: made for name, made in data.baselines(frame, window).items() if name != own}
    return maps


def _place(pits: list[int], row: int) -> str:
    return f"raw, pit {pits[row]}" if pits else "raw"


def _caption(frame: int, pits: list[int], columns: int) -> str:
    several = len(pits) > 1
    where = "from the middle of the frame"
    if pits:
        where = f"around pit{'s' if several else ''} {listing([str(pit) for pit in pits])}"
    caption = (
        f"{'Crops' if several else 'A crop'} of frame {frame} {where}: the raw image and what the "
        "segmenter of this run makes of it (particles orange, pits blue), with the number of its "
        "particles."
    )
    if columns > _OWN:
        return caption + (
            " Beside it, the same crop through the other methods, each with its default "
            "parameters; a method that knows only one frame also marks settled specks and "
            "scratches, which do not move."
        )
    return caption + " No other segmenter was run for comparison."
