"""The link stage: detections are joined into tracks, stage drift removed meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pitflow import schema
from pitflow.report import words
from pitflow.stages.job import Job, frames_table

if TYPE_CHECKING:
    import pandas as pd

_WORTH_A_PROCESS_FRAMES = 100
"""The tables of a shorter recording are made before a second process is ready to draw."""


def link(job: Job) -> str:
    """Join the detections into tracks, and drop what does not move."""
    import pandas as pd

    from pitflow.link.crowding import CROWDED, NEIGHBOUR_PX, crowded_share
    from pitflow.link.glimpses import PitTimes, take_up_glimpses
    from pitflow.link.settle import came_too_late, drop_settled
    from pitflow.link.tracks import join_longer, link_detections

    if job.figures is not None and len(job.frames) >= _WORTH_A_PROCESS_FRAMES:
        # Linking keeps one core busy; the others have time to load what drawing needs.
        job.figures.start()
    detections = pd.read_parquet(job.table("segment", "detections"))
    frames = frames_table(job)
    steady = _moved(detections, frames, -1)
    job.progress.start("link", len(job.frames))
    done = 0

    def count(frame: int, total: int) -> None:
        nonlocal done
        job.progress.advance(frame - done)
        done = frame

    # In a frame that the camera delivered twice nothing is looked for either.
    lost = set(frames.loc[frames["quality"] != "ok", "frame"])
    linked = link_detections(steady, job.config.link, progress=count, lost_frames=lost)
    settings = job.config.link
    # What is in no track may still continue one.
    moving = drop_settled(linked.particles, settings.model_copy(update={"keep_unlinked": True}))
    if settings.glimpse_px > 0:
        pixels = schema.read_table(job.run.table("pit_pixels"), schema.PIT_PIXELS)
        moving = take_up_glimpses(
            moving,
            _moved(pd.read_parquet(job.table("segment", "glimpses")), frames, -1),
            PitTimes(*(pixels[name].to_numpy() for name in ("x", "y", "frame"))),
            reach_px=settings.glimpse_px,
            lost_frames=lost,
        )
        moving = join_longer(moving, linked.knowledge, settings)
    if not settings.keep_unlinked:
        last = max(frames.loc[frames["quality"] == "ok", "frame"], default=-1)
        late = came_too_late(moving, last, settings)
        moving = moving[(moving["particle"] >= 0) | late].reset_index(drop=True)
    particles = _moved(moving, frames, +1)
    job.notes += linked.notes
    crowded = crowded_share(particles)
    if crowded > CROWDED:
        job.warnings.append(
            f"crowded: {100 * crowded:.0f} % of the particles have another within "
            f"{NEIGHBOUR_PX:g} px. Separate ones are then often not told apart, and numbers of "
            "particles and of ejections are too low; but where one large thing (a ring out of "
            "focus, a bubble) is marked at several places, as the frames with their particles "
            "show, they are too high"
        )
    particles.to_parquet(job.table("link", "particles"), index=False)
    return words.count(particles["particle"].max() + 1 if len(particles) else 0, "track")


def _moved(table: pd.DataFrame, frames: pd.DataFrame, sign: int) -> pd.DataFrame:
    """Return the table with the stage drift added to its positions (+1) or taken off them (-1)."""
    shifts = frames.set_index("frame")[["shift_x_px", "shift_y_px"]].fillna(0.0)
    shift = sign * shifts.loc[table["frame"]].to_numpy()
    return table.assign(x=table["x"] + shift[:, 0], y=table["y"] + shift[:, 1])
