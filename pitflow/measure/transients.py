"""Transients of the current: rises and their decay, as metastable pits make them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.ndimage import maximum_filter1d, median_filter
from scipy.signal import find_peaks

from pitflow.config import CurrentConfig
from pitflow.measure.current import signal_of
from pitflow.measure.current_baseline import (
    BLOCKS,
    half_a_digit,
    noise_below,
    noise_between,
    running_baseline,
    usual_changes,
)
from pitflow.schema import TRANSIENTS, empty_table, validate_table

Floats = npt.NDArray[np.float64]

_STEP_V = 0.01
"""Least step of the potential that sets a current of its own going, V."""
_HELD_S, _HELD_SAMPLES = 2.0, 5
"""For so long the potential stays the same after a step, or for so many samples."""
_HELD = 0.1
"""The same: to so small a share of the step."""
_OF_MANY = 1.4
"""The most sudden of many changes counts: each must be so many times as large as one would."""
_LIKE_NOISE = 0.25
"""Noise that jumps falls as often as it rises; transients do one of them more slowly."""
_FOOT = 0.1
"""Share of the way from the lowest current to a peak at which a transient begins and ends."""
_SEEN_BEFORE = 3
"""Samples of the baseline before the onset of a transient, at least."""


@dataclass(frozen=True, slots=True)
class _Noise:
    """Noise of the current, standard deviations.

    Parameters
    ----------
    lasting:
        Of what is below the baseline, where no transient reaches.
    white:
        Of what is independent from sample to sample; never more than ``lasting``.
    lags, changes:
        Numbers of samples, and how much the current usually changes within them, as much more as
        the largest of many is expected to be.
    """

    lasting: float
    white: float
    lags: npt.NDArray[np.int64]
    changes: Floats

    @classmethod
    def of(cls, value: Floats, rest: Floats, calm: Floats, longest: int) -> _Noise:
        """Measure it on the current, its rest above the baseline, and that without spikes."""
        white = max(noise_between(value), half_a_digit(value))
        below = max(noise_below(rest), white)
        lags, changes = usual_changes(calm, longest)
        return cls(below, white, lags, _OF_MANY * np.maximum(changes, white))


def find_transients(
    samples: pd.DataFrame, frames: pd.DataFrame, *, config: CurrentConfig
) -> pd.DataFrame:
    """Return the ``transients`` table: rises of the current and their decay, as metastable pits.

    The noise is that of the current below its baseline, where no transient reaches, or that between
    successive samples if it is larger. A transient rises above ``threshold`` times it or, where
    transients crowd so that there is no such current, by clearly more than as many times what the
    current usually changes in as short a time. It lasts from where the current leaves the noise to
    where it comes back, or to the lowest current before one that comes before that. Its charge is
    the area above the baseline. The baseline begins anew at each step of the potential.

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
    stretches = map(slice, begin, [*begin[1:], time.size])
    baseline = np.concatenate(
        [running_baseline(time[part], value[part], config.baseline_s) for part in stretches]
    )
    rest = value - baseline
    step = max(float(np.median(np.diff(time))), 1e-9)
    # Single samples in the noise do not break a decay, nor make an onset.
    calm = median_filter(rest, size=3, mode="nearest")
    rows = []
    frame_time = frames["time_s"].to_numpy(dtype=np.float64)
    noise = _Noise.of(value, rest, calm, round(config.baseline_s / step))
    block = 2 * math.ceil(config.baseline_s / BLOCKS / step) + 1
    over = calm + baseline - maximum_filter1d(baseline, block)
    for start, stop in _rises(calm, over, begin, noise, config.threshold):
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


def _rises(
    calm: Floats, over: Floats, begin: list[int], noise: _Noise, threshold: float
) -> Iterator[tuple[int, int]]:
    """Yield where each transient begins and ends (exclusive).

    What is already there as a stretch between steps begins came with the step.

    Parameters
    ----------
    calm, over:
        The current above its baseline, and above the highest baseline within a block of it.
    begin:
        Where the stretches between steps begin.
    """
    for first, last in pairwise([*begin, calm.size]):
        part = calm[first:last]
        peaks = _peaks(part, over[first:last], noise, threshold)
        lowest = [a + int(np.argmin(part[a:b])) for a, b in pairwise(peaks)]
        for peak, (left, right) in zip(peaks, pairwise([0, *lowest, part.size]), strict=False):
            start = left + _leaves(part[left:peak], part[peak], noise)
            stop = right - _leaves(part[peak + 1 : right][::-1], part[peak], noise)
            if start >= _SEEN_BEFORE:
                yield first + start, first + stop


def _peaks(part: Floats, over: Floats, noise: _Noise, threshold: float) -> npt.NDArray[np.int64]:
    """Return where the peaks of transients are.

    A peak is that of a transient if its prominence (its height above the higher of the lowest
    currents that part it from higher peaks on either side) is more than ``threshold`` times the
    lasting noise. Where transients crowd, what is below the baseline is no noise any more: a peak
    also is one if it rises, or falls, by more than that many times the usual change in that time,
    and the current does only one of the two so suddenly. Where the current steps, its baseline does
    so within a block: each peak must exceed both levels.
    """
    least = threshold * noise.white
    peaks, found = find_peaks(np.pad(part, 1, constant_values=part.min()), prominence=least)
    peaks, left = peaks - 1, np.maximum(found["left_bases"] - 1, 0)
    right = np.minimum(found["right_bases"] - 1, part.size - 1)
    chosen = np.minimum(found["prominences"], part[peaks]) > threshold * noise.lasting
    for lag, change in zip(noise.lags, noise.changes, strict=True):
        all_changes = part[lag:] - part[:-lag]
        rises, falls = (np.sum(sign * all_changes > threshold * change) for sign in (1.0, -1.0))
        before, after = np.maximum(peaks - lag, left), np.minimum(peaks + lag, right)
        if falls < _LIKE_NOISE * rises:
            chosen |= part[peaks] - part[before] > threshold * change
        if rises < _LIKE_NOISE * falls:
            chosen |= part[peaks] - part[after] > threshold * change
    return np.asarray(peaks[chosen & (over[peaks] > least)])


def _leaves(side: Floats, peak: float, noise: _Noise) -> int:
    """Return at which sample of one side of a peak, in order towards it, it has left the noise.

    That is a tenth of the way to the peak where the noise is more, and the lowest current where
    that does not come down to the noise.
    """
    if not side.size:
        return 0
    lowest = float(side.min())
    foot = max(lowest + _FOOT * (peak - lowest), noise.white)
    return int(np.flatnonzero(side <= max(min(foot, noise.lasting), lowest))[-1]) + 1


def _nearest(time: Floats, at: float) -> int:
    return int(np.argmin(np.abs(time - at)))


def _per_area(value: pd.Series, is_current: bool, area_cm2: float | None) -> pd.Series:
    if not is_current:
        return value
    return value / area_cm2 if area_cm2 is not None else value * np.nan
