"""From the world to images: pits, particles and settled specks drawn on the steel, then exposed.

A scene (what the light shows, without noise) is composed frame by frame, since specks settle and
pits grow; exposing a scene (gain, noise, rounding) is independent per frame and may run in threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pitflow.frame import CLASS_PARTICLE, CLASS_PIT, Image
from pitflow.simulate.optics import MASK_LEVEL, darkening
from pitflow.simulate.pits import N_DIRECTIONS
from pitflow.simulate.texture import Plane, darken, steel
from pitflow.simulate.world import World, stream

_PIT_BLUR_PX = 1.0
_PIT_BLACK = 0.062
_COVER_DARKENING = 0.11
_NOISE_PAD = 384
_READ_SHARE = 0.2
"""Share of the noise variance on bright steel that is read noise; the rest is shot noise."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What the light shows in one frame: (h, w) float32, share of the camera's range."""

    frame: int
    light: Plane


def render(world: World) -> Iterator[Image]:
    """Yield the recording's frames in order, (h, w) uint8 or uint16."""
    camera = Camera(world)
    for scene in scenes(world):
        yield camera.expose(scene)


def scenes(world: World) -> Iterator[Scene]:
    """Yield every frame's scene in order, without noise."""
    config = world.config
    margin = int(np.ceil(np.abs(world.light.shift).max(initial=0.0))) + 4
    rng = stream(world.seed, "texture")
    surface = steel(config.steel, config.height + 2 * margin, config.width + 2 * margin, rng)
    pits = [_DrawnPit(world, pit, rng) for pit in range(config.pits)]
    particles = world.tables["particles"]
    starts = np.searchsorted(particles["frame"], np.arange(config.frames + 1))
    x, y, sigma = (particles[name].to_numpy() for name in ("x", "y", "blur_px"))
    number = particles["particle"].to_numpy()
    landed = world.landed
    landings = np.searchsorted(landed["frame"], np.arange(config.frames + 1))
    landed_x, landed_y = landed["x"].to_numpy(), landed["y"].to_numpy()
    landed_number = landed["particle"].to_numpy()

    seen: Plane | None = None
    seen_shift = (np.nan, np.nan)
    for frame in range(config.frames):
        dx, dy = (float(value) for value in world.light.shift[frame])
        for row in range(landings[frame], landings[frame + 1]):
            speck = int(landed_number[row]), config.optics.sigma0_px
            at = landed_x[row], landed_y[row]
            _draw(surface, world, *speck, (at[0] + margin, at[1] + margin))
            if seen is not None:
                _draw(seen, world, *speck, (at[0] + seen_shift[0], at[1] + seen_shift[1]))
        if seen is None or (dx, dy) != seen_shift:
            seen = _shifted(surface, dx - margin, dy - margin, (config.height, config.width))
            seen_shift = (dx, dy)
        light = seen.copy()
        for pit in pits:
            pit.draw(light, frame, (dx, dy))
        for row in range(starts[frame], starts[frame + 1]):
            _draw(light, world, int(number[row]), float(sigma[row]), (x[row] + dx, y[row] + dy))
        light *= np.float32(world.light.gain[frame])
        yield Scene(frame, light)


def classes(world: World, frame: int) -> npt.NDArray[np.uint8]:
    """Return the true class map of a frame in the frame's own geometry, (h, w) uint8.

    A particle's pixels are those that it darkens by at least ``MASK_LEVEL`` of its peak.
    """
    config = world.config
    result = np.zeros((config.height, config.width), dtype=np.uint8)
    dx, dy = world.light.shift[frame]
    particles = world.tables["particles"]
    particles = particles[particles["frame"] == frame]
    columns_read = (particles[name].to_numpy() for name in ("particle", "blur_px", "x", "y"))
    for number, sigma, x, y in zip(*columns_read, strict=True):
        left, top, patch = _patch(world, int(number), float(sigma), (x + dx, y + dy))
        rows, columns = np.nonzero(patch >= MASK_LEVEL * patch.max())
        _mark(result, rows + top, columns + left, CLASS_PARTICLE)
    pixels = world.tables["pit_pixels"]
    pixels = pixels[pixels["frame"] <= frame]
    _mark(
        result,
        pixels["y"].to_numpy() + round(float(dy)),
        pixels["x"].to_numpy() + round(float(dx)),
        CLASS_PIT,
    )
    return result


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


class _DrawnPit:
    """One pit's looks: a near-black hole, the cover it undermines, and a soft halo."""

    def __init__(self, world: World, pit: int, rng: np.random.Generator) -> None:
        pixels = world.tables["pit_pixels"]
        pixels = pixels[pixels["pit"] == pit]
        onset = world.pits.onset[pit].astype(np.int64)
        self._front = world.pits.front[pit]
        self._pixel_frames = pixels["frame"].to_numpy()
        self.reach = reach = int(np.ceil(self._front.max())) + 8
        self.left, self.top = int(onset[0]) - reach, int(onset[1]) - reach
        side = 2 * reach + 1
        self._rows = pixels["y"].to_numpy() - self.top
        self._columns = pixels["x"].to_numpy() - self.left
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
        self._drawn: tuple[int, tuple[float, float]] = (-1, (0.0, 0.0))
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
        # The halo has no detail that a fraction of a pixel could show.
        darken(light, self._halo_at[0] + dx, self._halo_at[1] + dy, self._halo * strength)
        if self._drawn != (n_pixels, shift):
            self._compose(frame, n_pixels, (shift[0] - dx, shift[1] - dy))
            self._drawn = (n_pixels, shift)
        _blend(light, self.left + dx, self.top + dy, self._keep, self._add)

    def _compose(self, frame: int, n_pixels: int, fraction: tuple[float, float]) -> None:
        hole = np.zeros(self._black.shape, dtype=np.float32)
        hole[self._rows[:n_pixels], self._columns[:n_pixels]] = 1.0
        hole = cv2.GaussianBlur(hole, (0, 0), _PIT_BLUR_PX)
        cover = (self._distance < self._front[frame][self._direction]).astype(np.float32)
        cover = cv2.GaussianBlur(cover, (0, 0), 5.0)
        keep = (1 - hole) * (1 - np.float32(self._tint) * cover)
        self._keep = _shifted(keep, *fraction, keep.shape)
        self._add = _shifted(hole * self._black, *fraction, keep.shape)


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


def _patch(
    world: World, particle: int, sigma_px: float, centre: tuple[float, float]
) -> tuple[int, int, Plane]:
    bodies = world.bodies
    return darkening(
        int(bodies.footprint[particle]),
        float(bodies.radius_px[particle]),
        float(bodies.mass[particle]),
        float(bodies.rotation_deg[particle]),
        sigma_px,
        centre,
    )


def _draw(
    light: Plane, world: World, particle: int, sigma_px: float, centre: tuple[float, float]
) -> None:
    darken(light, *_patch(world, particle, sigma_px, centre))


def _blend(light: Plane, left: int, top: int, keep: Plane, add: Plane) -> None:
    """Replace ``light`` under the patch by ``light * keep + add``, in place."""
    rows = slice(max(top, 0), min(top + keep.shape[0], light.shape[0]))
    columns = slice(max(left, 0), min(left + keep.shape[1], light.shape[1]))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    inner = (
        slice(rows.start - top, rows.stop - top),
        slice(columns.start - left, columns.stop - left),
    )
    light[rows, columns] = light[rows, columns] * keep[inner] + add[inner]


def _shifted(image: Plane, dx: float, dy: float, shape: tuple[int, ...]) -> Plane:
    """Return ``image`` moved right by dx and down by dy (cubic), cut to ``shape``."""
    matrix = np.array([[1.0, 0.0, -dx], [0.0, 1.0, -dy]])
    moved: Plane = cv2.warpAffine(
        image,
        matrix,
        (shape[1], shape[0]),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return moved


def _mark(
    result: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.int64],
    columns: npt.NDArray[np.int64],
    value: int,
) -> None:
    inside = (rows >= 0) & (rows < result.shape[0]) & (columns >= 0) & (columns < result.shape[1])
    result[rows[inside], columns[inside]] = value
