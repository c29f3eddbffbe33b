"""Training images drawn from labelled micrographs: warped, cropped, lit anew (paper 001)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from pitflow.domains.recipe import WarpConfig
from pitflow.domains.sem.channels import Floats, make_channels
from pitflow.domains.sem.micrographs import Labels, Micrograph
from pitflow.domains.sem.scales import usual_zoom
from pitflow.segment.training.instance_samples import InstanceSample
from pitflow.segment.training.learn import Sample

_AIMED = 0.5
_RANGE = 4.0
"""Of the greys of most of an image, as `make_channels` makes them."""

_BLUR_PX = 0.5
"""Standard deviation of what a pixel averages over, about."""

_LEAST_PX = 9
_LEAST_SHARE = 0.1
"""Of an object of which the crop shows less than this, nobody could tell what it is."""


class InstanceSamples:
    """Micrographs whose labels are instances (``pitflow.segment.training.learn.Samples``)."""

    def __init__(self, micrographs: Sequence[Micrograph], warp: WarpConfig, side: int) -> None:
        self.micrographs, self.warp, self.side = list(micrographs), warp, side
        self._areas = [np.bincount(one.labels.ravel()) for one in self.micrographs]
        usual = warp.object_px
        self._zooms = [usual_zoom(one.labels, usual) if usual else 1.0 for one in self.micrographs]

    def __len__(self) -> int:
        return len(self.micrographs)

    def draw(self, index: int, rng: np.random.Generator) -> InstanceSample:
        """Return a view of micrograph ``index``, varied by chance."""
        channels, labels, zoom = warped(
            self.micrographs[index], self.warp, self.side, rng, zoom=self._zooms[index]
        )
        shown = np.bincount(labels.ravel(), minlength=len(self._areas[index]))
        least = np.maximum(_LEAST_PX, _LEAST_SHARE * zoom**2 * self._areas[index])
        sliver = shown < least
        sliver[0] = False
        labels[sliver[labels]] = 0
        return InstanceSample(channels, labels)


class ClassSamples:
    """Micrographs whose labels are classes, from 1, for dense prediction."""

    def __init__(
        self,
        micrographs: Sequence[Micrograph],
        warp: WarpConfig,
        side: int,
        classes: int,
        zoom: float = 1.0,
    ) -> None:
        self.micrographs, self.warp, self.side = list(micrographs), warp, side
        self.classes, self.zoom = classes, zoom

    def __len__(self) -> int:
        return len(self.micrographs)

    def draw(self, index: int, rng: np.random.Generator) -> Sample:
        """Return a view of micrograph ``index``, varied by chance; beyond it nothing is known."""
        channels, labels, _ = warped(
            self.micrographs[index], self.warp, self.side, rng, zoom=self.zoom, beyond=-1
        )
        truth = class_masks(labels, self.classes)
        known = np.broadcast_to(labels >= 0, truth.shape).copy()
        return Sample(channels, truth, known)


def class_masks(labels: Labels, classes: int) -> npt.NDArray[np.bool_]:
    """Return one mask per class, (classes, height, width); class k is the number k + 1."""
    masks: npt.NDArray[np.bool_] = labels[None] == np.arange(1, classes + 1)[:, None, None]
    return masks


def warped(
    micrograph: Micrograph,
    warp: WarpConfig,
    side: int,
    rng: np.random.Generator,
    *,
    zoom: float = 1.0,
    beyond: int = 0,
) -> tuple[Floats, Labels, float]:
    """Return a square view of a micrograph as channels and labels, and its magnification.

    Parameters
    ----------
    zoom:
        Magnification before variation.
    beyond:
        Label where the micrograph does not reach; the channels are 0 there.
    """
    height, width = micrograph.image.shape
    least, most = math.log(1 - warp.shrink), -math.log(1 - warp.zoom)
    zoom *= math.exp(least + (most - least) * rng.random())
    turn = _turn(warp, zoom, rng)
    centre = _centre(micrograph.labels, side / zoom, rng)
    # From the view to the micrograph: what is drawn is looked up there.
    back = np.linalg.inv(turn)
    offset = centre - back @ np.array([(side - 1) / 2, (side - 1) / 2])
    matrix = np.column_stack([back, offset])
    channels = make_channels(micrograph.image)(micrograph.image)[0]
    if zoom < 1:
        # What is finer than the view's pixels would only be noise in it.
        channels = cv2.GaussianBlur(channels, (0, 0), _BLUR_PX * math.sqrt(zoom**-2 - 1) + 1e-3)
    size = (side, side)
    nearest = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    smooth = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    view = cv2.warpAffine(channels, matrix, size, flags=smooth, borderValue=0.0)
    inside = cv2.warpAffine(np.ones((height, width), np.uint8), matrix, size, flags=nearest) > 0
    # As float: exact up to 2^24, and cv2 warps no 32-bit integers.
    drawn = cv2.warpAffine(
        micrograph.labels.astype(np.float32), matrix, size, flags=nearest, borderValue=beyond
    )
    exposure = 1 + warp.exposure * rng.uniform(-1, 1)
    brightness = _RANGE * warp.brightness * rng.uniform(-1, 1)
    view = view * np.float32(exposure) + np.float32(brightness)
    if rng.random() < warp.invert:
        view = -view
    if warp.noise:
        sigma = np.float32(_RANGE * warp.noise * rng.random())
        view += sigma * rng.standard_normal(view.shape, dtype=np.float32)
    view[~inside] = 0
    return view[None].astype(np.float32), drawn.astype(np.int32), zoom


def _turn(warp: WarpConfig, zoom: float, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    angle = math.radians(warp.rotate_deg * rng.uniform(-1, 1))
    shear_x, shear_y = np.tan(np.radians(warp.shear_deg * rng.uniform(-1, 1, 2)))
    mirrored, quarter = bool(rng.integers(2)), int(rng.integers(4))
    if warp.dihedral:
        angle += quarter * math.pi / 2
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    flip = np.diag([-1.0 if mirrored and (warp.dihedral or warp.mirror) else 1.0, 1.0])
    turned: npt.NDArray[np.float64] = (
        zoom * rotation @ np.array([[1.0, shear_x], [shear_y, 1.0]]) @ flip
    )
    return turned


def _centre(labels: Labels, side: float, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return x and y of a view's centre: anywhere, but every other time near an object.

    The view leaves the micrograph only where that is smaller.
    """
    height, width = labels.shape
    spare = np.array([max(width - side, 0.0), max(height - side, 0.0)])
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    drawn: npt.NDArray[np.float64] = middle + spare * (rng.random(2) - 0.5)
    if spare.any() and rng.random() < _AIMED:
        rows, columns = np.nonzero(labels > 0)
        if rows.size:
            pick = int(rng.integers(rows.size))
            near = np.array([columns[pick], rows[pick]]) + side / 4 * rng.uniform(-1, 1, 2)
            drawn = np.clip(near, middle - spare / 2, middle + spare / 2)
    return drawn
