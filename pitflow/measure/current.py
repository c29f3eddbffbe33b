"""What a potentiostat measured, in every frame of the recording.

A potentiostat keeps its own clock and its own rate; here its samples already stand on the clock of
the recording.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from pitflow.schema import CURRENT, validate_table

Floats = npt.NDArray[np.float64]

_LONGEST_GAP = 10.0
"""Between samples further apart than this many sampling intervals nothing is interpolated."""


def align_current(samples: pd.DataFrame, frames: pd.DataFrame) -> pd.DataFrame:
    """Return the ``current`` table: the potentiostat's values in every frame.

    The mean of the samples that are nearer to a frame than to its neighbours; between samples that
    are further apart than frames, the line that joins them; empty outside the file and in pauses of
    more than 10 sampling intervals. Each quantity goes by its own samples, for one may be missing
    where another is known.

    Parameters
    ----------
    samples:
        ``time_s`` (increasing, on the recording's clock), ``current_a``,
        ``current_density_a_cm2``, ``potential_v``.
    frames:
        ``frame`` and ``time_s``, two frames or more.
    """
    time = frames["time_s"].to_numpy(dtype=np.float64)
    at = samples["time_s"].to_numpy(dtype=np.float64)
    half = np.diff(time) / 2.0 if time.size > 1 else np.array([0.5])
    edges = np.concatenate([[time[0] - half[0]], time[:-1] + half[: time.size - 1],
                            [time[-1] + half[-1]]])  # fmt: skip
    place = np.searchsorted(edges, at, side="right") - 1
    within = (place >= 0) & (place < time.size)
    table = {
        "frame": frames["frame"].to_numpy(dtype=np.int64),
        "time_s": time,
        "n_samples": np.bincount(place[within], minlength=time.size),
    }
    for name in ("current_a", "current_density_a_cm2", "potential_v"):
        value = samples[name].to_numpy(dtype=np.float64)
        known = within & np.isfinite(value)
        count = np.bincount(place[known], minlength=time.size)
        mean = np.bincount(place[known], value[known], minlength=time.size) / np.maximum(count, 1)
        sound = np.isfinite(value)
        table[name] = np.where(count > 0, mean, _joined(time, at[sound], value[sound]))
    return validate_table(pd.DataFrame(table), CURRENT)


def _joined(time: Floats, at: Floats, value: Floats) -> Floats:
    """Return the line between samples, NaN outside them and in their pauses."""
    if at.size < 2:
        return np.full(time.size, np.nan)
    after = np.clip(np.searchsorted(at, time), 1, at.size - 1)
    gap = at[after] - at[after - 1]
    near = gap <= _LONGEST_GAP * max(float(np.median(np.diff(at))), 1e-9)
    within = (time >= at[0]) & (time <= at[-1]) & near
    return np.where(within, np.interp(time, at, value), np.nan)


def signal_of(table: pd.DataFrame) -> str:
    """Return the column that holds the current: itself, or where only that is known its density."""
    return "current_a" if table["current_a"].notna().any() else "current_density_a_cm2"
