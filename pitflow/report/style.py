"""The look of all figures: colours, sizes, and the small things drawn on images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from pitflow.frame import Image
from pitflow.report.window import Window, stretch

Points = npt.NDArray[np.float64]

PIT_COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#882255",
    "#999933",
    "#332288",
    "#44AA99",
)
"""Okabe and Ito's colours, continued with Tol's muted set: apart for every common colour vision."""

INK = "#222222"
FAINT = "#8a8a8a"
BAND = "#d9d9d9"
NO_PIT = "#8a8a8a"
ALARM = "#D55E00"
REFERENCE = "#0072B2"

WIDTH_IN = 10.0
"""Width of a full-width figure, inch: the page shows it at about 100 px per inch."""

_TIMES = (("h", 3600), ("min", 60), ("s", 1))
"""Units of time and their lengths, s, the longest first."""

# Any: matplotlib's stubs want each key as a literal.
RC: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.labelsize": 9.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "lines.linewidth": 1.4,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": "white",
    "image.cmap": "gray",
    # Vector files then hold the pixels themselves, not a resampled picture of them.
    "image.interpolation": "none",
    # Text stays text in SVG, so that a journal's editor can set it in its own font.
    "svg.fonttype": "none",
    # The same data give the same file.
    "svg.hashsalt": "pitflow",
}


def pit_colour(pit: int) -> str:
    """Return the colour of a pit, the same in every figure; grey for none (-1)."""
    return NO_PIT if pit < 0 else PIT_COLOURS[pit % len(PIT_COLOURS)]


def pit_colours(pits: Iterable[int]) -> list[str]:
    """Return the colour of each pit."""
    return [pit_colour(int(pit)) for pit in pits]


def new_figure(height_in: float, width_in: float = WIDTH_IN) -> Figure:
    """Return an empty figure."""
    return Figure(figsize=(width_in, height_in))


def show_image(
    ax: Axes, image: Image, window: Window, between: tuple[float, float] | None = None
) -> None:
    """Show an image that covers ``window``, in px of the frame, without axes."""
    ax.imshow(
        stretch(image, between), cmap="gray", vmin=0, vmax=255, extent=window.extent, aspect="equal"
    )
    bare(ax)


def bare(ax: Axes) -> None:
    """Leave an image without ticks and frame."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)


def on_image(ax: Axes, x: float, y: float, text: str, colour: str = "white", **more: Any) -> None:
    """Write on an image so that it reads on light and dark."""
    look: dict[str, Any] = {"fontsize": 9.0, "fontweight": "bold", "clip_on": True} | more
    edge = "white" if colour != "white" else "black"
    ax.text(
        x,
        y,
        text,
        color=colour,
        path_effects=[withStroke(linewidth=2.2, foreground=edge)],
        **look,
    )


def scale_bar(ax: Axes, um_per_px: float, avoid: Points | None = None) -> float:
    """Draw a bar of a round length, at most a quarter of the image wide; return that, um.

    Parameters
    ----------
    avoid:
        (n, 2) x and y of what it should not lie on: it takes the first corner without any, from
        the lower right one on, or the one with the fewest.
    """
    left, right = ax.get_xlim()
    bottom, top = ax.get_ylim()
    length_um = round_below((right - left) * um_per_px / 4)
    share = length_um / um_per_px / (right - left)
    corners = ((0.96, 0.05), (0.04 + share, 0.05), (0.96, 0.89), (0.04 + share, 0.89))
    points = np.empty((0, 2)) if avoid is None else avoid
    across = (points[:, 0] - left) / (right - left)
    up = (points[:, 1] - bottom) / (top - bottom)

    def hidden(corner: tuple[float, float]) -> int:
        beside = (across > corner[0] - share - 0.03) & (across < corner[0] + 0.03)
        return int((beside & (up > corner[1] - 0.04) & (up < corner[1] + 0.11)).sum())

    end, low = min(corners, key=hidden)
    x1, x0 = (left + at * (right - left) for at in (end, end - share))
    y, above = (bottom + at * (top - bottom) for at in (low, low + 0.02))
    for colour, width in (("white", 5.0), (INK, 3.0)):
        ax.plot([x0, x1], [y, y], color=colour, lw=width, solid_capstyle="butt")
    # The text may be longer than the bar; it must not run off the image.
    at, side = (x1, "right") if end > 0.5 else (x0, "left")
    on_image(ax, at, above, f"{length_um:g} µm", INK, ha=side, va="bottom")
    return length_um


def label_time(ax: Axes) -> None:
    """Label an x axis in seconds whose limits are set, in minutes or hours where it is long."""
    first, last = ax.get_xlim()
    unit, seconds = next((unit, s) for unit, s in _TIMES if last - first >= 5 * s or s == 1)
    steps = MaxNLocator(nbins=7, steps=[1, 2, 5, 10])
    ticks = [seconds * at for at in steps.tick_values(first / seconds, last / seconds)]
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / seconds:g}"))
    ax.set_xlim(first, last)
    ax.set_xlabel(f"time ({unit})")


def round_below(value: float) -> float:
    """Return the largest 1, 2 or 5 times a power of ten that does not exceed ``value``."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(max(step for step in (1, 2, 5) if step * power <= value * (1 + 1e-9)) * power)
