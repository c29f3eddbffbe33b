"""Correlation of growth and ejection directions over lag (paper 002, Fig. 6)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from pitflow.lag import LagAnswer, find_lag
from pitflow.report.data import ReportData, floats, ints
from pitflow.report.lag import in_words
from pitflow.report.panel import Panel
from pitflow.report.style import ALARM, BAND, FAINT, INK, new_figure, pit_colour, title_panel
from pitflow.report.words import delay


def draw_correlation(
    ax: Axes, own: pd.DataFrame, fps: float | None, colour: str, answer: LagAnswer | None
) -> dict[str, Any]:
    """Draw r over lag with the band that chance gives; mark the clearest lag.

    Returns
    -------
    ``lag``, ``r``, ``r_lo`` and ``r_hi`` as drawn.
    """
    own = own.sort_values("lag")
    lag = ints(own, "lag")
    r, low, high = (floats(own, name) for name in ("r", "r_lo", "r_hi"))
    ax.fill_between(lag, low, high, color=BAND, lw=0, label="95 % by chance")
    ax.axhline(0, color=FAINT, lw=0.5)
    ax.axvline(0, color=FAINT, lw=0.5, ls=(0, (4, 3)))
    ax.plot(lag, r, color=colour, label="measured")
    if answer is not None and answer.is_evidence:
        ax.plot(answer.lag, answer.r, "o", color=ALARM, ms=5.0, zorder=5)
        ax.annotate(
            delay(answer.lag, fps, negative=True),
            (answer.lag, answer.r),
            xytext=(0, 7 if answer.r > 0 else -7),
            textcoords="offset points",
            ha="center",
            va="bottom" if answer.r > 0 else "top",
            color=ALARM,
            fontweight="bold",
        )
    compared = lag[np.isfinite(r)]
    ax.set_xlim(compared[0], compared[-1])
    ax.margins(y=0.14)
    ax.set_xlabel("lag (frames)")
    ax.set_ylabel("correlation r")
    return {"lag": lag, "r": r, "r_lo": low, "r_hi": high}


def draw_pits(ax: Axes, answers: list[LagAnswer], limit: int) -> None:
    """Draw each pit's clearest lag, filled where it is more than chance explains over all pits."""
    for row, answer in enumerate(answers):
        colour = pit_colour(answer.pit)
        ax.plot(
            answer.lag,
            row,
            "o" if answer.r > 0 else "s",
            ms=3 + 6 * min(abs(answer.r), 1.0),
            mec=colour,
            mfc=colour if answer.is_evidence else "white",
            mew=1.0,
            clip_on=False,
            zorder=3,
        )
    ax.axvline(0, color=FAINT, lw=0.5, ls=(0, (4, 3)))
    ax.set_xlim(-limit, limit)
    ax.set_ylim(len(answers) - 0.4, -0.6)
    ax.set_yticks(range(len(answers)), [f"pit {answer.pit}" for answer in answers])
    ax.grid(axis="y", color=BAND, lw=0.5)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.set_xlabel("clearest lag (frames)")


def make(data: ReportData) -> Panel | str:
    """Draw the pooled correlation, or that of the only pit, and the clearest lag of each pit."""
    table = data.tables["correlation"]
    pits = sorted({int(pit) for pit in table.loc[table["r"].notna(), "pit"]})
    if data.tables["pits"].empty:
        return "No pit was found, so there is no growth to compare with ejection."
    if not pits:
        return in_words(None, data.even_fps)
    main = pits[0]
    answer = find_lag(table, main)
    single = [find_lag(table, pit) for pit in pits if pit >= 0]
    own = [found for found in single if found is not None][: 2 * data.config.max_pits]
    figure = new_figure(3.7)
    several = main < 0 and len(own) > 0
    ax = figure.add_axes((0.08, 0.15, 0.5 if several else 0.86, 0.7))
    drawn: dict[str, Any] = draw_correlation(
        ax,
        table[table["pit"] == main],
        data.even_fps,
        INK if main < 0 else pit_colour(main),
        answer,
    )
    drawn["answer"] = answer
    title = "All pits pooled" if main < 0 else f"Pit {main}"
    ax.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, borderaxespad=0.1)
    caption = (
        f"{in_words(answer, data.even_fps)} {'(a) ' if several else ''}The line is the "
        "correlation between the direction in which a pit grows and the direction in which its "
        "particles leave that many frames later: right of the dashed line ejection comes after "
        "growth, left of it before. Inside the grey band a single lag is what unrelated series of "
        "the same kind give, wider where fewer frames can be compared; p is for the lag that "
        "stands out most from that, so it already allows for having searched all of them."
    )
    if several:
        limit = int(table.loc[table["r"].notna(), "lag"].abs().max())
        draw_pits(figure.add_axes((0.67, 0.15, 0.3, 0.7)), own, limit)
        title_panel(ax, 0, title)
        title_panel(figure.axes[-1], 1, "Each pit by itself")
        caption += (
            " (b) The lag at which the correlation of each pit is clearest; filled where "
            "q ≤ 0.05 (p adjusted over the pits by Benjamini and Hochberg), larger for a larger "
            "|r|, square where r is negative. Open symbols may lie anywhere by chance."
        )
    else:
        ax.set_title(title, loc="left")
    return Panel(figure, caption, drawn=drawn)
