"""A tiled network over whole images: channels in, one probability map per class out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import numpy as np
import torch
from torch import nn

from pitflow.errors import UserError
from pitflow.segment import tiles
from pitflow.segment.checkpoint import Card
from pitflow.segment.dense_work import Cut, Floats, Padded, Tile, TileSource, Work
from pitflow.segment.devices import CPU, Execution, fetched
from pitflow.segment.networks import fold_batch_norm
from pitflow.segment.networks.packed import placed
from pitflow.segment.networks.quantised import QuantisedUNet, Ranges, can_quantise
from pitflow.segment.patches import Patches
from pitflow.segment.prefetch import prefetch

BATCH_PX = {"cpu": 2**17, "mps": 2**22, "cuda": 2**24}
"""Pixels in a batch to start with, by kind of device; halved whenever they do not fit."""

_CALL_PX = 2**12
"""A call of the network takes, for itself, as long as so many pixels."""


class DensePredictor:
    """Give the class probabilities of images of any size.

    Padding, cutting out, the network and blending happen on the device: an image is sent there once
    and its probabilities come back once. Of a few patches, the processor cuts out and blends.

    Parameters
    ----------
    network:
        One of ``pitflow.segment.networks``; a copy of it is used, its batch norms folded.
    tile:
        Side of a tile in px.
    overlap:
        Least width in px over which neighbouring tiles pass over into each other.
    halo:
        Margin of a tile's answer that is dropped, px. Default: the network's own, which makes the
        answer independent of the tiling.
    execution:
        Device and precision.
    flips:
        Average over the eight symmetries of the square: eight times slower, a little better.
    even:
        Let tiles shrink to an equal share of the image (``pitflow.segment.tiles.plan_tiles``).
    beyond:
        What the network sees beyond an image's border. A network that was trained on whole images
        with nothing beyond knows where they end.
    batch_px:
        Pixels in a batch to start with. Default: by the device.
    ranges:
        What the network's features reach. With them, a processor that would compute in single
        precision does so in whole numbers, where it can.
    note:
        Told in words what had to be adapted for want of memory.
    """

    def __init__(
        self,
        network: nn.Module,
        tile: int,
        *,
        overlap: int = 0,
        halo: int | None = None,
        execution: Execution = CPU,
        flips: bool = False,
        even: bool = False,
        beyond: tiles.Beyond = "mirrored",
        batch_px: int | None = None,
        ranges: Ranges | None = None,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.multiple = int(network.multiple)
        self.halo = int(network.halo) if halo is None else halo
        self.tile, self.overlap, self.flips, self._beyond = tile, overlap, flips, beyond
        self._even = even
        # On the network's grid all tiles are seen alike; but a tile that is one step of it wide
        # cannot overlap another there.
        self._align = self.multiple if tile > self.multiple else 1
        self.execution = execution
        self.note = note
        self._alone = threading.Lock()
        self._network = fold_batch_norm(network)
        if ranges and execution == CPU and can_quantise(self._network, ranges):
            self._network = QuantisedUNet(self._network, ranges)
        self._batch_px = batch_px or BATCH_PX[execution.device.type]
        try:
            with _memory_errors():
                self._network = placed(self._network, execution)
        except MemoryError:
            self._leave_gpu()

    @classmethod
    def of(
        cls,
        network: nn.Module,
        card: Card,
        *,
        execution: Execution = CPU,
        flips: bool = False,
        note: Callable[[str], None] = lambda _: None,
    ) -> DensePredictor:
        """Return the predictor of a trained network, tiled as its card says."""
        return cls(
            network,
            card.tile_px,
            overlap=card.overlap_px,
            halo=card.halo_px,
            beyond=card.beyond,
            execution=execution,
            flips=flips,
            note=note,
        )

    def plan(self, shape: tuple[int, int]) -> tiles.TilePlan:
        """Return the tiles that an image of this (height, width) is cut into."""
        return tiles.plan_tiles(
            shape,
            self.tile,
            halo=self.halo,
            overlap=self.overlap,
            multiple=self.multiple,
            align=self._align,
            even=self._even,
        )

    def predict(self, channels: Floats, chosen: Sequence[Tile] | None = None) -> Floats:
        """Return the probability of each class at each pixel.

        Parameters
        ----------
        channels:
            (channels, height, width), as the network was trained on.
        chosen:
            The tiles of ``plan`` to look at; default all. Elsewhere the probability is 0.

        Returns
        -------
        (classes, height, width) float32 in [0, 1].

        Raises
        ------
        UserError
            If a single tile does not fit the memory of the processor.
        """
        return self._predict(torch.from_numpy(channels), chosen)

    def predict_all(self, images: Iterable[Floats]) -> Iterator[Floats]:
        """Yield the probabilities of each image; the next is read while this one is computed."""
        for image in prefetch(map(self._pinned, images)):
            yield self._predict(image, None)

    def _pinned(self, channels: Floats) -> torch.Tensor:
        image = torch.from_numpy(channels)
        return image.pin_memory() if self.execution.device.type == "cuda" else image

    def predict_tiles(self, source: TileSource, only: int | None = None) -> Floats:
        """Return the probabilities of an image whose channels are made tile by tile.

        As ``predict`` in all else. With ``only``, the probability of that class alone, (1, height,
        width).
        """
        plan = self.plan(source.shape)
        todo = [(plan, list(plan))]
        if not self.execution.is_gpu:
            return _as_probability(self._finished(partial(Cut, source), todo, plan.shape, only))
        staged = source.staged()

        def start(plan: tiles.TilePlan, execution: Execution) -> Padded | Cut:
            if execution.is_gpu:
                return Padded(staged.on(execution), plan, execution)
            return Cut(source, plan, execution)

        return _as_probability(self._finished(start, todo, plan.shape, only))

    def predict_patches(
        self, source: TileSource, patches: Patches, only: int | None = None
    ) -> Floats:
        """As ``predict_tiles``, of patches that lie anywhere; where their cores overlap, the mean.

        Elsewhere than in their cores the probability is 0.
        """
        plans = patches.plans()
        array = self._finished(partial(Cut, source), plans, patches.shape, only, few=True)
        row, column, number = patches.shared()
        array[:, row, column] /= number
        return array

    def _predict(self, image: torch.Tensor, chosen: Sequence[Tile] | None) -> Floats:
        plan = self.plan((image.shape[-2], image.shape[-1]))
        todo = list(plan) if chosen is None else list(chosen)
        return _as_probability(self._finished(partial(Padded, image), [(plan, todo)], plan.shape))

    def _finished(
        self,
        start: Callable[[tiles.TilePlan, Execution], Padded | Cut],
        plans: Iterable[tuple[tiles.TilePlan, list[Tile]]],
        shape: tuple[int, int],
        only: int | None = None,
        *,
        few: bool = False,
    ) -> Floats:
        """Return the sum of the weighted answers for some tiles of each plan, 0 elsewhere.

        ``few``: it is blended by the processor in any case.
        """
        wanted = slice(None) if only is None else slice(only, only + 1)
        blend: torch.Tensor | None = None
        with torch.inference_mode():
            for plan, todo in plans:
                work = self._started(start, plan, few=few)
                work.go_on_with(blend)
                self._do(work, wanted, todo)
                blend = work.blend
        if blend is None:
            return np.zeros((1, *shape), np.float32)
        array: Floats = fetched(blend).numpy()
        return array

    def _started(
        self,
        start: Callable[[tiles.TilePlan, Execution], Padded | Cut],
        plan: tiles.TilePlan,
        *,
        few: bool,
    ) -> Work:
        while True:
            execution = self.execution
            try:
                # One image at a time is sent to a GPU.
                with _memory_errors(), self._turn():
                    execution = self.execution
                    image = start(plan, execution)
                    bare = self._beyond == "nothing"
                    return Work(image, plan, execution, bare=bare, few=few)
            except MemoryError:
                if not execution.is_gpu:
                    raise
            with self._alone:
                self._leave_gpu()

    def _do(self, work: Work, wanted: slice, todo: Sequence[Tile]) -> None:
        """Add the answers for some tiles, as many at a time as fit the memory."""
        while todo:
            work.move_to(self.execution)
            chosen = todo[: self._batch(work.plan, len(todo))]
            try:
                with _memory_errors():
                    # Threads make the channels of their tiles, and blend, side by side.
                    images = work.read(chosen)
                    with self._turn():
                        # Another thread may have left the GPU.
                        work.move_to(self.execution)
                        answers = self._probabilities(work.sent(images), wanted)
                    work.add(answers, chosen)
            except MemoryError as error:
                with self._alone:
                    self._adapt(work, len(chosen), error)
            else:
                todo = todo[len(chosen) :]

    def _adapt(self, work: Work, tried: int, error: MemoryError) -> None:
        """Ask for less memory than so many tiles at a time took; the lock is held."""
        if work.execution != self.execution:
            # Another thread has left the GPU: once more, on the processor.
            return
        height, width = work.plan.tile_shape
        if tried > 1:
            # Another thread may have halved it before.
            if self._batch_px >= tried * height * width:
                self._batch_px = tried // 2 * height * width
                self.note(f"out of memory with {tried} tiles at a time: going on with {tried // 2}")
            if self.execution.device.type == "cuda":
                torch.cuda.empty_cache()
        elif self.execution.is_gpu:
            self._leave_gpu()
        else:
            raise UserError(
                f"a tile of {height} x {width} px does not fit the memory",
                hint="choose smaller tiles",
            ) from error

    def _batch(self, plan: tiles.TilePlan, todo: int) -> int:
        """Return how many of the tiles that are to do are looked at together.

        On the processor, batches are powers of two. What is left over is looked at in smaller ones,
        unless filling it up is less work than another call.
        """
        tile_px = plan.tile_shape[0] * plan.tile_shape[1]
        fit = max(1, self._batch_px // tile_px)
        if self.execution.is_gpu:
            return fit
        n = min(1 << (fit.bit_length() - 1), todo)
        less = 1 << (n.bit_length() - 1)
        return n if n == less or (2 * less - n) * tile_px <= _CALL_PX else less

    def _turn(self) -> AbstractContextManager[object]:
        """Let one thread at a time use a GPU, which is one, and may have to be left."""
        return self._alone if self.execution.is_gpu else nullcontext()

    def _leave_gpu(self) -> None:
        """Go on with the processor; the lock is held."""
        if self.execution.is_gpu:
            self.note(f"out of memory on {self.execution.device}: going on with the processor")
            self._network = placed(self._network, CPU)
            self._batch_px = BATCH_PX["cpu"]
            # Last, for from then on nobody waits for the lock.
            self.execution = CPU

    def _probabilities(self, images: torch.Tensor, wanted: slice) -> torch.Tensor:
        def one_way(turned: torch.Tensor) -> torch.Tensor:
            return self._network(turned)[:, wanted].float().sigmoid()

        return eightfold(one_way, images) if self.flips else one_way(images)


def _as_probability(blend: Floats) -> Floats:
    # The weights of a pixel's tiles sum to 1 but for rounding.
    return np.clip(blend, 0, 1, out=blend)


def eightfold(
    function: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor
) -> torch.Tensor:
    """Return the mean of ``function`` over the eight symmetries of the square, each turned back."""
    total: torch.Tensor | float = 0.0
    for mirrored in (False, True):
        for quarter in range(4):
            turned = torch.rot90(images, quarter, (-2, -1))
            turned = turned.flip(-1) if mirrored else turned
            answer = function(turned.contiguous(memory_format=torch.channels_last))
            answer = answer.flip(-1) if mirrored else answer
            total = total + torch.rot90(answer, -quarter, (-2, -1))
    return total / 8


@contextmanager
def _memory_errors() -> Iterator[None]:
    """Turn every device's way of being out of memory into MemoryError."""
    try:
        yield
    except RuntimeError as error:
        # Only CUDA has a type for it; the others say it in words.
        said = str(error).lower()
        if "out of memory" in said or "allocate memory" in said:
            raise MemoryError(str(error)) from error
        raise
