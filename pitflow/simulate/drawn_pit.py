"""What a pit looks like: a near-black hole, the cover it undermines, and a soft halo."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from pitflow.simulate.pits import N_DIRECTIONS
from pitflow.simulate.plane import Plane, blend, darken, shifted
from pitflow.simulate.world import World

_PIT_BLUR_PX = 1.0
_PIT_BLACK = 0.062
_COVER_DARKENING = 0.11


class DrawnPit:
    """One pit, drawn frame by frame as it grows.

    Parameters
    ----------
    world:
        What happens; the pit's black pixels are those of its table ``pit_pixels``.
    pit:
        Number of the pit.
    rng:
        Draws what has no truth: facets of the floor, tint of the cover, shape of the halo.
    """

    def __init__(self, world: World, pit: int, rng: np.random.Generator) -> None:
        pixels = world.tables["pit_pixels"]
        pixels = pixels[pixels["pit"] == pit]
        onset = world.pits.onset[pit].astype(np.int64)
        self._front = world.pits.front[pit]
        self._pixel_frames = pixels["frame"].to_numpy()
        # A lacy rim has pixels beyond the front.
        furthest = np.abs(pixels[["x", "y"]].to_numpy() - onset).max(initial=0)
        reach = max(int(np.ceil(self._front.max())) + 8, int(furthest) + 4)
        self._left, self._top = int(onset[0]) - reach, int(onset[1]) - reach
        side = 2 * reach + 1
        self._rows = pixels["y"].to_numpy() - self._top
        self._columns = pixels["x"].to_numpy() - self._left
        away = np.arange(-reach, reach + 1)
        self._distance = np.hypot(away[None, :], away[:, None])
        angle = np.arctan2(away[:, None], away[None, :])
        self._direction = (
            np.round(angle * (N_DIRECTIONS / (2 * np.pi))).astype(np.int64) % N_DIRECTIONS
        )
        noise = cv2.GaussianBlur(rng.standard_normal((side, side)), (0, 0), 2.2)
        noise /= max(float(noise.std()), 1e-9)
        # The floor of a deep pit is black; here and there a facet returns some light.
        self._black = (_PIT_BLACK + 0.03 * np.clip(noise - 0.8, 0, 3)).astype(np.float32)
        self._tint = float(rng.uniform(0.4, 1.6)) * _COVER_DARKENING
        self._halo, self._halo_at = _halo(onset, rng)
        # What was drawn last, and for which growth and shift: most frames change neither.
        self._drawn: tuple[int, tuple[float, float]] = (-1, (np.nan, np.nan))
        self._stain = self._halo
        self._keep = np.ones((side, side), dtype=np.float32)
        self._add = np.zeros((side, side), dtype=np.float32)

    def draw(self, light: Plane, frame: int, shift: tuple[float, float]) -> None:
        """Draw the pit as it is in ``frame`` on the scene, in place."""
        n_pixels = int(np.searchsorted(self._pixel_frames, frame, side="right"))
        if n_pixels == 0:
            return
        radius = np.sqrt(n_pixels / np.pi)
        strength = np.float32(radius / (radius + 9.0))
        dx, dy = int(np.floor(shift[0])), int(np.floor(shift[1]))
        fraction = (shift[0] - dx, shift[1] - dy)
        if self._drawn[1] != shift:
            self._stain = shifted(self._halo, *fraction, self._halo.shape)
        if self._drawn != (n_pixels, shift):
            self._compose(frame, n_pixels, fraction)
            self._drawn = (n_pixels, shift)
        darken(light, self._halo_at[0] + dx, self._halo_at[1] + dy, self._stain * strength)
        blend(light, self._left + dx, self._top + dy, self._keep, self._add)

    def _compose(self, frame: int, n_pixels: int, fraction: tuple[float, float]) -> None:
        hole = np.zeros(self._black.shape, dtype=np.float32)
        hole[self._rows[:n_pixels], self._columns[:n_pixels]] = 1.0
        hole = cv2.GaussianBlur(hole, (0, 0), _PIT_BLUR_PX)
        cover = (self._distance < self._front[frame][self._direction]).astype(np.float32)
        cover = cv2.GaussianBlur(cover, (0, 0), 5.0)
        keep = (1 - hole) * (1 - np.float32(self._tint) * cover)
        self._keep = shifted(keep, *fraction, keep.shape)
        self._add = shifted(hole * self._black, *fraction, keep.shape)


def _halo(onset: npt.NDArray[np.int64], rng: np.random.Generator) -> tuple[Plane, tuple[int, int]]:
    """Return the full-grown halo's darkening and the position (left, top) of its patch.

    Corrosion products stain the steel more on one side than on the other.
    """
    length, lean = rng.uniform(28, 55), rng.uniform(0, 2 * np.pi)
    depth = rng.uniform(0.3, 0.55)
    reach = int(4 * length)
    away = np.arange(-reach, reach + 1)
    distance = np.hypot(away[None, :], away[:, None])
    angle = np.arctan2(away[:, None], away[None, :])
    decay = length * (1 + 0.45 * np.cos(angle - lean))
    rim = np.cos(np.clip(distance / reach, 0, 1) * np.pi / 2) ** 2
    patch = depth * np.exp(-distance / decay) * rim
    return patch.astype(np.float32), (int(onset[0]) - reach, int(onset[1]) - reach)
