"""Does ejection follow growth? The answer that the correlation table gives, in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pitflow.report.data import floats, ints
from pitflow.report.words import count, p_value, signed

ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class LagAnswer:
    """The lag with the strongest correlation of one pit, or of all pits pooled (-1)."""

    pit: int
    lag: int
    r: float
    p: float

    @property
    def is_evidence(self) -> bool:
        """Whether the correlation is stronger than chance explains."""
        return bool(self.p <= ALPHA)


def strongest_lag(correlation: pd.DataFrame, pit: int) -> LagAnswer | None:
    """Return the lag of the largest |r| of a pit (-1: pooled); None where there is none."""
    own = correlation[(correlation["pit"] == pit) & correlation["r"].notna()]
    if own.empty:
        return None
    best = int(np.argmax(np.abs(floats(own, "r"))))
    return LagAnswer(pit, int(ints(own, "lag")[best]), *(float(floats(own, k)[best]) for k in "rp"))


def in_words(answer: LagAnswer | None, fps: float) -> str:
    """Return the answer as one sentence."""
    if answer is None:
        return (
            "Growth and ejection could not be compared: too few frames have both a growing pit "
            "and an ejected particle."
        )
    frames, seconds = abs(answer.lag), abs(answer.lag) / fps
    numbers = f"r = {signed(answer.r)}, {p_value(answer.p)}"
    if not np.isfinite(answer.p):
        return (
            f"The strongest correlation, at a lag of {answer.lag}, could not be tested ({numbers})."
        )
    if not answer.is_evidence:
        return (
            "There is no evidence that the direction of ejection follows the direction of growth: "
            f"the strongest correlation (at a lag of {count(frames, 'frame') if frames else '0'}"
            f"{', growth later' if answer.lag < 0 else ''}) is no stronger than chance gives "
            f"({numbers})."
        )
    alike = "" if answer.r > 0 else ", in opposite directions"
    if answer.lag == 0:
        return f"Ejection and growth go together without a delay{alike} ({numbers})."
    first, second = ("Ejection", "growth") if answer.lag > 0 else ("Growth", "ejection")
    return (
        f"{first} follows {second} by {count(frames, 'frame')} ({seconds:.2f} s){alike}; {numbers}."
    )
