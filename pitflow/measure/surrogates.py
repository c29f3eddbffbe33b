"""Random series that are like a given one, but know nothing of any other: null laws over lag.

Circular shifts of a series would do, but a recording holds few shifts that are independent: with a
memory of 10 frames and lags of +-20, a life of 150 frames holds four, and the level of a test is
then near 1/5 whatever the number of shifts drawn. So Gaussian processes are drawn instead, over
twice the length and cut, so that their ends do not join, and given the values of the series in the
order of their own (amplitude adjustment, Theiler et al., Physica D 58 (1992) 77).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft
from scipy.ndimage import gaussian_filter1d

Floats = npt.NDArray[np.float64]

_VARIANCE_WINDOW = 5.0
"""Lags over which the variance of surrogates is smoothed (Gaussian)."""
_LEAST_KNOWN = 8
"""A series known at fewer places is left as it is."""
_LEAST_PAIRS = 1e-3
"""Autocorrelation at a lag with a smaller share of the pairs at lag 0 is not known."""
_FAR = 2.0
"""Autocorrelation is noise beyond this many times the lag at which it first crosses zero."""
_ROUNDS = 5
"""Of adjusting the power."""
_ROUND_VALUES = 40_000
"""Values drawn in a round, about, in 10 to 100 series: long ones have less chance in them."""
_BLOCK_VALUES = 4_000_000
"""Values drawn at a time."""
_MOST_CHANGE = 3.0
"""Factor by which one round may change the power at a frequency."""


@dataclass(frozen=True)
class Series:
    """A direction over frames: angle (rad) and how much it is worth, 0 where it is missing.

    Frames are on the last axis; a first one, if any, counts surrogates.
    """

    angle: Floats
    weight: Floats


def learn_memory(series: Sequence[Series]) -> Floats:
    """Return the autocorrelation, over lag from 0, that series of directions have in common.

    That of the unit vectors about their weighted mean, each pair of frames weighted by what its
    directions are worth, each series by its variance, up to half the longest series. Pooled: one
    series holds a few times its memory, and a spectrum estimated from it is the spectrum it
    happened to have, more than that of the process; surrogates with it follow the other series too
    closely where the series itself does, and a test against them calls too little.
    """
    reach = max((one.angle.size for one in series), default=0) // 2 + 1
    top, pairs = np.zeros(reach), np.zeros(reach)
    for one in series:
        parts, known = _products(one.weight, _about_mean(one)[1], min(reach, one.angle.size))
        variance = (parts[0] + parts[1])[0] / max(known[0], 1e-12)
        if variance > 1e-9:
            top[: known.size] += (parts[0] + parts[1]) / variance
            pairs[: known.size] += known
    return _correlation(top, pairs)


def direction_surrogates(
    series: Series, memory: Floats, draws: int, rng: np.random.Generator
) -> Series:
    """Return random series of directions with the values of ``series`` and a given memory.

    The vectors' parts along and across the mean direction are Gaussian processes; their direction
    then takes the observed values, each as often as its weight says. That loosens the memory, so
    the power of the processes is first adjusted until the surrogates have it (Schreiber and
    Schmitz, Phys. Rev. Lett. 77 (1996) 635).

    Parameters
    ----------
    memory:
        Autocorrelation over lag from 0, see `learn_memory`.

    Returns
    -------
    Series
        Angle and weight (draws, n); missing frames and weights stay where they are.
    """
    weight, known = series.weight, series.weight > 0
    n = weight.size
    weights = np.tile(weight, (draws, 1))
    if known.sum() < _LEAST_KNOWN:
        return Series(np.tile(series.angle, (draws, 1)), weights)
    mean, deviation = _about_mean(series)
    memory = memory[: min(memory.size, n)]
    window = _window(memory)
    target = _power(memory * window, 2 * n)
    power = target.copy()
    parts = np.array([np.cos(deviation), np.sin(deviation)])
    middle = parts @ weight / weight.sum()
    spread = np.sqrt((parts - middle[:, None]) ** 2 @ weight / weight.sum())
    order = np.argsort(deviation[known])
    value, rank = deviation[known][order], _weighted_rank(weight[known][order])

    def draw_some(size: int) -> Floats:
        process = _processes(power, (2, size), n, rng)
        along, across = middle[:, None, None] + spread[:, None, None] * process
        turn = np.arctan2(across, along)[:, known]
        place = np.argsort(turn, axis=1)
        drawn = np.empty_like(turn)
        ranks = _weighted_rank(weight[known][place])
        np.put_along_axis(drawn, place, np.interp(ranks, rank, value), axis=1)
        angle = np.zeros((size, n))
        angle[:, known] = drawn
        return angle

    for _ in range(_ROUNDS):
        seen, pairs = _products(weight, draw_some(_round_draws(draws, n)), memory.size)
        reached = _power(_correlation(seen[0] + seen[1], pairs) * window, 2 * n)
        power *= _lacking(target, reached)
    angle = np.concatenate([draw_some(size) for size in _blocks(draws, n)])
    return Series(np.where(known, mean + angle, 0.0), weights)


def value_surrogates(
    value: Floats, known: npt.NDArray[np.bool_], draws: int, rng: np.random.Generator
) -> Floats:
    """Return (draws, n) random series with the values and the autocorrelation of ``value``.

    Gaussian processes given the values in the order of their own, adjusted as in
    `direction_surrogates`.
    """
    n, weight = value.size, known.astype(np.float64)
    if known.sum() < _LEAST_KNOWN:
        return np.tile(np.where(known, value, 0.0), (draws, 1))
    ordered = np.sort(value[known])
    middle = weight * float(ordered.mean())
    pairs = _lagged(weight, n)
    fading = 1.0 - np.arange(n) / n
    target = _power(_correlation(_lagged(weight * value - middle, n), pairs) * fading, 2 * n)
    power = target.copy()

    def draw_some(size: int) -> Floats:
        process = _processes(power, (size,), n, rng)[:, known]
        drawn = np.zeros((size, n))
        drawn[:, known] = ordered[np.argsort(np.argsort(process, axis=1), axis=1)]
        return drawn

    for _ in range(_ROUNDS):
        seen = _lagged(draw_some(_round_draws(draws, n)) - middle, n)
        power *= _lacking(target, _power(_correlation(seen, pairs) * fading, 2 * n))
    return np.concatenate([draw_some(size) for size in _blocks(draws, n)])


def variance_over_lags(drawn: Floats) -> Floats:
    """Return the variance about 0 over surrogates (draws, lags), smoothed over the lags.

    It changes slowly with the lag, as pairs get fewer; the draws add noise to that.
    """
    return np.asarray(
        gaussian_filter1d(np.mean(drawn**2, axis=0), _VARIANCE_WINDOW, mode="nearest")
    )


def p_over_lags(r: Floats, drawn: Floats, deviation: Floats) -> Floats:
    """Return the chance of a correlation as large at any lag, for that at each.

    Parameters
    ----------
    r, deviation:
        (lags,) correlation, and its standard deviation without a relation.
    drawn:
        (draws, lags) correlation of surrogates.
    """
    largest = np.sort(np.max(np.abs(drawn) / deviation, axis=1, initial=0.0))
    beyond = largest.size - np.searchsorted(largest, np.abs(r) / deviation - 1e-12)
    return np.asarray((1 + beyond) / (1 + largest.size))


def _round_draws(draws: int, n: int) -> int:
    """Return how many series of length n are drawn in a round."""
    return min(draws, int(np.clip(_ROUND_VALUES // n, 10, 100)))


def _blocks(draws: int, n: int) -> list[int]:
    """Return how many series of length n are drawn at a time, so that memory is bounded."""
    most = max(_BLOCK_VALUES // n, 1)
    return [min(most, draws - done) for done in range(0, draws, most)]


def _about_mean(series: Series) -> tuple[float, Floats]:
    """Return the weighted mean direction, and the deviations from it, 0 where missing (rad)."""
    mean = float(np.angle(np.sum(series.weight * np.exp(1j * series.angle))))
    deviation = np.angle(np.exp(1j * (series.angle - mean)))
    return mean, np.where(series.weight > 0, deviation, 0.0)


def _products(weight: Floats, deviation: Floats, reach: int) -> tuple[list[Floats], Floats]:
    """Return summed lagged products of both vector parts, mean over rows, and of the weights."""
    parts = []
    for part in (np.cos(deviation), np.sin(deviation)):
        mean = (weight * part).sum(axis=-1, keepdims=True) / max(float(weight.sum()), 1e-12)
        parts.append(_lagged(weight * (part - mean), reach))
    return parts, np.maximum(_lagged(weight, reach), 0.0)


def _lagged(values: Floats, reach: int) -> Floats:
    """Return the summed products of series with themselves over lag from 0, mean over rows."""
    size = fft.next_fast_len(values.shape[-1] + reach, real=True)
    square = np.abs(fft.rfft(np.atleast_2d(values), size)) ** 2
    return np.asarray(fft.irfft(square.mean(axis=0), size)[:reach])


def _lacking(target: Floats, reached: Floats) -> Floats:
    """Return the factor by which power is short of its target, within limits."""
    # What is hardly there is not divided by.
    ratio = (target + 1e-9 * target.max()) / (reached + 1e-3 * reached.max())
    return np.asarray(np.clip(ratio, 1.0 / _MOST_CHANGE, _MOST_CHANGE))


def _correlation(top: Floats, pairs: Floats) -> Floats:
    """Return sums of products over pairs as a correlation, 0 where pairs are too few."""
    least = max(_LEAST_PAIRS * float(pairs[0]), 1e-12) if pairs.size else 0.0
    covariance = np.where(pairs > least, top / np.maximum(pairs, least), 0.0)
    if not covariance.size or covariance[0] <= 0:
        covariance = np.zeros(max(covariance.size, 1))
        covariance[0] = 1.0
    return np.asarray(covariance / covariance[0])


def _window(memory: Floats) -> Floats:
    """Return a cosine taper that ends where the memory is noise."""
    below = np.flatnonzero(memory <= 0)
    reach = min(_FAR * (below[0] if below.size else memory.size), memory.size)
    lag = np.arange(memory.size)
    return np.asarray(np.where(lag < reach, 0.5 + 0.5 * np.cos(np.pi * lag / reach), 0.0))


def _power(memory: Floats, size: int) -> Floats:
    """Return the power over frequency of an autocorrelation over lag from 0, none negative."""
    both = np.zeros(size)
    both[: memory.size] = memory
    both[size - memory.size + 1 :] = memory[1:][::-1]
    return np.asarray(np.maximum(fft.rfft(both).real, 0.0))


def _processes(power: Floats, shape: tuple[int, ...], n: int, rng: np.random.Generator) -> Floats:
    """Return Gaussian processes of unit variance: the given shape by n."""
    noise = rng.normal(size=(*shape, power.size)) + 1j * rng.normal(size=(*shape, power.size))
    process = fft.irfft(noise * np.sqrt(power), 2 * (power.size - 1))[..., :n]
    return np.asarray(process / max(float(np.sqrt(np.mean(process**2))), 1e-300))


def _weighted_rank(weight: Floats) -> Floats:
    """Return the rank, 0 to 1, of each of ordered values along the last axis."""
    total = np.cumsum(weight, axis=-1)
    return np.asarray((total - weight / 2.0) / total[..., -1:])
