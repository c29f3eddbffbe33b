"""What the frame's edge and the neighbouring pits hide of each pit's surroundings."""

from __future__ import annotations

import numpy as np
import pandas as pd

_DIRECTIONS = 120


def compute_visibility(pits: pd.DataFrame, *, shape: tuple[int, int], reach_px: float) -> pd.Series:
    """Return, by pit, the share of directions in which a departing particle would be seen.

    A direction is hidden if the way from the rim to ``reach_px`` beyond it leaves the frame or
    crosses another pit. Pits are taken as circles of their final area. Where the share is well
    below 1, a preferred direction may be the frame's or the neighbours' and not the pit's.

    Parameters
    ----------
    pits:
        ``pit``, ``x``, ``y``, ``area_px``.
    shape:
        (height, width) of a frame, px.
    """
    x, y = pits["x"].to_numpy(dtype=np.float64), pits["y"].to_numpy(dtype=np.float64)
    radius = np.sqrt(pits["area_px"].to_numpy(dtype=np.float64) / np.pi)
    turn = np.arange(_DIRECTIONS) * (2.0 * np.pi / _DIRECTIONS)
    height, width = shape
    shares = np.empty(len(pits))
    for k in range(len(pits)):
        way = radius[k] + np.arange(0.0, reach_px + 1.0, 2.0)
        along_x = x[k] + way * np.cos(turn)[:, None]
        along_y = y[k] + way * np.sin(turn)[:, None]
        hidden = (along_x < 0) | (along_x > width - 1) | (along_y < 0) | (along_y > height - 1)
        near = np.hypot(x - x[k], y - y[k]) < way[-1] + radius
        near[k] = False
        for other in np.flatnonzero(near):
            hidden |= np.hypot(along_x - x[other], along_y - y[other]) < radius[other]
        shares[k] = 1.0 - hidden.any(axis=1).mean()
    return pd.Series(shares, index=pd.Index(pits["pit"]), name="visible_share", dtype="float64")
