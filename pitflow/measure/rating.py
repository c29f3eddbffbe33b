"""Rating numbers of ASTM D1654: 10 is sound, 0 is failed."""

from __future__ import annotations

from bisect import bisect_left

CREEP_BANDS_MM = (0.0, 0.5, 1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 13.0, 16.0)
"""Largest mean creep from the scribe of the ratings 10, 9, ... 1, mm (procedure A)."""

AREA_BANDS_PERCENT = (0.0, 1.0, 3.0, 6.0, 10.0, 20.0, 30.0, 40.0, 55.0, 75.0)
"""Largest failed share of the unscribed area of the ratings 10, 9, ... 1, % (procedure B)."""


def scribe_rating(mean_creep_mm: float) -> int:
    """Return the rating of failure at the scribe (ASTM D1654, procedure A).

    Parameters
    ----------
    mean_creep_mm:
        Mean creep from the scribe, one side, mm; 0 and more.

    Returns
    -------
    10 (no creep), 9 (over 0 to 0.5 mm), ... 0 (over 16 mm): a value on the edge of two bands has
    the better rating.
    """
    return _rating(mean_creep_mm, CREEP_BANDS_MM)


def area_rating(failed_percent: float) -> int:
    """Return the rating of the unscribed area from its failed share, % (procedure B).

    The standard's bands are whole percents (2 to 3, 4 to 6, ...); what lies between two of them
    belongs to the worse one.
    """
    return _rating(failed_percent, AREA_BANDS_PERCENT)


def _rating(value: float, bands: tuple[float, ...]) -> int:
    if not value >= 0:
        raise ValueError(f"{value} cannot be rated: it must be 0 or more")
    return 10 - bisect_left(bands, value)
