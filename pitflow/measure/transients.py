"""Transients of the current: rises and their decay, as metastable pits make them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.ndimage import median_filter
from scipy.signal import find_peaks

from pitflow.config import CurrentConfig
from pitflow.measure.current import signal_of
from pitflow.measure.current_baseline import noise_about, running_baseline
from pitflow.schema import TRANSIENTS, empty_table, validate_table

Floats = npt.NDArray[np.float64]

_STEP_V = 0.01
"""Least step of the potential that sets a current of its own going, V."""
_HELD_S, _HELD_SAMPLES = 2.0, 5
"""For so long the potential stays the same after a step, or for so many samples."""
_HELD = 0.1
"""The same: to so small a share of the step."""
_SEEN_BEFORE = 3
"""Samples of the baseline before the onset of a transient, at least."""


def find_transients(
    samples: pd.DataFrame, frames: pd.DataFrame, *, config: CurrentConfig
) -> pd.DataFrame:
    """Return the ``transients`` table: rises of the current and their decay, as metastable pits.

    The noise is that of the current below its baseline, where no transient reaches, or that between
    successive samples if it is larger. A transient rises above ``threshold`` times it, and lasts
    from where the current leaves the noise to where it comes back, or to the lowest current before
    one that comes before that. Its charge is the area above the baseline. The baseline begins anew
    at each step of the potential.

    Parameters
    ----------
    samples:
        As for `align_current`, at the potentiostat's own rate.
    frames:
        ``frame`` and ``time_s``; transients that begin outside them are not returned.
    """
    column = signal_of(samples)
    known = samples[column].notna()
    time = samples.loc[known, "time_s"].to_numpy(dtype=np.float64)
    value = samples.loc[known, column].to_numpy(dtype=np.float64)
    first, last = float(frames["time_s"].min()), float(frames["time_s"].max())
    near = (time >= first - 2 * config.baseline_s) & (time <= last + 2 * config.baseline_s)
    time, value = time[near], value[near]
    if time.size < 10:
        return empty_table(TRANSIENTS)
    begin = _after_steps(time, samples.loc[known, "potential_v"].to_numpy()[near])
    baseline = [
        running_baseline(time[part], value[part], config.baseline_s)
        for part in map(slice, begin, [*begin[1:], time.size])
    ]
    rest = value - np.concatenate(baseline)
    noise = noise_about(rest, value)
    # Single samples in the noise do not break a decay, nor make an onset.
    calm = median_filter(rest, size=3, mode="nearest")
    rows = []
    frame_time = frames["time_s"].to_numpy(dtype=np.float64)
    for start, stop in _rises(calm, begin, noise, config.threshold * noise):
        peak = start + int(np.argmax(rest[start:stop]))
        if not first <= time[start] <= last:
            continue
        upto = slice(max(start - 1, 0), min(stop + 1, time.size))
        rows.append(
            {
                "onset_s": time[start],
                "peak_s": time[peak],
                "end_s": time[stop - 1],
                "rise_s": time[peak] - time[start],
                "decay_s": time[stop - 1] - time[peak],
                "onset_frame": int(frames["frame"].iloc[_nearest(frame_time, time[start])]),
                "peak_frame": int(frames["frame"].iloc[_nearest(frame_time, time[peak])]),
                "height": rest[peak],
                "charge": float(np.trapezoid(rest[upto], time[upto])),
            }
        )
    if not rows:
        return empty_table(TRANSIENTS)
    found = pd.DataFrame(rows)
    found = found.assign(transient=np.arange(len(found)))
    unknown = np.full(len(found), np.nan)
    is_current = column == "current_a"
    return validate_table(
        found.assign(
            peak_a=found["height"] if is_current else unknown,
            charge_c=found["charge"] if is_current else unknown,
            peak_a_cm2=_per_area(found["height"], is_current, config.area_cm2),
            charge_c_cm2=_per_area(found["charge"], is_current, config.area_cm2),
        )[TRANSIENTS.names],
        TRANSIENTS,
    )


def _after_steps(time: Floats, potential: Floats) -> list[int]:
    """Return where the stretches between steps of the potential begin; the first is 0.

    At a step it goes from one constant level to another. Where no potentiostat holds it, it jumps
    as a pit comes, too, but goes back.
    """
    begin = [0]
    held = max(_HELD_SAMPLES, round(_HELD_S / max(float(np.median(np.diff(time))), 1e-9)))
    for at in np.flatnonzero(np.abs(np.diff(potential)) > _STEP_V) + 1:
        # The first sample may be the mean over the step.
        before, after = potential[max(at - held, 0) : at], potential[at + 1 : at + 1 + held]
        if at - begin[-1] < held or after.size < held:
            continue
        levels = [np.quantile(side, (0.1, 0.5, 0.9)) for side in (before, after)]
        wander = max(high - low for low, _, high in levels)
        if abs(levels[1][1] - levels[0][1]) * _HELD > wander:
            begin.append(int(at))
    return begin


def _rises(calm: Floats, begin: list[int], noise: float, least: float) -> Iterator[tuple[int, int]]:
    """Yield where each rise of the current begins and ends (exclusive).

    A stretch above the noise holds one for each peak that stands ``least`` above the lowest
    current between it and any higher one, and is divided there. What is already there as a stretch
    between steps begins came with the step.

    Parameters
    ----------
    calm:
        The current above its baseline.
    begin:
        Where the stretches between steps begin.
    """
    for first, last in pairwise([*begin, calm.size]):
        part = calm[first:last]
        edge = np.flatnonzero(np.diff(np.concatenate([[False], part > noise, [False]])))
        for start, stop in zip(edge[::2], edge[1::2], strict=True):
            if part[start:stop].max() <= least:
                continue
            peaks = find_peaks(np.pad(part[start:stop], 1), prominence=least)[0] - 1 + start
            lowest = [a + int(np.argmin(part[a:b])) for a, b in pairwise(peaks)]
            parts = pairwise([start - 1, *lowest, stop])
            yield from (
                (first + int(left) + 1, first + int(right))
                for left, right in parts
                if left + 1 >= _SEEN_BEFORE
            )


def _nearest(time: Floats, at: float) -> int:
    return int(np.argmin(np.abs(time - at)))


def _per_area(value: pd.Series, is_current: bool, area_cm2: float | None) -> pd.Series:
    if not is_current:
        return value
    return value / area_cm2 if area_cm2 is not None else value * np.nan
