"""What the current goes together with: ejections and growth against it over lag.

``r(lag) = corr(current(t), other(t + lag))``, so at a positive lag they follow the current.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import fft
from scipy.ndimage import gaussian_filter1d
from scipy.signal import oaconvolve

from pitflow.config import CorrelationConfig
from pitflow.lag import find_clearest
from pitflow.measure.current import signal_of
from pitflow.measure.surrogates import p_over_lags, value_surrogates, variance_over_lags
from pitflow.schema import CURRENT_CORRELATION, empty_table, validate_table

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

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
