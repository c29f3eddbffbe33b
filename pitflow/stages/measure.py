"""The measure stage: every table of the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pitflow import schema
from pitflow.report import words
from pitflow.stages.job import Job, frames_table

if TYPE_CHECKING:
    import pandas as pd

MEASURED_TABLES = (
    "frames",
    "particles",
    "pits",
    "growth",
    "ejections",
    "correlation",
    "outliers",
    "clustering",
    "flights",
    "flow",
    "current",
    "transients",
    "current_correlation",
)


def measure(job: Job) -> str:
    """Compute every table of the answer."""
    import pandas as pd

    from pitflow.measure.measure import measure_all

    job.progress.start("measure", 1)
    frames = frames_table(job)
    # The frame rate may have been corrected since the frames were acquired.
    time_s = job.opened.index["time_s"].to_numpy()[frames["frame"]]
    samples = job.samples
    tables = measure_all(
        pd.read_parquet(job.table("link", "particles")),
        schema.read_table(job.run.table("pit_pixels"), schema.PIT_PIXELS),
        frames.assign(time_s=time_s),
        config=job.config.measure,
        um_per_px=job.config.acquire.um_per_px,
        fps=job.recording.fps,
        shape=job.recording.shape,
        seed=job.config.seed,
        samples=samples,
    )
    left_out = [] if samples is None else list(samples.attrs["notes"])
    job.notes += left_out
    job.notes += _clock_offset(tables, job) + _centres_elsewhere(tables["pits"])
    for name in MEASURED_TABLES:
        schema.write_table(tables[name], schema.TABLES[name], job.run.table(name))
    ejected = words.count(len(tables["ejections"]), "particle")
    found = f"{ejected} ejected from {words.count(len(tables['pits']), 'pit')}"
    return "; ".join([found, *left_out])


def _centres_elsewhere(pits: pd.DataFrame) -> list[str]:
    """Return a note on pits whose angles are not about the centre of their area."""
    elsewhere = int((pits["centre_of"] != "area").sum())
    if not elsewhere:
        return []
    note = (
        f"the particles of {words.count(elsewhere, 'pit')} come from one place, which is not the "
        "centre of the area: angles are about that place (pits: centre_of)"
    )
    return [note]


def _clock_offset(tables: dict[str, pd.DataFrame], job: Job) -> list[str]:
    """Return a note on the potentiostat's clock, where growth tells by how much it is off."""
    from pitflow.measure.current_correlation import estimate_offset
    from pitflow.measure.rates import growth_rate

    config, fps = job.config.measure, job.recording.fps
    if tables["current"].empty:
        return []
    um_per_px = job.config.acquire.um_per_px
    found = estimate_offset(
        tables["current"],
        growth_rate(tables["growth"], tables["frames"], fps=fps, um_per_px=um_per_px),
        fps=fps,
        offset_s=config.current.offset_s,
        config=config.correlation,
        seed=job.config.seed,
    )
    if found is None or abs(found.shift_s) <= 2 / fps:
        return []
    return [
        (
            f"By the growth of the pits, the potentiostat's clock is off by {found.offset_s:.2f} s "
            f"(r = {found.r:.2f}, p = {found.p:.2g}); {config.current.offset_s:.2f} s were used, "
            "and nothing was shifted by this estimate. --current-offset sets it."
        )
    ]
