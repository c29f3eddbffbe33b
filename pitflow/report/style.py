"""The look of all figures: colours, sizes, and the small things drawn on images.

A figure has the size that it has in print, so that a point of its text is a point on paper: a
double column of 180 mm, or a single one of 90 mm. No text is below ``SMALL``, no line below 0.5 pt.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
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

_PIT_MARKS = "os^vDPX<>"
# One fewer than the colours: where these come again, a mark goes with another.

INK = "#222222"
FAINT = "#8a8a8a"
BAND = "#d9d9d9"
NO_PIT = "#8a8a8a"
ALARM = "#D55E00"
REFERENCE = "#0072B2"

UNIT_IN = 18 / 25.4
"""Unit of the heights and widths of figures, inch: 18 mm in print and 100 px on the page."""

DOUBLE, SINGLE = 10.0, 5.0
"""Widths of a double and of a single column, in units."""

TEXT, SMALL = 8.0, 7.0
"""Sizes of text, pt in print: what a reader looks for first, and ticks, legends and remarks."""

DASHED, DOTTED = (0, (4, 2)), (0, (1, 1.5))
"""What tells a line from another where its colour does not."""

_TIMES = (("h", 3600), ("min", 60), ("s", 1))
"""Units of time and their lengths, s, the longest first."""

# Any: matplotlib's stubs want each key as a literal.
RC: Any = {
    # Wide fonts: in the one that a program takes in their place, all text still fits.
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "Helvetica"],
    "font.size": TEXT,
    "axes.titlesize": TEXT,
    "axes.titleweight": "bold",
    "axes.titlepad": 4.0,
    "axes.labelsize": TEXT,
    "axes.labelpad": 2.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.linewidth": 0.5,
    "hatch.linewidth": 0.5,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.5,
    "ytick.minor.width": 0.5,
    "xtick.major.pad": 2.5,
    "ytick.major.pad": 2.5,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "lines.linewidth": 1.0,
    "lines.markersize": 4.0,
    "legend.frameon": False,
    "legend.fontsize": SMALL,
    "legend.title_fontsize": SMALL,
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


def pit_mark(pit: int) -> str:
    """Return the mark of a pit's points, which tells it from others without its colour."""
    return _PIT_MARKS[pit % len(_PIT_MARKS)]


def pit_dashes(pit: int) -> Any:
    """Return the style of a pit's line: dashed where its colour comes again."""
    return ("-", DASHED, DOTTED)[pit // len(PIT_COLOURS) % 3]


def pit_colours(pits: Iterable[int]) -> list[str]:
    """Return the colour of each pit."""
    return [pit_colour(int(pit)) for pit in pits]


def new_figure(height: float, width: float = DOUBLE) -> Figure:
    """Return an empty figure of a size in units of ``UNIT_IN``."""
    return Figure(figsize=(width * UNIT_IN, height * UNIT_IN))


def letter(place: int) -> str:
    """Return the letter of a panel of a figure: a to z, then aa, ab and so on."""
    before, last = divmod(place, 26)
    return (letter(before - 1) if before else "") + chr(ord("a") + last)


def letters(number: int) -> str:
    """Return "(a–e) " for the caption of a figure of several panels; nothing for one."""
    return f"(a–{letter(number - 1)}) " if number > 1 else ""


def title_panel(ax: Axes, place: int, title: str = "", **look: Any) -> None:
    """Write over a panel of a figure of several its letter and what it shows."""
    ax.set_title(f"{letter(place)}  {title}".rstrip(), loc="left", **look)


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


def on_image(ax: Axes, x: float, y: float, text: str, ground: str = INK, **more: Any) -> None:
    """Write on an image, on a ground of a colour, in black or white as reads better on that."""
    red, green, blue = to_rgb(ground)
    is_light = 0.3 * red + 0.6 * green + 0.1 * blue > 0.4
    look: dict[str, Any] = {"fontsize": TEXT, "fontweight": "bold", "clip_on": True} | more
    ax.text(
        x,
        y,
        text,
        color=INK if is_light else "white",
        # A halo around the letters would make them paths, which no editor can set anew.
        bbox={"facecolor": ground, "alpha": 0.85, "edgecolor": "none", "pad": 0.8},
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
    for colour, width in (("white", 3.5), (INK, 2.1)):
        ax.plot([x0, x1], [y, y], color=colour, lw=width, solid_capstyle="butt")
    # The text may be longer than the bar; it must not run off the image.
    at, side = (x1, "right") if end > 0.5 else (x0, "left")
    on_image(ax, at, above, f"{length_um:g} µm", "white", ha=side, va="bottom")
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
