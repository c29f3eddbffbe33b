"""The flow that carries the particles: mean velocity on a grid, domains, and profiles."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.optimize import curve_fit

from pitflow.config import FlowConfig
from pitflow.measure.tracks import Floats, Ints, Tracks
from pitflow.schema import FLOW, empty_table, validate_table

EXTRA_COLUMNS = ("vx_err_um_s", "vy_err_um_s", "n_tracks")


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
        extra = {
            name: pd.Series(dtype="int64" if name == "n_tracks" else "float64")
            for name in EXTRA_COLUMNS
        }
        return empty_table(FLOW).assign(**extra)
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


def compute_radial_profile(particles: pd.DataFrame, *, bin_px: float = 20.0) -> pd.DataFrame:
    """Return speed against distance from the source pit's centre, per pit.

    Parameters
    ----------
    particles:
        ``pit``, ``particle``, ``distance_px``, ``speed_um_s``.

    Returns
    -------
    DataFrame
        ``pit``, ``distance_px`` (middle of the bin), ``speed_um_s`` (mean over tracks),
        ``speed_err_um_s`` (its standard error; NaN for one track), ``n_tracks``.
    """
    known = particles.loc[
        particles["pit"] >= 0, ["pit", "particle", "distance_px", "speed_um_s"]
    ].dropna()
    known = known.assign(bin=np.floor(known["distance_px"] / bin_px).astype("int64"))
    per_track = known.groupby(["pit", "bin", "particle"])["speed_um_s"].mean()
    bins = per_track.groupby(["pit", "bin"])
    profile = pd.DataFrame({"speed_um_s": bins.mean(), "n_tracks": bins.size()})
    profile["speed_err_um_s"] = bins.std() / np.sqrt(profile["n_tracks"])
    profile = profile.reset_index()
    profile["distance_px"] = (profile["bin"] + 0.5) * bin_px
    return profile[["pit", "distance_px", "speed_um_s", "speed_err_um_s", "n_tracks"]]


PROFILE_FIT_COLUMNS = (
    "flow_speed_um_s",
    "flow_speed_err_um_s",
    "flow_half_px",
    "flow_half_err_px",
)
_FEWEST_BINS = 4
_FEWEST_TRACKS = 3


def fit_radial_profile(profile: pd.DataFrame) -> pd.DataFrame:
    """Fit ``v(r) = v0 / (1 + r / half)`` to the radial profile of every pit.

    The form is that of a source whose flow spreads over the surface: as ``1 / r`` far away, and
    finite where it leaves. Bins of 3 tracks and more count, weighted by their standard errors,
    which are scaled to the scatter about the curve, so that they also hold what the form misses.

    Parameters
    ----------
    profile:
        As `compute_radial_profile` returns it.

    Returns
    -------
    DataFrame
        Indexed by pit: ``flow_speed_um_s`` (``v0``), ``flow_half_px`` (the distance from the pit's
        centre at which the speed has halved) and their standard errors; NaN with fewer than 4 bins
        or where the speed does not fall, so that no such distance exists.
    """
    rows: dict[int, tuple[float, ...]] = {}
    for pit, own in profile.groupby("pit", sort=True):
        usable = own[(own["n_tracks"] >= _FEWEST_TRACKS) & (own["speed_err_um_s"] > 0)]
        rows[int(str(pit))] = _fit_fall(
            *(
                usable[name].to_numpy(dtype=np.float64)
                for name in ("distance_px", "speed_um_s", "speed_err_um_s")
            )
        )
    table = pd.DataFrame.from_dict(rows, orient="index", columns=list(PROFILE_FIT_COLUMNS))
    return table.astype("float64").rename_axis("pit")


def _fit_fall(r: Floats, speed: Floats, err: Floats) -> tuple[float, ...]:
    nothing = (np.nan,) * len(PROFILE_FIT_COLUMNS)
    if r.size < _FEWEST_BINS:
        return nothing

    # In the slowness 1/v the model is a straight line, which gives the start.
    slope, level = np.polyfit(r, 1.0 / np.maximum(speed, 1e-9), 1, w=speed**2 / err)
    if slope <= 0 or level <= 0:
        return nothing
    try:
        best, covariance = curve_fit(
            lambda r, v0, half: v0 / (1.0 + r / half),
            r,
            speed,
            p0=(1.0 / level, level / slope),
            sigma=err,
            bounds=((0.0, 1e-3), (np.inf, np.inf)),
        )
    except RuntimeError:
        return nothing
    errors = np.sqrt(np.diag(covariance))
    # A half distance far beyond what was seen says only that the speed hardly falls.
    if not np.isfinite(errors).all() or best[1] > 20.0 * r.max():
        return nothing
    return float(best[0]), float(errors[0]), float(best[1]), float(errors[1])
