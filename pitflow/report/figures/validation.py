"""What `pitflow validate` found: every share beside its target, and power to plan with."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

import matplotlib as mpl
import numpy as np
import pandas as pd

from pitflow.report.panel import Panel
from pitflow.report.style import ALARM, BAND, FAINT, INK, PIT_COLOURS, RC, REFERENCE, new_figure

ShareRow = tuple[str, float, float, float, bool | None]
"""Label, share, both ends of its interval, and whether it is as it should be (None: not asked)."""

_ASKED = 0.8
"""The power marked across."""


def draw_power(curves: pd.DataFrame) -> Panel:
    """Draw the power of the Rayleigh test over the number of particles, by preference.

    Parameters
    ----------
    curves:
        ``resultant_length``, ``n``, ``power``, ``low``, ``high``.
    """
    with mpl.rc_context(RC):
        figure = new_figure(4.2, 7.5)
        ax = figure.add_axes((0.13, 0.13, 0.65, 0.8))
        groups = list(curves.groupby("resultant_length"))
        for colour, mark, (length, own) in zip(PIT_COLOURS, "os^vDPX<>h", groups, strict=False):
            n = own["n"].to_numpy(dtype=np.float64)
            ax.fill_between(n, own["low"], own["high"], color=colour, alpha=0.18, lw=0)
            ax.plot(n, own["power"], f"{mark}-", ms=3.0, color=colour, label=f"{length:g}")
        ax.axhline(_ASKED, color=FAINT, lw=0.6, ls=(0, (4, 3)))
        ax.axhline(0.05, color=FAINT, lw=0.6, ls=(0, (1, 2)))
        ax.set_xscale("log")
        ticks = [tick for tick in (5, 10, 20, 50, 100, 200, 500) if tick <= curves["n"].max()]
        ax.set_xticks(ticks, [str(tick) for tick in ticks])
        ax.set_xticks([], minor=True)
        ax.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1], ["0 %", "20 %", "40 %", "60 %", "80 %", "100 %"])
        ax.set_ylim(0, 1.02)
        ax.set_xlim(curves["n"].min(), curves["n"].max())
        ax.set_xlabel("particles that left the pit")
        ax.set_ylabel("chance that the preference\nis found (p ≤ 0.05)")
        ax.set_title("Power of the Rayleigh test", loc="left")
        ax.legend(title="true resultant R", loc="upper left", bbox_to_anchor=(1.02, 1.0))
    caption = (
        "Chance that a pit with a preferred direction of strength R (0 none, 1 a single direction) "
        "is called preferential, over the number of its particles; bands: 95 % binomial intervals. "
        f"Dashed: {100 * _ASKED:g} %; dotted: the 5 % found where there is no preference. Read off "
        "how many particles a recording must hold."
    )
    return Panel(figure, caption, drawn={str(length): len(own) for length, own in groups})


def draw_shares(rows: Sequence[ShareRow], *, target: tuple[float, float], title: str) -> Panel:
    """Draw shares with their intervals, one per line, beside the target.

    Parameters
    ----------
    target:
        Both ends of what the shares should be; the same twice for a line.
    """
    with mpl.rc_context(RC):
        tall = 0.9 + 0.38 * len(rows)
        figure = new_figure(tall)
        ax = figure.add_axes((0.55, 0.5 / tall, 0.42, 1 - 0.85 / tall))
        low, high = (100 * end for end in target)
        ax.axvspan(low, max(high, low + 0.01), color=BAND, lw=0)
        ax.axvline((low + high) / 2, color=FAINT, lw=0.6)
        for line, (_, share, lower, upper, passed) in enumerate(rows):
            colour = {None: INK, True: REFERENCE, False: ALARM}[passed]
            ax.plot([100 * lower, 100 * upper], [line, line], color=colour, lw=1.1)
            ax.plot(100 * share, line, "X" if passed is False else "o", color=colour, ms=3.5)
        ax.set_yticks(range(len(rows)), [fill(row[0], 60) for row in rows])
        ax.set_ylim(len(rows) - 0.4, -0.6)
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.set_xlabel("%")
        ax.set_title(title, loc="left")
    caption = (
        "Points: shares found, with 95 % binomial intervals; grey: what they should be. Blue: as "
        "it should be; red cross: not; black: shown to compare with."
    )
    return Panel(figure, caption, drawn={row[0]: row[1] for row in rows})
