"""Growth of pits: area over time and the direction in which each pit gains pixels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.ndimage import correlate1d

from pitflow.clock import Clock
from pitflow.config import GrowthConfig
from pitflow.measure.circular import direction_of
from pitflow.schema import GROWTH, empty_table, validate_table

Floats = npt.NDArray[np.float64]

_CHARGE_PER_UM3 = 2.19 * 96485.0 * 7.95e-12 / 55.9
"""Charge (C) that dissolves a cubic micrometre of 316L."""
OUTLINE_ERR_PX = 0.2
"""How far the outline of a pit as a whole is off, px: the error of its area over its perimeter.

Root mean square of 12 pits in rendered recordings of `pitflow simulate`: 0.17 over their lives,
0.23 at the end, mostly outwards.
"""
_LATE, _STILL_GROWING = 0.15, 0.1
"""Last share of a pit's life in which one that is stable gains area, and at which share of its mean
rate at least."""
UNSETTLED_FRAMES = 4
"""In the last frames of a recording most of what becomes pit is not known, for it must be seen to
stay."""


def compute_growth(
    pit_pixels: pd.DataFrame, pits: pd.DataFrame, *, last_frame: int
) -> pd.DataFrame:
    """Return the growth table: one row per pit per frame from onset to ``last_frame``.

    ``angle_deg`` is the circular mean direction of the frame's new pixels about the pit's first
    pixels (``onset_x``, ``onset_y``), as in paper 002, section 1.1.2. It is empty in a frame
    without new pixels and in the onset frame, whose pixels define the reference.

    Further columns: ``resultant_length`` of those directions (0 to 1; with ``new_px`` it says how
    much the angle is worth), ``area_noise_px``, the standard error of the area from frame to frame
    if every pixel of the boundary is right to within itself, ``sqrt(perimeter / 12)``, and
    ``area_err_px``, which has the error of the outline as a whole in it, ``OUTLINE_ERR_PX`` times
    the perimeter: that is the same in all frames of a pit, so it is none of what the pit gains. The
    perimeter is that of the final pit, scaled with the square root of the area.

    Parameters
    ----------
    pit_pixels:
        The pit_pixels table.
    pits:
        ``pit``, ``onset_frame``, ``onset_x``, ``onset_y``, ``area_px``, ``perimeter_px``.
    last_frame:
        Last frame of the recording.
    """
    if pits.empty:
        return empty_table(GROWTH)
    onset = pits["onset_frame"].to_numpy(dtype=np.int64)
    lives = np.maximum(last_frame - onset + 1, 1)
    first = np.concatenate([[0], np.cumsum(lives)[:-1]])
    n_rows = int(lives.sum())
    owner = np.repeat(np.arange(len(pits)), lives)
    frame = np.arange(n_rows) - first[owner] + onset[owner]

    index = pd.Index(pits["pit"]).get_indexer(pd.Index(pit_pixels["pit"]))
    born = pit_pixels["frame"].to_numpy(dtype=np.int64)
    row = first[index] + np.minimum(born - onset[index], lives[index] - 1)
    dx = pit_pixels["x"].to_numpy(dtype=np.float64) - pits["onset_x"].to_numpy()[index]
    dy = pit_pixels["y"].to_numpy(dtype=np.float64) - pits["onset_y"].to_numpy()[index]
    distance = np.hypot(dx, dy)
    directed = (distance > 0) & (born > onset[index])
    safe = np.where(directed, distance, 1.0)
    east = np.bincount(row, np.where(directed, dx / safe, 0.0), minlength=n_rows)
    south = np.bincount(row, np.where(directed, dy / safe, 0.0), minlength=n_rows)
    n_directed = np.bincount(row, directed, minlength=n_rows)
    new = np.bincount(row, minlength=n_rows).astype(np.float64)

    total = np.cumsum(new)
    area = total - (total[first] - new[first])[owner]
    final = pits["area_px"].to_numpy(dtype=np.float64)[owner]
    perimeter = pits["perimeter_px"].to_numpy(dtype=np.float64)[owner] * np.sqrt(area / final)
    noise = np.sqrt(perimeter / 12.0)
    table = pd.DataFrame(
        {
            "pit": pits["pit"].to_numpy()[owner],
            "frame": frame,
            "area_px": area,
            "new_px": new,
            "angle_deg": direction_of(east, south),
            "resultant_length": np.where(
                n_directed > 0, np.hypot(east, south) / np.maximum(n_directed, 1), np.nan
            ),
            "area_err_px": np.hypot(noise, OUTLINE_ERR_PX * perimeter),
            "area_noise_px": noise,
        }
    )
    return validate_table(table, GROWTH)


def find_stable(growth: pd.DataFrame) -> pd.Series:
    """Return, by pit, whether it still grows at the end of the recording.

    A pit is stable if over the last 15 % of its life (10 frames at least) it gains area at
    more than a tenth of its mean rate, and by more than three times ``area_noise_px``; a
    metastable pit has stopped. The last 4 frames do not count, see `settled_growth`.

    Returns
    -------
    Series of bool
        Indexed by pit.
    """
    if growth.empty:
        return pd.Series(dtype="bool")
    growth = settled_growth(growth)
    by_pit = growth.groupby("pit", sort=True)
    life = by_pit["frame"].transform("size").to_numpy(dtype=np.float64)
    age = by_pit.cumcount().to_numpy(dtype=np.float64)
    tail = np.maximum(np.ceil(_LATE * life), 10.0)
    gained = growth["new_px"].where((age >= life - tail) & (age > 0), 0.0)
    late = gained.groupby(growth["pit"]).sum()
    last = by_pit.last()
    n_frames = by_pit.size()
    grown = last["area_px"] - by_pit["area_px"].first()
    late_frames = np.minimum(np.maximum(np.ceil(_LATE * n_frames), 10.0), n_frames - 1)
    expected = _STILL_GROWING * grown / np.maximum(n_frames - 1, 1) * late_frames
    return (late > expected) & (late > 3.0 * last["area_noise_px"])


def settled_growth(growth: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the growth table without the last 4 frames; of each pit one at least."""
    after = growth["frame"].max() - growth["frame"]
    first = growth.groupby("pit").cumcount() == 0
    settled: pd.DataFrame = growth[first | (after >= UNSETTLED_FRAMES)]
    return settled


def hemisphere_volume(area_um2: Floats, config: GrowthConfig) -> Floats:
    """Return the volume (um^3) of half an ellipsoid: radius r, depth ``depth_ratio * r``.

    ``2/3 pi r^3 depth_ratio``; a depth ratio of 1 is a hemisphere.
    """
    radius = np.sqrt(area_um2 / np.pi)
    return np.asarray(2.0 / 3.0 * np.pi * config.depth_ratio * radius**3)


def disc_volume(area_um2: Floats, config: GrowthConfig) -> Floats:
    """Return the volume (um^3) of a disc of constant depth: ``area * disc_depth_um``."""
    return np.asarray(area_um2 * config.disc_depth_um)


GEOMETRIES: dict[str, Callable[[Floats, GrowthConfig], Floats]] = {
    "hemisphere": hemisphere_volume,
    "disc": disc_volume,
}


def compute_current(
    growth: pd.DataFrame,
    *,
    config: GrowthConfig,
    um_per_px: float,
    fps: float,
    clock: Clock | None = None,
) -> pd.Series:
    """Return the current (A) that dissolves each pit in each frame, under the stated geometry.

    Faraday's law with 316L's mean charge of 2.19, molar mass of 55.9 g/mol and density of
    7.95 g/cm^3 turns volume into charge (see ASTM G102); the rate is the slope over a Gaussian
    window of ``current_window_frames``. The geometry is an assumption: a pit under a cover, or a
    shallow one, carries another current. Empty without a geometry.

    Parameters
    ----------
    growth:
        ``pit``, ``frame``, ``area_px``, in order of pit and frame.
    clock:
        When the frames were taken; None: at an even rate.
    """
    if config.geometry == "none" or growth.empty:
        return pd.Series(np.nan, index=growth.index, dtype="float64", name="current_a")
    area_um2 = growth["area_px"].to_numpy(dtype=np.float64) * um_per_px**2
    charge = _CHARGE_PER_UM3 * GEOMETRIES[config.geometry](area_um2, config)
    moment = (clock or Clock.even()).moment_of(growth["frame"])

    def of_pit(own: pd.Series) -> Floats:
        here = growth.index.get_indexer(own.index)
        charged, passed = (
            _slope(series[here], config.current_window_frames) for series in (charge, moment)
        )
        return np.asarray(fps * charged / np.where(passed > 0, passed, 1.0))

    current = pd.Series(charge, index=growth.index, name="current_a").groupby(growth["pit"])
    return current.transform(of_pit)


def _slope(values: Floats, window: float) -> Floats:
    """Return the slope per step of a weighted straight line about each value."""
    reach = min(int(np.ceil(3.0 * window)), values.size)
    step = np.arange(-reach, reach + 1, dtype=np.float64)
    kernel = np.exp(-0.5 * (step / window) ** 2)
    known = np.ones(values.size)
    # correlate1d's sums run over the neighbours that exist, so ends need no padding.
    sums = [
        correlate1d(term, weight, mode="constant")
        for term, weight in (
            (known, kernel),
            (known, kernel * step),
            (known, kernel * step**2),
            (values, kernel),
            (values, kernel * step),
        )
    ]
    total, t1, t2, v0, v1 = sums
    determinant = total * t2 - t1**2
    safe = np.where(determinant > 1e-9, determinant, 1.0)
    return np.asarray(np.where(determinant > 1e-9, (total * v1 - t1 * v0) / safe, 0.0))
