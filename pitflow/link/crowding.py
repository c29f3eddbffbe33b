"""How crowded a recording is.

Where particles stand close together, some are not told apart; and what seem to be many may be parts
of one.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

NEIGHBOUR_PX = 8.0
"""Particles nearer to one another than this hide one another: of those with a neighbour within half
of it, a fifth to two fifths are missed in rendered recordings, within all of it up to a quarter."""
CROWDED = 0.1
"""Share of particles with such a neighbour above which counts of them are clearly off: 0.02 to
0.06 in usual recordings."""


def crowded_share(particles: pd.DataFrame) -> float:
    """Return the share of particles that have another within ``NEIGHBOUR_PX`` in their frame.

    Parameters
    ----------
    particles:
        ``frame``, ``x`` and ``y`` (px), one row per particle and frame.

    Returns
    -------
    share:
        0 to 1; 0 without particles.
    """
    if particles.empty:
        return 0.0
    places = particles[["x", "y"]].to_numpy(np.float64)
    # Frames further apart than any neighbour: one search for all.
    apart = particles["frame"].to_numpy(np.float64) * 2 * NEIGHBOUR_PX
    tree = cKDTree(np.column_stack([places, apart]))
    near = tree.query_pairs(NEIGHBOUR_PX, output_type="ndarray")
    return float(np.unique(near).size / len(places))
