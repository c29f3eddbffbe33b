"""One run: the recording, where it is written, and how; what stages leave is opened here."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pitflow import schema
from pitflow.compute import Compute, Progress, Silent
from pitflow.config import Config
from pitflow.errors import UserError
from pitflow.provenance import INDEX, RunFolder, open_run

if TYPE_CHECKING:
    import pandas as pd

    from pitflow.acquire.background import StoredScene
    from pitflow.acquire.blocks import Block
    from pitflow.acquire.frames import FrameReader
    from pitflow.acquire.source import Source
    from pitflow.report.page import Drawer

BACKGROUND = "background.zarr"


@dataclass(frozen=True)
class Recording:
    """Number of frames, their (height, width) in px, and their rate in 1/s."""

    n_frames: int
    shape: tuple[int, int]
    fps: float


@dataclass
class Job:
    """One run: the recording, where it is written, and how.

    ``source`` is None where the recording is gone and its stored frames do. ``notes`` says what a
    stage adapted; ``warnings`` what the reader of the report must know. ``figures`` is a process
    that draws figures too. ``samples`` is what a potentiostat measured meanwhile.
    """

    source: Source | None
    run: RunFolder
    config: Config
    compute: Compute
    progress: Progress
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    figures: Drawer | None = None
    samples: pd.DataFrame | None = None

    @property
    def opened(self) -> Source:
        """The recording.

        Raises
        ------
        UserError
            If it is gone.
        """
        if self.source is None:
            raise UserError("the recording is gone", where=self.run.manifest.input["path"])
        return self.source

    @property
    def recording(self) -> Recording:
        """What the recording is, as the manifest says."""
        facts = self.run.manifest.recording
        return Recording(facts["n_frames"], (facts["height"], facts["width"]), facts["fps"])

    @property
    def frames(self) -> range:
        """The frames analysed."""
        stop = self.config.acquire.stop or self.recording.n_frames
        return range(self.config.acquire.start, stop)

    @property
    def blocks(self) -> list[Block]:
        """The blocks of time, each with a background of its own."""
        from pitflow.acquire.blocks import plan_blocks

        return plan_blocks(self.frames.start, self.frames.stop, self.config.acquire.block_frames)

    def table(self, stage: str, name: str) -> Path:
        """Path of a table that one stage leaves for the next."""
        return self.run.parts(stage) / f"{name}.parquet"


def finished_job(folder: Path) -> Job:
    """Return the job of a run that is measured, to read from.

    Raises
    ------
    UserError
        If there is no run, or neither its recording nor its stored frames are there.
    """
    run = open_run(folder)
    config = Config.model_validate(run.manifest.config)
    video = Path(run.manifest.input["path"])
    if not video.exists() and not run.video.exists():
        raise UserError(
            "the recording is gone and its frames were not stored",
            where=video,
            hint="put it back there, or run again with --overwrite",
        )
    source = open_recording(video, run, config) if video.exists() else None
    return Job(source, run, config, Compute(), Silent())


def open_recording(video: Path, run: RunFolder, config: Config) -> Source:
    """Open the recording; its index is kept in the run directory.

    Raises
    ------
    UserError
        If it cannot be read, or the frames asked for are not in it.
    """
    from pitflow.acquire.opening import open_source

    how = config.acquire
    source = open_source(video, fps=how.fps, index_file=run.path / INDEX, invert=how.invert)
    start, stop = how.start, how.stop or source.n_frames
    if not 0 <= start < stop <= source.n_frames:
        raise UserError(
            f"frames {start}:{stop} are not all in the recording, which has {source.n_frames}",
            where=video,
            hint=f"--frames A:B needs 0 <= A < B <= {source.n_frames}",
        )
    return source


def describe_recording(job: Job) -> None:
    """Note in the manifest what the recording is, and in images that are there their scale."""
    from pitflow.acquire.store import set_scale

    source = job.opened
    height, width = source.shape
    job.run.manifest.recording = {
        "n_frames": source.n_frames,
        "height": height,
        "width": width,
        "type": str(source.dtype),
        "fps": source.fps,
        "um_per_px": job.config.acquire.um_per_px,
        "first_frame": job.config.acquire.start,
        "last_frame": (job.config.acquire.stop or source.n_frames) - 1,
        "notes": source.notes,
    }
    job.run.save()
    # A frame rate or size of a pixel that was corrected costs no image.
    config = job.config.acquire
    frame_s = 1 / source.fps
    for stack in (job.run.video, job.run.masks):
        set_scale(stack, interval_s=frame_s, um_per_px=config.um_per_px)
    block_s = config.block_frames * frame_s
    set_scale(job.run.path / BACKGROUND, interval_s=block_s, um_per_px=config.um_per_px)


def frames_table(job: Job) -> pd.DataFrame:
    """Return the frames table as acquire left it."""
    return schema.read_table(job.table("acquire", "frames"), schema.FRAMES)


def reader_of(job: Job) -> FrameReader:
    """Return a reader of the frames, stored or decoded again."""
    from pitflow.acquire.frames import FrameReader
    from pitflow.acquire.store import open_stack

    # Stored frames that were deleted to save space are decoded again.
    stored = job.config.acquire.store_frames and job.run.video.exists()
    video = open_stack(job.run.video) if stored else None
    return FrameReader(job.source, video, frames_table(job))


def scene_of(job: Job) -> StoredScene:
    """Return the backgrounds that acquire left, and the first good frame."""
    from pitflow.acquire.background import StoredScene
    from pitflow.acquire.store import WrittenImages, open_stack

    frames, reference = frames_table(job), int((job.run.parts("acquire") / "reference").read_text())
    image = next(reader_of(job).read(reference, reference + 1)).image
    background = WrittenImages(open_stack(job.run.path / BACKGROUND))
    return StoredScene(background, frames, image, job.config.acquire.block_frames)
