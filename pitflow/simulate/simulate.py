"""A recording on disk, and the truth about it beside."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from pitflow import schema
from pitflow.errors import UserError
from pitflow.frame import Image
from pitflow.simulate.config import SimulateConfig
from pitflow.simulate.current import potentiostat_table, write_potentiostat
from pitflow.simulate.exposure import Camera
from pitflow.simulate.output import codec_for, open_writer
from pitflow.simulate.render import scenes
from pitflow.simulate.truth import as_seen
from pitflow.simulate.world import World, simulate_world, stream

Progress = Callable[[int, int], None]
"""Called with the number of frames written and their total."""


def simulate(
    out: Path | str,
    config: SimulateConfig,
    truth_dir: Path | str | None,
    *,
    seed: int = 0,
    workers: int = 2,
    progress: Progress | None = None,
    overwrite: bool = False,
) -> World:
    """Simulate a recording, write it to ``out`` and its truth to ``truth_dir``.

    The frames and tables depend on ``config`` and ``seed`` alone, not on ``workers``. Memory is
    bounded: a few frames are under way at a time.

    Parameters
    ----------
    out:
        A video (.avi, .mkv, .mp4, .mov), a .zip of TIFF snapshots, or a folder of them.
    truth_dir:
        Gets one parquet file per table and ``truth.json``; None: no truth is written.

    Raises
    ------
    UserError
        If a file cannot be written, the name, codec, bits and size do not go together, or
        ``truth_dir`` holds something else.
    """
    out, truth_dir = Path(out), None if truth_dir is None else Path(truth_dir)
    codec = codec_for(out, config)
    if truth_dir is not None:
        _check_truth_folder(truth_dir, out.name, overwrite)
    world = simulate_world(config, seed)
    with open_writer(out, config, workers, overwrite) as writer:
        for count, image in enumerate(_images(world, workers), start=1):
            writer.write(image)
            if progress is not None:
                progress(count, config.frames)
    if truth_dir is not None:
        write_truth(world, truth_dir, recording=out.name, codec=codec)
    return world


def _check_truth_folder(folder: Path, recording: str, overwrite: bool) -> None:
    """Refuse the tables of a run, and, unless told to overwrite, the truth of another recording."""
    if any((near / "run.json").exists() for near in (folder, folder.resolve().parent)):
        raise UserError("is in the folder of a run", where=folder, hint="give --truth another name")
    if overwrite:
        return
    try:
        there = json.loads((folder / "truth.json").read_text(encoding="utf-8")).get("recording")
    except (OSError, ValueError, AttributeError):
        return
    if there != recording:
        raise UserError(
            f"holds the truth of {there}", where=folder, hint="give another name, or --overwrite"
        )


def write_truth(world: World, folder: Path, **about: str) -> None:
    """Write the truth: ``<table>.parquet`` each, ``truth.json``, and ``current.csv``.

    The last is what a potentiostat on the same clock would have measured, for `run --current`.

    Particles stand where their frames show them, as in a run, so that scoring is a join.

    Raises
    ------
    UserError
        If the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        seen = as_seen(world.tables["particles"], world.tables["frames"])
        for name, data in (world.tables | {"particles": seen}).items():
            schema.write_table(data, schema.TABLES[name], folder / f"{name}.parquet")
        measured = potentiostat_table(
            world.tables["growth"],
            world.config.frames,
            fps=world.config.fps,
            um_per_px=world.config.um_per_px,
            rng=stream(world.seed, "current"),
        )
        write_potentiostat(measured, folder / "current.csv")
        text = json.dumps(world.truth | about, indent=2)
        (folder / "truth.json").write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot be written ({error.strerror})", where=folder) from error


def _images(world: World, workers: int) -> Iterator[Image]:
    """Yield the frames in order; scenes are composed here, and exposed in threads."""
    camera = Camera(world)
    under_way: deque[Future[Image]] = deque()
    with ThreadPoolExecutor(max(workers, 1)) as pool:
        for scene in scenes(world):
            under_way.append(pool.submit(camera.expose, scene))
            if len(under_way) > workers:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
