"""Ejections and growth per second, in every frame."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from pitflow.measure.growth import UNSETTLED_FRAMES

Floats = npt.NDArray[np.float64]


def ejection_rate(ejections: pd.DataFrame, frames: pd.DataFrame, *, fps: float) -> Floats:
    """Return particles that left a pit per second, in every frame.

    Where frames are lost, damaged or repeated, the mean of those and the next sound one. NaN after
    the last sound frame.
    """
    return _per_second(ejections["frame"], np.ones(len(ejections)), frames, fps)


def growth_rate(
    growth: pd.DataFrame, frames: pd.DataFrame, *, fps: float, um_per_px: float
) -> Floats:
    """Return area that became pit per second, um^2/s, in every frame; onsets are not growth.

    Where frames are lost, damaged or repeated, the mean of those and the next sound one, in which
    all that grew meanwhile is seen. NaN from the last 4 sound frames on, in which most of what
    becomes pit is not yet known.
    """
    grown = growth[growth["frame"] > growth.groupby("pit")["frame"].transform("min")]
    new = grown["new_px"].to_numpy(dtype=np.float64)
    rate = _per_second(grown["frame"], new, frames, fps) * um_per_px**2
    sound = np.flatnonzero(frames["quality"] == "ok")
    settled = sound[: max(sound.size - UNSETTLED_FRAMES, 0)]
    rate[settled[-1] + 1 if settled.size else 0 :] = np.nan
    return rate


def _per_second(frame: pd.Series, weight: Floats, frames: pd.DataFrame, fps: float) -> Floats:
    """Return the weight per second in each row of ``frames``, even between sound frames.

    In frames lost, damaged or repeated nothing is looked for, and what happened meanwhile is seen
    in the first sound frame after them: in which of them it happened is not known, their sum is.
    NaN after the last sound frame, whose weight is the last one's; NaN without a sound frame.
    """
    place = pd.Index(frames["frame"]).get_indexer(pd.Index(frame))
    time = frames["time_s"].to_numpy(dtype=np.float64)
    lasting = np.diff(time, prepend=time[:1] - 1.0 / fps)
    # What is seen at the same time stamp again belongs to the time that follows.
    sound = (frames["quality"] == "ok").to_numpy() & (lasting > 0)
    if not sound.any():
        return np.full(sound.size, np.nan)
    # Each frame belongs to the sound one at or after it.
    stretch: npt.NDArray[np.int64] = np.cumsum(sound) - sound
    last = int(sound.sum()) - 1
    owner = np.minimum(stretch, last)[place[place >= 0]]
    total = np.bincount(owner, weight[place >= 0], minlength=last + 1)
    each = total / np.bincount(stretch, lasting, minlength=last + 1)[: last + 1]
    return np.where(stretch <= last, each[np.minimum(stretch, last)], np.nan)
