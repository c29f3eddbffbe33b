"""The report stage: the page and its figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pitflow import schema
from pitflow.config import dump_config
from pitflow.provenance import printable
from pitflow.stages.job import Job, reader_of, scene_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from pitflow.report.data import ReportData


def report(job: Job) -> str:
    """Write the page and its figures."""
    from pitflow.report.page import write_report

    done = 0

    def count(figures: int, total: int) -> None:
        nonlocal done
        if done == 0:
            job.progress.start("report", total)
        job.progress.advance(figures - done)
        done = figures

    if text := job.run.lost_masks(job.frames):
        job.warnings.append(text)
    page = write_report(report_data(job), job.run.path, count, job.figures)
    return "; ".join([str(page), *job.warnings])


def report_data(job: Job) -> ReportData:
    """Return what the report shows of a run that is measured."""
    from pitflow.acquire.store import open_stack, read_frame
    from pitflow.baselines import crop_baselines
    from pitflow.report.data import Provenance, ReportData

    run, scene, reader = job.run, scene_of(job), reader_of(job)
    masks = open_stack(run.masks)
    tables = {
        name: schema.read_table(run.table(name), table) for name, table in schema.TABLES.items()
    }
    manifest = run.manifest

    def mask_at(index: int) -> npt.NDArray[np.uint8]:
        return read_frame(masks, index)

    return ReportData(
        name=manifest.input["name"],
        tables=tables,
        shape=job.recording.shape,
        fps=job.recording.fps,
        um_per_px=job.config.acquire.um_per_px,
        n_frames=job.recording.n_frames,
        frame_at=lambda index: next(iter(reader.read(index, index + 1))).image,
        mask_at=mask_at,
        background_at=lambda index: scene.background(scene.block_of(index)),
        baselines=crop_baselines(scene, reader, mask_at, job.config.segment),
        provenance=Provenance(
            date=manifest.stages["measure"]["ended"],
            input=printable(manifest.input["path"]),
            input_hash=manifest.input["fingerprint"],
            config=dump_config(job.config),
            versions=manifest.versions,
            timings={
                name: state["seconds"]
                for name, state in manifest.stages.items()
                if "seconds" in state
            },
            warnings=manifest.warnings + job.warnings,
            notes=manifest.notes,
        ),
        config=job.config.report,
    )
