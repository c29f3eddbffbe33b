"""Mean velocity over the frame and over the distance from each pit (after paper 002, Fig. 7)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection

from pitflow.report.data import Floats, Ints, ReportData, floats, ints
from pitflow.report.panel import Panel
from pitflow.report.style import (
    new_figure,
    on_image,
    pit_colour,
    pit_colours,
    pit_mark,
    round_below,
    title_panel,
)
from pitflow.report.window import STACKED
from pitflow.report.words import significant

RINGS = 25
FEWEST = 5
MOST_CURVES = 10


def draw_field(ax: Axes, data: ReportData) -> dict[str, Any]:
    """Draw the mean velocity of every cell of the flow table, coloured by its domain.

    Returns
    -------
    ``cells`` drawn and ``key_um_s``, the speed of the arrow in the key.
    """
    flow = data.tables["flow"]
    flow = flow[(flow["n"] > 0) & flow["vx_um_s"].notna() & flow["vy_um_s"].notna()]
    um = data.um_per_px
    x, y = floats(flow, "x") * um, floats(flow, "y") * um
    vx, vy = floats(flow, "vx_um_s"), floats(flow, "vy_um_s")
    speed = np.hypot(vx, vy)
    strongest = float(np.percentile(speed, 95)) or 1.0
    cell = _spacing(x, y)
    scale = strongest / (1.2 * cell)
    arrows = ax.quiver(
        x,
        y,
        vx,
        vy,
        color=pit_colours(ints(flow, "domain")),
        angles="xy",
        scale_units="xy",
        scale=scale,
        width=0.0035,
        headwidth=4,
        pivot="mid",
    )
    key = float(significant(strongest, 1).replace(",", ""))
    place = ax.get_position(original=True)
    ax.quiverkey(
        arrows,
        place.x0 + 0.82 * place.width,
        place.y1 + 0.1 / ax.figure.get_figure(root=True).get_figheight(),
        key,
        f"{key:g} µm/s",
        labelpos="E",
        coordinates="figure",
        color="black",
    )
    pits = data.tables["pits"]
    diameter = 2 * np.sqrt(floats(pits, "area_um2") / np.pi)
    ax.add_collection(
        EllipseCollection(
            diameter,
            diameter,
            np.zeros_like(diameter),
            units="xy",
            offsets=np.column_stack([floats(pits, "x"), floats(pits, "y")]) * um,
            offset_transform=ax.transData,
            facecolors=pit_colours(pits["pit"]),
            edgecolors="white",
            linewidths=0.6,
            zorder=4,
        )
    )
    for pit, x_um, y_um in zip(
        ints(pits, "pit"), floats(pits, "x") * um, floats(pits, "y") * um, strict=True
    ):
        on_image(ax, x_um + 0.4 * cell, y_um, f"{pit}", pit_colour(int(pit)), va="center")
    ends_x = np.concatenate([[0, data.shape[1] * um], x - vx / scale / 2, x + vx / scale / 2])
    ends_y = np.concatenate([[0, data.shape[0] * um], y - vy / scale / 2, y + vy / scale / 2])
    ax.set_xlim(ends_x.min(), ends_x.max())
    ax.set_ylim(ends_y.max(), ends_y.min())
    ax.set_aspect("equal")
    ax.set_xlabel("x (µm)")
    ax.set_ylabel("y, down (µm)")
    return {"cells": len(flow), "key_um_s": key}


def radial_speed(
    particle: Ints, distance_um: Floats, speed_um_s: Floats, ring_um: float
) -> tuple[Floats, Floats]:
    """Return the middles of rings of ``ring_um`` and the mean speed in each.

    Each particle counts once in a ring, with its mean there, as in the fit. Rings with fewer than
    ``FEWEST`` particles are left out.
    """
    seen = pd.DataFrame({"particle": particle, "distance": distance_um, "speed": speed_um_s})
    seen = seen.dropna()
    ring = (seen["distance"] // ring_um).astype("int64").rename("ring")
    rings = seen["speed"].groupby([ring, seen["particle"]]).mean().groupby("ring")
    means = rings.mean()[rings.size() >= FEWEST]
    return (means.index.to_numpy(dtype=np.float64) + 0.5) * ring_um, means.to_numpy()


def draw_radial(
    ax: Axes, data: ReportData, pits: list[int], ring_um: float
) -> dict[int, tuple[Floats, Floats]]:
    """Draw the mean speed over the distance from the source pit; return the curves."""
    curves: dict[int, tuple[Floats, Floats]] = {}
    for pit in pits:
        own = data.sure_tracks[data.sure_tracks["pit"] == pit]
        distance_um = floats(own, "distance_px") * data.um_per_px
        curve = radial_speed(ints(own, "particle"), distance_um, floats(own, "speed_um_s"), ring_um)
        if curve[0].size < 2:
            continue
        curves[pit] = curve
        ax.plot(*curve, pit_mark(pit), ls="-", ms=3.0, color=pit_colour(pit), label=str(pit))
        _draw_fit(ax, data, pit, curve[0])
    ax.set_xlim(left=0)
    ax.set_ylim(0, 1.08 * max((curve[1].max() for curve in curves.values()), default=1.0))
    ax.set_xlabel("distance from the pit's centre (µm)")
    ax.set_ylabel("mean speed (µm/s)")
    if curves:
        ax.legend(
            title="pit",
            loc="upper left",
            bbox_to_anchor=(-0.03, -0.14),
            ncols=5,
            columnspacing=0.9,
            handlelength=1.1,
        )
    return curves


def _draw_fit(ax: Axes, data: ReportData, pit: int, r_um: Floats) -> None:
    """Draw the fitted fall of speed over distance of one pit, if there is one."""
    pits = data.tables["pits"]
    if not {"flow_speed_um_s", "flow_half_px"} <= set(pits.columns):
        return
    own = pits[pits["pit"] == pit]
    v0, half = float(floats(own, "flow_speed_um_s")[0]), float(floats(own, "flow_half_px")[0])
    if np.isfinite(v0):
        fitted = v0 / (1.0 + r_um / (half * data.um_per_px))
        ax.plot(r_um, fitted, color=pit_colour(pit), lw=0.6, ls=(0, (4, 2)))


def make(data: ReportData) -> Panel | str:
    """Draw the velocity field, and the speed over the distance from each pit."""
    flow = data.tables["flow"]
    if flow.empty or not (flow["n"] > 0).any() or flow["vx_um_s"].isna().all():
        return "No particle was followed long enough for a velocity, so there is no flow to draw."
    pits = data.tables["pits"].sort_values("n_ejected", ascending=False)
    height, width = data.shape
    stacked = width >= STACKED * height
    wide_in = 9.1 if stacked else 5.1 * min(width / height, 1.0)
    field_in = wide_in * height / width
    tall = field_in + 4.9 if stacked else max(field_in + 0.85, 4.4)
    figure = new_figure(tall)
    high = (field_in if stacked else tall - 0.85) / tall
    bottom = 1 - high - 0.35 / tall
    field = figure.add_axes((0.07, bottom, wide_in / 10, high))
    field.set_anchor("NW")
    drawn: dict[str, Any] = draw_field(field, data)
    title_panel(field, 0, "Mean velocity")
    radial_high = min(high * tall - 0.65, 3.6) / tall
    radial = figure.add_axes(
        (0.07, 1.15 / tall, 0.6, 2.5 / tall)
        if stacked
        else (0.67, bottom + high - radial_high, 0.31, radial_high)
    )
    known = floats(data.sure_tracks, "distance_px")
    reach = float(np.nanmax(known, initial=1.0)) * data.um_per_px
    ring_um = 2 * round_below(reach / RINGS)
    drawn["radial"] = draw_radial(
        radial, data, sorted(int(p) for p in pits["pit"].head(MOST_CURVES)), ring_um
    )
    title_panel(radial, 1, "Speed over distance")
    of_whom = (
        f"each of the {MOST_CURVES} pits that ejected most"
        if len(pits) > MOST_CURVES
        else "each pit"
    )
    over_distance = (
        f"(b) Mean speed of the particles of {of_whom} over their "
        f"distance from its centre, in rings of {ring_um:g} µm with at least {FEWEST} particles, "
        "each counting once in a ring; dashed: the fit v0 / (1 + r / half), "
        "whose numbers are in tables/pits.parquet."
    )
    if not drawn["radial"]:
        radial.remove()
        field.set_title("Mean velocity", loc="left")
        over_distance = (
            f"No pit has {FEWEST} particles in each of two rings around it, so no speed is drawn "
            "over the distance from it."
        )
    return Panel(
        figure,
        f"{'(a) ' if drawn['radial'] else ''}Mean velocity in cells of "
        f"{data.parameters.measure.flow.cell_px:g} px; the colour is the pit whose "
        "particles prevail there (grey: none), so the line where two colours meet "
        "is where two flow domains meet. Numbered discs: the final pits. " + over_distance,
        drawn=drawn,
    )


def _spacing(x: Floats, y: Floats) -> float:
    """Return the side of a grid cell from the cells' centres."""
    gaps = [np.diff(np.unique(axis)) for axis in (x, y)]
    steps = np.concatenate([gap[gap > 1e-6] for gap in gaps])
    return float(steps.min()) if steps.size else 30.0
