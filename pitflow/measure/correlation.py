"""Does ejection follow growth? Correlation of the two directions over lag, with its null law.

Growth direction ``g(t)`` and ejection direction ``e(t)`` are series over frames, missing where
nothing grew or left. ``r(lag) = corr(g(t), e(t + lag))``, so at a positive lag ejection follows
growth.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import fft
from scipy.ndimage import gaussian_filter1d

from pitflow.config import CorrelationConfig
from pitflow.lag import find_lag
from pitflow.measure.circular import rayleigh_test, wrap_angle
from pitflow.measure.pits import adjust_p
from pitflow.measure.surrogates import (
    Series,
    direction_surrogates,
    learn_memory,
    p_over_lags,
    variance_over_lags,
)
from pitflow.schema import CORRELATION, empty_table, validate_table

Floats = npt.NDArray[np.float64]

_MIN_PAIRS = 8
"""Fewest pairs of frames behind a correlation; below, it is empty."""
_LARGEST_LAG = 0.25
"""Largest lag as a share of a pit's life; beyond, too little of it overlaps, and r is empty."""


class Coefficient(Protocol):
    """A correlation coefficient as sums over pairs of frames.

    It is ``sum(a0 b0) / sqrt(sum(a1 b1) sum(a2 b2))`` where the terms ``a`` depend on one series
    and the terms ``b`` on the other, or on such sums alone; so that all lags follow by FFT.
    """

    def terms(
        self, growth: Series, ejection: Series
    ) -> tuple[tuple[Floats, ...], tuple[Floats, ...]]:
        """Return the terms: of growth (series, n_frames), of ejection (n_frames,)."""
        ...

    def combine(self, sums: tuple[Floats, ...]) -> tuple[Floats, Floats]:
        """Return numerator and denominator squared from the terms' lagged products."""
        ...


class CircularCoefficient:
    """Circular correlation (Jammalamadaka and SenGupta, Topics in Circular Statistics, 8.2).

    ``sum(sin(g - G) sin(e - E)) / sqrt(sum(sin^2(g - G)) sum(sin^2(e - E)))`` with the mean
    directions G and E, each pair weighted by what its angles are worth. Where either series has no
    mean direction to speak of (Rayleigh p above 0.05), G and E are an accident and the coefficient
    with them; then both are the direction of the two series together.
    """

    def terms(
        self, growth: Series, ejection: Series
    ) -> tuple[tuple[Floats, ...], tuple[Floats, ...]]:
        """Return the terms of either series."""
        mean_g, clear_g = self._mean(growth)
        mean_e, clear_e = self._mean(ejection)
        clear, common = clear_g & clear_e, np.angle(mean_g + mean_e)
        reference_g = np.where(clear, np.angle(mean_g), common)[..., None]
        reference_e = np.where(clear, np.angle(mean_e), common)[..., None]
        sin_g, sin_e = np.sin(growth.angle - reference_g), np.sin(ejection.angle - reference_e)
        wg, we = growth.weight, ejection.weight
        return (wg * sin_g, wg * sin_g**2, wg), (we * sin_e, we, we * sin_e**2)

    def combine(self, sums: tuple[Floats, ...]) -> tuple[Floats, Floats]:
        """Return numerator and denominator squared."""
        # Transforms leave tiny negative sums where there is no pair.
        return sums[0], np.maximum(sums[1], 0) * np.maximum(sums[2], 0)

    @staticmethod
    def _mean(series: Series) -> tuple[npt.NDArray[np.complex128], npt.NDArray[np.bool_]]:
        """Return the mean vector and whether its direction is clear."""
        total = np.maximum(series.weight.sum(axis=-1), 1e-12)
        vector = (series.weight * np.exp(1j * series.angle)).sum(axis=-1) / total
        # Kish's size of a weighted sample.
        size = total**2 / np.maximum((series.weight**2).sum(axis=-1), 1e-12)
        return vector, rayleigh_test(size, np.abs(vector)) < 0.05


class ReportCoefficient:
    """The paper's coefficient: Pearson's of the mean angles per frame, in degrees 0 to 360.

    Kept to compare with paper 002, Fig. 6. It takes 359 and 1 degree for far apart.
    """

    def terms(
        self, growth: Series, ejection: Series
    ) -> tuple[tuple[Floats, ...], tuple[Floats, ...]]:
        """Return the terms of either series; a frame counts fully or not at all."""
        parts = []
        for series in (growth, ejection):
            seen = (series.weight > 0).astype(np.float64)
            angle = seen * wrap_angle(np.degrees(series.angle))
            # Angles about their mean: the coefficient is the same and the sums stay small.
            middle = angle.sum(axis=-1) / np.maximum(seen.sum(axis=-1), 1.0)
            angle = seen * (angle - middle[..., None])
            parts.append((angle, seen))
        (g, seen_g), (e, seen_e) = parts
        return (g, seen_g, g, g**2, seen_g, seen_g), (e, seen_e, seen_e, seen_e, e, e**2)

    def combine(self, sums: tuple[Floats, ...]) -> tuple[Floats, Floats]:
        """Return covariance, and the product of the variances."""
        product, n, g, gg, e, ee = sums
        n = np.maximum(n, 1.0)
        return product - g * e / n, np.maximum(gg - g**2 / n, 0) * np.maximum(ee - e**2 / n, 0)


COEFFICIENTS: dict[str, Coefficient] = {
    "circular": CircularCoefficient(),
    "report": ReportCoefficient(),
}


def growth_series(growth: pd.DataFrame, frames: npt.NDArray[np.int64], smooth: float) -> Series:
    """Return one pit's growth direction over ``frames``.

    New pixels are summed as unit vectors over a Gaussian window of ``smooth`` frames, symmetric, so
    that no lag is added. The weight is the share of the summed vector that is not chance: its
    square over itself plus the pixels', as in a Wiener filter.
    """
    n = np.zeros(frames.size)
    vector = np.zeros(frames.size, dtype=np.complex128)
    known = growth["angle_deg"].notna().to_numpy()
    place = growth["frame"].to_numpy(dtype=np.int64)[known] - frames[0]
    new = growth["new_px"].to_numpy(dtype=np.float64)[known]
    angle = np.radians(growth["angle_deg"].to_numpy(dtype=np.float64)[known])
    length = growth["resultant_length"].to_numpy(dtype=np.float64)[known]
    n[place] = new
    vector[place] = new * length * np.exp(1j * angle)
    if smooth > 0:
        n = gaussian_filter1d(n, smooth, mode="constant")
        vector = gaussian_filter1d(vector.real, smooth, mode="constant") + 1j * gaussian_filter1d(
            vector.imag, smooth, mode="constant"
        )
        n, vector = np.where(n > 1e-3, n, 0.0), np.where(n > 1e-3, vector, 0.0)
    return _weighted(vector, n)


def ejection_series(ejections: pd.DataFrame, frames: npt.NDArray[np.int64]) -> Series:
    """Return one pit's ejection direction over ``frames``: the mean of those that left in each."""
    place = ejections["frame"].to_numpy(dtype=np.int64) - frames[0]
    inside = (place >= 0) & (place < frames.size)
    angle = np.radians(ejections["angle_deg"].to_numpy(dtype=np.float64)[inside])
    vector = np.bincount(place[inside], np.cos(angle), minlength=frames.size) + 1j * np.bincount(
        place[inside], np.sin(angle), minlength=frames.size
    )
    n = np.bincount(place[inside], minlength=frames.size).astype(np.float64)
    return _weighted(vector, n)


def _weighted(vector: npt.NDArray[np.complex128], n: Floats) -> Series:
    square = np.abs(vector) ** 2
    weight = np.where(n > 0, square / np.maximum(square + n, 1e-12), 0.0)
    return Series(np.where(weight > 0, np.angle(vector), 0.0), weight)


def compute_correlation(
    growth: pd.DataFrame,
    ejections: pd.DataFrame,
    *,
    config: CorrelationConfig,
    seed: int,
) -> pd.DataFrame:
    """Return the correlation table, per pit and pooled over pits (pit -1).

    The pooled coefficient divides the sum of the pits' numerators by that of their denominators,
    each pit about its own mean directions, so that pits which merely differ do not correlate.

    Every lag counts by itself. Pooling neighbouring lags finds weak relations more often, but on
    short series also finds some where there is none: their memory is known too badly.

    The null law comes from surrogates of each pit's growth direction that keep its values and the
    autocorrelation that the pits have in common (`pitflow.measure.surrogates`). ``p`` at a lag is
    the share of surrogates whose largest ``|r|`` over all lags is at least the ``|r|`` there, each
    relative to its standard deviation over the surrogates at its own lag (long lags have fewer
    pairs); so it holds for all lags together.

    Further columns: ``n_pairs`` (pairs of frames), ``n_effective`` (worth that many independent
    pairs: ``1 / variance`` of ``r`` over the surrogates) and ``q``: of the pits, p at the clearest
    lag of each (`pitflow.lag.find_lag`), adjusted over the pits, for of many some are clear by
    chance.

    Parameters
    ----------
    growth, ejections:
        The tables, growth with ``resultant_length``. Ejections count in the frame of departure.
    """
    coefficient = COEFFICIENTS[config.method]
    lags = np.arange(-config.max_lag, config.max_lag + 1)
    smooth = config.smooth_frames if config.method == "circular" else 0.0
    by_pit = {int(str(pit)): group for pit, group in ejections.groupby("pit")}
    pairs_of: dict[int, tuple[Series, Series]] = {}
    for pit, grown in growth.groupby("pit", sort=True):
        number = int(str(pit))
        if number in by_pit:
            frames = grown["frame"].to_numpy(dtype=np.int64)
            g = growth_series(grown, frames, smooth)
            pairs_of[number] = g, ejection_series(by_pit[number], frames)
    memory = learn_memory([g for g, _ in pairs_of.values()])
    observed: list[tuple[Floats, Floats]] = []
    surrogate: list[tuple[Floats, Floats]] = []
    n_pairs: list[Floats] = []
    for number, (g, e) in pairs_of.items():
        seen = Series(g.angle[None], g.weight[None])
        pairs = _lagged((np.sign(seen.weight),), (np.sign(e.weight),), lags)[0][0]
        admitted = np.where(np.abs(lags) <= _LARGEST_LAG * g.angle.size, 1.0, 0.0)
        n_pairs.append(admitted * np.rint(pairs))
        top, bottom = coefficient.combine(_lagged(*coefficient.terms(seen, e), lags))
        observed.append((admitted * top[0], admitted * bottom[0]))
        rng = np.random.default_rng([seed, number])
        drawn = direction_surrogates(g, memory, config.surrogates, rng)
        top, bottom = coefficient.combine(_lagged(*coefficient.terms(drawn, e), lags))
        surrogate.append((admitted * top, admitted * bottom))
    if not pairs_of:
        return empty_table(CORRELATION)
    pooled = _pool(observed), _pool(surrogate)
    pairs_of_all = np.sum(n_pairs, axis=0)
    blocks = [_block(-1, lags, *pooled, pairs_of_all)]
    blocks += [
        _block(pit, lags, seen, null, pairs)
        for pit, seen, null, pairs in zip(pairs_of, observed, surrogate, n_pairs, strict=True)
    ]
    return validate_table(_adjusted(pd.concat(blocks, ignore_index=True)), CORRELATION)


def _adjusted(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with ``q`` at the clearest lag of each pit, and empty elsewhere."""
    found = (find_lag(table, int(pit)) for pit in table["pit"].unique() if pit >= 0)
    answers = [answer for answer in found if answer is not None]
    q = adjust_p(np.array([answer.p for answer in answers], dtype=np.float64))
    clearest = pd.DataFrame(
        {"pit": [a.pit for a in answers], "lag": [a.lag for a in answers], "q": q},
    ).astype({"pit": "int64", "lag": "int64"})
    return table.merge(clearest, on=["pit", "lag"], how="left")


def _lagged(
    a: tuple[Floats, ...], b: tuple[Floats, ...], lags: npt.NDArray[np.int64]
) -> tuple[Floats, ...]:
    """Return ``sum_t a(t) b(t + lag)`` for each pair of terms: (rows of a, lags).

    Terms ``a`` are (rows, n), terms ``b`` (n,) or (rows, n).
    """
    n, reach = b[0].shape[-1], int(lags.max())
    length = fft.next_fast_len(n + reach, real=True)
    chunk = max(1, 2_000_000 // length)
    results = []
    for left, right in zip(a, b, strict=True):
        rows = left.shape[0]
        right = np.broadcast_to(right, left.shape) if right.ndim == 2 else right[None]
        parts = []
        for first in range(0, rows, chunk):
            spectrum = np.conj(fft.rfft(left[first : first + chunk], length))
            spectrum *= fft.rfft(right[first : first + chunk] if len(right) > 1 else right, length)
            parts.append(fft.irfft(spectrum, length)[:, lags % length])
        product = np.concatenate(parts)
        # A series shorter than the lag leaves no pair; what the transform gives there is rounding.
        product[:, np.abs(lags) >= n] = 0.0
        results.append(product)
    return tuple(results)


def _pool(parts: list[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    """Return numerator and denominator squared of the coefficient pooled over pits."""
    top = np.sum([part[0] for part in parts], axis=0)
    return top, np.sum([np.sqrt(part[1]) for part in parts], axis=0) ** 2


def _block(
    pit: int,
    lags: npt.NDArray[np.int64],
    observed: tuple[Floats, Floats],
    null: tuple[Floats, Floats],
    pairs: Floats,
) -> pd.DataFrame:
    """Return the rows of one pit, or of all together."""
    enough = pairs >= _MIN_PAIRS
    r = np.where(enough, _ratio(*observed), np.nan)
    drawn = np.where(enough[None, :], _ratio(*null), np.nan)
    lo, hi, variance, p = (np.full(lags.size, np.nan) for _ in range(4))
    if enough.any():
        known = drawn[:, enough]
        lo[enough], hi[enough] = np.quantile(known, (0.025, 0.975), axis=0)
        variance[enough] = variance_over_lags(known)
        deviation = np.sqrt(np.where(variance > 0, variance, np.inf))
        p[enough] = p_over_lags(r[enough], known, deviation[enough])
    return pd.DataFrame(
        {
            "pit": pit,
            "lag": lags,
            "r": r,
            "r_lo": lo,
            "r_hi": hi,
            "p": p,
            "n_pairs": pairs,
            "n_effective": 1.0 / np.where(variance > 0, variance, np.nan),
        }
    )


def _ratio(top: Floats, bottom: Floats) -> Floats:
    floor = 1e-9 * max(float(np.max(bottom, initial=0.0)), 1e-12)
    safe = np.where(bottom > floor, bottom, 1.0)
    return np.where(bottom > floor, np.clip(top / np.sqrt(safe), -1.0, 1.0), 0.0)
