"""Statistics of directions. Angles in degrees, clockwise from +x, as everywhere in the tables."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import comb

import numpy as np
import numpy.typing as npt
from scipy.special import i0e, i1e
from scipy.stats import norm
from scipy.stats import t as student_t

from pitflow.measure.dip import dip_test
from pitflow.schema import FEWEST_FOR_MODES

Floats = npt.NDArray[np.float64]

_FULL = 360.0
_MAX_KAPPA = 200.0
"""Sharpest von Mises component fitted: 4 degrees wide, about the error of one ejection angle."""
_BINS = 180
_MOST_COMPONENTS = 3
_GAIN_OF_ONE, _GAIN_OF_MORE = 3.0, 4.0
"""BIC that a first direction, and that more of them, have to gain."""
_DIP_LEVEL = 0.05
_RAO_DRAWS = 4999
_LAW_DRAWS = 2000
_MOST_DIVISIONS = 5000
"""Most divisions of angles into two samples that are all looked at."""
_MOST_WITHOUT_BOOTSTRAP, _MOST_FOR_LAW = 15, 64


def wrap_angle(angle_deg: npt.ArrayLike) -> Floats:
    """Return angles in [0, 360)."""
    wrapped = np.mod(np.asarray(angle_deg, dtype=np.float64), _FULL)
    return np.where(wrapped == _FULL, 0.0, wrapped)


def wrap_difference(angle_deg: npt.ArrayLike) -> Floats:
    """Return differences of angles in [-180, 180)."""
    return np.asarray(wrap_angle(np.asarray(angle_deg, dtype=np.float64) + 180.0) - 180.0)


def direction_of(dx: npt.ArrayLike, dy: npt.ArrayLike) -> Floats:
    """Return the direction of a vector, degrees in [0, 360), y down; NaN for a null vector."""
    dx, dy = np.asarray(dx, dtype=np.float64), np.asarray(dy, dtype=np.float64)
    angle = wrap_angle(np.degrees(np.arctan2(dy, dx)))
    return np.where((dx == 0) & (dy == 0), np.nan, angle)


def mean_vector(angles_deg: npt.ArrayLike) -> tuple[float, float]:
    """Return the mean direction (degrees) and the mean resultant length of angles.

    Returns
    -------
    tuple of float
        Direction in [0, 360) and length in [0, 1]; (NaN, NaN) without angles. The direction of
        angles that cancel (length below 1e-12) is NaN.

    References
    ----------
    Mardia and Jupp, Directional Statistics (2000), section 2.2.
    """
    radians = np.radians(np.asarray(angles_deg, dtype=np.float64))
    if radians.size == 0:
        return np.nan, np.nan
    vector = complex(np.sum(np.exp(1j * radians)) / radians.size)
    length = min(abs(vector), 1.0)
    if length < 1e-12:
        return np.nan, 0.0
    return float(wrap_angle(np.degrees(np.angle(vector)))), length


def rayleigh_test(n: npt.ArrayLike, resultant_length: npt.ArrayLike) -> Floats:
    """Return p of the Rayleigh test of uniformity against one preferred direction.

    Parameters
    ----------
    n, resultant_length:
        Number of independent angles and their mean resultant length; any equal shapes.

    Returns
    -------
    ndarray
        p in (0, 1]; NaN below 4 angles, where no test is meaningful.

    References
    ----------
    Wilkie, Applied Statistics 32 (1983) 311; Zar, Biostatistical Analysis, eq. 27.4. The error of
    the approximation is below 0.001 at p = 0.05 from n = 10 on.
    """
    n = np.asarray(n, dtype=np.float64)
    length = np.asarray(resultant_length, dtype=np.float64)
    resultant = n * length
    exponent = np.sqrt(1.0 + 4.0 * n + 4.0 * (n**2 - resultant**2)) - (1.0 + 2.0 * n)
    return np.where(n >= 4, np.minimum(np.exp(exponent), 1.0), np.nan)


def rao_spacing(angles_deg: npt.ArrayLike) -> float:
    """Return Rao's spacing statistic, degrees: half the summed departure of gaps from equal ones.

    References
    ----------
    Rao, Sankhya B 38 (1976) 329; Mardia and Jupp, eq. 6.3.44.
    """
    angles = np.sort(wrap_angle(angles_deg))
    gaps = np.diff(np.concatenate([angles, angles[:1] + _FULL]))
    return float(0.5 * np.abs(gaps - _FULL / angles.size).sum())


def rao_test(angles_deg: npt.ArrayLike, *, seed: int = 0) -> float:
    """Return p of Rao's spacing test, the omnibus test: it also sees several opposed directions.

    Up to 200 angles by Monte Carlo (4999 draws), beyond by the normal limit with the exact mean
    and variance (Sherman, Ann. Math. Stat. 21 (1950) 339).
    """
    n = np.size(angles_deg)
    if n < 4:
        return np.nan
    statistic = rao_spacing(angles_deg)
    if n > 200:
        mean, deviation = rao_moments(n)
        return float(norm.sf(statistic, mean, deviation))
    # Gaps between uniform angles are exponential variates over their sum.
    gaps = np.random.default_rng(seed).exponential(size=(_RAO_DRAWS, n))
    gaps *= _FULL / gaps.sum(axis=1, keepdims=True)
    drawn = 0.5 * np.abs(gaps - _FULL / n).sum(axis=1)
    return float((1 + np.count_nonzero(drawn >= statistic - 1e-9)) / (1 + _RAO_DRAWS))


def rao_moments(n: int) -> tuple[float, float]:
    """Return mean and standard deviation (degrees) of Rao's statistic for ``n`` uniform angles."""
    m = n - 1
    mean = np.exp((m + 1) * np.log1p(-1.0 / (m + 1)))
    first = 2.0 * np.exp((m + 2) * np.log1p(-1.0 / (m + 1)))
    second = m * np.exp((m + 2) * np.log((m - 1) / (m + 1))) if m > 1 else 0.0
    variance = (first + second) / (m + 2) - mean**2
    return float(_FULL * mean), float(_FULL * np.sqrt(variance))


@dataclass(frozen=True, slots=True)
class DirectionInterval:
    """Intervals of a mean direction (degrees, clockwise from lo to hi) and of its length.

    Both ends of the direction are NaN where no direction can be told from the whole circle.
    """

    direction_lo: float
    direction_hi: float
    length_lo: float
    length_hi: float


def bootstrap_direction(
    angles_deg: npt.ArrayLike,
    *,
    confidence: float,
    resamples: int,
    rng: np.random.Generator,
) -> DirectionInterval:
    """Return intervals of the mean direction and of the mean resultant length.

    The direction's interval is the percentile interval of deviations from the sample's own
    direction. Where the angles may be uniform (Rayleigh's p above ``1 - confidence``), or that
    interval goes round, any direction may be the mean one: its ends are NaN.

    The length is biased upwards (by about ``(1 - R^2) / (2 n R)``, all of it where there is no
    direction), so its interval is that of ``R^2``, freed of the bias of both sample and resample,
    and cut at 0. Few angles say too little of the tails of their law for that: up to 15 the
    interval is that of a von Mises law (`von_mises_length_interval`), up to 64 the wider end of
    both counts on either side, beyond 64 the bootstrap's alone.

    Returns
    -------
    DirectionInterval
        NaN below 5 angles; of the direction, NaN also where any may be the mean one.

    References
    ----------
    Fisher, Statistical Analysis of Circular Data (1993), sections 4.4 and 8.3.
    """
    radians = np.radians(np.asarray(angles_deg, dtype=np.float64))
    n = radians.size
    if n < 5:
        return DirectionInterval(np.nan, np.nan, np.nan, np.nan)
    unit = np.exp(1j * radians)
    mean = complex(unit.mean())
    chunk = max(1, 4_000_000 // n)
    means = np.concatenate(
        [
            unit[rng.integers(0, n, size=(min(chunk, resamples - first), n))].mean(axis=1)
            for first in range(0, resamples, chunk)
        ]
    )
    tails = np.array([(1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0])
    centre = np.degrees(np.angle(mean))
    turned = np.degrees(np.angle(means * np.exp(-1j * np.angle(mean))))
    # Percentiles are too narrow for few angles: n in place of n - 1, normal in place of Student.
    few = np.sqrt(n / (n - 1.0)) * student_t.ppf(tails[1], n - 1) / norm.ppf(tails[1])
    lo, hi = np.quantile(turned, tails) * few
    # Resamples of few even angles keep to the chance direction of the sample.
    if rayleigh_test(n, abs(mean)) > 1.0 - confidence or hi - lo >= _FULL:
        lo = hi = np.nan
    at_sample = unbiased_square(np.abs(mean), n)
    spread = unbiased_square(np.abs(means), n)
    # Each resample is biased against the sample as the sample is against the truth; and lengths
    # near 1 are skewed, which the acceleration (Efron 1987) mends.
    spread = (spread - np.mean(spread)) * np.sqrt(n / (n - 1.0))
    influence = (unit * np.exp(-1j * np.angle(mean))).real - np.abs(mean)
    acceleration = np.sum(influence**3) / (6.0 * np.sum(influence**2) ** 1.5 + 1e-300)
    z = student_t.ppf(tails, n - 1)
    levels = norm.cdf(z / (1.0 - acceleration * z))
    length_lo, length_hi = np.sqrt(np.clip(at_sample + np.quantile(spread, levels), 0.0, 1.0))
    if n <= _MOST_FOR_LAW:
        law_lo, law_hi = von_mises_length_interval(abs(mean), n, confidence=confidence)
        few_angles = n <= _MOST_WITHOUT_BOOTSTRAP
        length_lo = law_lo if few_angles else min(length_lo, law_lo)
        length_hi = law_hi if few_angles else max(length_hi, law_hi)
    return DirectionInterval(
        float(wrap_angle(centre + lo)),
        float(wrap_angle(centre + hi)),
        float(length_lo),
        float(length_hi),
    )


def von_mises_length_interval(length: float, n: int, *, confidence: float) -> tuple[float, float]:
    """Return the exact interval of the mean resultant length, given a von Mises law.

    The lengths for which a sample's length as small, and as large, as the one seen has a chance of
    half of ``1 - confidence``; the sample's distribution does not depend on the mean direction and
    is found by simulation, 2000 samples for each of 26 lengths.

    Parameters
    ----------
    length:
        Mean resultant length of the sample.
    n:
        Number of angles, 2 and more.

    References
    ----------
    Neyman (1937) for inversion of tests; Mardia and Jupp, section 5.3.1 for the statistic.
    """
    lengths, low, high = _length_quantiles(n, confidence)
    upper = float(np.interp(length, low, lengths, right=1.0))
    return float(np.interp(length, high, lengths)), max(upper, float(lengths[1]))


@lru_cache(maxsize=128)
def _length_quantiles(n: int, confidence: float) -> tuple[Floats, Floats, Floats]:
    """Return true lengths, and the quantiles of a sample's length at either tail for each."""
    lengths = np.concatenate([[0.0, 0.03, 0.06], np.arange(0.1, 0.96, 0.05)])
    lengths = np.append(lengths, [0.97, 0.985, 0.993, 0.998, 0.9995])
    rng = np.random.default_rng(n)
    tails = ((1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0)
    ends = []
    for kappa in np.maximum(concentration(lengths), 1e-6):
        drawn = np.abs(np.exp(1j * rng.vonmises(0.0, kappa, (_LAW_DRAWS, n))).mean(axis=1))
        ends.append(np.quantile(drawn, tails))
    low, high = np.maximum.accumulate(np.array(ends), axis=0).T
    return lengths, low, high


def unbiased_square(length: npt.ArrayLike, n: npt.ArrayLike) -> Floats:
    """Return the unbiased estimate of the squared mean resultant length (Kutil 2012)."""
    n = np.asarray(n, dtype=np.float64)
    return np.asarray((n * np.asarray(length) ** 2 - 1.0) / (n - 1.0))


def concentration(resultant_length: npt.ArrayLike) -> Floats:
    """Return the von Mises concentration kappa of a mean resultant length.

    References
    ----------
    Banerjee et al., J. Mach. Learn. Res. 6 (2005) 1345, eq. 4.4, for ``R (2 - R^2) / (1 - R^2)``,
    refined by two Newton steps on ``I1(k) / I0(k) = R``.
    """
    length = np.clip(np.asarray(resultant_length, dtype=np.float64), 0.0, 1.0 - 1e-9)
    kappa = length * (2.0 - length**2) / (1.0 - length**2)
    for _ in range(2):
        ratio = i1e(kappa) / i0e(kappa)
        slope = 1.0 - ratio**2 - ratio / np.maximum(kappa, 1e-9)
        kappa = np.maximum(kappa - (ratio - length) / np.where(kappa > 1e-6, slope, 0.5), 0.0)
    return np.asarray(kappa)


def count_modes(angles_deg: npt.ArrayLike) -> int:
    """Return the number of preferred directions: von Mises mixtures by BIC, and dips between.

    Mixtures of one to three components, each with and without a uniform background, are fitted by
    expectation maximisation to counts in bins of 2 degrees. Eight angles are asked for every
    component. The directions are the peaks of the best one's density; 0 where the uniform law is
    the better model.

    BIC alone is too generous with few angles and so many models: it has to gain 3 for a first
    direction, and 4 for more than a law of fewer. With these, at most some 5 % of uniform samples
    have a direction, and of samples of one von Mises law several. But a flat or skewed law of one
    direction, too, is fitted better by several components: between directions that are told apart
    there must be a dip deeper than chance makes it (`dip_test`, 5 %).

    References
    ----------
    Banerjee et al., J. Mach. Learn. Res. 6 (2005) 1345, for the fit; Schwarz (1978) for BIC.
    """
    angles = wrap_angle(angles_deg)
    n = angles.size
    if n < FEWEST_FOR_MODES:
        return 0
    counts = np.bincount((angles / (_FULL / _BINS)).astype(np.int64), minlength=_BINS)
    centres = np.radians((np.arange(_BINS) + 0.5) * (_FULL / _BINS))
    chosen, chosen_bic = 0, -2.0 * n * np.log(1.0 / (2.0 * np.pi))
    best: dict[int, float] = {}
    for n_components in range(1, min(_MOST_COMPONENTS, n // FEWEST_FOR_MODES) + 1):
        for background in (False, True)[: 1 + (n >= 2 * FEWEST_FOR_MODES)]:
            mu, kappa, weights, likelihood = _fit_mixture(
                centres, counts.astype(np.float64), n_components, background
            )
            parameters = 3 * n_components - 1 + int(background)
            bic = parameters * np.log(n) - 2.0 * likelihood
            modes = _count_peaks(mu, kappa, weights)
            best[modes] = min(bic, best.get(modes, np.inf))
    for modes, bic in sorted(best.items()):
        gains = chosen_bic - bic > (_GAIN_OF_ONE if modes == 1 else _GAIN_OF_MORE)
        if gains and (modes == 1 or dip_test(angles, modes - 1) <= _DIP_LEVEL):
            chosen, chosen_bic = modes, bic
    return chosen


def _fit_mixture(
    centres: Floats, counts: Floats, n_components: int, background: bool
) -> tuple[Floats, Floats, Floats, float]:
    """Fit a von Mises mixture to binned angles; returns means, kappas, weights, log likelihood."""
    n = counts.sum()
    mu = _spread_peaks(centres, counts, n_components)
    kappa = np.full(n_components, 4.0)
    share = np.full(n_components + 1, 1.0 / (n_components + 1))
    if not background:
        share = np.append(np.full(n_components, 1.0 / n_components), 0.0)
    turn = np.exp(1j * centres)
    density = np.full((n_components + 1, centres.size), 1.0 / (2.0 * np.pi))
    likelihood = -np.inf
    for _ in range(200):
        density[:-1] = _von_mises(centres, mu[:, None], kappa[:, None])
        joint = share[:, None] * density
        total = joint.sum(axis=0)
        updated = float(counts @ np.log(total))
        if updated - likelihood < 1e-6 * n:
            likelihood = updated
            break
        likelihood = updated
        held = counts * joint / total
        mass = held.sum(axis=1)
        share = mass / n
        vector = (held[:-1] @ turn) / np.maximum(mass[:-1], 1e-12)
        mu = np.angle(vector)
        kappa = np.minimum(concentration(np.abs(vector)), _MAX_KAPPA)
    return mu, kappa, share[:-1], likelihood


def _von_mises(angle: Floats, mu: Floats, kappa: Floats) -> Floats:
    return np.asarray(np.exp(kappa * (np.cos(angle - mu) - 1.0)) / (2.0 * np.pi * i0e(kappa)))


def _spread_peaks(centres: Floats, counts: Floats, n_components: int) -> Floats:
    """Return starting directions: the highest peaks of the smoothed counts, well apart."""
    smooth = _von_mises(centres[:, None], centres[None, :], np.asarray(20.0)) @ counts
    found: list[float] = []
    for _ in range(n_components):
        peak = float(centres[int(np.argmax(smooth))])
        found.append(peak)
        smooth = smooth * (1.0 - np.exp(4.0 * (np.cos(centres - peak) - 1.0)))
    return np.array(found)


def _count_peaks(mu: Floats, kappa: Floats, weights: Floats) -> int:
    grid = np.radians(np.arange(360.0))
    density = weights @ _von_mises(grid, mu[:, None], kappa[:, None])
    rising = np.diff(density, append=density[:1]) > 0
    return int(np.count_nonzero(rising & ~np.roll(rising, -1)))


def watson_williams_test(
    first: Floats, second: Floats, *, draws: int = 1999, seed: int = 0
) -> float:
    """Return p of the test that two samples share one mean direction, by permutation.

    The statistic is that of Watson and Williams, the sum of the two resultants, which is larger
    the better the samples agree within themselves. Its F law asks for concentrated samples; its
    permutations ask for nothing, and are all looked at where there are at most 5000 divisions of
    the angles into two such samples. NaN where a sample has fewer than 2 angles.

    References
    ----------
    Watson and Williams, Biometrika 43 (1956) 344; Mardia and Jupp, section 7.4.
    """
    n, m = first.size, second.size
    if min(n, m) < 2:
        return np.nan
    unit = np.exp(1j * np.radians(np.concatenate([first, second])))
    of_first = _divisions(n, m, draws, seed) @ unit
    statistic = np.abs(of_first) + np.abs(unit.sum() - of_first)
    return float(np.mean(statistic >= statistic[0] - 1e-9))


def _divisions(n: int, m: int, draws: int, seed: int) -> npt.NDArray[np.bool_]:
    """Return (divisions, n + m) whether each angle is of the first sample; the first is as seen."""
    if comb(n + m, n) > _MOST_DIVISIONS:
        is_first = np.tile(np.arange(n + m) < n, (1 + draws, 1))
        is_first[1:] = np.random.default_rng(seed).permuted(is_first[1:], axis=1)
        return is_first
    chosen = np.array(list(combinations(range(n + m), n)))
    is_first = np.zeros((len(chosen), n + m), dtype=bool)
    np.put_along_axis(is_first, chosen, True, axis=1)
    return is_first
