"""Numbers in words: rounding, units, p-values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

FAULTS = {"gap": "lost", "damaged": "damaged", "duplicate": "repeated"}
"""What is wrong with a frame, by its ``quality``."""


def count(number: int, singular: str) -> str:
    """Return "1 pit", "no pits", "1,204 particles"."""
    many = singular + "s"
    if number == 0:
        return f"no {many}"
    return f"1 {singular}" if number == 1 else f"{number:,} {many}"


def significant(value: float, digits: int = 2) -> str:
    """Return a number with at least ``digits`` significant digits and no exponent below 1e6."""
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}".replace("-", "−")


def sentence(text: str) -> str:
    """Return a remark of the terminal as a sentence: it begins and ends as one."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def moment(iso: str) -> str:
    """Return "28 November 2026, 16:37 UTC" for a time in ISO 8601; nothing for none."""
    if not iso:
        return ""
    at = datetime.fromisoformat(iso).astimezone(UTC)
    return f"{at.day} {at:%B %Y, %H:%M} UTC"


def signed(value: float) -> str:
    """Return a number with two decimals and a true minus sign."""
    return f"{value:.2f}".replace("-", "−")


def delay(lag: int, fps: float | None, *, negative: bool = False) -> str:
    """Return "10 frames (0.67 s)", or "10 frames" where no rate tells what a frame lasts.

    Parameters
    ----------
    negative:
        Keep the sign of the lag.
    """
    frames = lag if negative else abs(lag)
    number = f"{frames} frame{'' if abs(frames) == 1 else 's'}".replace("-", "−")
    return number if fps is None else f"{number} ({frames / fps:.2f} s)".replace("-", "−")


def p_value(p: float, name: str = "p") -> str:
    """Return "p = 0.034", "p < 0.001" or "p –" when it was not computed."""
    if not math.isfinite(p):
        return f"{name} –"
    if p < 0.001:
        return f"{name} < 0.001"
    return f"{name} = {p:.3f}" if p < 0.1 else f"{name} = {p:.2f}"


def angle(value: float) -> str:
    """Return a direction in whole degrees from 0 to 359."""
    return f"{round(value) % 360}°" if math.isfinite(value) else "–"


def angle_interval(mean: float, low: float, high: float) -> str:
    """Return "120° (101° to 139°)", clockwise; "120° (any direction)" without an interval."""
    if not math.isfinite(mean):
        return angle(mean)
    if not (math.isfinite(low) and math.isfinite(high)):
        return f"{angle(mean)} (any direction)"
    return f"{angle(mean)} ({angle(low)} to {angle(high)})"


def listing(items: Sequence[str]) -> str:
    """Return "a, b and c"."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"
