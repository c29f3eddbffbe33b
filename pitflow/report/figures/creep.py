"""Creep along the scribe of a panel, by side."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import numpy.typing as npt

from pitflow.report.panel import Panel
from pitflow.report.style import ALARM, FAINT, INK, RC, REFERENCE, SINGLE, new_figure

Floats = npt.NDArray[np.float64]


def draw_creep(
    profiles: Sequence[tuple[Floats, Floats, Floats]], mean_mm: float, sides: tuple[str, str]
) -> Panel:
    """Draw creep over the position along the scribe, one side up and one down.

    Parameters
    ----------
    profiles:
        (position, one side, other side) of each scribe, mm.
    mean_mm:
        Mean over both sides, drawn as lines.
    sides:
        Names of the side drawn upwards and of the other.
    """
    with mpl.rc_context(RC):
        figure = new_figure(2.8, SINGLE)
        ax = figure.subplots()
        offset = 0.0
        for position, up, down in profiles:
            if offset > 0:
                ax.axvline(offset, color=INK, lw=0.6)
            ax.fill_between(position + offset, up, color=ALARM, alpha=0.85, lw=0)
            ax.fill_between(position + offset, -down, color=REFERENCE, alpha=0.85, lw=0)
            offset += float(position[-1]) if position.size else 0.0
        ax.axhline(0, color=INK, lw=0.7)
        for level in (mean_mm, -mean_mm):
            ax.axhline(level, color=FAINT, lw=0.6, ls=(0, (4, 3)))
        drawn = [side[np.isfinite(side)] for _, *both in profiles for side in both]
        largest = max((float(side.max()) for side in drawn if side.size), default=0.0)
        # Room for the names of the sides beyond what is drawn.
        reach = 1.4 * max(largest, 0.1)
        ax.set_ylim(-reach, reach)
        ax.set_xlim(0, max(offset, 1e-6))
        ax.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
        ax.set_xlabel("position along the scribe (mm)")
        ax.set_ylabel("creep (mm)")
        for name, place, colour, align in (
            (sides[0], 0.97, ALARM, "top"),
            (sides[1], 0.03, REFERENCE, "bottom"),
        ):
            ax.text(0.99, place, name, color=colour, va=align, ha="right",
                    transform=ax.transAxes, fontweight="bold")  # fmt: skip
        figure.tight_layout()
    caption = (
        f"Creep along the scribe, {sides[0]} upwards and {sides[1]} downwards; dashed, the mean of "
        f"both sides, {mean_mm:.2f} mm."
    )
    if len(profiles) > 1:
        caption += (
            " The scribes follow one another. Gaps: where creep of one runs into that of another."
        )
    return Panel(figure, caption, drawn={"largest_mm": largest, "samples": len(drawn)})
