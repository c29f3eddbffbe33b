"""The segment stage: pits over the whole recording, then particles in every frame."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pitflow import schema
from pitflow.report import words
from pitflow.stages.job import Job, reader_of, scene_of
from pitflow.stages.parts import in_parts, parts_done, read_parts, span_of

if TYPE_CHECKING:
    import pandas as pd

    from pitflow.acquire.background import StoredScene
    from pitflow.acquire.blocks import Block
    from pitflow.acquire.frames import FrameReader
    from pitflow.segment.pit_map import PitMap
    from pitflow.segment.protocol import Segmenter

_UNEVEN = 1.15
"""Blocks are cut where workers would wait for one another for more than this share of the time."""


def segment(job: Job) -> str:
    """Find the pits over the whole recording, then particles and pit pixels in every frame."""
    import numpy as np

    from pitflow.acquire.blocks import plan_tasks
    from pitflow.acquire.frames import frames_of_block
    from pitflow.acquire.store import create_masks, image_marks, open_stack
    from pitflow.segment.block import combine_arrivals
    from pitflow.segment.pit_map import pit_pixels
    from pitflow.segment.pits import TAIL_FRAMES, find_pits
    from pitflow.segmenters import create_segmenter

    parts = job.run.parts("segment")
    scene, reader, blocks = scene_of(job), reader_of(job), job.blocks
    if not parts_done(parts):
        create_masks(
            job.run.masks,
            (job.recording.n_frames, *job.recording.shape),
            interval_s=1 / job.recording.fps,
            um_per_px=job.config.acquire.um_per_px,
            image="../video.zarr" if job.config.acquire.store_frames else None,
        )
    tail = reader.last(TAIL_FRAMES, job.frames.stop)
    frames_of = partial(frames_of_block, reader, scene)
    pits = find_pits(scene, job.config.segment.pits, tail, frames_of, job.compute.collect)
    _note_no_pits(job, pits)
    segmenter = create_segmenter(job.config.segment, pits)
    masks = open_stack(job.run.masks, writable=True)
    task = partial(_segment_blocks, segmenter, pits, reader, scene, masks, parts)
    if segmenter.in_order:
        # It carries state from frame to frame, so it must see all of them in one go.
        tasks = [tuple(blocks)]
    elif not job.config.acquire.store_frames:
        tasks = plan_tasks(blocks, job.opened)
    else:
        tasks = _even_tasks(job, reader, scene)
    spans = in_parts(job, "segment", task, tasks, in_python=True)
    detections = read_parts(parts, "blocks", spans)
    detections.to_parquet(job.table("segment", "detections"), index=False)
    glimpses = read_parts(parts, "glimpses", spans)
    glimpses.to_parquet(job.table("segment", "glimpses"), index=False)
    bubbles = read_parts(parts, "bubbles", spans)
    schema.write_table(bubbles, schema.BUBBLES, job.run.table("bubbles"))
    _note_bubbles(job, bubbles)
    arrival = combine_arrivals(np.load(parts / f"arrival-{span}.npy") for span in spans)
    pixels = pit_pixels(pits, arrival)
    schema.write_table(pixels, schema.PIT_PIXELS, job.run.table("pit_pixels"))
    n_pits = words.count(pixels["pit"].nunique(), "pit")
    found = f"{n_pits}, {words.count(len(detections), 'detection')}"
    # Frames whose class map no longer bears its mark were corrected by hand, and can be learned.
    marks = image_marks(job.run.masks, job.frames)
    job.run.mask_marks_file.write_text(json.dumps(marks))
    _note_searches(job, [parts / f"search-{span}.json" for span in spans])
    return "; ".join([found, *job.notes])


def _segment_blocks(
    segmenter: Segmenter,
    pits: PitMap,
    reader: FrameReader,
    scene: StoredScene,
    masks: Any,
    parts: Path,
    blocks: tuple[Block, ...],
) -> pd.DataFrame:
    """Segment blocks that follow each other; leave their arrivals, return their detections."""
    import numpy as np

    from pitflow.segment.block import segment_block

    frames = reader.read(blocks[0].start, blocks[-1].look_stop or blocks[-1].stop)
    n_frames = len(reader.sound(blocks[0].start, blocks[-1].stop))
    result = segment_block(segmenter, pits, frames, scene, masks, n_frames=n_frames)
    np.save(parts / f"arrival-{span_of(blocks)}.npy", result.arrival)
    result.glimpses.to_parquet(parts / f"glimpses-{span_of(blocks)}.parquet", index=False)
    result.bubbles.to_parquet(parts / f"bubbles-{span_of(blocks)}.parquet", index=False)
    if result.searches or result.notes:
        record = {"searches": [asdict(search) for search in result.searches], "notes": result.notes}
        (parts / f"search-{span_of(blocks)}.json").write_text(json.dumps(record))
    return result.detections


def _even_tasks(job: Job, reader: FrameReader, scene: StoredScene) -> list[tuple[Block, ...]]:
    """Return the blocks as tasks, or their windows where blocks would leave workers idle.

    The windows of a block give the same results apart, but what they share is then computed for
    each. A run that goes on keeps to what it began with.
    """
    from pitflow.acquire.blocks import cut_block
    from pitflow.segment.classical.window import AHEAD, window_frames

    blocks, workers = job.blocks, job.compute.workers
    whole: list[tuple[Block, ...]] = [(block,) for block in blocks]
    parts: list[tuple[Block, ...]] = [
        (part,)
        for block in blocks
        for part in cut_block(
            block,
            reader.sound(block.start, block.stop),
            window_frames(scene, block.start),
            AHEAD,
        )
    ]
    in_turns = -(-len(blocks) // workers) * workers
    uneven = job.compute.cluster is None and in_turns > _UNEVEN * len(blocks)
    first, second = (parts, whole) if uneven else (whole, parts)
    begun = parts_done(job.run.parts("segment")) <= {span_of(task) for task in first}
    return first if begun else second


def _note_no_pits(job: Job, pits: PitMap) -> None:
    """Note what is as dark as a pit, and was taken for none."""
    area = f"of {job.config.segment.pits.min_area_px:g} px² and more"
    if pits.n_static:
        job.notes.append(
            f"{words.count(pits.n_static, 'dark spot')} {area}, there from the start, did not grow "
            "by half: taken for dirt, not for pits"
        )
    if pits.n_landed:
        job.notes.append(
            f"{words.count(pits.n_landed, 'dark spot')} {area} came at once or in clumps, and did "
            "not grow steadily: taken for landed particles, not for pits"
        )
    if pits.n_beside:
        job.notes.append(
            f"{words.count(pits.n_beside, 'dark part')} beside pits came at once or in clumps: "
            "taken for landed particles, not for growth"
        )


def _note_bubbles(job: Job, bubbles: pd.DataFrame) -> None:
    """Note the gas bubbles that were told from particles."""
    if bubbles.empty:
        return
    at_once, widest = bubbles.groupby("frame").size(), bubbles["diameter_px"].max()
    job.notes.append(
        f"gas bubbles in {words.count(len(at_once), 'frame')}, at most {at_once.max()} at a time "
        f"and {widest:.0f} px wide: not counted as particles (table of bubbles)"
    )


def _note_searches(job: Job, files: list[Path]) -> None:
    """Note what a segmenter that looks at parts of the frames lost by that."""
    from pitflow.segment.gate import Search, gate_loss

    records = [json.loads(path.read_text()) for path in files if path.exists()]
    # What one worker had to adapt, the others had to as well.
    job.notes += dict.fromkeys(note for record in records for note in record["notes"])
    searches = [Search(**search) for record in records for search in record["searches"]]
    if not searches:
        return
    loss = gate_loss(searches)
    job.run.manifest.stages["segment"]["gate"] = asdict(loss)
    job.notes.append(str(loss))
