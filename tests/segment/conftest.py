"""A small recording whose truth is known: a growing pit, moving particles, specks, scratches.

frame 0            frame 95
.  .    speck      .  .    speck        particles fly right along rows 20, 60 and 100,
o                  o                    the pit grows at (110, 75), the speck stays
    .   dot            .  ####
                          ####  pit
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.ndimage import gaussian_filter

from pitflow.frame import Frame
from pitflow.segment.checkpoint import Card, save_checkpoint
from pitflow.segment.networks import build_network
from pitflow.segment.networks.unet import UNetConfig

N_FRAMES, BLOCK = 72, 24
SPEEDS = {20: 3.0, 60: -2.0, 100: 1.1}
PIT_X, PIT_Y = 110.0, 78.0
SPECK_X, SPECK_Y = 40.0, 44.0


@dataclass(frozen=True)
class Recording:
    """Frames with a truth table of particles (frame, x, y), and the scene around them."""

    images: Sequence[np.ndarray]
    shifts: Sequence[tuple[float, float]]
    truth: pd.DataFrame
    first: np.ndarray
    backgrounds: np.ndarray

    @property
    def shape(self):
        return self.first.shape

    @property
    def levels(self):
        return int(np.iinfo(self.first.dtype).max) + 1

    @property
    def n_blocks(self):
        return len(self.backgrounds)

    def background(self, block):
        return self.backgrounds[block]

    def block_of(self, frame):
        return min(frame // BLOCK, self.n_blocks - 1)

    @property
    def frames(self):
        return pd.DataFrame({"frame": np.arange(len(self.images)), "quality": "ok"})

    def read(self, start=0, stop=None, quality=None):
        """Return the frames, some of other quality than ok."""
        chosen = range(start, len(self.images) if stop is None else stop)
        quality = quality or {}
        return [Frame(i, self.images[i], quality.get(i, "ok"), self.shifts[i], 1.0) for i in chosen]


def disc(shape, x, y, radius, softness=0.8):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return 1 / (1 + np.exp((np.hypot(columns - x, rows - y) - radius) / (softness / 2)))


def record(
    shape=(128, 160), dtype=np.uint8, particles=True, pit=True, drift=0.0, contrast=0.4, seed=7
):
    """Render a recording; ``drift`` is the stage's, px per frame to the right."""
    rng = np.random.default_rng(seed)
    steel = gaussian_filter(rng.normal(size=(shape[0] + 40, shape[1] + 40)), (0.7, 3))
    steel = 190 + 5 * steel / steel.std()
    height, width = shape
    images, shifts, rows = [], [], []
    for t in range(N_FRAMES):
        dx = drift * t
        whole = round(dx)
        image = steel[20 : 20 + height, 20 - whole : 20 - whole + width].copy()
        image *= 1 - 0.8 * disc(shape, SPECK_X + whole, SPECK_Y, 3.0)
        if pit:
            image *= 1 - 0.9 * disc(shape, PIT_X + whole, PIT_Y, 4 + 12 * t / N_FRAMES)
        if particles:
            for y, speed in SPEEDS.items():
                if y > height - 5:
                    continue
                x = (15 + speed * t if speed > 0 else width - 15 + speed * t) % width
                spot = np.hypot(np.arange(width) - x, (np.arange(height) - y)[:, None])
                image *= 1 - contrast * np.exp(-0.5 * (spot / 1.8) ** 2)
                if 4 < x < width - 4:
                    rows.append((t, x, float(y)))
        noisy = image + rng.normal(0, 1.5, shape)
        images.append(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))
        shifts.append((float(whole), 0.0))
    scale = 1 if dtype == np.uint8 else 257
    images = [image.astype(dtype) * dtype(scale) for image in images]
    backgrounds = []
    for block in range(N_FRAMES // BLOCK):
        chosen = range(block * BLOCK, (block + 1) * BLOCK, 2)
        still = [np.roll(images[i], -round(shifts[i][0]), axis=1) for i in chosen]
        backgrounds.append(np.median(still, axis=0).astype(dtype))
    truth = pd.DataFrame(rows, columns=["frame", "x", "y"])
    return Recording(images, shifts, truth, images[0], np.stack(backgrounds))


def spots(places, shape=(120, 150), seed=3):
    """Render a recording in which a spot stands at ``places[frame]`` (x, y), or nowhere (None)."""
    rng = np.random.default_rng(seed)
    images = []
    for place in places:
        image = np.full(shape, 190.0)
        if place is not None:
            image *= 1 - 0.5 * disc(shape, *place, 2.5)
        images.append(np.rint(image + rng.normal(0, 1.5, shape)).astype(np.uint8))
    medians = [
        np.median(images[start : start + BLOCK : 2], axis=0).astype(np.uint8)
        for start in range(0, len(places), BLOCK)
    ]
    shifts = [(0.0, 0.0)] * len(places)
    return Recording(images, shifts, pd.DataFrame(), images[0], np.stack(medians))


@pytest.fixture(scope="session")
def make_spots():
    """The function that renders one spot over time."""
    return spots


@pytest.fixture(scope="session")
def make_recording():
    """The function that renders a recording."""
    return record


@pytest.fixture(scope="session")
def recording() -> Recording:
    """Three particles, one pit that grows from radius 4 to 16 px, one static speck."""
    return record()


def write_model(folder, classes=("particle", "centre")):
    """Write a network made by hand: its answer is how much darker than the background a pixel is.

    A darkening by 13 % has even odds, and every 5 % more or less make them e times so.
    """
    network = build_network(UNetConfig(widths=(2, 2)), 3, len(classes))
    state = {name: torch.zeros_like(value) for name, value in network.state_dict().items()}
    for name in state:
        if name.endswith("running_var"):
            state[name] += 1
    # Darker than the background (channel 1) becomes positive, and passes through the finest level.
    state["encoder.0.0.weight"][0, 1, 1, 1] = -1
    state["encoder.0.1.weight"][:] = 1
    state["encoder.0.3.weight"][0, 0, 1, 1] = 1
    state["encoder.0.4.weight"][:] = 1
    state["decoder.0.0.weight"][0, 2, 1, 1] = 1
    state["decoder.0.1.weight"][:] = 1
    state["decoder.0.3.weight"][0, 0, 1, 1] = 1
    state["decoder.0.4.weight"][:] = 1
    state["head.weight"][:, 0] = 2
    state["head.bias"][:] = -2.6
    network.load_state_dict(state)
    card = Card(
        name="by hand",
        domain="particles",
        channels=("frame", "background", "earlier"),
        classes=classes,
        thresholds=(0.5,) * len(classes),
        network=UNetConfig(widths=(2, 2)),
        tile_px=64,
    )
    save_checkpoint(folder, network, card)
    return str(folder)


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """Path of a particle model made by hand."""
    return write_model(tmp_path_factory.mktemp("model") / "by-hand")


@pytest.fixture(scope="session")
def model_without_centres(tmp_path_factory):
    """Path of a model that knows particles, but not their centres."""
    return write_model(tmp_path_factory.mktemp("model") / "plain", ("particle",))
