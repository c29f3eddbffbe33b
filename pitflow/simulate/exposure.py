"""From light to grey levels: shot and read noise, rounding to 8 or 16 bits."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pitflow.frame import Image
from pitflow.simulate.plane import Plane
from pitflow.simulate.world import World, stream

_NOISE_PAD = 384
_READ_SHARE = 0.2
"""Share of the noise variance on bright steel that is read noise; the rest is shot noise."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What the light shows in one frame: (h, w) float32, share of the camera's range."""

    frame: int
    light: Plane


class Camera:
    """Turns scenes into images: shot and read noise, rounding to 8 or 16 bits.

    The noise of a frame depends on the seed and the frame alone, so frames may be exposed in any
    order and in threads.
    """

    def __init__(self, world: World) -> None:
        config = world.config
        self._world = world
        self._type = np.uint8 if config.bits == 8 else np.uint16
        self._top = np.float32(2**config.bits - 1)
        shape = (config.height + _NOISE_PAD, config.width + _NOISE_PAD)
        rng = stream(world.seed, "noise")
        # One pool of noise for the recording; each frame sees it from elsewhere. Drawing five
        # million normal numbers per frame would take longer than everything else.
        self._pool = rng.standard_normal(shape, dtype=np.float32)
        self._offsets = rng.integers(0, _NOISE_PAD + 1, (config.frames, 2))
        self._flips = rng.integers(0, 4, config.frames)

    def expose(self, scene: Scene) -> Image:
        """Return the image of a scene, (h, w) uint8 or uint16."""
        image = scene.light
        config = self._world.config
        if config.noise:
            variance = (config.noise / 255.0) ** 2
            shot = (1 - _READ_SHARE) * variance / config.steel.brightness
            sigma = cv2.sqrt(cv2.addWeighted(image, shot, image, 0.0, _READ_SHARE * variance))
            image = cv2.add(image, cv2.multiply(sigma, self._noise(scene.frame)))
        # OpenCV rounds to nearest and saturates.
        depth = cv2.CV_8U if self._type is np.uint8 else cv2.CV_16U
        exposed: Image = cv2.multiply(image, float(self._top), dtype=depth)
        return exposed

    def _noise(self, frame: int) -> Plane:
        config = self._world.config
        top, left = (int(value) for value in self._offsets[frame])
        view = self._pool[top : top + config.height, left : left + config.width]
        flip = int(self._flips[frame])
        return np.ascontiguousarray(view[:: -1 if flip & 1 else 1, :: -1 if flip & 2 else 1])
