"""The run directory: its files, its lock, its manifest, and what has to be computed again.

A stage's key is the hash of its own parameters, its code and the keys of the stages it needs. A
stage whose key is in the manifest is done. Inside a stage every finished part is a file named by
the part; a part that exists under the current key is never computed twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from pitflow.config import Config, dump_config
from pitflow.errors import UserError

RECORDED_PACKAGES = (
    "av", "dask", "imagecodecs", "matplotlib", "numpy", "opencv-python-headless", "pandas",
    "pyarrow", "scipy", "tifffile", "torch", "trackpy", "zarr",
)  # fmt: skip

LOCK = ".lock"
INDEX = "index.parquet"

SAMPLED_BYTES = 64 * 1024
SAMPLES = 64


def fingerprint(path: Path, files: Iterable[Path]) -> str:
    """Return a hash that tells one recording from another without reading all of it.

    Covers the size and 64 evenly spread blocks of 64 KiB of a file; names and sizes in a folder,
    with the first block of each file. The name and place of the recording do not matter.

    Parameters
    ----------
    path:
        The file or folder.
    files:
        Those that the frames are in; what else lies in a folder, such as this run, is no part of
        the recording.
    """
    digest = hashlib.blake2b(digest_size=16)
    is_folder = path.is_dir()
    for file in sorted(files):
        size = file.stat().st_size
        if is_folder:
            digest.update(os.fsencode(file.relative_to(path).as_posix()))
        digest.update(str(size).encode())
        blocks = 1 if is_folder else SAMPLES
        with file.open("rb") as stream:
            for block in range(blocks):
                stream.seek(block * max(size - SAMPLED_BYTES, 0) // max(blocks - 1, 1))
                digest.update(stream.read(SAMPLED_BYTES))
    return digest.hexdigest()


def content_hash(path: Path) -> str:
    """Return a hash of all of a file.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", where=path) from error


def printable(name: str) -> str:
    """Return the name of a file as text that can be written; bytes that are no UTF-8 become "?"."""
    return name.encode("utf-8", "replace").decode("utf-8")


def called(recording: Path) -> str:
    """Return the name of a recording as text that can be written; "." is called like its folder."""
    named = recording if recording.name not in ("", "..") else recording.resolve()
    return printable(named.name)


COMMON_CODE = ("stages", "schema.py", "frame.py", "scene.py", "translation.py", "median.py")
"""What the stages share."""


def code_version(*packages: str) -> str:
    """Return a hash of the source of the named sub-packages and of what joins them."""
    root = Path(__file__).parent
    digest = hashlib.blake2b(digest_size=8)
    for name in (*packages, *COMMON_CODE):
        place = root / name
        for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            digest.update(file.relative_to(root).as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


def stage_key(name: str, parameters: dict[str, Any], code: str, needs: list[str]) -> str:
    """Return the key of a stage: it changes whenever its result could."""
    text = json.dumps([name, parameters, code, needs], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def select(config: Config, dotted: str) -> Any:
    """Return a parameter, or the parameters of a section, as plain values."""
    value: Any = config.model_dump(mode="json")
    for part in dotted.split("."):
        value = value[part]
    return value


@dataclass
class Manifest:
    """``run.json``: what was run, on what, with what, and how far it got."""

    input: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    config: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)
    recording: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class RunFolder:
    """A run directory on disk.

    Parameters
    ----------
    path:
        The directory; ``open_for_writing`` makes it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest = Manifest()

    @property
    def manifest_file(self) -> Path:
        """``run.json``."""
        return self.path / "run.json"

    @property
    def video(self) -> Path:
        """``video.zarr``."""
        return self.path / "video.zarr"

    @property
    def masks(self) -> Path:
        """``masks.zarr``."""
        return self.path / "masks.zarr"

    def table(self, name: str) -> Path:
        """Path of a table."""
        return self.path / "tables" / f"{name}.parquet"

    def parts(self, stage: str) -> Path:
        """Folder of a stage's finished parts."""
        return self.path / "parts" / stage

    @property
    def mask_marks_file(self) -> Path:
        """The marks of the class maps as the run wrote them."""
        return self.parts("segment") / "masks.json"

    @property
    def mask_marks(self) -> dict[int, str]:
        """Mark of every class map as the run wrote it, "" of a frame that has none."""
        if not self.mask_marks_file.is_file():
            return {}
        return {int(n): mark for n, mark in json.loads(self.mask_marks_file.read_text()).items()}

    def lost_masks(self, frames: Iterable[int]) -> str:
        """Return a note on class maps of frames that were written and are gone; "" without any.

        Some programs remove one from the stack that they make empty, so this need not be a loss.
        """
        from pitflow.acquire.store import image_file

        gone = [number for number in frames if not image_file(self.masks, number).is_file()]
        marks = self.mask_marks if gone else {}
        gone = [number for number in gone if marks.get(number)]
        if not gone:
            return ""
        n_frames = "1 frame" if len(gone) == 1 else f"{len(gone):,} frames"
        return (
            f"masks.zarr has no longer a class map of {n_frames} (the first is {gone[0]}), which "
            "reads as empty: emptied by hand, or lost; if lost, delete masks.zarr and repeat "
            "`pitflow run`"
        )

    @property
    def exists(self) -> bool:
        """Whether a run has been started here."""
        return self.manifest_file.is_file()

    @contextmanager
    def open_for_writing(self, *, overwrite: bool = False) -> Iterator[None]:
        """Make the directory, hold its lock and read what has been done in it.

        Parameters
        ----------
        overwrite:
            A run that is there will be dropped: it is not read.

        Raises
        ------
        UserError
            If it cannot be written, holds something else, or another process is at work in it.
        """
        from filelock import FileLock, Timeout

        if self.path.exists() and not self.path.is_dir():
            raise UserError("the output is a file", where=self.path, hint="choose another -o")
        if self.path.is_dir() and not self.exists and self._holds_other_files():
            raise UserError(
                "the folder is not empty and holds no run",
                where=self.path,
                hint="choose another -o; nothing was changed",
            )
        if printable(str(self.path)) != str(self.path):
            raise UserError(
                "the name of the output folder is not UTF-8", where=self.path, hint="choose -o"
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / LOCK, timeout=0)
            lock.acquire()
        except Timeout as error:
            raise UserError(
                "another pitflow is at work in this folder",
                where=self.path,
                hint="wait for it, or choose another -o",
            ) from error
        except OSError as error:
            raise UserError(
                f"the output folder cannot be written ({error.strerror})",
                where=self.path,
                hint="choose another place with -o",
            ) from error
        try:
            # Not before: until then another process may have written it.
            if self.exists and not overwrite:
                self.read_manifest()
            yield
        finally:
            lock.release()
            if not self.exists:
                self._leave()

    def _leave(self) -> None:
        """Remove a folder in which no run was begun."""
        (self.path / LOCK).unlink(missing_ok=True)
        self.forget_index()
        if not any(self.path.iterdir()):
            self.path.rmdir()

    def _holds_other_files(self) -> bool:
        return any(entry.name not in {LOCK, INDEX} for entry in self.path.iterdir())

    def clear(self) -> None:
        """Remove all that a run has computed here, and nothing else.

        Its index goes beforehand (``forget_index``), for the recording is read before the run goes.
        """
        for name in ("video.zarr", "masks.zarr", "background.zarr", "tables", "figures", "parts"):
            shutil.rmtree(self.path / name, ignore_errors=True)
        for name in ("run.json", "config.toml", "report.html", "log.jsonl"):
            (self.path / name).unlink(missing_ok=True)
        self.manifest = Manifest()

    def forget_index(self) -> None:
        """Remove the index, so that the recording is read anew."""
        (self.path / INDEX).unlink(missing_ok=True)

    def describe(self, source: Path, mark: str, config: Config) -> None:
        """Note what is run; the same folder never mixes two recordings.

        Raises
        ------
        UserError
            If the folder holds the run of another recording.
        """
        known = self.manifest.input.get("fingerprint", mark)
        if known != mark:
            raise UserError(
                f"the folder holds the run of another recording ({self.manifest.input['name']})",
                where=self.path,
                hint="choose another -o, or add --overwrite",
            )
        self.manifest.input = {
            "name": called(source),
            "path": str(source.resolve()),
            "fingerprint": mark,
        }
        self.manifest.seed = config.seed
        self.manifest.config = config.model_dump(mode="json")
        self.manifest.versions = software_versions()
        self.save()
        _write(self.path / "config.toml", dump_config(config))

    def is_done(self, stage: str, key: str) -> bool:
        """Whether a stage has ended under this key."""
        state = self.manifest.stages.get(stage, {})
        return state.get("key") == key and state.get("state") == "done"

    def is_current(self, stage: str) -> bool:
        """Whether what a stage left is there, and of the parameters of the run."""
        return bool(self.manifest.stages.get(stage, {}).get("state") == "done")

    def begin(self, stage: str, key: str) -> None:
        """Start or resume a stage; what belongs to another key, or is incomplete, is dropped.

        Under another key than before, what later stages have made is outdated from now on.
        """
        parts = self.parts(stage)
        mark = parts / "key"
        # A stage that is done and begun again has lost some of its files.
        if self.is_done(stage, key) or not mark.is_file() or mark.read_text() != key:
            shutil.rmtree(parts, ignore_errors=True)
            parts.mkdir(parents=True)
            mark.write_text(key)
        stages = self.manifest.stages
        if stages.get(stage, {}).get("key", key) != key:
            for later in list(stages)[list(stages).index(stage) + 1 :]:
                stages[later]["state"] = "outdated"
        stages[stage] = {"key": key, "state": "running", "started": _now()}
        self._gather_notes()
        self.save()

    def end(self, stage: str, seconds: float, notes: list[str], warnings: list[str]) -> None:
        """Mark a stage as done."""
        self.manifest.stages[stage] |= {
            "state": "done",
            "ended": _now(),
            "seconds": round(seconds, 3),
            "notes": notes,
            "warnings": warnings,
        }
        self._gather_notes()
        self.save()

    def _gather_notes(self) -> None:
        stages = self.manifest.stages.values()
        self.manifest.notes = [note for state in stages for note in state.get("notes", [])]
        self.manifest.warnings = [text for state in stages for text in state.get("warnings", [])]

    def log(self, event: str, **details: Any) -> None:
        """Append a line to ``log.jsonl``."""
        line = json.dumps({"time": _now(), "event": event, **details}, default=str)
        with (self.path / "log.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")

    def save(self) -> None:
        """Write ``run.json``; atomic."""
        _write(self.manifest_file, json.dumps(self.manifest.__dict__, indent=2, default=str) + "\n")

    def read_manifest(self) -> None:
        """Read ``run.json``.

        Raises
        ------
        UserError
            If it is damaged.
        """
        try:
            self.manifest = Manifest(**json.loads(self.manifest_file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise UserError(
                f"the manifest cannot be read ({error})",
                where=self.manifest_file,
                hint="run again with --overwrite",
            ) from error


def at_home(path: Path | str) -> Path:
    """Return a path whose leading ``~`` is the home folder, as a shell would have made it."""
    path = Path(path)
    return path.expanduser() if path.parts[:1] == ("~",) else path


def open_run(path: Path) -> RunFolder:
    """Open a run that exists.

    Raises
    ------
    UserError
        If there is no run in the folder.
    """
    run = RunFolder(path)
    if not run.exists:
        raise UserError("no run here", where=path, hint="name a folder that `pitflow run` wrote")
    run.read_manifest()
    return run


def open_measured(path: Path) -> RunFolder:
    """Open a run whose measurements are done.

    Raises
    ------
    UserError
        If there is no run in the folder, or it was stopped before.
    """
    run = open_run(path)
    if not run.is_current("measure"):
        raise UserError(
            "the run is not finished", where=path, hint="continue it with `pitflow run`"
        )
    return run


def software_versions() -> dict[str, str]:
    """Return the versions of pitflow, Python and the packages that decide results."""
    from pitflow import __version__

    versions = {"pitflow": __version__, "python": platform.python_version()}
    for package in RECORDED_PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Elapsed time, s."""
        return time.perf_counter() - self._start


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _write(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
