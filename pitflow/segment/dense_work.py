"""One image under way through a tiled network: its tiles cut out, their answers blended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from pitflow.segment import tiles
from pitflow.segment.devices import CPU, Execution

Floats = npt.NDArray[np.float32]
Tile = tuple[int, int]


class TileSource(Protocol):
    """An image whose channels are made only where they are asked for."""

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in px."""
        ...

    def cut(self, plan: tiles.TilePlan, chosen: Sequence[Tile]) -> Floats:
        """Return the (n, channels, tile height, tile width) channels of some tiles of a plan."""
        ...

    def staged(self) -> Staged:
        """Return the whole image, ready to be sent to a GPU."""
        ...


class Staged(Protocol):
    """An image ready to be sent to a GPU, where its channels are made."""

    def on(self, execution: Execution) -> torch.Tensor:
        """Return its (channels, height, width) on a device, in its precision."""
        ...


class Padded:
    """A whole image on a device, from which tiles are cut."""

    def __init__(self, image: torch.Tensor, plan: tiles.TilePlan, execution: Execution) -> None:
        self._plan = plan
        # Sent as it is and converted there: a conversion on the way would wait for the transfer.
        here = execution.send(image).to(execution.dtype)
        rows, columns = (
            execution.send(torch.from_numpy(axis.source)) for axis in (plan.rows, plan.columns)
        )
        self._padded = here.index_select(-2, rows).index_select(-1, columns)

    def read(self, chosen: Sequence[Tile]) -> torch.Tensor:
        """Return some tiles, (n, channels, tile height, tile width)."""
        return torch.stack([tiles.extract(self._padded, self._plan, tile) for tile in chosen])

    def move_to(self, execution: Execution) -> None:
        """Go on on another device."""
        # A GPU that is left has no memory for a conversion.
        self._padded = self._padded.to(execution.device).to(execution.dtype)


class Cut:
    """An image whose tiles are made, by the processor, when they are asked for."""

    def __init__(self, source: TileSource, plan: tiles.TilePlan, execution: Execution) -> None:
        self._source, self._plan = source, plan
        self._pinned = execution.device.type == "cuda"

    def read(self, chosen: Sequence[Tile]) -> torch.Tensor:
        """Return some tiles, (n, channels, tile height, tile width)."""
        cut = torch.from_numpy(self._source.cut(self._plan, chosen))
        return cut.pin_memory() if self._pinned else cut

    def move_to(self, execution: Execution) -> None:
        """Go on for another device."""
        self._pinned = execution.device.type == "cuda"


class Work:
    """One image under way on a device, and the blend of the answers so far.

    Few answers are blended by the processor: for a GPU, so little on so many places is slow.
    """

    def __init__(
        self,
        image: Padded | Cut,
        plan: tiles.TilePlan,
        execution: Execution,
        *,
        bare: bool = False,
        few: bool = False,
    ) -> None:
        self.image, self.plan, self.execution, self.bare = image, plan, execution, bare
        self.blend: torch.Tensor | None = None
        self._few = few
        self._row_weights, self._column_weights = (
            [self._blender(execution).send(torch.from_numpy(weight)) for weight in axis.weights]
            for axis in (plan.rows, plan.columns)
        )

    def read(self, chosen: Sequence[Tile]) -> torch.Tensor:
        """Return some tiles as the network is to see them, (n, channels, height, width)."""
        images = self.image.read(chosen)
        if self.bare:
            self._clear_beyond(images, chosen)
        return images

    def sent(self, images: torch.Tensor) -> torch.Tensor:
        """Return the images where the network is, as it takes them."""
        sent = self.execution.send(images).to(self.execution.dtype)
        return self._filled(sent).contiguous(memory_format=torch.channels_last)

    def add(self, answers: torch.Tensor, chosen: Sequence[Tile]) -> None:
        """Add the answers for some tiles to the blend."""
        if self.blend is None:
            device = self._blender(self.execution).device
            shape = answers.shape[1], *self.plan.shape
            # Numpy gets zeros from the system, which gives them where they are first needed.
            self.blend = torch.from_numpy(np.zeros(shape, np.float32)).to(device)
        blend: tiles.Array = self.blend
        here: tiles.Array = answers[: len(chosen)].to(blend.device)
        rows: Sequence[tiles.Array] = self._row_weights
        columns: Sequence[tiles.Array] = self._column_weights
        if blend.device.type == "cpu":
            # Numpy takes a fraction of torch's time for what is small.
            blend, here = blend.numpy(), here.numpy()
            rows, columns = self.plan.rows.weights, self.plan.columns.weights
        # All of them or, for want of memory, none: what fails is done once more.
        parts = [
            tiles.weighted(self.plan, tile, answer, rows[tile[0]], columns[tile[1]])
            for tile, answer in zip(chosen, here, strict=True)
        ]
        for place, part in parts:
            blend[place] += part

    def go_on_with(self, blend: torch.Tensor | None) -> None:
        """Add to a blend that other work has begun; it may lie on a device that was left."""
        self.blend = None if blend is None else blend.to(self._blender(self.execution).device)

    def move_to(self, execution: Execution) -> None:
        """Go on on another device, if it is another."""
        if execution == self.execution:
            return
        self.image.move_to(execution)
        onto = self._blender(execution).device
        self._row_weights = [weight.to(onto) for weight in self._row_weights]
        self._column_weights = [weight.to(onto) for weight in self._column_weights]
        self.blend = None if self.blend is None else self.blend.to(onto)
        self.execution = execution

    def _blender(self, execution: Execution) -> Execution:
        """Return where the answers of a network are blended that runs as ``execution`` says."""
        return CPU if self._few else execution

    def _clear_beyond(self, batch: torch.Tensor, chosen: Sequence[Tile]) -> None:
        """Set what lies beyond the image to nothing."""
        for image, (row, column) in zip(batch, chosen, strict=True):
            image[:, torch.from_numpy(~self.plan.rows.inside(row))] = 0
            image[:, :, torch.from_numpy(~self.plan.columns.inside(column))] = 0

    def _filled(self, batch: torch.Tensor) -> torch.Tensor:
        """Return the batch filled up with nothing to a power of two, but for whole images on a GPU.

        oneDNN makes code, and cuDNN a plan, for every new size of a batch, at more than the cost of
        running it. Of whole images all batches but the last are alike.
        """
        missing = (1 << (len(batch) - 1).bit_length()) - len(batch)
        if not missing or (self.execution.is_gpu and not self._few):
            return batch
        return torch.cat([batch, batch.new_zeros(missing, *batch.shape[1:])])
