"""The particle network as a segmenter of recordings.

The network decides what is a particle; where exactly it lies and how large it is, is measured on
the darkening of the frame as for every other segmenter. The pits are those of the run's pit map.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from pitflow.compute import thread_number
from pitflow.config import ChangeConfig, UNetConfig, UNetPrecision
from pitflow.domains.particles.channels import TileChannels
from pitflow.domains.particles.model import load_network, model_folder
from pitflow.domains.particles.neighbours import neighbours
from pitflow.frame import Frame, Image
from pitflow.scene import Scene
from pitflow.segment.centres import find_centres
from pitflow.segment.checkpoint import read_card
from pitflow.segment.classical.blobs import Seeds, find_seeds
from pitflow.segment.classical.darkening import Darkening, Look, looks
from pitflow.segment.classical.marking import (
    mark_particles,
    measure_beside,
    without_particles,
)
from pitflow.segment.classical.rings import find_rings
from pitflow.segment.classical.seeding import places_of, seeds_of, unsure_seeds_of
from pitflow.segment.classical.window import windows
from pitflow.segment.dense import DensePredictor
from pitflow.segment.devices import Execution, all_devices, choose_execution, one_thread
from pitflow.segment.gate import FAINTEST, Places, Search, clearness, in_turn, propose
from pitflow.segment.patches import Boxes, Patches, cover
from pitflow.segment.pit_map import PitMap
from pitflow.segment.protocol import Segmentation
from pitflow.translation import Translated, seen_part

TILE_PX, TILE_HALO_PX = 512, 16
"""Tiles of frames that are searched everywhere, at most, and the margin whose answer is dropped."""
PATCH_HALO_PX = 8
"""The same margin where few places are looked at, px; around wide blobs more is shown."""

_PART_PX = 2**14
"""A part of a neighbour costs as much as so many of its pixels, however small it is."""
_SURE = 1e-4
_GLIMPSE = 1e-3
"""A centre of this confidence is no particle by itself. But of those that lie where a track leads,
nine in ten are: measured on simulated recordings, towards the pits that the particles left."""
_WIDE_PX, _DARK = 10.0, 0.12
"""In a particle as wide and dark as this the network sees more than one peak..."""
_BODY = 0.6
"""...and within this share of its diameter nothing else could be told from it."""


class UNetSegmenter:
    """The particle network, looking where something is darker than before; on a GPU everywhere.

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
        config = self._config
        model = model_here(config.model, config.device, config.precision)
        before = Places.none()
        faintest = min(FAINTEST, config.gate_threshold)
        seen = looks(windows(frames, scene), scene, self._pits, self._change)
        for scan in _scans(seen, faintest):
            look = scan.look
            # Windows are computed apart from one another.
            if look.place == 0:
                before = Places.none()
            if look.darkening is None:
                yield without_particles(look)
            else:
                with one_thread():
                    result = self._segmented(model, scan, look.darkening, before)
                before = Places.of(result.particles)
                yield result

    def _segmented(
        self, model: RunningModel, scan: _Scan, darkening: Darkening, before: Places
    ) -> Segmentation:
        config, look, blobs = self._config, scan.look, scan.blobs
        frame = look.frame
        where = self._where(model, scan, before)
        around = neighbours(look.window, look.place, model.channels)
        company = _moved(around, look, model, where.patches) | {"background": darkening.ground}
        seen = {name: image.seen for name, image in around.items()}
        seen["background"] = seen_part(*frame.shift, look.pit.shape)
        sure, unsure = model.particles(
            TileChannels(model.channels, frame.image, company, seen),
            where.patches,
            darkening,
            blobs,
            config.threshold or model.threshold,
            self._change.threshold,
        )
        seeds = sure.seeds
        result = mark_particles(
            look, darkening, seeds, sure.score, certain=True, seen_at=sure.seen_at
        )
        glimpses = None
        if unsure is not None:
            glimpses = _not_within(
                measure_beside(look, darkening, unsure.seeds, unsure.score, unsure.seen_at, seeds),
                result.particles,
            )
        search = where.compared_with(seeds)
        return replace(result, search=search, glimpses=glimpses, notes=model.said())

    def _where(self, model: RunningModel, scan: _Scan, before: Places) -> _Where:
        config, look, blobs = self._config, scan.look, scan.blobs
        if config.gate == "auto" and model.on_gpu:
            return _Where(None, None, None)
        clear = clearness(blobs, scan.around) >= config.gate_threshold
        proposed = propose(blobs[clear], look.pit, config.gate_rim_px, before)
        gated = model.cover(proposed, look.pit.shape)
        checked = in_turn(look.pit.shape, look.frame.index, config.full_every)
        patches = gated + model.cover(checked, look.pit.shape)
        if config.gate is False or patches.work_px > model.work_px(look.pit.shape):
            return _Where(None, gated, None)
        return _Where(patches, gated, checked)


@dataclass(frozen=True, slots=True)
class _Where:
    """Where a frame is looked at.

    Parameters
    ----------
    patches:
        What is looked at; None: everything.
    gated:
        What the gate alone would look at; None without a gate.
    checked:
        What is looked at in any case; None: everything.
    """

    patches: Patches | None
    gated: Patches | None
    checked: Boxes | None

    def compared_with(self, seeds: Seeds) -> Search | None:
        """Return what the gate passed over of the particles with these seeds; None without one."""
        if self.gated is None:
            return None
        height, width = self.gated.shape
        search = Search(self.gated.covered_px / (height * width))
        row, column = seeds.pixels()
        area = 1.0
        if self.checked is not None:
            if not len(self.checked):
                return search
            area = self.checked.area_px / (height * width)
            here = self.checked.hold(row, column)
            row, column = row[here], column[here]
        lost = int((~self.gated.hold(row, column)).sum())
        return replace(search, checked=area, found=row.size, lost=lost)


@dataclass(frozen=True, slots=True)
class _Scan:
    """A look at a frame, its blobs however faint, and those of the frames around it."""

    look: Look
    blobs: Seeds
    around: tuple[Seeds, ...]


def _scans(looks: Iterable[Look], faintest: float) -> Iterator[_Scan]:
    """Yield each look with the blobs of the frames before and after it in its window.

    Of blobs those are kept that stand out by ``faintest`` noise sigmas.
    """
    earlier: tuple[Seeds, ...] = ()
    held: _Scan | None = None
    for look in looks:
        blobs = _blobs(look, faintest)
        if held is not None:
            yield replace(held, around=(*held.around, blobs))
        held = _Scan(look, blobs, earlier)
        earlier = (blobs,)
        if look.place == look.window.n - 1:
            # No further, or two windows of frames would be held at a time.
            yield held
            held, earlier = None, ()


def _blobs(look: Look, faintest: float) -> Seeds:
    if look.darkening is None:
        return Seeds.none()
    return find_seeds(look.darkening.pyramid, look.darkening.noise, faintest)


@dataclass(frozen=True, slots=True)
class _Sighted:
    """Seeds of a frame, the network's confidence in each, and (n, 2) x and y where it sees it, px.

    The last are NaN where the network does not say.
    """

    seeds: Seeds
    score: npt.NDArray[np.float64]
    seen_at: npt.NDArray[np.float64]

    @classmethod
    def of(
        cls, seeds: Seeds, score: npt.NDArray[np.float64], seen_at: npt.NDArray[np.float64]
    ) -> _Sighted:
        return cls(seeds, np.clip(score, _SURE, 1 - _SURE), seen_at)


def _not_within(glimpses: pd.DataFrame, particles: pd.DataFrame) -> pd.DataFrame:
    """Return the glimpses that do not lie in a wide, dark particle."""
    wide, dark = (particles[name].to_numpy() for name in ("diameter_px", "contrast"))
    is_broad = (wide >= _WIDE_PX) & (dark >= _DARK)
    if not is_broad.any():
        return glimpses
    broad = particles[is_broad]
    here, there = (table[["x", "y"]].to_numpy(np.float64) for table in (glimpses, broad))
    away = np.hypot(*(here[:, None] - there[None]).transpose(2, 0, 1))
    apart = (away >= _BODY * broad["diameter_px"].to_numpy()).all(axis=1)
    left: pd.DataFrame = glimpses[apart].reset_index(drop=True)
    return left


def _moved(
    around: Mapping[str, Translated], look: Look, model: RunningModel, patches: Patches | None
) -> dict[str, Image | Translated]:
    """Return the frames around a frame, moved already where that is less work than by parts."""
    if patches is None:
        in_parts = model.on_gpu
    else:
        in_parts = patches.work_px + len(patches) * _PART_PX < look.pit.size
    return {name: image if in_parts else image.whole() for name, image in around.items()}


class RunningModel:
    """A particle model on one device, ready for whole frames and for a few patches of them.

    Parameters
    ----------
    model:
        Name or path.
    execution:
        Where and how it computes.
    whole_numbers:
        Compute in whole numbers where the execution is single precision on a processor.
    """

    def __init__(self, model: str, execution: Execution, *, whole_numbers: bool = False) -> None:
        self._notes: deque[str] = deque()
        network, card = load_network(model)
        self.channels = card.channels
        self._place = card.classes.index("centre" if "centre" in card.classes else "particle")
        self._has_centres = "centre" in card.classes
        self.threshold = card.thresholds[self._place]
        reach = int(network.halo) if card.halo_px is None else card.halo_px
        self._dense = DensePredictor(
            network,
            TILE_PX,
            halo=min(reach, TILE_HALO_PX),
            even=True,
            beyond=card.beyond,
            execution=execution,
            ranges=card.ranges if whole_numbers else None,
            note=self._notes.append,
        )

    @property
    def on_gpu(self) -> bool:
        """True while it computes on a GPU."""
        return self._dense.execution.is_gpu

    def cover(self, boxes: Boxes, shape: tuple[int, ...]) -> Patches:
        """Return the patches in which the boxes of a (height, width) frame are looked at."""
        return cover(boxes, (shape[0], shape[1]), halo=PATCH_HALO_PX, multiple=self._dense.multiple)

    def work_px(self, shape: tuple[int, ...]) -> int:
        """Return the pixels that are looked at where a (height, width) frame is searched whole."""
        plan = self._dense.plan((shape[0], shape[1]))
        return len(plan) * plan.tile_shape[0] * plan.tile_shape[1]

    def particles(
        self,
        channels: TileChannels,
        patches: Patches | None,
        darkening: Darkening,
        blobs: Seeds,
        threshold: float,
        clear: float,
    ) -> tuple[_Sighted, _Sighted | None]:
        """Return the particles, and what is too unsure to be one; None: not known of this network.

        Parameters
        ----------
        channels:
            Of the frame.
        patches:
            Those that are looked at; None: everywhere.
        darkening, blobs:
            Of the frame.
        threshold:
            Least confidence.
        clear:
            Signal to noise from which a blob beside a centre is a particle of its own.
        """
        if patches is None:
            evidence = self._dense.predict_tiles(channels, self._place)[0]
        else:
            evidence = self._dense.predict_patches(channels, patches, self._place)[0]
        if self._has_centres:
            peaks = find_centres(evidence, min(threshold, _GLIMPSE))
            peaks = peaks[~darkening.bubbles.cover(peaks.place)]
            sure = peaks.score >= threshold
            rings = find_rings(peaks.place[sure].astype(np.float64), places_of(blobs), darkening)
            found = seeds_of(evidence, peaks[sure], darkening, blobs, clear, rings)
            unsure = unsure_seeds_of(peaks[~sure], found[0], darkening, blobs, rings)
            return _Sighted.of(*found), _Sighted.of(*unsure)
        # Without centres, touching particles are one region; the blobs in it tell them apart.
        score = evidence[blobs.pixels()].astype(np.float64)
        sure = score >= threshold
        nowhere = np.full((int(sure.sum()), 2), np.nan)
        return _Sighted.of(blobs[sure], score[sure], nowhere), None

    def said(self) -> tuple[str, ...]:
        """Return what had to be adapted since it was last asked."""
        notes = []
        while self._notes:
            notes.append(self._notes.popleft())
        return tuple(notes)


def models_on(name: str, device: str, precision: UNetPrecision) -> tuple[RunningModel, ...]:
    """Return the model on each of the devices, loaded once in a process as long as it is the same.

    A model may be trained anew in its folder. Its card tells: it holds the hash of the weights.
    """
    card = read_card(model_folder(name))
    return _models_of(card.model_dump_json(), name, device, precision)


@cache
def _models_of(
    card: str, name: str, device: str, precision: UNetPrecision
) -> tuple[RunningModel, ...]:
    dtype = choose_execution(device, precision).dtype
    return tuple(
        RunningModel(name, Execution(place, dtype), whole_numbers=precision == "auto")
        for place in all_devices(device)
    )


_LOADING = threading.Lock()


def model_here(name: str, device: str, precision: UNetPrecision) -> RunningModel:
    """Return the model for the calling thread: several GPUs are shared out among the threads."""
    with _LOADING:
        models = models_on(name, device, precision)
    return models[thread_number() % len(models)]
