"""Stages computed in parts: a part is a file named by the frames it covers.

It is written when all of it is done, so that a stopped run goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pitflow.stages.job import Job

if TYPE_CHECKING:
    import pandas as pd

    from pitflow.acquire.blocks import Block


def in_parts(
    job: Job,
    stage: str,
    task: Callable[[tuple[Block, ...]], pd.DataFrame],
    tasks: list[tuple[Block, ...]],
    *,
    in_python: bool = False,
) -> list[str]:
    """Run tasks that are not done yet; each leaves ``blocks-START-STOP.parquet``.

    Returns
    -------
    "START-STOP" of each task. Files of other spans, left by a run of other tasks that was stopped,
    are none of this one.
    """
    parts = job.run.parts(stage)
    job.progress.start(stage, len(job.frames))

    def file_of(blocks: tuple[Block, ...]) -> Path:
        return parts / f"blocks-{span_of(blocks)}.parquet"

    def count(blocks: tuple[Block, ...]) -> None:
        job.progress.advance(sum(len(block) for block in blocks))

    def keep(blocks: tuple[Block, ...], table: pd.DataFrame) -> None:
        partial_path = file_of(blocks).with_suffix(".partial")
        table.to_parquet(partial_path, index=False)
        partial_path.replace(file_of(blocks))
        count(blocks)

    todo: list[tuple[Block, ...]] = []
    for blocks in tasks:
        if file_of(blocks).exists():
            count(blocks)
        else:
            todo.append(blocks)
    job.compute.map(task, todo, keep, in_python=in_python)
    return [span_of(blocks) for blocks in tasks]


def span_of(blocks: tuple[Block, ...]) -> str:
    """Return "START-STOP" of blocks in a form that sorts by time."""
    return f"{blocks[0].start:09d}-{blocks[-1].stop:09d}"


def parts_done(parts: Path) -> set[str]:
    """Return "START-STOP" of the tasks that are done."""
    return {path.stem.removeprefix("blocks-") for path in parts.glob("blocks-*.parquet")}


def read_parts(parts: Path, kind: str, spans: Sequence[str]) -> pd.DataFrame:
    """Return the tables ``KIND-START-STOP.parquet`` of some spans as one."""
    import pandas as pd

    tables = [pd.read_parquet(parts / f"{kind}-{span}.parquet") for span in spans]
    filled = [table for table in tables if len(table)]
    whole: pd.DataFrame = pd.concat(filled or tables[:1], ignore_index=True)
    return whole
