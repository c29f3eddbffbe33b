"""Electrochemistry beside the video: current per frame, its transients, what it goes together with.

A potentiostat keeps its own clock and its own rate; here its samples already stand on the clock of
the recording. Ejections and growth are compared with the current over lag,
``r(lag) = corr(current(t), other(t + lag))``, so at a positive lag they follow the current.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import fft
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d, median_filter, percentile_filter
from scipy.optimize import least_squares
from scipy.signal import find_peaks, oaconvolve
from scipy.stats import norm

from pitflow.config import CorrelationConfig, CurrentConfig
from pitflow.lag import find_clearest
from pitflow.measure.growth import UNSETTLED_FRAMES
from pitflow.measure.surrogates import p_over_lags, value_surrogates, variance_over_lags
from pitflow.schema import (
    CURRENT,
    CURRENT_CORRELATION,
    TRANSIENTS,
    empty_table,
    validate_table,
)

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_LONGEST_GAP = 10.0
"""Between samples further apart than this many sampling intervals nothing is interpolated."""
_BLOCKS = 50
"""The baseline's window is divided into this many blocks, whose medians are filtered."""
_LOW = 0.15
"""Share of a window in which no transient may be seen that the baseline is still found."""
_STEP_V = 0.01
"""Least step of the potential that sets a current of its own going, V."""
_HELD_S, _HELD_SAMPLES = 2.0, 5
"""For so long the potential stays the same after a step, or for so many samples."""
_HELD = 0.1
"""The same: to so small a share of the step."""
_SEEN_BEFORE = 3
"""Samples of the baseline before the onset of a transient, at least."""
_CLEARLY_LESS = 0.8
"""Of two kinds of noise that are the same but for chance, one is not by so much less."""
_NORMAL_MAD = 1.4826
"""Standard deviation of a normal law over the median of its distance from the middle."""
_MIN_PAIRS = 20
_LARGEST_LAG = 0.25
"""Largest lag as a share of the recording; beyond, too little overlaps."""
_DRIFT = 3.0
"""What is slower than this many times the range of lags is drift."""
_OFFSET_ALPHA = 0.01
"""Largest p at which an offset of the clocks is suggested."""
_REACH = 4.0
"""Weights end at this many standard deviations."""
_LEAST_AMPLITUDE = 0.1
"""Share of the amplitude of a whole series."""
_VALUES_AT_ONCE = 1_000_000
"""Of surrogates, that many values are treated at a time."""


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


def running_baseline(time_s: Floats, value: Floats, window_s: float) -> Floats:
    """Return the level under the transients of a series over a window, at each of its times.

    First the running median, which follows steps, then the running quantile of 15 % of what is
    left, for decays may fill more than half of the window. By chance that quantile of noise is 1.04
    deviations low, which is added. Both are of the medians of 1/50 of the window, so that the cost
    does not grow with it. At either end the series is continued by its mirror image about its end,
    so a slope is no step.

    Above a slope the running median goes up in stairs where transients stand on it, and the stairs
    pass for noise. So it is also done after a decay from the beginning on is taken off, and after
    the running slope is; each counts only where it leaves clearly less noise.
    """
    usual = float(np.median(np.diff(time_s))) if time_s.size > 1 else 1.0
    step = max(window_s / _BLOCKS, usual, 1e-9)
    block = np.floor((time_s - time_s[0]) / step).astype(np.int64)
    medians = pd.Series(value).groupby(block).median()
    middle = time_s[0] + (medians.index.to_numpy(dtype=np.float64) + 0.5) * step
    level = medians.to_numpy(dtype=np.float64)
    size = 2 * int(window_s / step / 2) + 1
    reach = min(size // 2, level.size - 1)
    if reach < 1:
        return np.full(time_s.shape, float(np.median(value)))
    low, noise = _low_level(level, reach)
    for taken_off in (_decay(middle, level), _running_slope(middle, level, reach)):
        rest, remaining = _low_level(level - taken_off, reach)
        if remaining < _CLEARLY_LESS * noise:
            low, noise = rest + taken_off, remaining
    return np.asarray(PchipInterpolator(middle, low)(time_s), dtype=np.float64)


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
    noise = _noise(rest, value)
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


def ejection_rate(ejections: pd.DataFrame, frames: pd.DataFrame, *, fps: float) -> Floats:
    """Return particles that left a pit per second, in every frame.

    Where frames are lost, damaged or repeated, the mean of those and the next sound one. NaN after
    the last sound frame.
    """
    return _per_second(ejections["frame"], np.ones(len(ejections)), frames, fps)


def growth_rate(
    growth: pd.DataFrame, frames: pd.DataFrame, *, fps: float, um_per_px: float
) -> Floats:
    """Return area that became pit per second, um^2/s, in every frame; onsets are not growth.

    Where frames are lost, damaged or repeated, the mean of those and the next sound one, in which
    all that grew meanwhile is seen. NaN from the last 4 sound frames on, in which most of what
    becomes pit is not yet known.
    """
    grown = growth[growth["frame"] > growth.groupby("pit")["frame"].transform("min")]
    new = grown["new_px"].to_numpy(dtype=np.float64)
    rate = _per_second(grown["frame"], new, frames, fps) * um_per_px**2
    sound = np.flatnonzero(frames["quality"] == "ok")
    settled = sound[: max(sound.size - UNSETTLED_FRAMES, 0)]
    rate[settled[-1] + 1 if settled.size else 0 :] = np.nan
    return rate


def correlate_current(
    current: pd.DataFrame,
    series: dict[str, Floats],
    *,
    config: CorrelationConfig,
    seed: int,
    max_lag: int | None = None,
) -> pd.DataFrame:
    """Return the ``current_correlation`` table: each series against the current over lag.

    Pearson's correlation of what varies within the range of lags: both are averaged over a Gaussian
    window of ``smooth_frames``, since an event is seen a frame early or late, and the line through
    ``max_lag`` frames around is taken off, for anything slower cannot tell a lag and would make any
    two series that drift go together. What is left is divided by its running amplitude, or the
    stretch in which both vary most would decide. The null law comes from surrogates that have the
    values and the autocorrelation of the current without its drift and over its amplitude
    (`pitflow.measure.surrogates`). They are treated in the same way: the line follows a series more
    closely where it begins and ends. ``p`` is for the largest ``|r|`` over all lags, each relative
    to its own band. Further column: ``n_effective`` (worth that many
    independent pairs: ``1 / variance`` of ``r`` over the surrogates).

    Parameters
    ----------
    current:
        The current table.
    series:
        Name -> value in each of its rows; NaN where it is not known.
    max_lag:
        In place of the configured one, frames.
    """
    reach = config.max_lag if max_lag is None else max_lag
    value = current[signal_of(current)].to_numpy(dtype=np.float64)
    known = np.isfinite(value)
    reach = min(reach, int(_LARGEST_LAG * known.sum()))
    if reach < 1 or known.sum() < _MIN_PAIRS or np.ptp(value[known]) == 0:
        return empty_table(CURRENT_CORRELATION)
    lags = np.arange(-reach, reach + 1)
    # A drift is no part of the null law: surrogates that have its values in another order wander.
    # Nor is how much it varies around, for surrogates vary the same all along.
    value = np.where(known, value - _lines(value, known, _DRIFT * reach), 0.0)
    value = _evened(value, known, reach)
    fast = _fast_part(value, known, config.smooth_frames, reach)
    drawn = value_surrogates(value, known, config.surrogates, np.random.default_rng([seed, 7]))
    for first in range(0, len(drawn), at_once := max(1, _VALUES_AT_ONCE // value.size)):
        some = slice(first, first + at_once)
        drawn[some] = _fast_part(drawn[some], known, config.smooth_frames, reach)
    blocks = []
    for name, other in series.items():
        seen = np.isfinite(other)
        if not seen.any() or np.ptp(other[seen]) == 0:
            continue
        part = _fast_part(other, seen, config.smooth_frames, reach)
        r, pairs = _correlate(fast[None], known, part, seen, lags)
        null, _ = _correlate(drawn, known, part, seen, lags)
        blocks.append(_block(name, lags, r[0], null, pairs))
    if not blocks:
        return empty_table(CURRENT_CORRELATION)
    return validate_table(pd.concat(blocks, ignore_index=True), CURRENT_CORRELATION)


@dataclass(frozen=True, slots=True)
class OffsetEstimate:
    """By how much the two clocks differ, as far as growth and current tell.

    Parameters
    ----------
    offset_s:
        The offset at which current and growth go together best.
    shift_s:
        What that adds to the offset in use.
    r, p:
        The correlation there, and the chance of as large a one at any lag.
    """

    offset_s: float
    shift_s: float
    r: float
    p: float


def estimate_offset(
    current: pd.DataFrame,
    growth_um2_s: Floats,
    *,
    fps: float,
    offset_s: float,
    config: CorrelationConfig,
    seed: int,
) -> OffsetEstimate | None:
    """Return the clock offset by which growth goes together with current; None where it does not.

    Metal that dissolves is current at once (Faraday), so a lag between the two is the clocks'. Lags
    up to a quarter of the recording are searched. It is a suggestion: nothing is shifted by it. It
    is made at p of 0.01 or less, for it is acted upon, and series of few transients, each unlike
    the others, are called related more often than p says.
    """
    table = correlate_current(
        current, {"growth": growth_um2_s}, config=config, seed=seed, max_lag=len(current)
    )
    best = find_clearest(table[table["r"] > 0])
    if best is None or not best["p"] <= _OFFSET_ALPHA:
        return None
    shift = float(best["lag"]) / fps
    return OffsetEstimate(offset_s + shift, shift, float(best["r"]), float(best["p"]))


def _nearest(time: Floats, at: float) -> int:
    return int(np.argmin(np.abs(time - at)))


def _low_level(level: Floats, reach: int) -> tuple[Floats, float]:
    """Return the level under the transients, over ``2 * reach + 1`` values, and its noise."""
    padded = np.pad(level, reach, mode="reflect", reflect_type="odd")
    filtered = median_filter(padded, size=2 * reach + 1, mode="nearest")[reach:-reach]
    rest = level - filtered
    low = percentile_filter(rest, 100.0 * _LOW, size=2 * reach + 1, mode="reflect")
    noise = max(_noise_between(level), _noise_beyond(low - rest))
    return filtered + low - float(norm.ppf(_LOW)) * noise, noise


def _decay(time_s: Floats, level: Floats) -> Floats:
    """Return the decay that fits a series best, ``c + b (1 + t / s)^-n`` from its first time on.

    What follows a step of the potential is such a power of time. Residuals count by soft L1, so
    that transients do not raise it.
    """
    scale = max(_noise_between(level), 1e-9 * float(np.abs(level).max()), 1e-300)
    since, height = time_s - time_s[0], level / scale
    late = float(np.median(height[-height.size // 4 :]))
    shortest, longest = math.log(since[1]), math.log(max(float(since[-1]), 2.0 * since[1]))

    def curve(parameters: Floats) -> Floats:
        offset, drop, power, unit = parameters
        return np.asarray(offset + drop * (1.0 + since / math.exp(unit)) ** -power)

    fit = least_squares(
        lambda parameters: curve(parameters) - height,
        [late, height[0] - late, 1.0, (shortest + longest) / 2.0],
        bounds=([-np.inf, -np.inf, 0.1, shortest - 3.0], [np.inf, np.inf, 3.0, longest]),
        x_scale=[1.0, 1.0 + abs(height[0] - late), 1.0, 1.0],
        loss="soft_l1",
        max_nfev=100,
    )
    return scale * curve(fit.x)


def _running_slope(time_s: Floats, level: Floats, reach: int) -> Floats:
    """Return the integral of the running slope of a series, from 0.

    The slope is the median, over ``2 * reach + 1`` values, of that between values ``reach`` apart,
    which transients raise as often as they lower it.
    """
    rise = (level[reach:] - level[:-reach]) / (time_s[reach:] - time_s[:-reach])
    usual = median_filter(rise, size=2 * reach + 1, mode="reflect")
    slope = np.interp(time_s, (time_s[reach:] + time_s[:-reach]) / 2.0, usual)
    steps = (slope[1:] + slope[:-1]) / 2.0 * np.diff(time_s)
    return np.concatenate([[0.0], np.cumsum(steps)])


def _noise(rest: Floats, value: Floats) -> float:
    """Return the standard deviation of the current about its baseline, at least half a step."""
    below = np.abs(rest[rest < 0])
    noise = _NORMAL_MAD * float(np.median(below)) if below.size else 0.0
    steps = np.diff(np.unique(value))
    rounding = float(steps.min()) / 2.0 if steps.size else 1.0
    return max(noise, _noise_between(value), rounding)


def _noise_between(value: Floats) -> float:
    """Return the standard deviation of noise that is independent from value to value."""
    return _NORMAL_MAD * float(np.median(np.abs(np.diff(value)))) / math.sqrt(2.0)


def _noise_beyond(depth: Floats) -> float:
    """Return the standard deviation of noise from how far it lies below its low quantile."""
    below = depth[depth > 0]
    usual = norm.ppf(_LOW) - norm.ppf(_LOW / 2.0)
    return float(np.median(below) / usual) if below.size else 0.0


def _per_area(value: pd.Series, is_current: bool, area_cm2: float | None) -> pd.Series:
    if not is_current:
        return value
    return value / area_cm2 if area_cm2 is not None else value * np.nan


def _per_second(frame: pd.Series, weight: Floats, frames: pd.DataFrame, fps: float) -> Floats:
    """Return the weight per second in each row of ``frames``, even between sound frames.

    In frames lost, damaged or repeated nothing is looked for, and what happened meanwhile is seen
    in the first sound frame after them: in which of them it happened is not known, their sum is.
    NaN after the last sound frame, whose weight is the last one's; NaN without a sound frame.
    """
    place = pd.Index(frames["frame"]).get_indexer(pd.Index(frame))
    sound = (frames["quality"] == "ok").to_numpy()
    if not sound.any():
        return np.full(sound.size, np.nan)
    # Each frame belongs to the sound one at or after it.
    stretch: npt.NDArray[np.int64] = np.cumsum(sound) - sound
    last = int(sound.sum()) - 1
    owner = np.minimum(stretch, last)[place[place >= 0]]
    total = np.bincount(owner, weight[place >= 0], minlength=last + 1)
    time = frames["time_s"].to_numpy(dtype=np.float64)
    lasting = np.diff(time, prepend=time[0] - 1.0 / fps)
    each = total / np.bincount(stretch, lasting, minlength=last + 1)[: last + 1]
    return np.where(stretch <= last, each[np.minimum(stretch, last)], np.nan)


def _fast_part(value: Floats, known: Bools, smooth: float, width: float) -> Floats:
    """Return series smoothed, less their lines, over their amplitude; 0 where unknown.

    Lines and amplitude are those of ``width`` frames.

    Frames are on the last axis; what is known is so in every series.
    """
    near = value
    if smooth > 0:
        total = gaussian_filter1d(np.where(known, value, 0.0), smooth, mode="reflect")
        share = gaussian_filter1d(known.astype(np.float64), smooth, mode="reflect")
        near = total / np.maximum(share, 1e-9)
    fast = np.where(known, near - _lines(near, known, width), 0.0)
    return _evened(fast, known, width)


def _evened(value: Floats, known: Bools, width: float) -> Floats:
    """Return series over their root mean square in a Gaussian window of ``width`` frames.

    Otherwise those stretches decide in which a series varies most, and of two that both come to
    vary more a recording holds fewer than surrogates, which vary the same all along, have it. A
    tenth of the overall root mean square is added, so that what hardly varies stays small.
    """
    there = known.astype(np.float64)
    near = gaussian_filter1d(there, width, mode="reflect")
    square = gaussian_filter1d(np.where(known, value, 0.0) ** 2, width, mode="reflect")
    overall = np.sum(there * value**2, axis=-1, keepdims=True) / max(float(there.sum()), 1.0)
    local = square / np.maximum(near, 1e-9) + _LEAST_AMPLITUDE**2 * overall
    return np.asarray(value / np.sqrt(np.maximum(local, 1e-300)))


def _lines(value: Floats, known: Bools, width: float) -> Floats:
    """Return the line through the values around each frame, there (local linear regression).

    Weights are Gaussian, with a standard deviation of ``width`` frames. Unlike a mean it follows a
    slope up to the ends (Fan, J. Am. Stat. Assoc. 87 (1992) 998). Frames are on the last axis.
    """
    away = np.arange(-math.ceil(_REACH * width), math.ceil(_REACH * width) + 1.0)
    near = np.exp(-0.5 * (away / width) ** 2)

    def summed(of: Floats, kernel: Floats) -> Floats:
        # A convolution turns its kernel around.
        kernel = kernel[::-1].reshape(*(1,) * (of.ndim - 1), -1)
        full = oaconvolve(of, kernel, axes=-1)
        return np.asarray(full[..., away.size // 2 : away.size // 2 + of.shape[-1]])

    there = known.astype(np.float64)
    n, first, second = (summed(there, near * (away / width) ** power) for power in range(3))
    held = np.where(known, value, 0.0)
    level, slope = summed(held, near), summed(held, near * away / width)
    spread = n * second - first**2
    # Of one frame, or none, there is no slope.
    line = (second * level - first * slope) / np.where(spread > 1e-6, spread, np.inf)
    return np.where(spread > 1e-6, line, level / np.maximum(n, 1e-9))


def _correlate(
    a: Floats, known_a: Bools, b: Floats, known_b: Bools, lags: npt.NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """Return r of each row of ``a`` with ``b`` at each lag, and the number of pairs."""
    size = fft.next_fast_len(b.size + int(np.abs(lags).max()), real=True)

    def lagged(left: Floats, right: Floats) -> Floats:
        product = np.conj(fft.rfft(left, size)) * fft.rfft(right, size)
        return np.asarray(fft.irfft(product, size)[..., lags % size])

    pairs = np.rint(lagged(known_a.astype(np.float64), known_b.astype(np.float64)))
    r = np.empty((len(a), lags.size))
    # Row by row, for a long recording times all surrogates would not fit into memory.
    for row, series in enumerate(a):
        top = lagged(series, b)
        left = np.maximum(lagged(series**2, known_b.astype(np.float64)), 0.0)
        right = np.maximum(lagged(known_a.astype(np.float64), b**2), 0.0)
        bottom = np.sqrt(left * right)
        floor = 1e-9 * max(float(bottom.max()), 1e-300)
        r[row] = np.where(bottom > floor, top / np.maximum(bottom, floor), 0.0)
    return np.clip(r, -1.0, 1.0), pairs


def _block(
    name: str, lags: npt.NDArray[np.int64], r: Floats, null: Floats, pairs: Floats
) -> pd.DataFrame:
    enough = pairs >= _MIN_PAIRS
    deviation = np.sqrt(np.maximum(variance_over_lags(null), 1e-300))
    p = np.full(lags.size, np.nan)
    p[enough] = p_over_lags(r[enough], null[:, enough], deviation[enough])
    low, high = np.quantile(null, (0.025, 0.975), axis=0)
    empty = np.where(enough, 1.0, np.nan)
    return pd.DataFrame(
        {
            "series": name,
            "lag": lags,
            "r": r * empty,
            "r_lo": low * empty,
            "r_hi": high * empty,
            "p": p,
            "n_effective": empty / deviation**2,
        }
    )
