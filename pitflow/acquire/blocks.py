"""Blocks of time: each has one background, and tasks are made of whole blocks or of their parts."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pitflow.acquire.source import Source


@dataclass(frozen=True, slots=True)
class Block:
    """Frames ``start`` up to ``stop`` of a recording; ``number`` is the block's own, from 0.

    Of a part of a block, the frames from there up to ``look_stop`` belong to the next part, and are
    for looking ahead.
    """

    number: int
    start: int
    stop: int
    look_stop: int | None = None

    def __len__(self) -> int:
        return self.stop - self.start

    def sample_frames(self, samples: int) -> list[int]:
        """Return up to ``samples`` frame numbers, evenly over the block."""
        inner = np.linspace(self.start, self.stop - 1, min(samples, len(self)))
        return [int(number) for number in np.rint(inner)]


def plan_blocks(start: int, stop: int, block_frames: int) -> list[Block]:
    """Cut frames ``start`` up to ``stop`` into blocks of ``block_frames``.

    The plan depends on nothing else, so neither do the backgrounds. A rest shorter than half a
    block joins the block before it: few frames make a poor median.
    """
    n_blocks = max(1, (stop - start + block_frames // 2) // block_frames)
    edges = [start + i * block_frames for i in range(n_blocks)] + [stop]
    return [Block(i, edges[i], edges[i + 1]) for i in range(n_blocks)]


def cut_block(block: Block, sound: Sequence[int], length: int, ahead: int) -> list[Block]:
    """Cut a block into parts of ``length`` sound frames each, but for the last.

    Parameters
    ----------
    sound:
        Numbers of the block's frames that are not left out.
    ahead:
        Sound frames after each part that are looked at too. Fewer than these are no part of their
        own.
    """
    edges = [block.start, *sound[length : len(sound) - ahead + 1 : length], block.stop]
    looks = [*sound[length + ahead :: length], block.stop]
    return [
        Block(block.number, start, stop, looks[min(i, len(looks) - 1)])
        for i, (start, stop) in enumerate(itertools.pairwise(edges))
    ]


def plan_tasks(blocks: list[Block], source: Source) -> list[tuple[Block, ...]]:
    """Group blocks into tasks, each to be decoded in one go.

    To reach its first frame a task decodes from the key frame before it. Where key frames are far
    apart, blocks are joined until the lead of the next task is at most twice what this one reads:
    decoding is a small part of the work, so some of it is done twice rather than all by one worker.
    """
    index = source.index
    keys = index["frame"].to_numpy()[index["is_key"].to_numpy(dtype=bool)]
    tasks: list[tuple[Block, ...]] = []
    task: list[Block] = []
    for block in blocks:
        task.append(block)
        earlier = keys[keys <= block.stop]
        lead = block.stop - int(earlier[-1]) if len(earlier) else block.stop
        # The next task would start here, and pay for the lead.
        if 2 * sum(map(len, task)) >= lead:
            tasks.append(tuple(task))
            task = []
    if task:
        tasks.append(tuple(task))
    return tasks
