"""Frames of recordings as labelled pictures, with the company that a run gives them."""

from __future__ import annotations

from collections.abc import Iterator, Set

import numpy as np
import numpy.typing as npt

from pitflow.acquire.background import StoredScene
from pitflow.acquire.frames import FrameReader
from pitflow.domains.particles.neighbours import neighbours
from pitflow.domains.particles.picture import Picture
from pitflow.segment.classical.ground import Backgrounds, Ground
from pitflow.segment.classical.window import Window, windows
from pitflow.segment.pit_map import PitMap

_FINE = 65535


def grounds(
    reader: FrameReader, scene: StoredScene, pits: PitMap, wanted: Set[int]
) -> Iterator[tuple[Window, int, npt.NDArray[np.float32]]]:
    """Yield the wanted frames as window and place in it, each with its ground, as in a run."""
    numbers = scene.frames["frame"].to_numpy()
    for block in sorted({scene.block_of(number) for number in wanted}):
        own = [int(number) for number in numbers if scene.block_of(int(number)) == block]
        for window in windows(reader.read(own[0], own[-1] + 1), scene):
            chosen = [i for i in range(window.n) if window.frames[i].index in wanted]
            if chosen:
                ground = Ground(window, Backgrounds(window, scene, pits), pits)
                for i in chosen:
                    yield window, i, ground.at(i)


def picture_in_run(
    window: Window,
    i: int,
    ground: npt.NDArray[np.float32],
    name: str,
    truth: dict[str, npt.NDArray[np.bool_]],
    known: npt.NDArray[np.bool_] | None = None,
) -> Picture:
    """Return frame ``i`` of a window as a labelled picture of the recording ``name``."""
    frame = window.frames[i]
    full = np.iinfo(frame.image.dtype).max
    lit = np.clip(ground * np.float32(frame.gain * _FINE / full), 0, _FINE)
    around = {name: image.whole() for name, image in neighbours(window, i).items()}
    return Picture(
        f"{name} frame {frame.index}",
        f"recording {name}",
        frame.image,
        truth,
        {"background": np.rint(lit).astype(np.uint16), **around},
        known,
    )
