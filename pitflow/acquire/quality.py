"""Is a frame what the camera saw? Checks that need no knowledge of the file format."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pitflow.frame import Image

_CELLS = 32
"""The overview has at most this many cells along each axis."""
_CELL_ROWS = 4
_FLAT_RUN = 8
"""Missing data shows as at least this many rows of one value: the height of a coding block."""
_COLUMNS = 32
_JUMP = 0.15
"""A band of rows that is off by this share of the frame's brightness is not the scene's doing."""
_TRANSIENT = 4.0
"""... if it is off this much more from both neighbours in time than those are from each other."""
_ROUGH = 3.0
"""A band of garbage is this many times as rough as the same band before and after."""
_DARK = 0.1
"""A frame this dark, as a share of the reference, shows nothing."""


@dataclass(frozen=True, slots=True)
class Overview:
    """What the check keeps of a frame.

    Parameters
    ----------
    cells:
        Mean grey value on a coarse grid, float32.
    roughness:
        Mean difference of pixels side by side, in each row of the grid.
    is_flat:
        (height,) whether all of a row has one value.
    """

    cells: npt.NDArray[np.float32]
    roughness: npt.NDArray[np.float32]
    is_flat: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, image: Image) -> Overview:
        """Look at a frame."""
        height, width = image.shape
        grid = (min(_CELLS, width), min(_CELLS, height))
        # A few rows of each cell tell its mean well enough, at a fraction of the time.
        sparse = image[:: max(1, height // (_CELLS * _CELL_ROWS))]
        cells = cv2.resize(sparse, grid, interpolation=cv2.INTER_AREA).astype(np.float32)
        steps = cv2.absdiff(sparse[:, 1:], sparse[:, :-1]) if width > 1 else sparse
        roughness = cv2.resize(steps, (1, grid[1]), interpolation=cv2.INTER_AREA).astype(np.float32)
        few = image[:, :: max(1, width // _COLUMNS)]
        is_flat = (few == few[:, :1]).all(axis=1)
        rows = np.flatnonzero(is_flat)
        if len(rows) >= _FLAT_RUN:
            is_flat[rows] = (image[rows] == image[rows, :1]).all(axis=1)
        return cls(cells, roughness[:, 0], is_flat)


class FrameCheck:
    """Tells damaged frames, by a sound one and by the frames before and after.

    Parameters
    ----------
    reference:
        A sound frame of the recording: what it lacks, such as black bars, no frame need have.
    """

    def __init__(self, reference: Image) -> None:
        self.reference = reference
        overview = Overview.of(reference)
        self._flat_anyway = overview.is_flat
        self._brightness = float(np.median(overview.cells))

    def is_damaged(
        self, frame: Overview, before: Overview | None = None, after: Overview | None = None
    ) -> bool:
        """Whether a frame has lost part of its picture.

        Either rows hold one single value that do not do so in the reference, or the frame is dark,
        or a band of rows differs from both neighbours in time where those agree, in its picture or
        by being far rougher. The brightness of a whole frame may change at will, as may the scene
        from one frame to the next for good.
        """
        if _longest_run(frame.is_flat & ~self._flat_anyway) >= _FLAT_RUN:
            return True
        if float(np.median(frame.cells)) < _DARK * self._brightness:
            return True
        if before is None or after is None:
            return False
        now, earlier, later = (_normalised(o.cells) for o in (frame, before, after))
        off = np.minimum(_bands(now - earlier), _bands(now - later))
        agreed = _bands(earlier - later)
        if ((off > _JUMP) & (off > _TRANSIENT * agreed)).any():
            return True
        usual = np.maximum(np.maximum(before.roughness, after.roughness), 1.0)
        return bool((frame.roughness > _ROUGH * usual).any())


def is_same(image: Image, before: Image) -> bool:
    """Whether two images are equal in every pixel."""
    few = slice(None, None, max(1, image.shape[0] // 16))
    # Noise makes different frames differ in any row; only equal ones are compared in full.
    return np.array_equal(image[few], before[few]) and np.array_equal(image, before)


def _normalised(cells: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return cells / max(float(np.median(cells)), 1.0)


def _bands(difference: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    means: npt.NDArray[np.float32] = np.abs(difference).mean(axis=1)
    return means


def _longest_run(flags: npt.NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max()) if len(edges) else 0
