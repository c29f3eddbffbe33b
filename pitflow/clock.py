"""When frames were taken: where the frame rate varies, their numbers do not tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]

_EVEN = 1e-3
"""Frames this near to their place at an even rate, in frames, lie there but for rounding."""


@dataclass(frozen=True)
class Clock:
    """Moments of frames, in frames of the nominal rate: their numbers where the rate is even.

    Parameters
    ----------
    frame, moment:
        Of each frame of the recording, in order; none: the rate is even.
    """

    frame: Floats
    moment: Floats

    @classmethod
    def even(cls) -> Clock:
        """Return the clock of a recording whose frames are equally far apart."""
        return cls(np.empty(0), np.empty(0))

    @classmethod
    def of(cls, frames: pd.DataFrame, fps: float) -> Clock:
        """Return the clock of a ``frames`` table."""
        frame = frames["frame"].to_numpy(dtype=np.float64)
        moment = frames["time_s"].to_numpy(dtype=np.float64) * fps
        if not (np.abs(moment - frame) > _EVEN).any():
            return cls.even()
        order = np.argsort(frame)
        return cls(frame[order], moment[order])

    @property
    def is_even(self) -> bool:
        """Whether all frames are equally far apart."""
        return self.frame.size == 0

    def moment_of(self, frame: npt.ArrayLike) -> Floats:
        """Return the moments of frames."""
        given = np.asarray(frame, dtype=np.float64)
        return given if self.is_even else np.asarray(np.interp(given, self.frame, self.moment))

    def frame_at(self, moment: npt.ArrayLike) -> Floats:
        """Return the place among the frames, in parts of frames, of moments."""
        given = np.asarray(moment, dtype=np.float64)
        return given if self.is_even else np.asarray(np.interp(given, self.moment, self.frame))
