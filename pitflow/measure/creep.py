r"""Scribe creep: how far corrosion has crept from a scribe, perpendicular to it, on either side.

t (to the right)
^      ___
____/ \____/   \__      corrosion connected to the scribe
==+===================+== scribe, s from 0 to its length
\__/ \______/
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from pitflow.scribe import Scribe

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

_STEP_PX = 0.5
_TOUCH_PX = 1.5
_HALF_CUT_MM = 0.5
"""Half the width of the widest usual cut (ISO 17872: 0.2 to 1 mm): bare steel in its middle parts
corrosion on its sides from its axis by no more."""
_RESOLVED_PX = 0.5


@dataclass(frozen=True, slots=True)
class Profile:
    """Creep along one scribe, mm.

    Parameters
    ----------
    position_mm:
        Distance of each sample from the scribe's first end, one per px.
    left_mm, right_mm:
        Creep on either side; NaN where it cannot be told, since it runs into that of another
        scribe.
    """

    position_mm: Floats
    left_mm: Floats
    right_mm: Floats


@dataclass(frozen=True, slots=True)
class Creep:
    """What the profiles of all scribes of a panel come to, mm; NaN where nothing was measured."""

    mean_mm: float
    max_mm: float
    left_mean_mm: float
    left_max_mm: float
    right_mean_mm: float
    right_max_mm: float


def at_the_scribe(mask: Mask, scribes: Sequence[Scribe], half_width_px: float = 0.0) -> Mask:
    """Return that part of a mask whose pieces (8-connected) touch a scribe.

    Parameters
    ----------
    half_width_px:
        Half the width of the cut: pieces that begin at its rim touch it, even if the cut itself is
        not marked in the mask (see ``touching_px``).
    """
    n, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    if n == 1 or not scribes:
        return np.zeros_like(mask)
    rows, columns = np.nonzero(mask)
    nearest = np.min([_distance(scribe, columns, rows) for scribe in scribes], axis=0)
    touching = labels[rows, columns][nearest <= half_width_px + _TOUCH_PX]
    chosen = np.zeros(n, dtype=bool)
    chosen[touching] = True
    result: Mask = chosen[labels]
    return result


def farthest_px(corroded: Mask, scribes: Sequence[Scribe]) -> float:
    """Return the distance of the farthest corrosion from its nearest scribe, ends included, px."""
    rows, columns = np.nonzero(corroded)
    if not scribes or rows.size == 0:
        return 0.0
    return float(np.min([_distance(one, columns, rows) for one in scribes], axis=0).max())


def touching_px(mm_per_px: float, half_width_mm: float = 0.0) -> float:
    """Return how far from the axis corrosion may begin that is at the scribe, px.

    That is half the width of the cut as given, and 0.5 mm at least: a cut that shows bare steel is
    not marked as corroded, whether its width was given or not.
    """
    return max(half_width_mm, _HALF_CUT_MM) / mm_per_px


def creep_profiles(
    mask: Mask, scribes: Sequence[Scribe], mm_per_px: float, half_width_mm: float = 0.0
) -> list[Profile]:
    """Return how far the corrosion that touches a scribe reaches from it, along each scribe.

    The farthest corrosion on the perpendicular counts, also beyond an island of sound coating; what
    begins within half a cut of the axis (``touching_px``) touches it. It is measured from the axis,
    less the cut's half width; the outline lies midway between a corroded pixel and a sound one.
    Less than half a pixel cannot be told from none and is 0.

    Parameters
    ----------
    mask:
        (height, width), true where corroded.
    scribes:
        One line, or several (an X-cut). A place belongs to its nearest scribe.
    half_width_mm:
        Half the width of the cut, which is no creep.
    """
    half_width_px = half_width_mm / mm_per_px
    reach = touching_px(mm_per_px, half_width_mm)
    corroded = at_the_scribe(mask, scribes, reach).astype(np.float32)
    return [
        _profile(
            corroded, scribe, [o for o in scribes if o is not scribe], mm_per_px, half_width_px
        )
        for scribe in scribes
    ]


def compute_creep(profiles: Sequence[Profile]) -> Creep:
    """Return mean and maximum of the creep along all scribes, over both sides and by side."""
    left = np.concatenate([np.zeros(0), *(profile.left_mm for profile in profiles)])
    right = np.concatenate([np.zeros(0), *(profile.right_mm for profile in profiles)])
    numbers = [
        statistic(side)
        for side in (np.concatenate([left, right]), left, right)
        for statistic in (_mean, _max)
    ]
    return Creep(*numbers)


def _profile(
    corroded: npt.NDArray[np.float32],
    scribe: Scribe,
    others: Sequence[Scribe],
    mm_per_px: float,
    half_width_px: float,
) -> Profile:
    n = max(1, round(scribe.length_px))
    position = (np.arange(n) + 0.5) * scribe.length_px / n
    sides = []
    for sign in (-1.0, 1.0):
        reach = _reach(corroded, scribe, others, position, sign)
        creep = np.where(reach - half_width_px < _RESOLVED_PX, 0.0, reach - half_width_px)
        sides.append(np.where(np.isnan(reach), np.nan, creep) * mm_per_px)
    return Profile(position * mm_per_px, *sides)


def _reach(
    corroded: npt.NDArray[np.float32],
    scribe: Scribe,
    others: Sequence[Scribe],
    position: Floats,
    sign: float,
) -> Floats:
    """Return the distance of the farthest corrosion from the axis at each position, px."""
    (ax, ay), (nx, ny) = scribe.along, scribe.to_the_right
    rows, columns = np.nonzero(corroded)
    offset = sign * ((columns - scribe.x0) * nx + (rows - scribe.y0) * ny)
    farthest = max(float(offset.max(initial=0.0)), 0.0)
    distance = np.arange(0.0, farthest + 2.0 + _STEP_PX, _STEP_PX)
    x = scribe.x0 + ax * position[:, None] + sign * nx * distance[None, :]
    y = scribe.y0 + ay * position[:, None] + sign * ny * distance[None, :]
    value = cv2.remap(
        corroded,
        x.astype(np.float32),
        y.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
    )
    blocked = np.zeros(len(position), dtype=bool)
    if others:
        foreign = np.min([_distance(other, x, y) for other in others], axis=0) < distance
        foreign = np.maximum.accumulate(foreign, axis=1)
        last_own = np.maximum((~foreign).sum(axis=1) - 1, 0)
        ends = np.arange(len(position)), last_own
        blocked = foreign.any(axis=1) & (value[ends] >= 0.5)
        value = np.where(foreign, 0.0, value)
    inside = value >= 0.5
    last = len(distance) - 1 - np.argmax(inside[:, ::-1], axis=1)
    here = np.take_along_axis(value, last[:, None], axis=1)[:, 0].astype(float)
    after = np.minimum(last + 1, len(distance) - 1)
    beyond = np.take_along_axis(value, after[:, None], axis=1)[:, 0].astype(float)
    drop = np.where(here > beyond, here - beyond, 1.0)
    outline = distance[last] + _STEP_PX * (here - 0.5) / drop
    return np.where(blocked, np.nan, np.where(inside.any(axis=1), outline, 0.0))


def _distance(scribe: Scribe, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> Floats:
    """Return the distance of points from the scribe, its ends included, px."""
    (ax, ay), dx, dy = scribe.along, x - scribe.x0, y - scribe.y0
    along = np.clip(dx * ax + dy * ay, 0.0, scribe.length_px)
    distance: Floats = np.hypot(dx - along * ax, dy - along * ay)
    return distance


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _max(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.max()) if known.size else float("nan")
