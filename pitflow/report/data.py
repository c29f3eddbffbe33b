"""What the report is made from: the tables of a run and ways to look at its images."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
import pandas as pd

from pitflow.clock import Clock
from pitflow.config import Config, ReportConfig
from pitflow.frame import Image
from pitflow.report.window import Window

ClassMap = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

Baselines = Callable[[int, Window], Mapping[str, ClassMap]]
"""Class maps of other segmenters by name, for a frame and a window of it in px of that frame."""


class Provenance(TypedDict, total=False):
    """Where the numbers come from; every entry may be missing."""

    input: str
    """Path or name of the recording."""
    input_hash: str
    date: str
    """When the run was made, as it should be printed."""
    config: str
    """All parameters, as TOML."""
    versions: Mapping[str, str]
    """Program or library -> version."""
    timings: Mapping[str, float]
    """Stage -> seconds."""
    warnings: list[str]
    notes: list[str]
    """Further remarks of the stages, one sentence each."""


@dataclass(frozen=True)
class ReportData:
    """A finished run, as the report reads it.

    Parameters
    ----------
    name:
        Name of the recording.
    tables:
        Every table of ``schema.TABLES`` by name. The particles' positions are in the geometry of
        their own frame, all others have the stage drift removed.
    shape:
        (height, width) of a frame, px.
    fps, um_per_px:
        Frames per second and size of a pixel in um.
    n_frames:
        Frames in the recording.
    frame_at:
        Gives a frame by its index in the recording, in its own geometry; called for few frames.
    mask_at:
        Gives the class map of a frame, in that frame's geometry.
    background_at:
        Gives the empty scene behind a frame, drift removed and at the reference's brightness.
    baselines:
        Gives what other segmenters make of a crop, or None when there are none to show.
    provenance:
        Input, versions, configuration, timings, warnings.
    config:
        How the report looks.
    """

    name: str
    tables: Mapping[str, pd.DataFrame]
    shape: tuple[int, int]
    fps: float
    um_per_px: float
    n_frames: int
    frame_at: Callable[[int], Image]
    mask_at: Callable[[int], ClassMap]
    background_at: Callable[[int], Image]
    baselines: Baselines | None = None
    provenance: Provenance = field(default_factory=lambda: Provenance())
    config: ReportConfig = field(default_factory=ReportConfig)

    @cached_property
    def parameters(self) -> Config:
        """The parameters of the run, as far as the provenance tells; else the defaults."""
        return Config.model_validate(tomllib.loads(self.provenance.get("config", "")))

    @cached_property
    def good_frames(self) -> Ints:
        """Indices of the frames whose image can be shown, in order."""
        frames = self.tables["frames"]
        good = frames["quality"] == "ok"
        return frames.loc[good, "frame"].to_numpy(dtype=np.int64)

    @cached_property
    def span_s(self) -> tuple[float, float]:
        """Start of the first analysed frame and end of the last, s."""
        time = floats(self.tables["frames"], "time_s")
        if time.size == 0:
            return 0.0, 1.0 / self.fps
        return float(time.min()), float(time.max() + 1.0 / self.fps)

    @cached_property
    def even_fps(self) -> float | None:
        """Frames per second where all are equally far apart in time, None where they are not."""
        return self.fps if Clock.of(self.tables["frames"], self.fps).is_even else None

    @property
    def duration_s(self) -> float:
        """Length of what was analysed, s."""
        since, until = self.span_s
        return until - since

    def times(self, table: pd.DataFrame) -> Floats:
        """Return when the frames of a table's rows were taken, s."""
        frames = self.tables["frames"]
        time = pd.Series(floats(frames, "time_s"), index=ints(frames, "frame"))
        return np.asarray(time.reindex(ints(table, "frame")), dtype=np.float64)

    @cached_property
    def tracks(self) -> pd.DataFrame:
        """The linked particles, sorted by track and frame, with the stage drift removed."""
        particles = self.tables["particles"]
        linked = particles[particles["particle"] >= 0]
        tracks = linked.sort_values(["particle", "frame"], ignore_index=True)
        frames, at = np.unique(ints(tracks, "frame"), return_inverse=True)
        drift = np.array([self.shift(int(frame)) for frame in frames]).reshape(-1, 2)[at]
        return tracks.assign(x=tracks["x"] - drift[:, 0], y=tracks["y"] - drift[:, 1])

    @cached_property
    def sure_tracks(self) -> pd.DataFrame:
        """``tracks`` without what was only glimpsed, on which no statistic rests."""
        if "is_glimpse" not in self.tracks:
            return self.tracks
        return self.tracks[~self.tracks["is_glimpse"]].reset_index(drop=True)

    @cached_property
    def _states(self) -> dict[int, tuple[float, float, float, float]]:
        """Frame -> time, gain, drift to the right and drift down."""
        frames = self.tables["frames"]
        columns = (floats(frames, name) for name in ("time_s", "gain", "shift_x_px", "shift_y_px"))
        return dict(zip(ints(frames, "frame").tolist(), zip(*columns, strict=True), strict=True))

    def _state(self, frame: int) -> tuple[float, float, float, float]:
        return self._states.get(frame, (frame / self.fps, 1.0, 0.0, 0.0))

    def pit(self, pit: int) -> dict[str, Any]:
        """Return the row of a pit in the pits table, by column."""
        pits = self.tables["pits"]
        return {str(name): value for name, value in pits[pits["pit"] == pit].iloc[0].items()}

    def shift(self, frame: int) -> tuple[float, float]:
        """Return (dx, dy) in px that leads from a position without drift to that in ``frame``."""
        _, _, dx, dy = self._state(frame)
        return (float(dx), float(dy)) if np.isfinite([dx, dy]).all() else (0.0, 0.0)

    def gain(self, frame: int) -> float:
        """Return the brightness of ``frame`` relative to the reference, 1 where unknown."""
        gain = float(self._state(frame)[1])
        return gain if np.isfinite(gain) and gain > 0 else 1.0

    def seconds(self, frame: int) -> float:
        """Return the time of ``frame`` since the first frame, s."""
        return float(self._state(frame)[0])


def there_from_the_start(data: ReportData, pits: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return which pits are there in the first analysed frame, so that their onset is not seen."""
    return np.asarray(ints(pits, "onset_frame") <= data.tables["frames"]["frame"].min())


def by_pit(table: pd.DataFrame) -> Iterator[tuple[int, pd.DataFrame]]:
    """Yield every pit in a table with its rows, in order of the pits."""
    for pit in np.unique(ints(table, "pit")):
        yield int(pit), table[table["pit"] == pit]


def floats(table: pd.DataFrame, name: str) -> Floats:
    """Return a column as float64."""
    return table[name].to_numpy(dtype=np.float64)


def ints(table: pd.DataFrame, name: str) -> Ints:
    """Return a column as int64."""
    return table[name].to_numpy(dtype=np.int64)
