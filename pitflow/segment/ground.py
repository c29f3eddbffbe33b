"""What a frame would show without particles.

The median backgrounds of the earlier, the own and the later block tell most of it. What is dark in
one block only was a slow particle and is taken out. Slow change (of the light, say) is followed by
interpolation in time. A place that changes for good (a particle lands, a speck lifts) does so at
one moment, found from the frames themselves: until then the earlier background holds there, from
then on the later one. Around pits much changes at once and by degrees (rim, lace, halo): there the
frames' own running median is followed, between the bounds that the backgrounds set. So nothing of
this floods the result, nor hides the particles that pass over it.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import scipy.sparse

from pitflow.frame import Frame
from pitflow.median import median_image
from pitflow.scene import Scene
from pitflow.segment.blobs import noise_of
from pitflow.segment.pits import PitMap
from pitflow.segment.window import Window, change_point
from pitflow.translation import translated

Float = npt.NDArray[np.float32]
Ints = npt.NDArray[np.intp]

SHIFT_STEP = 1 / 16
"""Frames whose shifts differ by less than this share one moved background, px."""
_RENEWAL = 6
"""The interpolated background is renewed after this many frames."""
_LASTING = 0.12
"""A change of this share of the brightness is a lasting one, however wide it is."""
_COMPACT_SIGMA, _COMPACT_NOISE, _WIDE_PX = 0.8, 5.0, 31
"""A narrower one is lasting if it stands out of the noise at this scale, against this box."""
_SMALLEST_PART = 4
"""Smaller parts are noise of the backgrounds, px^2."""
_TOGETHER_PX = 2
"""Pixels this near to one another are taken to change at the same moment."""
_SURROUNDINGS_PX = 40
"""This far around a pit its halo and growth change the ground."""
_RUNNING_HALF, _RUNNING_STEP = 8, 2
"""The running median spans this many frames to either side, and takes every second."""
_TOLERANCE = 0.02
"""The running median may leave the bounds by this share of the brightness."""


class Ground:
    """What the frames of one window would show without particles.

    Attributes
    ----------
    middle:
        The window's own block, in reference geometry, float32.
    """

    def __init__(self, window: Window, scene: Scene, pits: PitMap) -> None:
        self._window = window
        block, last = window.block, scene.n_blocks - 1
        first_frame, last_frame = _span(window, scene)
        self._centre, length = (first_frame + last_frame) / 2, float(last_frame - first_frame + 1)
        self.middle = _without_slow(scene, block)
        # (background, how many frames before or after the middle it stands for)
        self._earlier = (_without_slow(scene, block - 1), length) if block > 0 else None
        self._later = (_without_slow(scene, block + 1), length) if block < last else None
        earlier = self.middle if self._earlier is None else self._earlier[0]
        later = self.middle if self._later is None else self._later[0]
        if self._later is None and pits.end is not None:
            # Fit to tell what has landed since; what moves slowly still stands in it.
            later = pits.end
        self._lasting = _lasting(earlier, later)
        self._row, self._column = np.nonzero(self._lasting)
        self._before, self._after = earlier[self._lasting], later[self._lasting]
        self._moment = self._changes()
        begin = scene.first.astype(np.float32) if self._earlier is None else earlier
        self._surroundings = [
            _Surroundings(window, box, begin[box], self.middle[box], later[box])
            for box in pits.boxes(block, _SURROUNDINGS_PX)
        ]
        self._still: tuple[int, Float] | None = None
        self._moved: tuple[tuple[float, float, int], Float] | None = None

    def _changes(self) -> Ints:
        """Return the frame of the window from which each lasting change holds."""
        frames = self._window.frames
        toward = np.zeros((self._row.size, len(frames)), np.float32)
        middle = (self._before + self._after) / 2
        half = (self._after - self._before) / 2
        for i, frame in enumerate(frames):
            if frame.quality == "ok":
                seen = frame.image[self._in_frame(frame)] * np.float32(1 / frame.gain)
                toward[:, i] = (seen - middle) * half
        # Neighbours land together; the strongly changed ones lead the faint edge.
        near = _neighbours(self._lasting)
        evidence = (near @ toward) / np.maximum(near @ half**2, 1e-6)[:, None]
        return change_point(np.clip(evidence, -1, 1).T)

    def _in_frame(self, frame: Frame) -> tuple[Ints, Ints]:
        height, width = frame.image.shape
        row = np.clip(self._row + round(frame.shift[1]), 0, height - 1)
        return row, np.clip(self._column + round(frame.shift[0]), 0, width - 1)

    def at(self, i: int) -> Float:
        """Return the ground under frame ``i`` of the window, in its geometry, as float32."""
        frame = self._window.frames[i]
        dx, dy = (SHIFT_STEP * round(value / SHIFT_STEP) for value in frame.shift)
        start = i // _RENEWAL * _RENEWAL
        if self._still is None or self._still[0] != start:
            self._still, self._moved = (start, self._without_particles(start)), None
        if self._moved is None or self._moved[0] != (dx, dy, start):
            self._moved = (dx, dy, start), translated(self._still[1], dx, dy)
        ground = self._moved[1]
        # Between renewals only the few pixels are touched that have changed since.
        since = np.flatnonzero((self._moment > start) & (self._moment <= i))
        if since.size:
            ground = ground.copy()
            row, column = self._in_frame(frame)
            ground[row[since], column[since]] = self._after[since]
        return ground

    def _without_particles(self, start: int) -> Float:
        """Return the ground in reference geometry for a few frames from ``start`` on."""
        middle = start + min(_RENEWAL, self._window.n - start) // 2
        ground = self._interpolated(self._window.frames[middle].index).copy()
        ground[self._row, self._column] = np.where(start >= self._moment, self._after, self._before)
        for surroundings in self._surroundings:
            surroundings.draw(ground, middle)
        return ground

    def _interpolated(self, time: float) -> Float:
        """Return the background at a time, on the line through the two nearest in time.

        In the first and last half block that line is prolonged.
        """
        after = time - self._centre
        if (after > 0 and self._later is not None) or self._earlier is None:
            other, sign = self._later, 1
        else:
            other, sign = self._earlier, -1
        if other is None:
            return self.middle
        weight = sign * after / other[1]
        between: Float = cv2.addWeighted(self.middle, 1 - weight, other[0], weight, 0)
        return between


class _Surroundings:
    """The ground around one pit: the running median of the frames, within bounds.

    What moves past is gone from the median. What stands still is not, but the backgrounds bound it:
    where they agree, they hold.
    """

    def __init__(
        self,
        window: Window,
        box: tuple[slice, slice],
        earlier: Float,
        middle: Float,
        later: Float,
    ) -> None:
        self._box = box
        self._low = np.minimum(np.minimum(earlier, later), middle) * np.float32(1 - _TOLERANCE)
        self._high = np.maximum(np.maximum(earlier, later), middle) * np.float32(1 + _TOLERANCE)
        self._trusted = np.flatnonzero(window.trusted)
        self._crops = [_crop(window.frames[i], box) for i in self._trusted]

    def draw(self, ground: Float, i: int) -> None:
        """Write the ground at frame ``i`` of the window into the whole."""
        away = np.abs(self._trusted - i)
        near = np.flatnonzero((away <= _RUNNING_HALF) & (away % _RUNNING_STEP == 0))
        if near.size < 3:
            return
        median = median_image([self._crops[j] for j in near])
        ground[self._box] = np.clip(median, self._low, self._high)


def _crop(frame: Frame, box: tuple[slice, slice]) -> Float:
    """Return a box of the reference geometry from a frame, at the reference's brightness."""
    height, width = frame.image.shape
    dx, dy = round(frame.shift[0]), round(frame.shift[1])
    rows = np.clip(np.arange(box[0].start + dy, box[0].stop + dy), 0, height - 1)
    columns = np.clip(np.arange(box[1].start + dx, box[1].stop + dx), 0, width - 1)
    whole = frame.image[rows[:, None], columns].astype(np.float32) * np.float32(1 / frame.gain)
    return translated(whole, dx - frame.shift[0], dy - frame.shift[1])


def _lasting(earlier: Float, later: Float) -> npt.NDArray[np.bool_]:
    """Return where the scene changes for good.

    What landed or lifted is compact, and stands out of its surroundings in the change. The wide and
    slow rest (the light) is no lasting change, and is followed by interpolation.
    """
    change = cv2.subtract(later, earlier)
    fine = cv2.GaussianBlur(change, (0, 0), _COMPACT_SIGMA) - cv2.blur(change, (_WIDE_PX, _WIDE_PX))
    compact = np.abs(fine) > np.float32(_COMPACT_NOISE * max(noise_of(fine), 0.2))
    strong = np.abs(change) > _LASTING * np.maximum(earlier, later)
    lasting = (compact | strong).view(np.uint8)
    _, parts, stats, _ = cv2.connectedComponentsWithStats(lasting, connectivity=8)
    real = stats[:, cv2.CC_STAT_AREA] >= _SMALLEST_PART
    real[0] = False
    found: npt.NDArray[np.bool_] = real[parts]
    return found


def _neighbours(lasting: npt.NDArray[np.bool_]) -> scipy.sparse.csr_array:
    """Return the (m, m) matrix that is 1 for lasting pixels near each other."""
    width = lasting.shape[1]
    pixel = np.flatnonzero(lasting)
    column = pixel % width
    reach = range(-_TOGETHER_PX, _TOGETHER_PX + 1)
    pairs = []
    for dy in reach:
        for dx in reach:
            other = pixel + dy * width + dx
            at = np.minimum(np.searchsorted(pixel, other), max(pixel.size - 1, 0))
            near = (pixel[at] == other) & (column + dx >= 0) & (column + dx < width)
            pairs.append(np.stack([np.flatnonzero(near), at[near]]))
    first, second = np.concatenate(pairs, axis=1)
    ones = np.ones(first.size, np.float32)
    return scipy.sparse.csr_array((ones, (first, second)), shape=(pixel.size, pixel.size))


def _without_slow(scene: Scene, block: int) -> Float:
    """Return a background without what is dark in this block only: a slow particle."""
    own = scene.background(block)
    if 0 < block < scene.n_blocks - 1:
        neighbours = np.minimum(scene.background(block - 1), scene.background(block + 1))
        own = np.maximum(own, neighbours)
    return own.astype(np.float32)


def _span(window: Window, scene: Scene) -> tuple[int, int]:
    """Return the first and last frame of the window's block."""
    numbers = scene.frames["frame"]
    first, last = window.frames[0].index, window.frames[window.n - 1].index
    while first > numbers.iloc[0] and scene.block_of(first - 1) == window.block:
        first -= 1
    while last < numbers.iloc[-1] and scene.block_of(last + 1) == window.block:
        last += 1
    return first, last
