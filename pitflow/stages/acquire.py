"""The acquire stage: frames are read, checked and stored, drift and backgrounds measured."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from pitflow import schema
from pitflow.report import words
from pitflow.stages.job import BACKGROUND, Job, reader_of
from pitflow.stages.parts import in_parts, parts_done, read_parts

if TYPE_CHECKING:
    import pandas as pd

    from pitflow.frame import Image

_MOST_SATURATED = 0.05
"""More of a frame than a glint is."""
_EVEN_INTERVALS = 1.2
"""Frames whose distances in time differ by a larger factor have no even rate."""


def acquire(job: Job) -> str:
    """Read, check and store the frames; measure drift, and the background of every block."""
    from pitflow.acquire.acquire import acquire_blocks, first_good_frame
    from pitflow.acquire.blocks import plan_tasks
    from pitflow.acquire.quality import FrameCheck
    from pitflow.acquire.registration import Registration
    from pitflow.acquire.store import create_stack, open_stack

    source, run, parts = job.opened, job.run, job.run.parts("acquire")
    blocks = job.blocks
    background, um_per_px = run.path / BACKGROUND, job.config.acquire.um_per_px
    frame_s = 1 / source.fps
    block_s = job.config.acquire.block_frames * frame_s
    if not parts_done(parts):
        shape = (len(blocks), *source.shape)
        create_stack(background, shape, source.dtype, interval_s=block_s, um_per_px=um_per_px)
        if job.config.acquire.store_frames:
            shape = (source.n_frames, *source.shape)
            create_stack(run.video, shape, source.dtype, interval_s=frame_s, um_per_px=um_per_px)
    number, reference = first_good_frame(source, job.frames.start, job.frames.stop)
    task = partial(
        acquire_blocks,
        source,
        config=job.config.acquire,
        registration=Registration(reference),
        check=FrameCheck(reference),
        video=open_stack(run.video, writable=True) if job.config.acquire.store_frames else None,
        background=open_stack(background, writable=True),
    )
    # Tasks wait for the store now and then: one more than there are cores keeps those busy.
    busy = replace(job, compute=replace(job.compute, workers=job.compute.workers + 1))
    spans = in_parts(busy, "acquire", task, plan_tasks(blocks, source))
    frames = read_parts(parts, "blocks", spans)
    schema.write_table(frames, schema.FRAMES, job.table("acquire", "frames"))
    (parts / "reference").write_text(str(number))
    job.notes += source.notes
    job.warnings += _doubts(frames, reference) + _bright_movers(job)
    read = f"{words.count(len(frames), 'frame')} in {words.count(len(blocks), 'block')}"
    return "; ".join([read, *job.notes, *job.warnings])


def _doubts(frames: pd.DataFrame, reference: Image) -> list[str]:
    """Return warnings on lost frames, the stage, the frame rate and the light."""
    import numpy as np

    from pitflow.acquire.acquire import stray_frames

    bad = frames.loc[frames["quality"] != "ok", "quality"].value_counts()
    doubts = [
        f"{words.count(number, 'frame')} {'is' if number == 1 else 'are'} "
        f"{words.FAULTS[str(quality)]}: nothing is looked for there"
        for quality, number in bad.items()
    ]
    if strays := stray_frames(frames):
        doubts.append(
            f"the shift of {words.count(len(strays), 'frame')}, the first of them {strays[0]}, is "
            "several px off that of the frames around: the stage shook, or it is measured wrongly"
        )
    apart = np.diff(frames["time_s"]) / np.diff(frames["frame"])
    if apart.size and apart.max() > _EVEN_INTERVALS * apart.min():
        doubts.append(
            f"the frame rate varies, with {apart.min():.3g} to {apart.max():.3g} s between frames: "
            "speeds and rates follow the time stamps, lags and windows count frames"
        )
    saturated = float((reference == np.iinfo(reference.dtype).max).mean())
    if saturated > _MOST_SATURATED:
        doubts.append(
            f"{100 * saturated:.0f} % of the pixels of the first good frame are saturated: nothing "
            "faint is seen there; take the recording with less light"
        )
    return doubts


def _bright_movers(job: Job) -> list[str]:
    """Return a warning where what moves is brighter than the ground, as no particle is taken."""
    from pitflow.acquire.polarity import Spots, count_movers, places_to_look

    reader = reader_of(job)
    dark = bright = 0
    for numbers in places_to_look(reader.sound(job.frames.start, job.frames.stop)):
        seen = count_movers(*(next(reader.read(number, number + 1)) for number in numbers))
        dark, bright = dark + seen.dark, bright + seen.bright
    if not Spots(dark, bright).are_bright:
        return []
    remedy = "without" if job.config.acquire.invert else "with"
    told = (
        f"{bright} of {dark + bright} moving spots in a few frames are brighter than the ground, "
        "but particles are looked for where it is darker: the tables miss them; run again "
        f"{remedy} --invert (acquire.invert)"
    )
    return [told]
