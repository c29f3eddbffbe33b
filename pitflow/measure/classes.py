"""How a spread depends on something else that is known: its statistic by class, interpolated."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_MOST, _LEAST_SIZE = 12, 50
"""Classes at most, and members of each, at least."""


def learn_by_class(
    value: Floats,
    key: Floats,
    rows: npt.NDArray[np.int64],
    statistic: Callable[[Floats], float],
) -> Floats:
    """Return what a positive statistic of the values is expected to be at each key.

    Parameters
    ----------
    value, key:
        (n,) values and what they may depend on, both positive.
    rows:
        Which of them to learn from, one at least: in order of the key, up to 12 classes of as many
        rows each, 50 or more.
    statistic:
        Of the values of a class.

    Returns
    -------
    (n,) the classes' statistics interpolated, both on logarithmic scales; those of the outermost
    classes beyond.
    """
    order = rows[np.argsort(key[rows], kind="stable")]
    classes = np.array_split(order, int(np.clip(rows.size // _LEAST_SIZE, 1, _MOST)))
    place = [float(np.median(key[members])) for members in classes]
    height = [max(float(statistic(value[members])), 1e-6) for members in classes]
    return np.asarray(np.exp(np.interp(np.log(key), np.log(place), np.log(height))))
