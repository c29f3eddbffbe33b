"""Whether the dips between several preferred directions are deeper than chance makes them.

The excess mass of ``k`` arcs over a density is what they hold beyond it. Where angles have no more
than ``k`` modes, ``k`` arcs hold all that is in excess of any density, and one arc more gains by
chance only; it gains most where the law is flat, as uniform over an arc is.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_BINS = 180
_DRAWS = 499
_LEVELS = np.geomspace(0.2, 60.0, 30)
"""Densities over which mass is in excess, in units of the uniform one."""


def dip_test(angles_deg: npt.ArrayLike, n_modes: int) -> float:
    """Return p of the test that a law of angles has at most ``n_modes`` modes.

    The statistic is the excess mass that one arc more than that gains, over every density; its law
    is that of angles uniform over as many arcs (499 draws), the hardest to tell. For one mode on a
    line this is Hartigan's dip test.

    Parameters
    ----------
    angles_deg:
        (n,) angles, degrees; at least one. They are counted in bins of 2 degrees.
    n_modes:
        1 and more.

    References
    ----------
    Muller and Sawitzki, J. Am. Stat. Assoc. 86 (1991) 738, for excess mass; Hartigan and Hartigan,
    Ann. Stat. 13 (1985) 70, for the dip.
    """
    angles = np.asarray(angles_deg, dtype=np.float64)
    gain = _gain_of_one_more(_counts(angles[None, :]), n_modes)[0]
    by_chance = _gains_by_chance(angles.size, n_modes)
    return float((1 + np.count_nonzero(by_chance >= gain - 1e-12)) / (1 + by_chance.size))


@lru_cache(maxsize=256)
def _gains_by_chance(n: int, n_modes: int) -> Floats:
    """Return the statistic of samples of ``n`` angles uniform over ``n_modes`` arcs far apart."""
    rng = np.random.default_rng([n, n_modes])
    width = 180.0 / n_modes
    arc = np.arange(n) % n_modes
    return _gain_of_one_more(
        _counts(2.0 * width * arc + rng.uniform(0.0, width, (_DRAWS, n))), n_modes
    )


def _counts(angles_deg: Floats) -> Floats:
    """Return (samples, bins) the angles of each sample in each bin."""
    n_samples = len(angles_deg)
    place = (np.mod(angles_deg, 360.0) * (_BINS / 360.0)).astype(np.int64) % _BINS
    place += _BINS * np.arange(n_samples)[:, None]
    counts = np.bincount(place.ravel(), minlength=n_samples * _BINS)
    return counts.reshape(n_samples, _BINS).astype(np.float64)


def _gain_of_one_more(counts: Floats, n_arcs: int) -> Floats:
    """Return (samples,) the largest excess mass that an arc beyond ``n_arcs`` adds."""
    share = counts / counts.sum(axis=1, keepdims=True)
    excess = share[:, None, :] - _LEVELS[:, None] / _BINS
    # Arcs round the circle either leave its start out, or all that they leave out are arcs that do.
    inner, outer = _best_arcs(excess, n_arcs + 1), _best_arcs(-excess, n_arcs + 1)
    mass = np.maximum(inner, excess.sum(axis=-1) + outer)
    return np.asarray((mass[n_arcs + 1] - mass[n_arcs]).max(axis=-1))


def _best_arcs(value: Floats, n_arcs: int) -> Floats:
    """Return the largest sums of ``value`` (..., bins) over 0 to ``n_arcs`` runs of bins.

    ``closed[i]`` is the best of at most ``i`` runs so far, ``open_[i]`` that of which the last
    still goes on.
    """
    closed = np.zeros((n_arcs + 1, *value.shape[:-1]))
    open_ = np.full(closed.shape, -np.inf)
    for step in np.moveaxis(value, -1, 0):
        open_[1:] = np.maximum(open_[1:], closed[:-1]) + step
        closed[1:] = np.maximum(closed[1:], open_[1:])
    return np.asarray(np.maximum.accumulate(closed, axis=0))
