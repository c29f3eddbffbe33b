"""Moving particles: what is darker than the same place both before and after.

Time is information. A frame is compared with what its place shows without particles at that time,
as told by the median backgrounds of the earlier, the own and the later block. What is dark in one
block only was a slow particle and is taken out. Slow change (light, the halo of a pit) is followed
by interpolation in time. A place that changes for good (a landed particle, a pit's rim, a speck
that lifts) does so at one moment, found from the frames themselves: until then the earlier
background holds there, from then on the later one. So nothing of this floods the result, nor hides
the particles that pass over it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
import numpy.typing as npt

from pitflow.config import ChangeConfig
from pitflow.frame import CLASS_PARTICLE, CLASS_PIT, Frame
from pitflow.scene import Scene
from pitflow.segment.blobs import (
    OUTLINE,
    Pyramid,
    build_pyramid,
    find_seeds,
    noise_of,
    outline,
    outline_smoothing,
)
from pitflow.segment.objects import Objects, empty_detections, measure
from pitflow.segment.pits import PitMap, with_rim
from pitflow.segment.protocol import Segmentation
from pitflow.segment.window import Window, change_point, windows
from pitflow.translation import translated

Float = npt.NDArray[np.float32]
Ints = npt.NDArray[np.intp]

_GROUND_FRAMES = 6
"""The interpolated background is renewed after this many frames."""
_BRIGHTER_SIGMAS = 3.0
"""What is brighter than the background is no particle, and is cut off here."""
_LASTING = 0.12
"""A change of this share of the brightness is a lasting one, however wide it is."""
_COMPACT_SIGMA, _COMPACT_NOISE, _WIDE_PX = 0.8, 5.0, 31
"""A narrower one is lasting if it stands out of the noise at this scale, against this box."""
_LANDED_AREA = 400
"""Larger parts are a pit's rim, px^2."""
_SHIFT_STEP = 1 / 16
"""Frames whose shifts differ by less than this share one moved background, px."""
_STRUCTURE_SHARE = 0.03
"""Residual of structure that no shift explains: compression, focus, exposure."""


class ChangeSegmenter:
    """The default segmenter: time-local background difference and scale-space blobs.

    Parameters
    ----------
    config:
        Threshold and scales.
    pits:
        The recording's pits.
    """

    name = "change"
    in_order = False

    def __init__(self, config: ChangeConfig, pits: PitMap) -> None:
        self._config = config
        self._pits = pits

    def segment(self, frames: Iterable[Frame], scene: Scene) -> Iterator[Segmentation]:
        """Yield one result per frame."""
        for window in windows(frames, scene):
            yield from self._window(window, scene)

    def _window(self, window: Window, scene: Scene) -> Iterator[Segmentation]:
        state = self._pits.state(window)
        ground = _Ground(window, scene, self._pits.end)
        structure = self._structure(ground)
        for i, frame in enumerate(window.frames[: window.n]):
            pit = self._pits.draw(state[i], frame, scene.shape)
            yield self._frame(frame, ground.at(i), pit, structure)

    def _structure(self, ground: _Ground) -> list[tuple[Float, Float]]:
        """Per band: what a background misplaced by 1 px, and one wrongly scaled, leave behind."""
        pyramid = self._pyramid(ground.middle)
        out = []
        for band in pyramid.band:
            gx = cv2.Sobel(band, cv2.CV_32F, 1, 0, ksize=1, scale=0.5)
            gy = cv2.Sobel(band, cv2.CV_32F, 0, 1, ksize=1, scale=0.5)
            steep = cv2.dilate(cv2.magnitude(gx, gy), np.ones((3, 3), np.uint8))
            out.append((steep, cv2.dilate(np.abs(band), np.ones((3, 3), np.uint8))))
        return out

    def _pyramid(self, image: Float) -> Pyramid:
        return build_pyramid(image, self._config.smallest_scale_px, self._config.n_scales)

    def _frame(
        self,
        frame: Frame,
        ground: Float,
        pit: npt.NDArray[np.bool_],
        structure: list[tuple[Float, Float]],
    ) -> Segmentation:
        classes = np.where(pit, np.uint8(CLASS_PIT), np.uint8(0))
        if frame.quality != "ok":
            return Segmentation(frame.index, classes, empty_detections())
        darker = cv2.addWeighted(ground, frame.gain, frame.image, -1, 0, dtype=cv2.CV_32F)
        _clear_margins(darker, frame.shift)
        darker[with_rim(pit)] = 0
        flat = noise_of(darker)
        np.maximum(darker, np.median(darker[::8, ::8]) - _BRIGHTER_SIGMAS * flat, out=darker)
        pyramid = self._pyramid(darker)
        noise = [
            _noise(band, steep, strong)
            for band, (steep, strong) in zip(pyramid.band, structure, strict=True)
        ]
        seeds = find_seeds(pyramid, noise, self._config.threshold)
        pixels = outline(darker, pyramid, seeds)
        seeds = seeds[pixels.seed]
        lit = np.maximum(ground[pixels.row, pixels.column] * np.float32(frame.gain), 1)
        objects = Objects(
            n=seeds.level.size,
            owner=pixels.owner,
            row=pixels.row,
            column=pixels.column,
            darkening=(darker[pixels.row, pixels.column] - pixels.ground[pixels.owner]) / lit,
            slope=_slope(pyramid.smooth[0], pixels.row, pixels.column) / lit,
            score=seeds.snr**2 / (seeds.snr**2 + self._config.threshold**2),
            level=OUTLINE,
            smoothing_px=outline_smoothing(pyramid, seeds.level),
        )
        classes[pixels.row, pixels.column] = CLASS_PARTICLE
        classes[pit] = CLASS_PIT
        return Segmentation(frame.index, classes, measure(frame.index, objects))


class _Ground:
    """What the frames of one window would show without particles.

    Attributes
    ----------
    middle:
        The window's own block, in reference geometry, float32.
    """

    def __init__(self, window: Window, scene: Scene, end: Float | None) -> None:
        self._window = window
        block, last = window.block, scene.n_blocks - 1
        first_frame, last_frame = _span(window, scene)
        self._centre, length = (first_frame + last_frame) / 2, float(last_frame - first_frame + 1)
        self.middle = _without_slow(scene, block)
        # (background, how many frames before or after the middle it stands for)
        self._earlier = (_without_slow(scene, block - 1), length) if block > 0 else None
        self._later = (_without_slow(scene, block + 1), length) if block < last else None
        if self._later is None and end is not None:
            self._later = end, length / 2
        earlier = self.middle if self._earlier is None else self._earlier[0]
        later = self.middle if self._later is None else self._later[0]
        lasting, self._part = _lasting(earlier, later)
        self._row, self._column = np.nonzero(lasting)
        self._before, self._after = earlier[lasting], later[lasting]
        self._moment = self._changes()
        self._moved: tuple[tuple[float, float, int], Float] | None = None

    def _changes(self) -> Ints:
        """Return the frame of the window from which each lasting change holds."""
        frames = self._window.frames
        evidence = np.zeros((len(frames), self._part.max(initial=-1) + 1), np.float32)
        middle = (self._before + self._after) / 2
        half = (self._after - self._before) / 2
        power = np.maximum(np.bincount(self._part, half**2), 1e-6)
        for i, frame in enumerate(frames):
            if frame.quality == "ok":
                seen = frame.image[self._in_frame(frame)] / np.float32(frame.gain)
                sides = np.bincount(self._part, (seen - middle) * half) / power
                evidence[i] = np.clip(sides, -1, 1)
        moment: Ints = change_point(evidence)[self._part]
        return moment

    def _in_frame(self, frame: Frame) -> tuple[Ints, Ints]:
        height, width = frame.image.shape
        row = np.clip(self._row + round(frame.shift[1]), 0, height - 1)
        return row, np.clip(self._column + round(frame.shift[0]), 0, width - 1)

    def at(self, i: int) -> Float:
        """Return the ground under frame ``i`` of the window, in its geometry, as float32."""
        frame = self._window.frames[i]
        dx, dy = (_SHIFT_STEP * round(value / _SHIFT_STEP) for value in frame.shift)
        start = i // _GROUND_FRAMES * _GROUND_FRAMES
        if self._moved is None or self._moved[0] != (dx, dy, start):
            time = self._window.frames[start].index + (_GROUND_FRAMES - 1) / 2
            ground = self._interpolated(time).copy()
            ground[self._row, self._column] = np.where(
                start >= self._moment, self._after, self._before
            )
            self._moved = (dx, dy, start), translated(ground, dx, dy)
        ground = self._moved[1]
        # Between renewals only the few pixels are touched that have changed since.
        since = np.flatnonzero((self._moment > start) & (self._moment <= i))
        if since.size:
            ground = ground.copy()
            row, column = self._in_frame(frame)
            ground[row[since], column[since]] = self._after[since]
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


def _lasting(earlier: Float, later: Float) -> tuple[npt.NDArray[np.bool_], Ints]:
    """Return where the scene changes for good, and which of those pixels change together.

    What landed or lifted is compact, and stands out of its surroundings in the change; all its
    pixels change at once. A pit's rim moves on pixel by pixel. The wide and slow rest (light,
    halos) is no lasting change, and is followed by interpolation.
    """
    change = cv2.subtract(later, earlier)
    fine = cv2.GaussianBlur(change, (0, 0), _COMPACT_SIGMA) - cv2.blur(change, (_WIDE_PX, _WIDE_PX))
    compact = np.abs(fine) > np.float32(_COMPACT_NOISE * max(noise_of(fine), 0.2))
    strong = np.abs(change) > _LASTING * np.maximum(earlier, later)
    lasting = compact | strong
    _, parts, stats, _ = cv2.connectedComponentsWithStats(lasting.view(np.uint8), connectivity=8)
    part = parts[lasting].astype(np.intp)
    alone = stats[part, cv2.CC_STAT_AREA] > _LANDED_AREA
    # Each pixel of a large part is a part of its own.
    part[alone] = parts.max() + 1 + np.arange(np.count_nonzero(alone))
    return lasting, np.unique(part, return_inverse=True)[1]


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


def _clear_margins(darker: Float, shift: tuple[float, float]) -> None:
    """Blank the rim of the frame that the reference frame did not see."""
    height, width = darker.shape
    for axis, (moved, length) in enumerate(((shift[1], height), (shift[0], width))):
        if abs(moved) < _SHIFT_STEP:
            continue
        depth = min(int(np.ceil(abs(moved))) + 1, length)
        rim = slice(0, depth) if moved > 0 else slice(length - depth, length)
        darker[(rim, slice(None)) if axis == 0 else (slice(None), rim)] = 0


def _noise(band: Float, steep: Float, strong: Float) -> Float:
    """Return the standard deviation of a band per pixel: more where the background has structure.

    How far the background is misplaced is measured in the frame: by how much more the band
    scatters where the background is steepest.
    """
    flat = noise_of(band)
    sampled_band, sampled_steep = band[::4, ::4], steep[::4, ::4]
    steepest = sampled_steep >= np.percentile(sampled_steep, 98)
    typical = float(np.median(sampled_steep[steepest]))
    scatter = 1.4826 * float(np.median(np.abs(sampled_band[steepest])))
    excess = max(scatter**2 - flat**2, 0.0)
    misplaced = excess / max(typical**2, 1e-12)
    variance = np.multiply(steep, np.float32(np.sqrt(misplaced)))
    return np.sqrt(np.float32(flat**2) + variance**2 + (np.float32(_STRUCTURE_SHARE) * strong) ** 2)


def _slope(smooth: Float, row: Ints, column: Ints) -> Float:
    height, width = smooth.shape
    up, down = np.maximum(row - 1, 0), np.minimum(row + 1, height - 1)
    left, right = np.maximum(column - 1, 0), np.minimum(column + 1, width - 1)
    gx = (smooth[row, right] - smooth[row, left]) / 2
    gy = (smooth[down, column] - smooth[up, column]) / 2
    steepness: Float = np.hypot(gx, gy)
    return steepness
