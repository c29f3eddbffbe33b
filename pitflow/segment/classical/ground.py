"""What a frame would show without particles.

The median backgrounds of the earlier, the own and the later block tell most of it. What is dark for
a block or two, and bright before and after, was a slow particle or one that stopped, and is taken
out. Slow change (of the light, say) is followed by interpolation in time. A place that changes for
good (a particle lands, a speck lifts) does so at one moment, found from the frames themselves:
until then the earlier background holds there, from then on the later one. Around pits much changes
at once and by degrees (rim, lace, halo): there the frames' own running median is followed, between
the bounds that the backgrounds set, and no darker than both before and after. So nothing of this
floods the result, nor hides the particles that pass over it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import cv2
import numpy as np
import numpy.typing as npt
import scipy.sparse

from pitflow.frame import Frame, Image
from pitflow.median import median_image
from pitflow.scene import Scene
from pitflow.segment.classical.blobs import noise_of
from pitflow.segment.classical.window import Window, block_span, change_point
from pitflow.segment.pit_map import PitMap
from pitflow.translation import translated

Float = npt.NDArray[np.float32]
Ints = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

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
_RUNNING_HALF, _RUNNING_STEP = 16, 4
"""The running median spans this many frames to either side, and takes every fourth: twice as
long as a wide particle at 2 px per frame takes to pass by."""
_SLOW_HALF = 24
"""What is slower is dark in the median, but not in so many frames before and after."""
_SLOW_BLOCKS = 2
"""A slow particle is gone from its place in one of so many blocks before, and after."""
_FEWEST = 3
"""Of fewer frames nothing is made."""
_TOLERANCE = 0.01
"""The ground around a pit may leave its bounds by this share of the brightness."""


class Backgrounds:
    """What the backgrounds around one block say of it, for all of its windows.

    Parameters
    ----------
    window:
        Any window of the block.
    scene, pits:
        The recording's.

    Attributes
    ----------
    block:
        Number of the block.
    middle:
        Its own background, in reference geometry, float32.
    begin, earlier, later:
        The scene before and after it, as far as that is known.
    lasting:
        What changes for good between ``earlier`` and ``later``.
    """

    def __init__(self, window: Window, scene: Scene, pits: PitMap) -> None:
        self.block = block = window.block
        last = scene.n_blocks - 1
        first_frame, last_frame = block_span(scene, window.frames[0].index)
        self._own = _Dated.of(scene, first_frame)
        self._before = _Dated.of(scene, first_frame - 1) if block > 0 else None
        self._after = _Dated.of(scene, last_frame + 1) if block < last else None
        self.middle = self._own.image
        self.earlier = (self._before or self._own).image
        self.later = (self._after or self._own).image
        if self._after is None and pits.end is not None:
            # Fit to tell what has landed since; what moves slowly still stands in it.
            self.later = pits.end
        self.begin: Image = scene.first if self._before is None else self._before.image
        self.lasting = _Lasting(self.earlier, self.later)

    def at(self, time: float) -> Float:
        """Return the background at a time, on the line through the two nearest in time.

        In the first and last half block that line is prolonged.
        """
        late = time > self._own.frame
        other = (self._after if late else self._before) or self._before or self._after
        if other is None:
            return self.middle.copy()
        weight = (time - self._own.frame) / (other.frame - self._own.frame)
        between: Float = cv2.addWeighted(self.middle, 1 - weight, other.image, weight, 0)
        return between


@dataclass(frozen=True, slots=True)
class _Dated:
    """The background of a block, and the middle frame of it."""

    frame: float
    image: Float

    @classmethod
    def of(cls, scene: Scene, frame: int) -> _Dated:
        """Return that of a frame's block."""
        return cls(sum(block_span(scene, frame)) / 2, _without_slow(scene, scene.block_of(frame)))


class _Lasting:
    """The pixels that change for good, each at one moment.

    Attributes
    ----------
    before, after:
        (m,) their grey values until then and from then on, at the reference's brightness.
    """

    def __init__(self, earlier: Float, later: Float) -> None:
        lasting = _lasting(earlier, later)
        self._row, self._column = np.nonzero(lasting)
        self.before, self.after = earlier[lasting], later[lasting]
        self._middle = (self.before + self.after) / 2
        self._half = (self.after - self.before) / 2
        # Neighbours land together; the strongly changed ones lead the faint edge.
        self._near = _neighbours(lasting)
        self._norm = np.maximum(self._near @ self._half**2, 1e-6)

    def moments(self, frames: Sequence[Frame]) -> Ints:
        """Return the frame from which each change holds."""
        toward = np.zeros((len(frames), self._row.size), np.float32)
        for i, frame in enumerate(frames):
            if frame.quality == "ok":
                row, column, seen = self.in_frame(frame)
                shown = frame.image[row, column] * np.float32(1 / frame.gain)
                toward[i] = (shown - self._middle) * self._half * seen
        evidence = (self._near @ np.ascontiguousarray(toward.T)) / self._norm[:, None]
        return change_point(np.clip(evidence, -1, 1).T)

    def draw(self, ground: Float, changed: Mask) -> None:
        """Write into a ground in reference geometry what stands at each pixel."""
        ground[self._row, self._column] = np.where(changed, self.after, self.before)

    def in_frame(self, frame: Frame, chosen: Ints | slice = slice(None)) -> tuple[Ints, Ints, Mask]:
        """Return row and column of the chosen pixels in a frame, and which of them it shows."""
        return frame.pixels_at(self._row[chosen], self._column[chosen])


class Ground:
    """What the frames of one window would show without particles."""

    def __init__(self, window: Window, backgrounds: Backgrounds, pits: PitMap) -> None:
        self._window = window
        self._backgrounds = backgrounds
        self._lasting = backgrounds.lasting
        self._moment = self._lasting.moments(window.frames)
        self._surroundings = [
            _Surroundings(window, box, backgrounds)
            for box in pits.boxes(window.block, _SURROUNDINGS_PX)
        ]
        self._still: tuple[int, Float] | None = None
        # (shift, last frame whose changes are drawn, image)
        self._moved: tuple[tuple[float, float, int, int], int, Float] | None = None

    def at(self, i: int) -> Float:
        """Return the ground under frame ``i`` of the window, in its geometry, as float32.

        The image may be shared between frames, so it is not to be written to.
        """
        frame = self._window.frames[i]
        dx, dy = (SHIFT_STEP * round(value / SHIFT_STEP) for value in frame.shift)
        start = i // _RENEWAL * _RENEWAL
        if self._still is None or self._still[0] != start:
            self._still, self._moved = (start, self._without_particles(start)), None
        place = dx, dy, round(frame.shift[0]), round(frame.shift[1])
        shared = self._moved is not None and self._moved[0] == place and self._moved[1] <= i
        if self._moved is None or not shared:
            still = self._still[1]
            moved = translated(still, dx, dy)
            self._moved = place, start, still.copy() if moved is still else moved
        _, drawn, ground = self._moved
        # Between renewals only the few pixels are touched that have changed since.
        since = np.flatnonzero((self._moment > drawn) & (self._moment <= i))
        if since.size:
            ground = ground.copy() if shared else ground
            row, column, seen = self._lasting.in_frame(frame, since)
            ground[row[seen], column[seen]] = self._lasting.after[since[seen]]
            self._moved = place, i, ground
        return ground

    def _without_particles(self, start: int) -> Float:
        """Return the ground in reference geometry for a few frames from ``start`` on."""
        middle = start + min(_RENEWAL, self._window.n - start) // 2
        ground = self._backgrounds.at(self._window.frames[middle].index)
        self._lasting.draw(ground, start >= self._moment)
        for surroundings in self._surroundings:
            surroundings.draw(ground, middle)
        return ground


class _Surroundings:
    """The ground around one pit: the running median of the frames, within bounds.

    What moves past is gone from the median. What passes slowly is not, but then the place is bright
    before and after, in the frames or in the blocks' backgrounds; the halo of a pit only darkens.
    What stands still is not either, but the backgrounds bound it: where they agree, they hold.
    """

    def __init__(self, window: Window, box: tuple[slice, slice], backgrounds: Backgrounds) -> None:
        self._box = box
        earlier = backgrounds.begin[box].astype(np.float32)
        middle, later = backgrounds.middle[box], backgrounds.later[box]
        self._earlier, self._later = backgrounds.earlier[box], later
        self._low = np.minimum(np.minimum(earlier, later), middle) * np.float32(1 - _TOLERANCE)
        self._high = np.maximum(np.maximum(earlier, later), middle) * np.float32(1 + _TOLERANCE)
        self._frames = window.frames
        self._trusted = np.flatnonzero(window.trusted)
        self._crops: dict[int, Float] = {}

    def draw(self, ground: Float, i: int) -> None:
        """Write the ground at frame ``i`` of the window into the whole."""
        away = np.abs(self._trusted - i)
        in_step = away % _RUNNING_STEP == 0
        near = self._trusted[in_step & (away <= _RUNNING_HALF)]
        if near.size < _FEWEST:
            return
        median = median_image([self._crop(int(j)) for j in near])
        around = self._trusted[in_step & (away <= _SLOW_HALF)]
        before = self._brightest(around[around < i], self._earlier)
        after = self._brightest(around[around > i], self._later)
        # The brightest of a few frames is brighter than their median by noise alone.
        surely_lit = np.minimum(before, after) * np.float32(1 - _TOLERANCE)
        ground[self._box] = np.clip(np.maximum(median, surely_lit), self._low, self._high)

    def _brightest(self, frames: Ints, background: Float) -> Float:
        """Return a background, brighter where at least two of some frames are."""
        if frames.size < _FEWEST:
            return background
        first, second = self._crop(int(frames[0])), background
        for j in frames[1:]:
            crop = self._crop(int(j))
            second = np.maximum(second, np.minimum(first, crop))
            first = np.maximum(first, crop)
        return second

    def _crop(self, i: int) -> Float:
        if i not in self._crops:
            self._crops[i] = _crop(self._frames[i], self._box)
        return self._crops[i]


def _crop(frame: Frame, box: tuple[slice, slice]) -> Float:
    """Return a box of the reference geometry from a frame, at the reference's brightness."""
    height, width = frame.image.shape
    dx, dy = round(frame.shift[0]), round(frame.shift[1])
    rows = np.clip(np.arange(box[0].start + dy, box[0].stop + dy), 0, height - 1)
    columns = np.clip(np.arange(box[1].start + dx, box[1].stop + dx), 0, width - 1)
    whole = frame.image[rows[:, None], columns].astype(np.float32) * np.float32(1 / frame.gain)
    return translated(whole, dx - frame.shift[0], dy - frame.shift[1])


def _lasting(earlier: Float, later: Float) -> Mask:
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
    found: Mask = real[parts]
    return found


def _neighbours(lasting: Mask) -> scipy.sparse.csr_array:
    """Return the (m, m) matrix that is 1 for lasting pixels near each other."""
    reach = _TOGETHER_PX
    pixel = np.flatnonzero(lasting)
    number = np.full(np.add(lasting.shape, 2 * reach), -1, np.int32)
    number[reach:-reach, reach:-reach][lasting] = np.arange(pixel.size)
    # Pixels are numbered row by row, so in this order each row of the matrix is sorted.
    row, column = np.divmod(pixel, lasting.shape[1])
    around = range(2 * reach + 1)
    other = np.stack([number[row + dy, column + dx] for dy in around for dx in around], axis=1)
    near = other >= 0
    starts = np.concatenate([[0], np.cumsum(near.sum(axis=1))])
    ones = np.ones(int(starts[-1]), np.float32)
    return scipy.sparse.csr_array((ones, other[near], starts), shape=(pixel.size, pixel.size))


def _without_slow(scene: Scene, block: int) -> Float:
    """Return a background without what is brighter both before and after: a slow particle."""
    own = scene.background(block)
    earlier = range(max(block - _SLOW_BLOCKS, 0), block)
    later = range(block + 1, min(block + 1 + _SLOW_BLOCKS, scene.n_blocks))
    if earlier and later:
        before, after = (
            reduce(np.maximum, map(scene.background, blocks)) for blocks in (earlier, later)
        )
        own = np.maximum(own, np.minimum(before, after))
    return own.astype(np.float32)
