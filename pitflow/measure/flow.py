"""The flow that carries the particles: mean velocity on a grid, domains, and profiles."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pitflow.config import FlowConfig
from pitflow.measure.tracks import Floats, Ints, Tracks
from pitflow.schema import FLOW, empty_table, validate_table


def compute_flow(
    tracks: Tracks,
    vx_um_s: Floats,
    vy_um_s: Floats,
    source: Ints,
    *,
    config: FlowConfig,
) -> pd.DataFrame:
    """Return the flow table: one row per grid cell that holds a velocity.

    A particle is seen in one cell many times, a slow one most, and its velocities are not
    independent. So each track counts once in a cell, with its mean there: the velocity is the mean
    over ``n_tracks`` tracks, and the errors (columns ``vx_err_um_s``, ``vy_err_um_s``) are those of
    that mean; NaN for one track. The domain is the source of most tracks in the cell.

    Parameters
    ----------
    vx_um_s, vy_um_s:
        (n,) velocity of each linked detection; NaN ones are left out.
    source:
        (n_tracks,) source pit of each track, -1 none.
    """
    known = np.flatnonzero(np.isfinite(vx_um_s) & np.isfinite(vy_um_s))
    if known.size == 0:
        return empty_table(FLOW)
    size = config.cell_px
    column = np.floor((tracks.x[known] + 0.5) / size).astype(np.int64)
    row = np.floor((tracks.y[known] + 0.5) / size).astype(np.int64)
    visits = pd.DataFrame(
        {
            "row": row,
            "column": column,
            "track": tracks.track[known],
            "vx": vx_um_s[known],
            "vy": vy_um_s[known],
        }
    )
    per_track = (
        visits.groupby(["row", "column", "track"], sort=True)
        .agg(vx=("vx", "mean"), vy=("vy", "mean"), n=("vx", "size"))
        .reset_index()
    )
    cells = per_track.groupby(["row", "column"], sort=True)
    table = cells.agg(vx_um_s=("vx", "mean"), vy_um_s=("vy", "mean"), n=("n", "sum"))
    n_tracks = cells.size()
    table["vx_err_um_s"] = cells["vx"].std() / np.sqrt(n_tracks)
    table["vy_err_um_s"] = cells["vy"].std() / np.sqrt(n_tracks)
    table["n_tracks"] = n_tracks
    per_track["pit"] = source[per_track["track"]]
    sourced = per_track[per_track["pit"] >= 0]
    votes = sourced.groupby(["row", "column", "pit"], as_index=False).agg(votes=("track", "size"))
    votes = votes.sort_values(["votes", "pit"], ascending=[False, True])
    domain = votes.drop_duplicates(["row", "column"]).set_index(["row", "column"])["pit"]
    table["domain"] = domain.reindex(table.index, fill_value=-1).astype("int64")
    table = table.reset_index()
    table["x"] = (table["column"] + 0.5) * size - 0.5
    table["y"] = (table["row"] + 0.5) * size - 0.5
    return validate_table(table.drop(columns=["row", "column"]), FLOW)


PROFILE_FIT_COLUMNS = (
    "flow_speed_um_s",
    "flow_speed_err_um_s",
    "flow_half_px",
    "flow_half_err_px",
)
_BIN_PX = 10.0
_FEWEST_BINS = 4
_FEWEST_TRACKS = 3
_RESAMPLES = 200
_TURNS = 25
_FURTHEST = 20.0
"""A half distance this many times what was seen says only that the speed hardly falls."""
_ONE_SIGMA = (0.1587, 0.8413)


def fit_radial_profile(particles: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Fit ``v(r) = v0 / (1 + r / half)`` to speed over distance from every pit.

    The form is that of a source whose flow spreads over the surface: as ``1 / r`` far away, and
    finite where it leaves. In bins of distance each track counts once, with its mean speed and its
    mean distance there; bins of 3 tracks and more count, weighted by their standard errors. A fast
    particle is so in every bin, so the bins vary together: the errors are from a bootstrap that
    draws tracks (Efron and Tibshirani 1993, chapter 6), half of what the middle 68 % of its fits
    span. They do not hold what the form misses.

    Parameters
    ----------
    particles:
        ``pit``, ``particle``, ``distance_px``, ``speed_um_s``.
    seed:
        Of the bootstrap.

    Returns
    -------
    DataFrame
        Indexed by pit: ``flow_speed_um_s`` (``v0``), ``flow_half_px`` (the distance from the pit's
        centre at which the speed has halved) and their standard errors; NaN with fewer than 4 bins
        or where the speed does not surely fall, so that no such distance exists.
    """
    names = ["pit", "particle", "distance_px", "speed_um_s"]
    known = particles.loc[particles["pit"] >= 0, names].dropna()
    known = known.assign(bin=np.floor(known["distance_px"] / _BIN_PX).astype("int64"))
    means = known.groupby(["pit", "particle", "bin"])[["distance_px", "speed_um_s"]].mean()
    rows: dict[int, tuple[float, ...]] = {}
    for pit, own in means.groupby("pit", sort=True):
        r, speed = (own[name].unstack("bin").to_numpy(dtype=np.float64) for name in names[2:])  # noqa: PD010
        rng = np.random.default_rng([seed, int(str(pit))])
        rows[int(str(pit))] = _fit_fall(r, speed, rng)
    table = pd.DataFrame.from_dict(rows, orient="index", columns=list(PROFILE_FIT_COLUMNS))
    return table.astype("float64").rename_axis("pit")


def _fit_fall(r: Floats, speed: Floats, rng: np.random.Generator) -> tuple[float, ...]:
    """Return v0, its error, half and its error from (tracks, bins) means, NaN where unseen."""
    nothing = (np.nan,) * len(PROFILE_FIT_COLUMNS)
    seen = np.isfinite(speed)
    n_tracks = seen.sum(axis=0)
    seen, r, speed = (of[:, n_tracks >= _FEWEST_TRACKS] for of in (seen, r, speed))
    variance = np.nanvar(speed, axis=0, ddof=1) / seen.sum(axis=0) if seen.size else np.zeros(0)
    if np.count_nonzero(variance > 0) < _FEWEST_BINS:
        return nothing
    n = len(seen)
    # First the tracks as they are, then with repetition.
    drawn = np.vstack([np.ones(n), rng.multinomial(n, np.full(n, 1.0 / n), _RESAMPLES)])
    count = drawn @ seen
    mean_r, mean_speed = (
        drawn @ np.where(seen, of, 0.0) / np.maximum(count, 1.0) for of in (r, speed)
    )
    weight = np.where(variance > 0, 1.0 / np.maximum(variance, 1e-300), 0.0) * (count > 0)
    v0, half = _fit_falls(mean_r, mean_speed, weight)
    if not half[0] <= _FURTHEST * np.nanmax(r):
        return nothing
    # Between two infinite fits there is no quantile, so one of the fits is taken.
    ends = [np.quantile(of[1:], _ONE_SIGMA, method="nearest") for of in (v0, half)]
    if not np.isfinite(ends).all():
        return nothing
    # Of n tracks drawn from n, the variance is a share 1 / n too small.
    v0_err, half_err = np.diff(ends)[:, 0] / 2.0 * np.sqrt(n / (n - 1.0))
    return float(v0[0]), float(v0_err), float(half[0]), float(half_err)


def _fit_falls(r: Floats, speed: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Return v0 and half of least squares for each row of bins, both infinite without a fall.

    In the slowness ``1 / v`` the model is a straight line, so Gauss and Newton's steps are straight
    lines through what the slowness would be if the speed were linear in it. ``speed`` has a bin
    that is not zero in every row; bins without weight do not count.
    """
    fastest = np.maximum(speed.max(axis=1, keepdims=True), 1e-9)
    v = np.clip(speed, 1e-3 * fastest, None)
    level = slope = np.zeros((len(v), 1))
    for _ in range(_TURNS):
        slowness = (2.0 - speed / v) / v
        w = weight * v**4
        total = np.maximum(w.sum(axis=1, keepdims=True), 1e-300)
        middle = (w * r).sum(axis=1, keepdims=True) / total
        away = r - middle
        slope = (w * away * slowness).sum(axis=1, keepdims=True) / np.maximum(
            (w * away**2).sum(axis=1, keepdims=True), 1e-300
        )
        level = (w * slowness).sum(axis=1, keepdims=True) / total - slope * middle
        # A slowness below that, as of a step too far, would be no speed.
        v = 1.0 / np.maximum(level + slope * r, 0.1 / fastest)
    level, slope = level[:, 0], slope[:, 0]
    falls = (level > 0) & (slope > 0)
    level, slope = np.where(falls, level, 1.0), np.where(falls, slope, 1.0)
    return np.where(falls, 1.0 / level, np.inf), np.where(falls, level / slope, np.inf)
