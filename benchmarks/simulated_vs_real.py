"""Compare simulated steel with the real tiles: numbers, and crops side by side.

    PITFLOW_DATA=../shared/data python benchmarks/simulated_vs_real.py [PICTURE.png]

Prints the median over tiles of the brightness, of the fine structure's strength and of its
correlation along and across the polishing, then writes small crops of both, real ones above.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from pitflow.simulate.config import SimulateConfig
from pitflow.simulate.exposure import Camera
from pitflow.simulate.render import scenes
from pitflow.simulate.world import World, simulate_world

Grey = npt.NDArray[np.uint8]

TILE_PX = 200
CROP_PX = 100
FRAME = 250
SEED = 11
# Tile and the crop's first column and row.
REAL_CROPS = (
    ("0.25_43", 60, 55),
    ("0.25_37", 55, 35),
    ("0.25_127", 0, 40),
    ("0.5_222", 30, 70),
    ("0.5_242", 95, 75),
    ("0.25_129", 40, 45),
)


def main() -> None:
    """Print the comparison and write the picture."""
    folder = Path(os.environ.get("PITFLOW_DATA", "../shared/data")) / "particles-30mM"
    real = {
        path.stem.split(")_")[1].removesuffix(".000"): cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        for path in sorted(folder.glob("*.000.png"))
    }
    world = simulate_world(SimulateConfig(frames=FRAME + 1), SEED)
    frame = simulated_frame(world)
    rng = np.random.default_rng(0)
    corners = rng.integers(0, np.array(frame.shape) - TILE_PX, (len(real), 2))
    tiles = [frame[y : y + TILE_PX, x : x + TILE_PX] for y, x in corners]
    print(f"{'':28}{'real':>8}{'simulated':>11}")
    measured = [
        np.median([describe(tile) for tile in group], axis=0)
        for group in (list(real.values()), tiles)
    ]
    for name, *values in zip(NAMES, *measured, strict=True):
        print(f"{name:28}{values[0]:8.2f}{values[1]:11.2f}")
    if len(sys.argv) > 1:
        above = [crop(real[name], x, y) for name, x, y in REAL_CROPS]
        below = [crop(frame, x, y) for x, y in simulated_corners(world)]
        picture = np.vstack([np.hstack(above), np.hstack(below)])
        cv2.imwrite(sys.argv[1], picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])


NAMES = (
    "brightness, grey levels",
    "fine structure, grey levels",
    "correlation 1 px to the right",
    "correlation 1 px down",
    "correlation 4.5 px along",
    "correlation 9 px along",
    "correlation 2.8 px across",
)


def describe(tile: Grey) -> list[float]:
    """Return the median, and the spread and correlations of the structure below 4 px."""
    image = tile.astype(np.float32)
    fine = image - cv2.GaussianBlur(image, (0, 0), 4)
    spread = 1.4826 * float(np.median(np.abs(fine)))
    # Specks are few but dark: cut, they do not decide the correlation of the rest.
    fine = np.clip(fine, -4 * spread, 4 * spread)
    power = np.abs(np.fft.fft2(fine)) ** 2
    correlation = np.fft.ifft2(power).real
    correlation /= correlation[0, 0]
    at = [(0, 1), (1, 0), (2, 4), (4, 8), (2, -2)]
    return [float(np.median(image)), spread, *(float(correlation[place]) for place in at)]


def simulated_frame(world: World) -> Grey:
    """Return one exposed frame."""
    camera = Camera(world)
    for scene in scenes(world):
        if scene.frame == FRAME:
            return camera.expose(scene)
    raise ValueError(f"the recording has no frame {FRAME}")


def simulated_corners(world: World) -> list[tuple[int, int]]:
    """Return where to look: at three pits and at three particles."""
    particles = world.tables["particles"].query("frame == @FRAME")
    particles = particles[particles["distance_px"] > 120].sort_values("contrast")
    pits = world.tables["pits"].sort_values("area_px")
    chosen = particles.iloc[[len(particles) // 8, len(particles) // 2, -len(particles) // 8]]
    points = [
        *pits.iloc[[-1, len(pits) // 2, 0]][["x", "y"]].to_numpy(),
        *chosen[["x", "y"]].to_numpy(),
    ]
    most = np.array([world.config.width, world.config.height]) - CROP_PX
    corners = [np.clip(point - CROP_PX / 2, 0, most).astype(int) for point in points]
    return [(int(x), int(y)) for x, y in corners]


def crop(image: Grey, x: int, y: int) -> Grey:
    """Return a small crop, twice enlarged, with a white edge."""
    part = np.repeat(np.repeat(image[y : y + CROP_PX, x : x + CROP_PX], 2, axis=0), 2, axis=1)
    return np.pad(part, 3, constant_values=255)


if __name__ == "__main__":
    main()
