"""From the world to images: pits, particles and settled specks drawn on the steel, then exposed.

A scene (what the light shows, without noise) is composed frame by frame, since specks settle and
pits grow; exposing a scene (gain, noise, rounding) is independent per frame and may run in threads.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pitflow.frame import CLASS_PARTICLE, CLASS_PIT, Image
from pitflow.simulate.drawn_pit import DrawnPit
from pitflow.simulate.exposure import Camera, Scene
from pitflow.simulate.optics import MASK_LEVEL, darkening, lens
from pitflow.simulate.plane import Plane, darken, shifted
from pitflow.simulate.texture import steel
from pitflow.simulate.world import World, stream


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
    pits = [DrawnPit(world, pit, rng) for pit in range(config.pits)]
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
            seen = shifted(surface, dx - margin, dy - margin, (config.height, config.width))
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
        lens(world.config.optics),
    )


def _draw(
    light: Plane, world: World, particle: int, sigma_px: float, centre: tuple[float, float]
) -> None:
    darken(light, *_patch(world, particle, sigma_px, centre))


def _mark(
    result: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.int64],
    columns: npt.NDArray[np.int64],
    value: int,
) -> None:
    inside = (rows >= 0) & (rows < result.shape[0]) & (columns >= 0) & (columns < result.shape[1])
    result[rows[inside], columns[inside]] = value
