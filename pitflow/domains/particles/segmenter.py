"""The particle network as a segmenter of recordings.

The network decides what is a particle; where exactly it lies and how large it is, is measured on
the darkening of the frame as for every other segmenter. The pits are those of the run's pit map.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt

from pitflow.config import ChangeConfig, UNetConfig
from pitflow.domains.particles.channels import TileChannels
from pitflow.domains.particles.model import load_model
from pitflow.domains.particles.neighbours import neighbours
from pitflow.frame import Frame
from pitflow.scene import Scene
from pitflow.segment.centres import find_centres
from pitflow.segment.classical.blobs import Seeds, find_seeds
from pitflow.segment.classical.darkening import Darkening, Look, looks
from pitflow.segment.classical.marking import mark_particles, without_particles
from pitflow.segment.classical.seeding import seeds_of
from pitflow.segment.classical.window import windows
from pitflow.segment.dense import DensePredictor
from pitflow.segment.devices import Execution, all_devices, choose_execution, one_thread
from pitflow.segment.gate import Search, outside, propose
from pitflow.segment.pits import PitMap
from pitflow.segment.protocol import Segmentation
from pitflow.segment.tiles import TilePlan

WIDE_PX, WIDE_HALO_PX = 512, 32
"""Tiles of frames that are searched everywhere, and the margin whose answer is dropped, px."""
NARROW_PX, NARROW_HALO_PX, NARROW_ALIGN_PX = 64, 16, 4
"""Tiles of frames in which few places are looked at: an answer for 32 x 32 px each."""

_CROWDED = 1 / 3
"""From this share of the narrow tiles on, the whole frame in wide ones is less work: of a narrow
tile only a quarter is answer, of a wide one three quarters."""

_SURE = 1e-4


class UNetSegmenter:
    """The particle network, looking only where something is darker than before.

    Parameters
    ----------
    config:
        Model, device and gate.
    change:
        Scales of the darkening.
    pits:
        The recording's pits.
    """

    name = "unet"
    in_order = False

    def __init__(self, config: UNetConfig, change: ChangeConfig, pits: PitMap) -> None:
        self._config, self._change, self._pits = config, change, pits

    def segment(self, frames: Iterable[Frame], scene: Scene) -> Iterator[Segmentation]:
        """Yield one result per frame."""
        model = model_here(self._config.model, self._config.device)
        for look in looks(windows(frames, scene), scene, self._pits, self._change):
            if look.darkening is None:
                yield without_particles(look)
            else:
                with one_thread():
                    yield self._segmented(model, look, look.darkening)

    def _segmented(self, model: RunningModel, look: Look, darkening: Darkening) -> Segmentation:
        config, frame = self._config, look.frame
        blobs = find_seeds(darkening.pyramid, darkening.noise, config.gate_threshold)
        plan = model.plan(frame)
        proposed = propose(plan, blobs, look.pit, config.gate_rim_px)
        everywhere = (
            not config.gate
            or frame.index % config.full_every == 0
            or len(proposed) > _CROWDED * len(plan)
        )
        company = neighbours(look.window, look.place, model.channels)
        channels = TileChannels(
            model.channels, frame.image, {"background": darkening.ground, **company}
        )
        threshold = config.threshold or model.threshold
        seeds, score, seen_at = model.particles(
            channels,
            None if everywhere else proposed,
            darkening,
            blobs,
            threshold,
            self._change.threshold,
        )
        search = Search(len(plan), len(proposed))
        if everywhere:
            step = 2**seeds.level
            row, column = seeds.row * step, seeds.column * step
            lost = outside(plan, proposed, row, column)
            search = replace(search, found=row.size, lost=lost)
        result = mark_particles(look, darkening, seeds, score, certain=True, seen_at=seen_at)
        return replace(result, search=search, notes=model.said())


class RunningModel:
    """A particle model on one device, ready for whole frames and for a few tiles of them.

    Parameters
    ----------
    model:
        Name or path.
    execution:
        Where and how it computes.
    """

    def __init__(self, model: str, execution: Execution) -> None:
        self._notes: deque[str] = deque()
        loaded = load_model(model)
        card = loaded.card
        self.channels = card.channels
        self._place = card.classes.index("centre" if "centre" in card.classes else "particle")
        self._has_centres = "centre" in card.classes
        self.threshold = card.thresholds[self._place]
        reach = int(loaded.network.halo) if card.halo_px is None else card.halo_px
        self._wide = DensePredictor(
            loaded.network,
            WIDE_PX,
            halo=min(reach, WIDE_HALO_PX),
            beyond=card.beyond,
            execution=execution,
            note=self._notes.append,
        )
        self._narrow = DensePredictor(
            loaded.network,
            -(-NARROW_PX // self._wide.multiple) * self._wide.multiple,
            halo=NARROW_HALO_PX,
            align=NARROW_ALIGN_PX,
            beyond=card.beyond,
            execution=execution,
            note=self._notes.append,
        )

    def plan(self, frame: Frame) -> TilePlan:
        """Return the tiles among which the gate chooses."""
        height, width = frame.image.shape
        return self._narrow.plan((height, width))

    def particles(
        self,
        channels: TileChannels,
        tiles: list[tuple[int, int]] | None,
        darkening: Darkening,
        blobs: Seeds,
        threshold: float,
        clear: float,
    ) -> tuple[Seeds, npt.NDArray[np.float64], npt.NDArray[np.float64] | None]:
        """Return the seeds of the particles, the network's confidence in each, and where it is.

        The last as (n, 2) x and y in px, NaN where the network does not say; None if it never does.

        Parameters
        ----------
        channels:
            Of the frame.
        tiles:
            Those of ``plan`` that are looked at; None: everywhere.
        darkening, blobs:
            Of the frame.
        threshold:
            Least confidence.
        clear:
            Signal to noise from which a blob beside a centre is a particle of its own.
        """
        if tiles is None:
            evidence = self._wide.predict_tiles(channels, only=self._place)[0]
        else:
            evidence = self._narrow.predict_tiles(channels, tiles, self._place)[0]
        if self._has_centres:
            peaks = find_centres(evidence, threshold)
            seeds, score, places = seeds_of(evidence, peaks, darkening, blobs, clear)
            return seeds, np.clip(score, _SURE, 1 - _SURE), places
        # Without centres, touching particles are one region; the blobs in it tell them apart.
        step = 2**blobs.level
        row = np.minimum(blobs.row * step, evidence.shape[0] - 1)
        column = np.minimum(blobs.column * step, evidence.shape[1] - 1)
        score = evidence[row, column].astype(np.float64)
        sure = score >= threshold
        return blobs[sure], np.clip(score[sure], _SURE, 1 - _SURE), None

    def said(self) -> tuple[str, ...]:
        """Return what had to be adapted since it was last asked."""
        notes = []
        while self._notes:
            notes.append(self._notes.popleft())
        return tuple(notes)


@cache
def models_on(name: str, device: str) -> tuple[RunningModel, ...]:
    """Return the model on each of the devices, loaded once in a process."""
    precision = choose_execution(device).dtype
    return tuple(RunningModel(name, Execution(place, precision)) for place in all_devices(device))


_LOADING = threading.Lock()
_NEXT = itertools.count()
_THREAD = threading.local()


def model_here(name: str, device: str) -> RunningModel:
    """Return the model for the calling thread: several GPUs are shared out among the threads."""
    with _LOADING:
        models: tuple[RunningModel, ...] = models_on(name, device)
    if not hasattr(_THREAD, "number"):
        _THREAD.number = next(_NEXT)
    return models[int(_THREAD.number) % len(models)]
