"""The current without its transients: the level under them, and its noise."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import median_filter, percentile_filter
from scipy.optimize import least_squares
from scipy.stats import norm

Floats = npt.NDArray[np.float64]

BLOCKS = 50
"""The baseline's window is divided into this many blocks, whose medians are filtered."""
_LOW = 0.15
"""Share of a window in which no transient may be seen that the baseline is still found."""
_CLEARLY_LESS = 0.8
"""Of two kinds of noise that are the same but for chance, one is not by so much less."""
_NORMAL_MAD = 1.4826
"""Standard deviation of a normal law over the median of its distance from the middle."""


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
    step = max(window_s / BLOCKS, usual, 1e-9)
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


def _low_level(level: Floats, reach: int) -> tuple[Floats, float]:
    """Return the level under the transients, over ``2 * reach + 1`` values, and its noise."""
    padded = np.pad(level, reach, mode="reflect", reflect_type="odd")
    filtered = median_filter(padded, size=2 * reach + 1, mode="nearest")[reach:-reach]
    rest = level - filtered
    low = percentile_filter(rest, 100.0 * _LOW, size=2 * reach + 1, mode="reflect")
    noise = max(noise_between(level), _noise_beyond(low - rest))
    return filtered + low - float(norm.ppf(_LOW)) * noise, noise


def _decay(time_s: Floats, level: Floats) -> Floats:
    """Return the decay that fits a series best, ``c + b (1 + t / s)^-n`` from its first time on.

    What follows a step of the potential is such a power of time. Residuals count by soft L1, so
    that transients do not raise it.
    """
    scale = max(noise_between(level), 1e-9 * float(np.abs(level).max()), 1e-300)
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


def noise_below(rest: Floats) -> float:
    """Return the standard deviation of what is below a baseline, where no transient reaches."""
    below = np.abs(rest[rest < 0])
    return _NORMAL_MAD * float(np.median(below)) if below.size else 0.0


def half_a_digit(value: Floats) -> float:
    """Return half of the least step between values, to which they may be rounded."""
    steps = np.diff(np.unique(value))
    return float(steps.min()) / 2.0 if steps.size else 0.5


def noise_between(value: Floats) -> float:
    """Return the standard deviation of noise that is independent from value to value."""
    return _NORMAL_MAD * float(np.median(np.abs(np.diff(value)))) / math.sqrt(2.0)


def usual_changes(value: Floats, longest: int) -> tuple[npt.NDArray[np.int64], Floats]:
    """Return numbers of samples up to ``longest``, and by how much a series changes within them.

    That is the standard deviation of the change, judged by its median: sudden rises and falls that
    fill less than half of the time do not count, and noise may have any memory.
    """
    octaves = np.arange(0.0, math.log2(max(min(longest, value.size // 2), 1)) + 1e-9, 0.5)
    lags = np.unique(np.rint(2.0**octaves).astype(np.int64))
    changes = (value[lag:] - value[:-lag] for lag in lags)
    usual = [_NORMAL_MAD * float(np.median(np.abs(own - np.median(own)))) for own in changes]
    return lags, np.array(usual)


def _noise_beyond(depth: Floats) -> float:
    """Return the standard deviation of noise from how far it lies below its low quantile."""
    below = depth[depth > 0]
    usual = norm.ppf(_LOW) - norm.ppf(_LOW / 2.0)
    return float(np.median(below) / usual) if below.size else 0.0
