"""Particles and specks as stamps: cut out of one picture, pasted into another.

A particle absorbs light, so what is carried over is the share of light it lets through, not its
grey values: it darkens whatever steel it is put on, as it would have.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pitflow.domains.particles.centres import centres_of
from pitflow.domains.particles.relative import Floats, darkening

_MARGIN_PX = 5
_DARK = 0.7
_SPECK, _BLACK = -0.8, -8.0
_SPECK_PX = (4, 400)


@dataclass(frozen=True, slots=True)
class Stamp:
    """A particle: the share of light it lets through, its mask and the disc about its centre.

    (height, width) each.
    """

    light: Floats
    mask: npt.NDArray[np.bool_]
    centre: npt.NDArray[np.bool_]


def find_specks(frame: Floats, truth: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the mask of what is as dark and as small as a particle, but not labelled as one.

    Such specks lie on the steel from the beginning, or were particles and have landed.
    """
    dark = darkening(frame)
    labels, n = ndimage.label(dark < _SPECK, np.ones((3, 3)))
    if n == 0:
        return np.zeros_like(truth)
    numbers = np.arange(n + 1)
    area = np.bincount(labels.ravel(), minlength=n + 1)
    darkest = ndimage.minimum(dark, labels, numbers)
    is_speck = (area >= _SPECK_PX[0]) & (area <= _SPECK_PX[1]) & (darkest > _BLACK)
    near = cv2.dilate(truth.astype(np.uint8), np.ones((2 * _MARGIN_PX + 1,) * 2, np.uint8)) > 0
    is_speck[np.unique(labels[near])] = False
    is_speck[0] = False
    specks: npt.NDArray[np.bool_] = is_speck[labels]
    return specks


def cut_stamps(frame: Floats, truth: npt.NDArray[np.bool_]) -> list[Stamp]:
    """Return a stamp of every object whose surroundings are whole and free of others.

    The steel under an object is the median of a ring around it. The stamp fades out over a margin,
    beyond the labelled outline, where the real particle fades too.
    """
    labels, _ = ndimage.label(truth, np.ones((3, 3)))
    stamps = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        top, left = rows.start - _MARGIN_PX, columns.start - _MARGIN_PX
        bottom, right = rows.stop + _MARGIN_PX, columns.stop + _MARGIN_PX
        if top < 0 or left < 0 or bottom > truth.shape[0] or right > truth.shape[1]:
            continue
        around = labels[top:bottom, left:right]
        mask = around == number
        if (around[~mask] > 0).any():
            continue
        distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
        image = frame[top:bottom, left:right]
        steel = float(np.median(image[distance > _MARGIN_PX - 2]))
        fade = np.clip(1 - (distance - 1) / (_MARGIN_PX - 2), 0, 1).astype(np.float32)
        light = 1 + fade * (image / max(steel, 1e-6) - 1)
        stamps.append(Stamp(light, mask, centres_of(mask)))
    return stamps


def warped(stamp: Stamp, scale: float, stretch: float = 1.0, degrees: float = 0.0) -> Stamp:
    """Return a stamp of another size and shape.

    Parameters
    ----------
    scale:
        The new size over the old.
    stretch:
        How much longer it becomes along one direction than across, its area unchanged.
    degrees:
        That direction.
    """
    height, width = stamp.mask.shape
    angle = np.deg2rad(degrees)
    along = np.array([np.cos(angle), np.sin(angle)])
    linear = scale / np.sqrt(stretch) * (np.eye(2) + (stretch - 1) * np.outer(along, along))
    half = np.abs(linear) @ np.array([width, height]) / 2
    across, down = (max(round(2 * float(side)), 1) for side in half)
    middle = np.array([width - 1, height - 1]) / 2
    shift = np.array([across - 1, down - 1]) / 2 - linear @ middle
    matrix = np.column_stack([linear, shift])

    light: Floats = cv2.warpAffine(stamp.light, matrix, (across, down), borderValue=1.0)
    share = cv2.warpAffine(stamp.mask.astype(np.float32), matrix, (across, down))
    mask = share >= 0.5
    return Stamp(light, mask, centres_of(mask))


def clump(stamps: Sequence[Stamp], rng: np.random.Generator) -> Stamp:
    """Return some stamps stuck together: each lies with its middle on the rim of those before."""
    sides = [side for stamp in stamps for side in stamp.mask.shape]
    span = 2 * sum(sides)
    light, mask = np.ones((span, span), np.float32), np.zeros((span, span), np.bool_)
    middle = span // 2, span // 2
    for stamp in stamps:
        height, width = stamp.mask.shape
        if mask.any():
            rim = np.argwhere(mask & ~ndimage.binary_erosion(mask))
            middle = tuple(rim[rng.integers(len(rim))])
        top, left = middle[0] - height // 2, middle[1] - width // 2
        here = slice(top, top + height), slice(left, left + width)
        light[here] = np.minimum(light[here], stamp.light)
        mask[here] |= stamp.mask
    used = (light < 1) | mask
    rows, columns = np.flatnonzero(used.any(axis=1)), np.flatnonzero(used.any(axis=0))
    here = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return Stamp(light[here], mask[here], centres_of(mask[here]))


def paste(
    images: Sequence[Floats],
    truth: npt.NDArray[np.bool_],
    taken: npt.NDArray[np.bool_],
    stamps: Iterable[Stamp],
    rng: np.random.Generator,
    *,
    centres: npt.NDArray[np.bool_] | None = None,
    are_particles: bool = True,
) -> None:
    """Paste stamps at random places into images and, if they are particles, into their truth.

    The images are views of one scene, the first the frame to which the truth belongs: a particle
    goes into that alone, what lies on the steel into all of them.

    Each is turned and mirrored at random and made up to 30 % fainter or stronger. One that would
    fall on a pit, on another particle or on ``taken`` pixels is left out.
    """
    frame = images[0]
    typical = float(np.median(frame))
    for stamp in stamps:
        quarter, mirrored = int(rng.integers(4)), bool(rng.integers(2))
        light, mask = np.rot90(stamp.light, quarter), np.rot90(stamp.mask, quarter)
        centre = np.rot90(stamp.centre, quarter)
        if mirrored:
            light, mask, centre = light[:, ::-1], mask[:, ::-1], centre[:, ::-1]
        height, width = mask.shape
        if height > frame.shape[0] or width > frame.shape[1]:
            continue
        top = int(rng.integers(frame.shape[0] - height + 1))
        left = int(rng.integers(frame.shape[1] - width + 1))
        here = slice(top, top + height), slice(left, left + width)
        strength = np.float32(rng.uniform(0.7, 1.3))
        if (truth[here] | taken[here]).any() or (frame[here] < _DARK * typical).any():
            continue
        for image in images:
            image[here] *= np.maximum(1 + strength * (light - 1), 0)
        if are_particles:
            truth[here] |= mask
            if centres is not None:
                centres[here] |= centre
