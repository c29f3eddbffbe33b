"""A run as it is read in a notebook: tables with their units, images, figures.

Nothing here computes: everything was left in the run directory by ``pitflow run``. The recording
itself is needed only for frames of a run that did not store them.
"""

from __future__ import annotations

import warnings
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pitflow import schema
from pitflow.config import Config, dump_config
from pitflow.errors import UserError
from pitflow.frame import Image
from pitflow.provenance import Manifest, RunFolder, at_home, open_run
from pitflow.report.words import count

if TYPE_CHECKING:
    import dask.array as da
    from matplotlib.figure import Figure

    from pitflow.acquire.background import StoredScene
    from pitflow.acquire.frames import FrameReader


def open_results(folder: Path | str) -> Results:
    """Open a run directory to look at what is in it.

    Parameters
    ----------
    folder:
        What ``pitflow run`` wrote, such as ``video.pitflow``. A run that was stopped opens too,
        with as much as is done.

    Raises
    ------
    UserError
        If there is no run in the folder.
    """
    return Results(open_run(at_home(folder)))


class Results:
    """What a run has found; made by ``open_results``.

    Parameters
    ----------
    run:
        The run directory.
    """

    def __init__(self, run: RunFolder) -> None:
        self._run = run

    @property
    def folder(self) -> Path:
        """The run directory."""
        return self._run.path

    @property
    def manifest(self) -> Manifest:
        """``run.json``: the recording, all parameters, versions, states of the stages, warnings."""
        return self._run.manifest

    @property
    def config(self) -> Config:
        """Every parameter of the run."""
        return Config.model_validate(self.manifest.config)

    def table(self, name: str) -> pd.DataFrame:
        """Return a table, such as ``pits``; ``units(name)`` explains its columns.

        Raises
        ------
        UserError
            If no table has that name, or the run has not got that far.
        """
        return schema.read_table(self._table_file(name))

    def units(self, name: str) -> pd.DataFrame:
        """Return unit and meaning of every column of a table.

        Returns
        -------
        pandas.DataFrame
            Indexed by column, in the table's order: ``type``, ``unit`` ("" where it has none) and
            ``meaning``.

        Raises
        ------
        UserError
            As for ``table``.
        """
        import pyarrow.parquet as pq

        file = self._table_file(name)
        with schema.readable(file):
            fields = list(pq.read_schema(file))
        notes = [field.metadata or {} for field in fields]
        return pd.DataFrame(
            {
                "type": [str(field.type) for field in fields],
                "unit": [note.get(b"unit", b"").decode() for note in notes],
                "meaning": [note.get(b"meaning", b"").decode() for note in notes],
            },
            index=pd.Index([field.name for field in fields], name="column"),
        )

    @property
    def rows(self) -> dict[str, int]:
        """Number of rows of every table that is there.

        Raises
        ------
        UserError
            If one is damaged.
        """
        import pyarrow.parquet as pq

        rows = {}
        for name in schema.TABLES:
            file = self._run.table(name)
            if file.is_file() and self._is_current(name):
                with schema.readable(file):
                    rows[name] = pq.read_metadata(file).num_rows
        return rows

    def frame(self, index: int) -> Image:
        """Return a frame as it was recorded, (height, width), uint8 or uint16.

        After a run with ``acquire.invert`` its grey values are turned round, as they were analysed.

        Raises
        ------
        UserError
            If the frame was not analysed, is lost or damaged, or was not stored and the recording
            is gone.
        """
        self._check_frame(index)
        found = next(iter(self._reader.read(index, index + 1)), None)
        if found is None:
            raise UserError(f"frame {index} is lost or damaged", where=self.folder)
        return found.image

    def mask(self, index: int) -> npt.NDArray[np.uint8]:
        """Return the class map of a frame, (height, width): 0 background, 1 particle, 2 pit.

        A warning is given where the run wrote one that is no longer there: it reads as empty.

        Raises
        ------
        UserError
            If the frame was not analysed, the run has not got that far, or the map is damaged.
        """
        from pitflow.acquire.store import open_stack, read_frame

        self._check_frame(index)
        masks = open_stack(self._written(self._run.masks))
        if note := self._run.lost_masks([index]):
            warnings.warn(note, stacklevel=2)
        return read_frame(masks, index)

    def background(self, index: int) -> Image:
        """Return the empty scene behind a frame: the median of the frames around it.

        It is in the geometry and at the brightness of the first good frame; the frame itself shows
        it moved by ``shift_x_px`` and ``shift_y_px`` and times ``gain`` (see the frames table).

        Raises
        ------
        UserError
            If the frame was not analysed, or the run has not got that far.
        """
        self._check_frame(index)
        return self._scene.background(self._scene.block_of(index))

    @property
    def video(self) -> da.Array:
        """All stored frames, (n_frames, height, width); read only where they are looked at.

        Frames that were not analysed, or lost, are black.

        Raises
        ------
        UserError
            If the run did not store them, or has not got that far.
        """
        if not self.config.acquire.store_frames:
            raise UserError(
                "this run stored no frames",
                where=self.folder,
                hint="frame(i) reads one from the recording; a run without --no-frames stores them",
            )
        return _lazy(self._written(self._run.video))

    @property
    def masks(self) -> da.Array:
        """All class maps, (n_frames, height, width); read only where they are looked at.

        Raises
        ------
        UserError
            If the run has not got that far.
        """
        return _lazy(self._written(self._run.masks))

    @property
    def corrected(self) -> list[int]:
        """Frames whose class map was changed after the run had written it."""
        from pitflow.acquire.store import image_marks

        marks = self._run.mask_marks
        now = image_marks(self._run.masks, marks)
        return [number for number in marks if now[number] != marks[number]]

    @property
    def reader(self) -> FrameReader:
        """Gives the sound frames with what was measured of them."""
        return self._reader

    @property
    def scene(self) -> StoredScene:
        """The empty scene around the frames."""
        return self._scene

    def figure(self, name: str) -> Figure:
        """Draw a figure of the report anew, to be looked at, changed or saved.

        A notebook shows it after ``%matplotlib inline``.

        Parameters
        ----------
        name:
            The name of its files in ``figures/``, such as ``polar``.

        Raises
        ------
        UserError
            If no figure has that name, the run is not finished, or it holds nothing to draw in it.
        """
        import matplotlib as mpl

        from pitflow.report.contents import SECTIONS
        from pitflow.report.data import ReportData
        from pitflow.report.style import RC

        makers = {entry.name: entry.make for section in SECTIONS for entry in section.entries}
        if name not in makers:
            raise UserError(f"no figure is called {name!r}", hint=f"known: {', '.join(makers)}")
        recording = self._recording
        data = ReportData(
            name=self.manifest.input["name"],
            tables={known: self.table(known) for known in schema.TABLES},
            shape=(recording["height"], recording["width"]),
            fps=recording["fps"],
            um_per_px=recording["um_per_px"],
            n_frames=recording["n_frames"],
            frame_at=self.frame,
            mask_at=self.mask,
            background_at=self.background,
            provenance={"config": dump_config(self.config)},
            config=self.config.report,
        )
        with mpl.rc_context(RC):
            made = makers[name](data)
        if isinstance(made, str):
            raise UserError(made, where=f"figure {name!r}")
        return made.figure

    def __repr__(self) -> str:
        return "\n".join(f"{name}: {value}" for name, value in self._summary().items())

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th>"
            f"<td style='text-align:left'>{escape(value)}</td></tr>"
            for name, value in self._summary().items()
        )
        return f"<table>{rows}</table>"

    def _summary(self) -> dict[str, str]:
        recording = self.manifest.recording
        done = [name for name, state in self.manifest.stages.items() if state["state"] == "done"]
        described, frames = "not read yet", "none yet"
        if recording:
            described = (
                f"{recording['width']} x {recording['height']} px, {recording['fps']:g} frames/s, "
                f"{recording['um_per_px']:g} um/px"
            )
            first, last = recording["first_frame"], recording["last_frame"]
            frames = f"{first} to {last} of {recording['n_frames']}"
        rows = ", ".join(f"{name} ({count(n, 'row')})" for name, n in self.rows.items())
        return {
            "run": str(self.folder),
            "recording": f"{self.manifest.input.get('name', 'unknown')}, {described}",
            "frames": frames,
            "done": ", ".join(done) or "nothing yet",
            "tables": rows or "none yet",
            "warnings": "; ".join(self.manifest.warnings) or "none",
        }

    def _table_file(self, name: str) -> Path:
        if name not in schema.TABLES:
            raise UserError(
                f"no table is called {name!r}", hint=f"known: {', '.join(schema.TABLES)}"
            )
        return self._written(self._run.table(name), is_current=self._is_current(name))

    def _is_current(self, table: str) -> bool:
        """Whether a table, if it is there, is of the parameters that the run was last given."""
        return self._run.is_current("segment" if table in ("pit_pixels", "bubbles") else "measure")

    def _written(self, path: Path, *, is_current: bool = True) -> Path:
        """Return a path in the run directory; refuse what is not there."""
        self._check_folder()
        if not (path.exists() and is_current):
            raise UserError(
                "the run has not got that far", where=path, hint="`pitflow run` continues it"
            )
        return path

    def _check_folder(self) -> None:
        if not self.folder.is_dir():
            raise UserError(
                "the run is no longer there", where=self.folder, hint="open it where it is now"
            )

    @property
    def _recording(self) -> dict[str, Any]:
        if not self.manifest.recording:
            raise UserError(
                "the run was stopped before it had read its recording",
                where=self.folder,
                hint="`pitflow run` continues it",
            )
        return self.manifest.recording

    def _check_frame(self, index: int) -> None:
        self._check_folder()
        if not isinstance(index, int | np.integer):
            raise UserError(f"{index!r} is no frame", hint="frames are whole numbers, from 0")
        first, last = (self._recording[key] for key in ("first_frame", "last_frame"))
        if not first <= index <= last:
            raise UserError(
                f"frame {index} was not analysed, only {first} to {last}", where=self.folder
            )

    @property
    def _has_frames(self) -> bool:
        return self.config.acquire.store_frames and self._run.video.is_dir()

    @cached_property
    def _frames(self) -> pd.DataFrame:
        # What acquire left: the finished table comes only with the measurements.
        file = self._written(self._run.parts("acquire") / "frames.parquet")
        return schema.read_table(file, schema.FRAMES)

    @cached_property
    def _reader(self) -> FrameReader:
        from pitflow.acquire.frames import FrameReader
        from pitflow.acquire.opening import open_source
        from pitflow.acquire.store import open_stack

        if self._has_frames:
            return FrameReader(None, open_stack(self._run.video), self._frames)
        video = Path(self.manifest.input["path"])
        if not video.exists():
            raise UserError(
                "the recording is gone and its frames were not stored",
                where=video,
                hint="put it back there",
            )
        source = open_source(video, invert=self.config.acquire.invert)
        return FrameReader(source, None, self._frames)

    @cached_property
    def _scene(self) -> StoredScene:
        from pitflow.acquire.background import StoredScene
        from pitflow.acquire.store import WrittenImages, open_stack

        background = WrittenImages(open_stack(self._written(self.folder / "background.zarr")))
        block_frames = self.config.acquire.block_frames
        # The first background stands in for the first frame, of which only size and type matter.
        return StoredScene(background, self._frames, background[0], block_frames)


def _lazy(stack: Path) -> da.Array:
    import dask.array as da

    from pitflow.acquire.store import open_stack

    return da.from_zarr(open_stack(stack))
