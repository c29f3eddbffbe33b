"""Simulated recordings as labelled pictures, seen as a run sees them.

Frames are registered, given their block's background and their ground (what they would show without
particles) by the same code as in a run, so that a network learns from what it will be given.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import zarr

from pitflow.acquire.acquire import acquire_blocks, first_good_frame
from pitflow.acquire.background import StoredScene
from pitflow.acquire.blocks import plan_blocks
from pitflow.acquire.frames import FrameReader, frames_of_block
from pitflow.acquire.opening import open_source
from pitflow.acquire.quality import FrameCheck
from pitflow.acquire.registration import Registration
from pitflow.config import AcquireConfig, PitConfig
from pitflow.domains.particles.centres import draw_centres
from pitflow.domains.particles.moving import grounds, picture_in_run
from pitflow.domains.particles.picture import Picture, kept_on_disk
from pitflow.errors import UserError
from pitflow.frame import CLASS_PARTICLE, CLASS_PIT
from pitflow.segment.pits import TAIL_FRAMES, find_pits
from pitflow.simulate.config import SimulateConfig
from pitflow.simulate.render import classes
from pitflow.simulate.truth import as_seen
from pitflow.simulate.world import World, simulate_world

if TYPE_CHECKING:
    from pitflow.acquire.source import Source

FRAMES_PER_CLIP = 40

_VISIBLE = 5.0
"""Whether a particle that stands out less is there cannot be told, and no network is asked to."""
_ROUNDING = 1 / math.sqrt(12)
"""Noise of whole grey levels."""
_ENERGY_PER_AREA = 1 / (4 * math.log(2))
"""Of a Gaussian of peak 1: the sum of its squares, pi sigma^2, over its area above ``MASK_LEVEL``,
2 ln(4) pi sigma^2."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A simulated recording and the world that it shows."""

    source: Source
    world: World


def open_clip(folder: Path) -> Clip:
    """Open the recording whose truth a folder holds.

    Parameters
    ----------
    folder:
        What ``pitflow simulate --truth`` wrote; the recording lies in it or beside it.

    Raises
    ------
    UserError
        If the truth is damaged, or the recording is missing or not the one simulated.
    """
    path = folder / "truth.json"
    try:
        about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        config = SimulateConfig.model_validate(about["config"])
        seed, name = int(about["seed"]), str(about["recording"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError("is not the truth of a simulated recording", where=path) from error
    beside = [place / name for place in (folder, folder.parent) if (place / name).exists()]
    if not beside:
        raise UserError(f"its recording {name} is neither in it nor beside it", where=folder)
    source = open_source(beside[0])
    if (source.n_frames, *source.shape) != (config.frames, config.height, config.width):
        raise UserError("is not the recording that the truth speaks of", where=beside[0])
    return Clip(source, simulate_world(config, seed))


def read_clip(
    folder: Path, n_frames: int = FRAMES_PER_CLIP, *, room: Path | None = None
) -> list[Picture]:
    """Read frames of a simulated recording, evenly over time, with their company and truth.

    They take 13 bytes per pixel of an 8-bit recording: 40 frames of 720 x 720 px, 270 MB.

    Parameters
    ----------
    folder:
        See ``open_clip``.
    n_frames:
        Frames read, at most.
    room:
        Folder in whose file system they are kept until they are gone; None: in memory.

    Raises
    ------
    UserError
        If the clip cannot be opened.
    """
    clip = open_clip(folder)
    numbers = np.linspace(0, clip.source.n_frames - 1, min(n_frames, clip.source.n_frames))
    wanted = {int(number) for number in np.rint(numbers)}
    pictures = _labelled(clip, wanted)
    return list(pictures) if room is None else kept_on_disk(pictures, room)


def _labelled(clip: Clip, wanted: set[int]) -> Iterator[Picture]:
    """Yield the wanted frames with what a run would give them."""
    source, config = clip.source, AcquireConfig()
    _, reference = first_good_frame(source, 0, source.n_frames)
    blocks = plan_blocks(0, source.n_frames, config.block_frames)
    backgrounds = zarr.zeros((len(blocks), *source.shape), dtype=source.dtype)
    frames = acquire_blocks(
        source,
        blocks,
        config,
        Registration(reference),
        FrameCheck(reference),
        None,
        backgrounds,
    )
    scene = StoredScene(backgrounds, frames, reference, config.block_frames)
    reader = FrameReader(source, None, frames)
    tail = reader.last(TAIL_FRAMES, source.n_frames)
    pits = find_pits(scene, PitConfig(), tail, partial(frames_of_block, reader, scene))
    for window, i, ground in grounds(reader, scene, pits, wanted):
        truth, known = _truth(clip.world, window.frames[i].index)
        yield picture_in_run(window, i, ground, source.path.stem, truth, known)


def _truth(
    world: World, number: int
) -> tuple[dict[str, npt.NDArray[np.bool_]], npt.NDArray[np.bool_]]:
    """Return the masks of a frame, and where they are known."""
    drawn = classes(world, number)
    seen = as_seen(world.tables["particles"], world.tables["frames"])
    seen = seen[seen["frame"] == number]
    pit = drawn == CLASS_PIT
    faint = signal_to_noise(seen, world.config) < _VISIBLE
    places = seen[["x", "y", "diameter_px"]].to_numpy()
    centre = draw_centres(drawn.shape, *places[~faint].T) & ~pit
    # A faint one spoils no more than its own surroundings, and nothing that is seen in them.
    doubtful = draw_centres(drawn.shape, *places[faint].T, scale=1.0, widest_px=None)
    particle = (drawn == CLASS_PARTICLE) & (~doubtful | centre)
    known = ~doubtful | centre
    return {"particle": particle, "pit": pit, "centre": centre}, known


def signal_to_noise(particles: pd.DataFrame, config: SimulateConfig) -> npt.NDArray[np.float64]:
    """Return how far particles stand out, (n,): the best that a filter of their shape can do.

    That is sqrt(sum of squared darkening) over the noise of a pixel; a wide one is seen at a
    hundredth of the steel's brightness.
    """
    noise = max(config.noise, _ROUNDING) / (256 * config.steel.brightness)
    energy = particles["contrast"] ** 2 * particles["area_px"] * _ENERGY_PER_AREA
    result: npt.NDArray[np.float64] = np.sqrt(energy.to_numpy(dtype=np.float64)) / noise
    return result
