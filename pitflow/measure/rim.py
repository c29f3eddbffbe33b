"""The rim of one pit as it was in any frame: where a straight path enters or leaves it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import ndimage

from pitflow.measure.tracks import Floats, Ints

_NEVER = np.iinfo(np.int32).max
_CLOSING = 0.7
"""Radius of the closing that fills holes and bays of the cover, as a share of the pit's radius."""


@dataclass(frozen=True)
class Rim:
    """One pit over time.

    Parameters
    ----------
    born:
        (height, width) first frame as pit of every pixel of the pit's bounding box.
    left, top:
        Column and row of the box's first pixel.
    x, y:
        (n,) centre of the pit in every frame from ``onset`` on.
    radius:
        (n,) radius of the circle of the pit's area, likewise.
    reach:
        Largest distance of a pixel from any of those centres, px.
    cover:
        Width of the perforated cover, px: the radius of the circle of the final pit's area with the
        cover's holes and bays filled, less that without.
    """

    pit: int
    onset: int
    born: npt.NDArray[np.int32]
    left: int
    top: int
    x: Floats
    y: Floats
    radius: Floats
    reach: float
    cover: float

    def centre(self, frame: Ints) -> tuple[Floats, Floats]:
        """Return the centre as it was in the given frames; before the onset, that of the onset."""
        age = np.clip(frame - self.onset, 0, self.x.size - 1)
        return self.x[age], self.y[age]

    def about(self, x: float, y: float) -> Rim:
        """Return the same rim about a centre that stays where it is."""
        return replace(self, x=np.full_like(self.x, x), y=np.full_like(self.y, y))

    def contains(self, x: Floats, y: Floats, frame: Ints) -> npt.NDArray[np.bool_]:
        """Return whether points lie in the pit as it was in the given frames."""
        column = np.rint(x).astype(np.int64) - self.left
        row = np.rint(y).astype(np.int64) - self.top
        height, width = self.born.shape
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        born = self.born[np.where(inside, row, 0), np.where(inside, column, 0)]
        return np.asarray(inside & (born <= np.maximum(frame, self.onset)))

    def distance_along(
        self, x: Floats, y: Floats, ux: Floats, uy: Floats, frame: Ints, length: Floats
    ) -> Floats:
        """Return how far back along its path each point left the pit, px.

        Parameters
        ----------
        x, y:
            (n,) points.
        ux, uy:
            (n,) unit vectors of the motion; the way back is against them.
        frame:
            (n,) frame whose rim counts.
        length:
            (n,) how far back to look.

        Returns
        -------
        ndarray
            (n,) distance, to half a pixel; negative where the point lies inside the pit, which it
            leaves further on; NaN where the way back does not meet the pit.
        """
        found = np.full(x.size, np.nan)
        if x.size == 0:
            return found
        inside_now = self.contains(x, y, frame)

        back = np.arange(int(np.ceil(length.max())) + 1, dtype=np.float64)
        met = self.contains(
            x[:, None] - ux[:, None] * back, y[:, None] - uy[:, None] * back, frame[:, None]
        ) & (back <= length[:, None])
        outside = ~inside_now & met.any(axis=1)
        found[outside] = np.maximum(met.argmax(axis=1)[outside] - 0.5, 0.0)

        ahead = np.arange(int(np.ceil(2.0 * self.reach)) + 1, dtype=np.float64)
        i = np.flatnonzero(inside_now)
        held = self.contains(
            x[i, None] + ux[i, None] * ahead, y[i, None] + uy[i, None] * ahead, frame[i, None]
        )
        found[i] = 0.5 - np.argmin(held, axis=1)
        return found


def trace_rims(pit_pixels: pd.DataFrame) -> list[Rim]:
    """Return the rim of every pit, in order of pit number."""
    rims = []
    for pit, pixels in pit_pixels.groupby("pit", sort=True):
        x, y, born = (pixels[name].to_numpy(dtype=np.int64) for name in ("x", "y", "frame"))
        # Particles leave from the edge of the cover, whose holes are no way in: close them.
        size = float(np.sqrt(x.size / np.pi))
        edge = int(np.ceil(_CLOSING * size)) + 1
        left, top, onset = int(x.min()) - edge, int(y.min()) - edge, int(born.min())
        shape = (int(y.max()) - top + 1 + edge, int(x.max()) - left + 1 + edge)
        box = np.full(shape, _NEVER, dtype=np.int32)
        box[y - top, x - left] = born
        box = np.minimum(box, _close(box, _CLOSING * size))
        age = born - onset
        area = np.cumsum(np.bincount(age)).astype(np.float64)
        centre_x = np.cumsum(np.bincount(age, x)) / area
        centre_y = np.cumsum(np.bincount(age, y)) / area
        rims.append(
            Rim(
                pit=int(str(pit)),
                onset=onset,
                born=box,
                left=left,
                top=top,
                x=centre_x,
                y=centre_y,
                radius=np.sqrt(area / np.pi),
                reach=float(np.hypot(*box.shape)),
                cover=float(np.sqrt(np.count_nonzero(box < _NEVER) / np.pi)) - size,
            )
        )
    return rims


def _close(born: npt.NDArray[np.int32], radius: float) -> npt.NDArray[np.int32]:
    """Close the pit of every frame at once: fill what a disc of ``radius`` cannot reach.

    On a grid so coarse that the disc is about eight pixels wide: a wide pit takes no longer.
    """
    step = max(1, int(radius // 8.0))
    coarse = born[step // 2 :: step, step // 2 :: step]
    reach = max(round(radius / step), 1)
    disc = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1]) <= reach + 0.5
    coarse = ndimage.minimum_filter(coarse, footprint=disc, mode="constant", cval=_NEVER)
    coarse = ndimage.maximum_filter(coarse, footprint=disc, mode="constant", cval=_NEVER)
    rows = np.minimum(np.arange(born.shape[0]) // step, coarse.shape[0] - 1)
    columns = np.minimum(np.arange(born.shape[1]) // step, coarse.shape[1] - 1)
    return np.asarray(coarse[np.ix_(rows, columns)])
