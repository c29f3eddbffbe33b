"""Polar plots of the ejection angles of each pit, in both views (paper 002, Fig. 4)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.collections import PolyCollection
from matplotlib.projections.polar import PolarAxes

from pitflow.report.data import Floats, ReportData
from pitflow.report.panel import Panel
from pitflow.report.style import DOUBLE, FAINT, INK, SMALL, letter, letters, new_figure, pit_colour
from pitflow.report.words import angle_interval, count, p_value

BIN_DEG = 15
GREY = "#c4c4c4"
COLUMNS = 4
_ROW = 3.2
"""Height of a row of plots."""


def shares(angles_deg: Floats) -> Floats:
    """Return the percentage of the angles in each sector of ``BIN_DEG``, starting at 0."""
    edges = np.arange(0, 361, BIN_DEG)
    counts, _ = np.histogram(np.mod(angles_deg[np.isfinite(angles_deg)], 360.0), bins=edges)
    return np.asarray(100.0 * counts / max(counts.sum(), 1), dtype=np.float64)


def draw_rose(
    ax: PolarAxes,
    positions_deg: Floats,
    departures_deg: Floats,
    colour: str,
    *,
    mean_deg: float = np.nan,
    interval_deg: tuple[float, float] = (np.nan, np.nan),
    resultant_length: float = np.nan,
    equal_area: bool = False,
) -> dict[str, Any]:
    """Draw both views of one pit's angles, 0° to the right and clockwise as on the screen.

    Grey sectors: every position of every frame. Coloured bars: one angle per particle. The arrow
    points in the mean direction, as long as the resultant (1 = the outer circle); the arc outside
    is the interval of the mean direction, and is not drawn where that is not finite.

    Parameters
    ----------
    equal_area:
        Whether the area of a sector is in proportion to its share, instead of its radius.

    Returns
    -------
    ``positions`` and ``departures`` (% per sector) and ``top``, the radius of the outer circle
    (%, with equal areas its square root).
    """
    ax.set_theta_zero_location("E")
    ax.set_theta_direction(-1)
    sectors = np.radians(np.arange(0, 360, BIN_DEG) + BIN_DEG / 2)
    all_shares, own_shares = shares(positions_deg), shares(departures_deg)
    most = float(max(all_shares.max(), own_shares.max(), 1.0))
    radius = np.sqrt if equal_area else np.asarray
    top = float(radius(most)) * 1.05
    width = np.radians(BIN_DEG)
    ax.add_collection(
        _wedges(sectors, radius(all_shares), width, facecolors=GREY, linewidths=0, zorder=1)
    )
    ax.add_collection(
        _wedges(
            sectors,
            radius(own_shares),
            0.6 * width,
            facecolors=colour,
            edgecolors=INK,
            linewidths=0.5,
            zorder=2,
        )
    )
    if np.isfinite(mean_deg) and np.isfinite(resultant_length):
        ax.annotate(
            "",
            xy=(np.radians(mean_deg), resultant_length * top),
            xytext=(0, 0),
            arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 1.3, "shrinkA": 0, "shrinkB": 0},
            zorder=4,
        )
    if np.isfinite(interval_deg).all():
        low, high = interval_deg
        arc = np.radians(low + np.linspace(0, (high - low) % 360, 60))
        ax.plot(arc, np.full_like(arc, top), color=INK, lw=2.1, clip_on=False, zorder=5)
    ax.set_rlim(0, top)
    ring = max(round(1.05 * most / 2), 1)
    empty = _emptiest(all_shares + own_shares)
    ax.set_rgrids([float(radius(ring))], [f"{ring} %"], angle=empty, fontsize=SMALL, color=INK)
    ax.set_thetagrids([0, 90, 180, 270], ["0°", "90°", "180°", "270°"], fontsize=SMALL)
    ax.tick_params(pad=0)
    ax.grid(color=FAINT, lw=0.5)
    ax.spines["polar"].set_color(FAINT)
    return {"positions": all_shares, "departures": own_shares, "top": top}


def make(data: ReportData) -> Panel | str:
    """Draw one polar plot per pit that ejected particles, at most ``max_pits`` of them."""
    pits = data.tables["pits"]
    active = pits[pits["n_ejected"] > 0]
    if active.empty:
        return "No particle could be traced back to a pit, so there are no ejection angles."
    shown = active.sort_values("n_ejected", ascending=False).head(data.config.max_pits)
    shown = shown.sort_values("pit")
    rows = -(-len(shown) // COLUMNS)
    columns = max(-(-len(shown) // rows), 2)
    height = _ROW * rows + 0.05
    width = DOUBLE / COLUMNS * columns
    figure = new_figure(height, width)
    positions = data.sure_tracks.groupby("pit")["angle_deg"]
    departures = data.tables["ejections"].groupby("pit")["angle_deg"]
    drawn: dict[str, Any] = {}
    for place, (_, row) in enumerate(shown.iterrows()):
        pit = int(row["pit"])
        across, down = place % columns, place // columns
        side = 1.76
        left = (across + 0.5) / columns - side / 2 / width
        bottom = 1 - (down + 1) * _ROW / height + 0.25 / height
        ax = figure.add_axes((left, bottom, side / width, side / height), projection="polar")
        if not isinstance(ax, PolarAxes):
            raise TypeError("matplotlib gave no polar axes")
        drawn[f"pit {pit}"] = draw_rose(
            ax,
            _of(positions, pit),
            _of(departures, pit),
            pit_colour(pit),
            mean_deg=float(row["mean_angle_deg"]),
            interval_deg=(float(row["mean_angle_lo_deg"]), float(row["mean_angle_hi_deg"])),
            resultant_length=float(row["resultant_length"]),
            equal_area=data.config.equal_area,
        )
        middle = (across + 0.5) / columns
        upper = 1 - down * _ROW / height - 0.05 / height
        figure.text(
            middle,
            upper,
            f"{letter(place) + '  ' if len(shown) > 1 else ''}Pit {pit}: "
            + count(int(row["n_ejected"]), "particle"),
            ha="center",
            va="top",
            fontweight="bold",
        )
        figure.text(
            middle, upper - 0.2 / height, _verdict(row), ha="center", va="top", fontsize=SMALL
        )
    hidden = len(active) - len(shown)
    caption = (
        f"{letters(len(shown))}As seen on the screen: 0° right, 90° down. Grey: every "
        "position of every frame, in which a slow particle counts many times; coloured bars: one "
        "angle per particle, its departure. The rings give the share of the angles in a sector of "
        f"{BIN_DEG}°. The arrow points in the mean direction of the departures and is as long as "
        "their resultant R (0 all directions alike, 1 a single direction, the outer circle); the "
        f"black arc is its {100 * data.parameters.measure.ejection.confidence:g} % interval, "
        "left out where q > 0.05, for then any direction may be the mean one. "
        "p: Rayleigh test against ejection in all directions alike; q: the same adjusted for "
        "testing several pits."
    )
    if data.config.equal_area:
        caption += " The area of a sector, not its radius, is in proportion to its share."
    if hidden:
        caption += f" The table holds {count(hidden, 'more pit')} with as many particles or fewer."
    quiet = len(pits) - len(active)
    if quiet:
        caption += f" No particle could be traced back to {count(quiet, 'further pit')}."
    return Panel(figure, caption, drawn=drawn)


def _wedges(middles: Floats, radii: Floats, width: float, **look: Any) -> PolyCollection:
    """Return sectors from the centre as one collection, which draws far faster than bars."""
    across = np.linspace(-width / 2, width / 2, 8)
    theta = np.concatenate([np.zeros((len(middles), 1)) + middles[:, None],
                            middles[:, None] + across], axis=1)  # fmt: skip
    radius = np.concatenate([np.zeros((len(radii), 1)),
                             np.repeat(radii[:, None], across.size, axis=1)], axis=1)  # fmt: skip
    return PolyCollection(list(np.stack([theta, radius], axis=2)), **look)


def _emptiest(height: Floats) -> float:
    """Return the direction, degrees, around which there is most room for a label."""
    around = height + np.roll(height, 1) + np.roll(height, -1)
    # Not on the lines at 0, 90, 180 and 270.
    diagonal = np.array([45.0, 135.0, 225.0, 315.0])
    return float(diagonal[np.argmin(around[(diagonal // BIN_DEG).astype(int)])])


def _of(groups: Any, pit: int) -> Floats:
    """Return the angles of one pit; none when it is absent."""
    if pit not in groups.groups:
        return np.empty(0)
    angles = groups.get_group(pit).to_numpy(dtype=np.float64)
    return np.asarray(angles[np.isfinite(angles)], dtype=np.float64)


def _verdict(row: pd.Series) -> str:
    mean, low, high = (
        float(row[name]) for name in ("mean_angle_deg", "mean_angle_lo_deg", "mean_angle_hi_deg")
    )
    if not np.isfinite(mean):
        return "too few for a mean direction"
    p, q = float(row["rayleigh_p"]), float(row["rayleigh_q"])
    tested = f"{p_value(p)}, {p_value(q, 'q')}" if np.isfinite(p) else "too few for a test"
    return f"mean {angle_interval(mean, low, high)}\nR = {row['resultant_length']:.2f}, {tested}"
