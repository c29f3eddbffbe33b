"""Pits: place, onset, area, and what their ejections say together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import false_discovery_control

from pitflow.config import EjectionConfig
from pitflow.lag import ALPHA
from pitflow.measure.circular import (
    bootstrap_direction,
    count_modes,
    mean_vector,
    rao_test,
    rayleigh_test,
)
from pitflow.schema import PITS, empty_table, validate_table

GEOMETRY_COLUMNS = (
    "pit",
    "x",
    "y",
    "onset_frame",
    "onset_x",
    "onset_y",
    "area_px",
    "area_um2",
    "perimeter_px",
)


def compute_pit_geometry(pit_pixels: pd.DataFrame, *, um_per_px: float) -> pd.DataFrame:
    """Return place, onset and final area of every pit, in ``GEOMETRY_COLUMNS``.

    The centre is that of the final area, with holes in its cover left out. ``perimeter_px`` is the
    number of pixel edges between pit and surroundings times pi / 4, which is right on average
    over directions.
    """
    if pit_pixels.empty:
        return pd.DataFrame(
            {
                name: pd.Series(dtype="int64" if name in ("pit", "onset_frame") else "float64")
                for name in GEOMETRY_COLUMNS
            }
        )
    by_pit = pit_pixels.groupby("pit", sort=True)
    onset = by_pit["frame"].min()
    first = pit_pixels[pit_pixels["frame"] == pit_pixels["pit"].map(onset)].groupby("pit")
    area = by_pit.size().astype("float64")
    geometry = pd.DataFrame(
        {
            "x": by_pit["x"].mean(),
            "y": by_pit["y"].mean(),
            "onset_frame": onset,
            "onset_x": first["x"].mean(),
            "onset_y": first["y"].mean(),
            "area_px": area,
            "area_um2": area * um_per_px**2,
            "perimeter_px": _perimeter(pit_pixels),
        }
    )
    return geometry.rename_axis("pit").reset_index()[list(GEOMETRY_COLUMNS)]


def _perimeter(pit_pixels: pd.DataFrame) -> pd.Series:
    pit, x, y = (pit_pixels[name].to_numpy(dtype=np.int64) for name in ("pit", "x", "y"))
    inner = np.zeros(len(pit), dtype=np.int64)
    for along, across in ((x, y), (y, x)):
        order = np.lexsort((along, across, pit))
        touching = (
            (np.diff(pit[order]) == 0)
            & (np.diff(across[order]) == 0)
            & (np.diff(along[order]) == 1)
        )
        inner[order[1:]] += touching
        inner[order[:-1]] += touching
    edges = pd.Series(4 - inner).groupby(pit).sum()
    return edges * (np.pi / 4.0)


def compute_pits(
    geometry: pd.DataFrame,
    stable: pd.Series,
    visible: pd.Series,
    ejections: pd.DataFrame,
    *,
    config: EjectionConfig,
    seed: int,
) -> pd.DataFrame:
    """Return the pits table: geometry joined with the statistics of one angle per particle.

    Further columns: ``omnibus_p`` (Rao's spacing test, which also sees opposed directions) and
    ``omnibus_q``, adjusted over pits by Benjamini and Hochberg (1995) like ``rayleigh_q``;
    ``visible_share`` (of directions in which a departure would be seen) and ``perimeter_px``.

    Parameters
    ----------
    geometry:
        As `pitflow.measure.centre.find_centres` returns it.
    stable:
        As `pitflow.measure.growth.find_stable` returns it.
    visible:
        As `pitflow.measure.visibility.compute_visibility` returns it.
    ejections:
        The ejections table.
    seed:
        Of the bootstrap. Every pit draws from a stream of its own, so that its intervals do not
        depend on the other pits.
    """
    if geometry.empty:
        return empty_table(PITS)
    angles = {pit: group.to_numpy() for pit, group in ejections.groupby("pit")["angle_deg"]}
    rows = []
    for pit in geometry["pit"]:
        sample = angles.get(pit, np.empty(0))
        direction, length = mean_vector(sample)
        interval = bootstrap_direction(
            sample,
            confidence=config.confidence,
            resamples=config.bootstrap,
            rng=np.random.default_rng([seed, int(pit)]),
        )
        rows.append(
            {
                "n_ejected": sample.size,
                "mean_angle_deg": direction,
                "resultant_length": length,
                "rayleigh_p": float(rayleigh_test(sample.size, length)),
                "n_modes": count_modes(sample),
                "mean_angle_lo_deg": interval.direction_lo,
                "mean_angle_hi_deg": interval.direction_hi,
                "resultant_length_lo": interval.length_lo,
                "resultant_length_hi": interval.length_hi,
                "omnibus_p": rao_test(sample, seed=seed),
            }
        )
    table = pd.concat([geometry.reset_index(drop=True), pd.DataFrame(rows)], axis=1)
    table["visible_share"] = visible.reindex(table["pit"]).to_numpy(dtype=np.float64)
    table["is_stable"] = stable.reindex(table["pit"], fill_value=False).to_numpy(dtype=bool)
    table["rayleigh_q"] = adjust_p(table["rayleigh_p"].to_numpy(dtype=np.float64))
    undecided = ~(table["rayleigh_q"] <= ALPHA)
    table.loc[undecided, ["mean_angle_lo_deg", "mean_angle_hi_deg"]] = np.nan
    table["omnibus_q"] = adjust_p(table["omnibus_p"].to_numpy(dtype=np.float64))
    known = [column.name for column in PITS.further if column.name in table]
    return validate_table(table[[*PITS.names, *known]], PITS)


def adjust_p(p: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return p adjusted for the number of tests (Benjamini and Hochberg 1995); NaN stays NaN."""
    adjusted = np.full(p.shape, np.nan)
    known = ~np.isnan(p)
    if known.any():
        adjusted[known] = false_discovery_control(p[known], method="bh")
    return adjusted
