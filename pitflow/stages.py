"""What each stage does in a run directory: which files it reads, computes in parts, and leaves.

The stages' own code knows no run directory; this is where tables and pixels are opened for it. A
part is a file named by the frames it covers, written when all of it is done, so that a stopped run
goes on from there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pitflow import schema
from pitflow.compute import Compute, Progress, Silent
from pitflow.config import Config, dump_config
from pitflow.errors import UserError
from pitflow.provenance import INDEX, RunFolder, content_hash, open_run, printable, select
from pitflow.report import words

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from pitflow.acquire.background import StoredScene
    from pitflow.acquire.blocks import Block
    from pitflow.acquire.frames import FrameReader
    from pitflow.acquire.source import Source
    from pitflow.report.data import ReportData
    from pitflow.report.page import Shown
    from pitflow.segment.pits import PitMap
    from pitflow.segment.protocol import Segmenter

BACKGROUND = "background.zarr"

WORTH_A_PROCESS_FRAMES = 100
"""The tables of a shorter recording are made before a second process is ready to draw."""

_UNEVEN = 1.15
"""Blocks are cut where workers would wait for one another for more than this share of the time."""

_MOST_SATURATED = 0.05
"""More of a frame than a glint is."""
_EVEN_INTERVALS = 1.2
"""Frames whose distances in time differ by a larger factor have no even rate."""

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


class Figures(Protocol):
    """A process that draws figures of the run beside this one."""

    def start(self) -> None:
        """Get ready, which takes a while; does nothing the second time."""
        ...

    def draw(self, number: int) -> Shown | None:
        """Draw a figure of the report; None: it cannot."""
        ...


@dataclass(frozen=True)
class Recording:
    """Number of frames, their (height, width) in px, and their rate in 1/s."""

    n_frames: int
    shape: tuple[int, int]
    fps: float

    @classmethod
    def from_manifest(cls, facts: dict[str, Any]) -> Recording:
        """Read it from the manifest."""
        return cls(facts["n_frames"], (facts["height"], facts["width"]), facts["fps"])


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
    figures: Figures | None = None
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
        return Recording.from_manifest(self.run.manifest.recording)

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


def check_segmenter(config: Config) -> None:
    """Refuse a segmenter that cannot be had before hours are spent on the frames.

    Raises
    ------
    UserError
        If there is no such segmenter, model or device, or the model is for something else.
    """
    from pitflow.segmenters import check_segmenter

    check_segmenter(config.segment)


def lasting(config: Config) -> Config:
    """Return parameters that mean the same model and file wherever they are read again."""
    from pitflow.domains.included import lasting_name

    unet, current = config.segment.unet, config.measure.current
    unet = unet.model_copy(update={"model": lasting_name(unet.model)})
    if current.file is not None:
        current = current.model_copy(update={"file": str(Path(current.file).resolve())})
    return config.model_copy(
        update={
            "segment": config.segment.model_copy(update={"unet": unet}),
            "measure": config.measure.model_copy(update={"current": current}),
        }
    )


def segmenter_read(config: Config) -> dict[str, Any]:
    """Return the parameters of the segmenter that is used, and the card of its model if it has one.

    Raises
    ------
    UserError
        If the model is missing or damaged.
    """
    name = config.segment.segmenter
    read: dict[str, Any] = {"parameters": select(config, f"segment.{name}")}
    if name == "unet":
        from pitflow.domains.included import find_model
        from pitflow.segment.checkpoint import read_card

        # It holds the hash of the weights.
        card = read_card(find_model(config.segment.unet.model))
        read["model"] = card.model_dump(mode="json")
    return read


def current_file(config: Config) -> dict[str, str]:
    """Return a hash of the potentiostat's file, where there is one.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    file = config.measure.current.file
    return {} if file is None else {"current": content_hash(Path(file))}


def read_current_of(config: Config, source: Source) -> pd.DataFrame | None:
    """Return what the potentiostat measured, on the recording's clock; None without its file.

    It is read before hours are spent on the frames.

    Raises
    ------
    UserError
        If it cannot be read, lacks time or current, or none of it was measured during the frames
        analysed.
    """
    from pitflow.acquire.current import read_current

    current = config.measure.current
    if current.file is None:
        return None
    samples = read_current(Path(current.file), current)
    last = (config.acquire.stop or source.n_frames) - 1
    first_s, last_s = (source.index["time_s"].to_numpy()[at] for at in (config.acquire.start, last))
    begin, end = float(samples["time_s"].iloc[0]), float(samples["time_s"].iloc[-1])
    if end < first_s or begin > last_s:
        raise UserError(
            f"covers {begin:.1f} to {end:.1f} s of the recording's clock, and the frames "
            f"{first_s:.1f} to {last_s:.1f} s: no overlap in time",
            where=current.file,
            hint="give the offset between the clocks with --current-offset",
        )
    return samples


def open_recording(video: Path, run: RunFolder, config: Config) -> Source:
    """Open the recording; its index is kept in the run directory.

    Raises
    ------
    UserError
        If it cannot be read, or the frames asked for are not in it.
    """
    from pitflow.acquire.inverted import Inverted
    from pitflow.acquire.source import open_source

    source = open_source(video, fps=config.acquire.fps, index_file=run.path / INDEX)
    if config.acquire.invert:
        source = Inverted(source)
    start, stop = config.acquire.start, config.acquire.stop or source.n_frames
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


def acquire(job: Job) -> str:
    """Read, check and store the frames; measure drift, and the background of every block."""
    import numpy as np

    from pitflow.acquire.acquire import acquire_blocks, first_good_frame, stray_frames
    from pitflow.acquire.blocks import plan_tasks
    from pitflow.acquire.quality import FrameCheck
    from pitflow.acquire.registration import Registration
    from pitflow.acquire.store import create_stack, open_stack

    source, run, parts = job.opened, job.run, job.run.parts("acquire")
    blocks = job.blocks
    background, um_per_px = run.path / BACKGROUND, job.config.acquire.um_per_px
    frame_s = 1 / source.fps
    block_s = job.config.acquire.block_frames * frame_s
    if not _part_files(parts, "blocks"):
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
    spans = _in_parts(busy, "acquire", task, plan_tasks(blocks, source))
    frames = _read_parts(parts, "blocks", spans)
    schema.write_table(frames, schema.FRAMES, job.table("acquire", "frames"))
    (parts / "reference").write_text(str(number))
    bad = frames.loc[~frames["quality"].isin(["ok"]), "quality"].value_counts()
    job.notes += source.notes
    job.warnings += [f"{quality} frames: {count}" for quality, count in bad.items()]
    if strays := stray_frames(frames):
        job.warnings.append(
            f"the shift of {words.count(len(strays), 'frame')}, the first of them {strays[0]}, is "
            "several px off that of the frames around: the stage shook, or it is measured wrongly"
        )
    apart = np.diff(frames["time_s"]) / np.diff(frames["frame"])
    if apart.size and apart.max() > _EVEN_INTERVALS * apart.min():
        job.warnings.append(
            f"the frame rate varies, with {apart.min():.3g} to {apart.max():.3g} s between frames: "
            "speeds and rates follow the time stamps, lags and windows count frames"
        )
    saturated = float((reference == np.iinfo(reference.dtype).max).mean())
    if saturated > _MOST_SATURATED:
        job.warnings.append(
            f"{100 * saturated:.0f} % of the pixels of the first good frame are saturated: nothing "
            "faint is seen there; take the recording with less light"
        )
    job.warnings += _bright_movers(job)
    read = f"{words.count(len(frames), 'frame')} in {words.count(len(blocks), 'block')}"
    return "; ".join([read, *job.notes, *job.warnings])


def segment(job: Job) -> str:
    """Find the pits over the whole recording, then particles and pit pixels in every frame."""
    import numpy as np

    from pitflow.acquire.blocks import plan_tasks
    from pitflow.acquire.frames import frames_of_block
    from pitflow.acquire.store import create_masks, image_marks, open_stack
    from pitflow.segment.block import combine_arrivals
    from pitflow.segment.pits import TAIL_FRAMES, find_pits, pit_pixels
    from pitflow.segmenters import create_segmenter

    parts = job.run.parts("segment")
    scene, reader, blocks = _scene(job), _reader(job), job.blocks
    if not _part_files(parts, "blocks"):
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
    spans = _in_parts(job, "segment", task, tasks, in_python=True)
    detections = _read_parts(parts, "blocks", spans)
    detections.to_parquet(job.table("segment", "detections"), index=False)
    glimpses = _read_parts(parts, "glimpses", spans)
    glimpses.to_parquet(job.table("segment", "glimpses"), index=False)
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


def link(job: Job) -> str:
    """Join the detections into tracks, and drop what does not move."""
    import pandas as pd

    from pitflow.link.crowding import CROWDED, NEIGHBOUR_PX, crowded_share
    from pitflow.link.glimpses import PitTimes, take_up_glimpses
    from pitflow.link.settle import drop_settled
    from pitflow.link.tracks import join_longer, link_detections

    if job.figures is not None and len(job.frames) >= WORTH_A_PROCESS_FRAMES:
        # Linking keeps one core busy; the others have time to load what drawing needs.
        job.figures.start()
    detections = pd.read_parquet(job.table("segment", "detections"))
    frames = _frames(job)
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
        moving = moving[moving["particle"] >= 0].reset_index(drop=True)
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


def measure(job: Job) -> str:
    """Compute every table of the answer."""
    import pandas as pd

    from pitflow.measure.measure import measure_all

    job.progress.start("measure", 1)
    frames = _frames(job)
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

    run, scene, reader = job.run, _scene(job), _reader(job)
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
    from pitflow.measure.current import estimate_offset, growth_rate

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
    np.save(parts / f"arrival-{_span(blocks)}.npy", result.arrival)
    result.glimpses.to_parquet(parts / f"glimpses-{_span(blocks)}.parquet", index=False)
    if result.searches or result.notes:
        record = {"searches": [asdict(search) for search in result.searches], "notes": result.notes}
        (parts / f"search-{_span(blocks)}.json").write_text(json.dumps(record))
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
    done = {path.stem for path in _part_files(job.run.parts("segment"), "blocks")}
    begun = done <= {f"blocks-{_span(task)}" for task in first}
    return first if begun else second


def _bright_movers(job: Job) -> list[str]:
    """Return a warning where what moves is brighter than the ground, as no particle is taken."""
    from pitflow.acquire.polarity import Movers, count_movers, places_to_look

    reader = _reader(job)
    dark = bright = 0
    for numbers in places_to_look(reader.sound(job.frames.start, job.frames.stop)):
        seen = count_movers(*(next(reader.read(number, number + 1)) for number in numbers))
        dark, bright = dark + seen.dark, bright + seen.bright
    if not Movers(dark, bright).are_bright:
        return []
    remedy = "without" if job.config.acquire.invert else "with"
    told = (
        f"{bright} of {dark + bright} moving spots in a few frames are brighter than the ground, "
        "but particles are looked for where it is darker: the tables miss them; run again "
        f"{remedy} --invert (acquire.invert)"
    )
    return [told]


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


def _in_parts(
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

    def count(blocks: tuple[Block, ...], table: pd.DataFrame | None = None) -> None:
        job.progress.advance(sum(len(block) for block in blocks))

    def keep(blocks: tuple[Block, ...], table: pd.DataFrame) -> None:
        path = parts / f"blocks-{_span(blocks)}.parquet"
        partial_path = path.with_suffix(".partial")
        table.to_parquet(partial_path, index=False)
        partial_path.replace(path)
        count(blocks)

    todo: list[tuple[Block, ...]] = []
    for blocks in tasks:
        if (parts / f"blocks-{_span(blocks)}.parquet").exists():
            count(blocks)
        else:
            todo.append(blocks)
    job.compute.map(task, todo, keep, in_python=in_python)
    return [_span(blocks) for blocks in tasks]


def _span(blocks: tuple[Block, ...]) -> str:
    """Return "START-STOP" of blocks in a form that sorts by time."""
    return f"{blocks[0].start:09d}-{blocks[-1].stop:09d}"


def _part_files(parts: Path, kind: str) -> list[Path]:
    return sorted(parts.glob(f"{kind}-*.parquet"))


def _read_parts(parts: Path, kind: str, spans: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    tables = [pd.read_parquet(parts / f"{kind}-{span}.parquet") for span in spans]
    filled = [table for table in tables if len(table)]
    whole: pd.DataFrame = pd.concat(filled or tables[:1], ignore_index=True)
    return whole


def _frames(job: Job) -> pd.DataFrame:
    return schema.read_table(job.table("acquire", "frames"), schema.FRAMES)


def _reader(job: Job) -> FrameReader:
    from pitflow.acquire.frames import FrameReader
    from pitflow.acquire.store import open_stack

    # Stored frames that were deleted to save space are decoded again.
    stored = job.config.acquire.store_frames and job.run.video.exists()
    video = open_stack(job.run.video) if stored else None
    return FrameReader(job.source, video, _frames(job))


def _scene(job: Job) -> StoredScene:
    from pitflow.acquire.background import StoredScene
    from pitflow.acquire.store import WrittenImages, open_stack

    frames, reference = _frames(job), int((job.run.parts("acquire") / "reference").read_text())
    image = next(_reader(job).read(reference, reference + 1)).image
    background = WrittenImages(open_stack(job.run.path / BACKGROUND))
    return StoredScene(background, frames, image, job.config.acquire.block_frames)


def _moved(table: pd.DataFrame, frames: pd.DataFrame, sign: int) -> pd.DataFrame:
    """Return the table with the stage drift added to its positions (+1) or taken off them (-1)."""
    shifts = frames.set_index("frame")[["shift_x_px", "shift_y_px"]].fillna(0.0)
    shift = sign * shifts.loc[table["frame"]].to_numpy()
    return table.assign(x=table["x"] + shift[:, 0], y=table["y"] + shift[:, 1])
