"""How far each particle had come when it was first seen: at once, or late.

The black pixels of a pit are the holes of its cover; a particle comes out from under the cover's
edge, some way beyond the last of them. So even a particle that is seen in its first frame stands
off the rim, and to follow it back to the rim would be to extrapolate a path that it never took. How
wide the cover is, is learnt from the recording: most particles are seen at once, at about the same
gap, and the others come later and further out.
"""

from __future__ import annotations

import numpy as np

from pitflow.measure.tracks import Floats, Ints

_PRIOR_TRACKS = 8.0
"""How many tracks the recording counts for beside a pit's own, and the prior beside both."""
_LEAST_SPREAD_PX = 0.5
_ITERATIONS = 60


def delayed_distance(gap_px: Floats, rim: Ints, *, longest_px: Floats, reach_px: float) -> Floats:
    """Return how far each particle came before it was first seen, px: 0 if it was seen at once.

    The gap between rim and first sighting is normal for a particle seen at once, with a mean of its
    own for each pit (the width of the cover) and a common spread; it is longer by an exponential
    variate for one seen late. Mean, spread and shares are fitted by expectation maximisation; the
    result is the expected delay, the probability of being late times the gap beyond the mean.

    Parameters
    ----------
    gap_px:
        (n,) distance from the first detection back to the rim; not positive for a particle first
        seen inside of it (in a bay, or over the hole it came from), which is not late.
    rim:
        (n,) index of the pit.
    longest_px:
        (n_rims,) longest mean gap of particles seen at once that each pit allows: a constant delay
        of all would look like a wide cover, so the pit's looks and the speed must bound it.
    reach_px:
        Longest gap admitted; the prior of the mean delay is a quarter of it.
    """
    outside = gap_px >= 0
    gap = np.maximum(gap_px, 0.0)
    if not outside.any():
        return np.zeros(gap.size)
    common = float(np.median(gap[outside]))
    spread = max(1.4826 * float(np.median(np.abs(gap[outside] - common))), _LEAST_SPREAD_PX)
    n_rims = longest_px.size
    mean, delay, late = np.minimum(common, longest_px), reach_px / 4.0, 0.3
    weight = np.zeros(gap.size)
    for _ in range(_ITERATIONS):
        beyond = gap - mean[rim]
        at_once = (1.0 - late) * np.exp(-0.5 * (beyond / spread) ** 2) / spread / np.sqrt(2 * np.pi)
        later = np.where(beyond > 0, late * np.exp(-np.maximum(beyond, 0.0) / delay) / delay, 0.0)
        weight = np.where(outside, at_once / np.maximum(at_once + later, 1e-300), 0.0)
        n_late = float((outside - weight).sum())
        late = (0.3 * _PRIOR_TRACKS + n_late) / (_PRIOR_TRACKS + outside.sum())
        delay = (_PRIOR_TRACKS * reach_px / 4.0 + (outside - weight) @ np.maximum(beyond, 0.0)) / (
            _PRIOR_TRACKS + n_late
        )
        common = float(weight @ gap) / max(float(weight.sum()), 1e-9)
        own = np.bincount(rim, weight * gap, minlength=n_rims)
        mean = (_PRIOR_TRACKS * common + own) / (
            _PRIOR_TRACKS + np.bincount(rim, weight, minlength=n_rims)
        )
        mean = np.minimum(mean, longest_px)
        squares = float(weight @ (gap - mean[rim]) ** 2)
        spread = float(np.sqrt((_PRIOR_TRACKS + squares) / (_PRIOR_TRACKS + weight.sum())))
        spread = max(spread, _LEAST_SPREAD_PX)
    delayed = (1.0 - weight) * np.maximum(gap - mean[rim], 0.0)
    return np.where(outside, delayed, 0.0)
