"""Whether particles are darker or brighter than the ground.

Of a recording a few frames are looked at, spread over it, and each is compared with one before and
one after it: what is darker than both, or brighter than both, was there for a while only. What
lands, lifts or grows changes a place once and differs from one of them alone. In a single image
specks count as particles do, for what has landed is as dark or bright.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pitflow.frame import Frame, Image
from pitflow.translation import translated

Float = npt.NDArray[np.float32]

APART = 8
"""Frames are compared with those so far before and after: a slow particle has left its place."""
_PLACES = 8
_SURROUNDINGS = 6.0
"""Sigma over which the ground of a single image is averaged, px of the halved image."""
_CLEAR = 6.0
"""What stands out by so many noise sigmas is no noise."""
_LEAST_SHARE = 1 / 512
"""Least sigma, as a share of the brightest ground: a compressed video may repeat still pixels."""
_LEAST_PX = 2
"""Least area of what counts, px of the halved frame."""
_ENOUGH, _MOSTLY = 20, 0.8
"""So many things, and this share of them, are needed to say that what moves is bright."""


@dataclass(frozen=True, slots=True)
class Spots:
    """How many spots are darker, and how many brighter, than what they are compared with."""

    dark: int
    bright: int

    @property
    def are_bright(self) -> bool:
        """Whether most are brighter, and they are many enough to say so."""
        n = self.dark + self.bright
        return n >= _ENOUGH and self.bright >= _MOSTLY * n


def places_to_look(numbers: Sequence[int]) -> list[tuple[int, int, int]]:
    """Return a few (before, at, after) out of the numbers of the sound frames, evenly spread."""
    apart = min(APART, (len(numbers) - 1) // 2)
    if apart < 1:
        return []
    middles = np.unique(np.linspace(apart, len(numbers) - 1 - apart, _PLACES).round().astype(int))
    return [(numbers[i - apart], numbers[i], numbers[i + apart]) for i in middles.tolist()]


def count_movers(before: Frame, at: Frame, after: Frame) -> Spots:
    """Return what is darker, and what is brighter, in a frame than in both others.

    Frames shifted so far that they have nothing in common tell of none.
    """
    here, *others = (_aligned(frame) for frame in (at, before, after))
    margin = 1 + int(max(np.abs(frame.shift).max() for frame in (before, at, after)) / 2)
    inside = slice(margin, -margin)
    if not here[inside, inside].size:
        return Spots(0, 0)
    differences = []
    for other in others:
        difference = (here - other)[inside, inside]
        differences.append(difference - np.float32(np.median(difference[::4, ::4])))
    limit = _clear(np.concatenate([part[::4, ::4].ravel() for part in differences]), here)
    bright = np.minimum(*differences) > limit
    dark = np.maximum(*differences) < -limit
    return Spots(_number(dark), _number(bright))


def count_spots(image: Image) -> Spots:
    """Return what is darker, and what is brighter, than its surroundings in a single image."""
    half = _halved(image)
    difference = half - cv2.GaussianBlur(half, (0, 0), _SURROUNDINGS)
    limit = _clear(difference, half)
    return Spots(_number(difference < -limit), _number(difference > limit))


def _clear(differences: Float, image: Float) -> np.float32:
    """Return from which difference on something is no noise."""
    noise = 1.4826 * float(np.median(np.abs(differences)))
    return np.float32(_CLEAR * max(noise, _LEAST_SHARE * float(image.max())))


def _aligned(frame: Frame) -> Float:
    """Return a frame at half its size, as the reference frame shows it."""
    moved = translated(_halved(frame.image), -frame.shift[0] / 2, -frame.shift[1] / 2)
    return np.asarray(moved / np.float32(frame.gain), np.float32)


def _halved(image: Image) -> Float:
    height, width = (max(side // 2, 1) for side in image.shape)
    half = cv2.resize(image.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(half, np.float32)


def _number(mask: npt.NDArray[np.bool_]) -> int:
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    return int((stats[1:, cv2.CC_STAT_AREA] >= _LEAST_PX).sum())
