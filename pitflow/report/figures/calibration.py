"""Calibration of the focus: blur over height in a z-stack, the fit, and what it leaves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from pitflow.report.data import floats
from pitflow.report.panel import Panel
from pitflow.report.style import ALARM, BAND, FAINT, INK, REFERENCE, new_figure, title_panel
from pitflow.report.words import count


def draw_calibration(
    measurements: pd.DataFrame,
    *,
    sigma0_px: float,
    k_px_per_um: float,
    interval_px_per_um: tuple[float, float],
) -> Panel:
    """Draw sigma^2 over the squared distance from focus, sigma over it, and the residuals.

    Parameters
    ----------
    measurements:
        ``defocus_um``, ``blur_px``, ``fitted_px``, ``is_used``: a row per particle and height.
    sigma0_px, k_px_per_um, interval_px_per_um:
        The calibration, and the 95 % interval of k.
    """
    figure = new_figure(4.0)
    square = figure.add_axes((0.065, 0.14, 0.26, 0.75))
    plain = figure.add_axes((0.4, 0.14, 0.26, 0.75))
    rest = figure.add_axes((0.735, 0.14, 0.255, 0.75))
    used = measurements["is_used"].to_numpy(dtype=bool)
    defocus, blur = floats(measurements, "defocus_um"), floats(measurements, "blur_px")
    fitted = floats(measurements, "fitted_px")
    reach = float(np.abs(defocus).max())
    line = np.linspace(0.0, reach, 100)
    for ax, x, y, grid, power in (
        (square, defocus**2, blur**2, line**2, 2),
        (plain, defocus, blur, np.linspace(defocus.min(), defocus.max(), 201), 1),
    ):
        away = np.sqrt(grid) if power == 2 else grid
        low, middle, high = (
            np.hypot(sigma0_px, k * away) ** power
            for k in (interval_px_per_um[0], k_px_per_um, interval_px_per_um[1])
        )
        ax.fill_between(grid, low, high, color=BAND, lw=0)
        _points(ax, x, y, used)
        ax.plot(grid, middle, color=REFERENCE, zorder=4)
    square.set_xlabel("(z − focus)² (µm²)")
    square.set_ylabel("sigma² (px²)")
    title_panel(square, 0, "Fit")
    square.set_xlim(0, None)
    square.set_ylim(0, None)
    plain.set_xlabel("z − focus (µm)")
    plain.set_ylabel("blur sigma (px)")
    plain.set_ylim(0, None)
    title_panel(plain, 1, "The same over height")
    percent = 100.0 * (blur / fitted - 1.0)
    _points(rest, defocus, percent, used)
    rest.axhline(0, color=REFERENCE, zorder=4)
    shown = 1.3 * max(float(np.abs(percent[used]).max()), 1.0)
    rest.set_ylim(-shown, shown)
    rest.set_xlabel("z − focus (µm)")
    rest.set_ylabel("blur off its particle's fit (%)")
    title_panel(rest, 2, "Residuals")
    drawn: dict[str, Any] = {"used": int(used.sum()), "left out": int((~used).sum())}
    if drawn["left out"]:
        plain.legend(loc="upper center", handletextpad=0.2)
    return Panel(
        figure,
        "Blur of every particle at every height. The line is the calibration, for a particle of "
        f"mean size: sigma² = sigma0² + k² (z − focus)² with sigma0 {sigma0_px:.3f} px and k "
        f"{k_px_per_um:.4f} px/µm; the band is the 95 % interval of k. (a) In squares, as it is "
        "fitted, (b) over height. Particles of other sizes lie on curves of their own, to which "
        f"the residuals (c) refer. {count(drawn['used'], 'measurement')}"
        + (f"; {drawn['left out']} left out (crosses)." if drawn["left out"] else "."),
        drawn=drawn,
    )


def _points(ax: Axes, x: np.ndarray, y: np.ndarray, used: np.ndarray) -> None:
    ax.plot(x[used], y[used], "o", ms=2.3, mfc=INK, mec="none", alpha=0.45, zorder=3)
    if not used.all():
        ax.plot(
            x[~used], y[~used], "x", ms=3.2, color=ALARM, zorder=2, label="left out", clip_on=True
        )
    ax.grid(color=FAINT, lw=0.5, alpha=0.4)
