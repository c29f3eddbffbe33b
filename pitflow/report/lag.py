"""Does ejection follow growth? The answer in words."""

from __future__ import annotations

import numpy as np

from pitflow.lag import LagAnswer
from pitflow.report.words import count, delay, p_value, signed


def in_words(answer: LagAnswer | None, fps: float | None) -> str:
    """Return the answer as one sentence.

    "Ejection follows growth by 10 frames (0.67 s); r = 0.64, p = 0.002.", or that there is no
    evidence, or that the two could not be compared. Without a rate, no seconds are given.
    """
    if answer is None:
        return (
            "Growth and ejection could not be compared: too few frames have both a growing pit "
            "and an ejected particle."
        )
    frames = abs(answer.lag)
    numbers = f"r = {signed(answer.r)}, {p_value(answer.p)}"
    if not np.isfinite(answer.p):
        return (
            f"The clearest correlation, at a lag of {answer.lag}, could not be tested ({numbers})."
        )
    if not answer.is_evidence:
        return (
            "There is no evidence that the direction of ejection follows the direction of growth: "
            "even where it stands out most from what chance gives (at a lag of "
            f"{count(frames, 'frame') if frames else '0'}"
            f"{', growth later' if answer.lag < 0 else ''}) the correlation is no larger than "
            f"chance explains ({numbers})."
        )
    alike = "" if answer.r > 0 else ", in opposite directions"
    if answer.lag == 0:
        return f"Ejection and growth go together without a delay{alike} ({numbers})."
    first, second = ("Ejection", "growth") if answer.lag > 0 else ("Growth", "ejection")
    return f"{first} follows {second} by {delay(answer.lag, fps)}{alike}; {numbers}."
