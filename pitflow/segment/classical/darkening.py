"""How much darker each frame is than what lies under it: the image in which segmenters search.

Time is information: ``ground`` tells what each frame would show without particles, from what its
place shows before and after. What is darker than that is searched at doubling scales, each with the
noise that the background's own structure leaves behind in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby

import cv2
import numpy as np
import numpy.typing as npt

from pitflow.config import ChangeConfig
from pitflow.frame import Frame
from pitflow.scene import Scene
from pitflow.segment.classical.blobs import Pyramid, build_pyramid, noise_of
from pitflow.segment.classical.bubbles import Bubbles, Steel
from pitflow.segment.classical.ground import SHIFT_STEP, Backgrounds, Ground
from pitflow.segment.classical.window import Window
from pitflow.segment.pit_map import PitMap, with_rim

Float = npt.NDArray[np.float32]
Ints = npt.NDArray[np.intp]

_BRIGHTER_SIGMAS = 3.0
"""What is brighter than the background is no particle, and is cut off here."""
_3X3 = np.ones((3, 3), np.uint8)
_STRUCTURE_SHARE = 0.03
"""Residual of structure that no shift explains: compression, focus, exposure."""


@dataclass(frozen=True, slots=True)
class Darkening:
    """How much darker a frame is than its ground.

    Parameters
    ----------
    image:
        (height, width) grey levels by which the frame is darker; 0 on pits and their edges, and
        under bubbles: most of what is seen through them is their own.
    ground:
        (height, width) what the frame would show without particles, at the reference's brightness.
    pyramid:
        Of ``image``.
    noise:
        Of each band of the pyramid.
    bubbles:
        Of the frame.
    """

    image: Float
    ground: Float
    pyramid: Pyramid
    noise: tuple[StructuredNoise, ...]
    bubbles: Bubbles = field(default_factory=Bubbles.none)


@dataclass(frozen=True, slots=True)
class Look:
    """What is known of one frame before particles are looked for.

    Parameters
    ----------
    window, place:
        Where the frame is among its neighbours in time.
    pit:
        (height, width) mask of the pits, in the frame's geometry.
    darkening:
        None where the image cannot be trusted.
    """

    window: Window
    place: int
    pit: npt.NDArray[np.bool_]
    darkening: Darkening | None

    @property
    def frame(self) -> Frame:
        """The frame."""
        return self.window.frames[self.place]


def looks(
    windows: Iterable[Window], scene: Scene, pits: PitMap, config: ChangeConfig
) -> Iterator[Look]:
    """Yield a look at each of the windows' own frames."""
    for _, of_block in groupby(windows, key=lambda window: window.block):
        yield from _looks_in_block(of_block, scene, pits, config)


def _looks_in_block(
    windows: Iterable[Window], scene: Scene, pits: PitMap, config: ChangeConfig
) -> Iterator[Look]:
    backgrounds: Backgrounds | None = None
    for window in windows:
        if backgrounds is None:
            backgrounds = Backgrounds(window, scene, pits)
            structure = [Structure(band) for band in _pyramid(backgrounds.middle, config).band]
            steel = Steel([backgrounds.begin, backgrounds.middle, backgrounds.later])
        state = pits.state(window)
        ground = Ground(window, backgrounds, pits)
        for i, frame in enumerate(window.frames[: window.n]):
            pit = pits.draw(state[i], frame, scene.shape)
            darkening = None
            if frame.quality == "ok":
                darkening = _darkening(frame, ground.at(i), pit, steel, structure, config)
            yield Look(window, i, pit, darkening)


def _pyramid(image: Float, config: ChangeConfig) -> Pyramid:
    return build_pyramid(image, config.smallest_scale_px, config.n_scales)


def _darkening(
    frame: Frame,
    ground: Float,
    pit: npt.NDArray[np.bool_],
    steel: Steel,
    structure: list[Structure],
    config: ChangeConfig,
) -> Darkening:
    darker = cv2.addWeighted(ground, frame.gain, frame.image, -1, 0, dtype=cv2.CV_32F)
    _clear_margins(darker, frame.shift)
    hidden = with_rim(pit)
    darker.ravel()[np.flatnonzero(hidden)] = 0
    bubbles = steel.bubbles(frame, hidden)
    bubbles.draw(darker, 0)
    lowest = float(np.median(darker[::8, ::8])) - _BRIGHTER_SIGMAS * noise_of(darker)
    np.maximum(darker, np.float32(lowest), out=darker)
    pyramid = _pyramid(darker, config)
    noise = (part.noise(band) for part, band in zip(structure, pyramid.band, strict=True))
    return Darkening(darker, ground, pyramid, tuple(noise), bubbles)


class Structure:
    """What a background's own structure can leave behind in one band of the difference.

    Parameters
    ----------
    band:
        Of the background's pyramid.
    """

    def __init__(self, band: Float) -> None:
        gx = cv2.Sobel(band, cv2.CV_32F, 1, 0, ksize=1, scale=0.5)
        gy = cv2.Sobel(band, cv2.CV_32F, 0, 1, ksize=1, scale=0.5)
        self._steep = cv2.dilate(cv2.magnitude(gx, gy), _3X3).astype(np.float16)
        self._strong = cv2.dilate(np.abs(band), _3X3).astype(np.float16)
        sample = self._steep[::4, ::4].astype(np.float32)
        steepest = np.nonzero(sample >= np.percentile(sample, 98))
        self._steepest = steepest[0] * 4, steepest[1] * 4
        self._typical = max(float(np.median(sample[steepest])), 1e-6)

    def noise(self, band: Float) -> StructuredNoise:
        """Return the noise of a difference's band.

        How far the background is misplaced is measured in the frame: by how much more the band
        scatters where the background is steepest.
        """
        flat = noise_of(band)
        scatter = 1.4826 * float(np.median(np.abs(band[self._steepest])))
        misplaced = np.sqrt(max(scatter**2 - flat**2, 0.0)) / self._typical
        return StructuredNoise(flat, float(misplaced), self._steep, self._strong)


@dataclass(frozen=True, slots=True)
class StructuredNoise:
    """Even noise, and more where the background has structure.

    Parameters
    ----------
    floor:
        Standard deviation away from structure.
    misplaced_px:
        Error of the background's position.
    steep, strong:
        (height, width) float16: the background's slope and size in this band.
    """

    floor: float
    misplaced_px: float
    steep: npt.NDArray[np.float16]
    strong: npt.NDArray[np.float16]

    def at(self, row: Ints, column: Ints) -> Float:
        """Return the standard deviation at pixels."""
        misplaced = self.steep[row, column].astype(np.float32) * np.float32(self.misplaced_px)
        unlike = self.strong[row, column].astype(np.float32) * np.float32(_STRUCTURE_SHARE)
        sigma: Float = np.sqrt(np.float32(self.floor**2) + misplaced**2 + unlike**2)
        return sigma


def _clear_margins(darker: Float, shift: tuple[float, float]) -> None:
    """Blank the rim of the frame that the reference frame did not see."""
    height, width = darker.shape
    for axis, (moved, length) in enumerate(((shift[1], height), (shift[0], width))):
        if abs(moved) < SHIFT_STEP:
            continue
        depth = min(int(np.ceil(abs(moved))) + 1, length)
        rim = slice(0, depth) if moved > 0 else slice(length - depth, length)
        darker[(rim, slice(None)) if axis == 0 else (slice(None), rim)] = 0
