"""A whole run against the truth."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pitflow.errors import UserError
from pitflow.score import detection
from pitflow.score.ejections import score_ejections, true_particle_of
from pitflow.score.events import score_events
from pitflow.score.heights import score_heights
from pitflow.score.lag import score_lag
from pitflow.score.pits import match_pits, score_growth, score_pits
from pitflow.score.tracking import score_tracks
from pitflow.score.truth import Truth, read_tables, read_truth

GATE_PX = 5.0
"""Two positions further apart than this do not match (the ISBI challenge's gate)."""

RIM_PX = 40.0
"""A particle no further than this from a pit's rim is near it."""

_NEEDED = {
    "particles": ("frame", "x", "y"),
    "pits": ("pit", "x", "y"),
    "ejections": ("particle", "pit", "frame", "angle_deg"),
    "correlation": ("pit", "lag", "r"),
    "outliers": ("particle", "frame"),
    "frames": ("frame",),
    "growth": ("pit", "frame", "area_px"),
    "pit_pixels": ("pit", "frame", "x", "y"),
}


@dataclass(frozen=True, slots=True)
class Score:
    """The score of a run: values by section, and what could not be scored.

    Parameters
    ----------
    gate_px:
        Largest distance of two positions that match, px.
    sections:
        Section to its values; a section may hold one level of named rows (a table).
    absent:
        One line for each part that could not be scored, and why.
    """

    gate_px: float
    sections: Mapping[str, Mapping[str, Any]]
    absent: tuple[str, ...]


def score_run(run_dir: Path | str, truth_dir: Path | str, gate_px: float = GATE_PX) -> Score:
    """Score a run directory against a folder of truth; only what both hold is scored.

    Parameters
    ----------
    run_dir:
        A run directory (its ``tables`` are read).
    truth_dir:
        Tables in the run's own columns, in the folder or in its ``tables``, and ``truth.json``.
    gate_px:
        Largest distance of two positions that match, px.

    Raises
    ------
    UserError
        If a folder or its tables are missing or unreadable, or the gate is not positive.
    """
    if not gate_px > 0:
        raise UserError(f"a gate of {gate_px} px", hint="the gate must be larger than 0")
    tables = read_tables(Path(run_dir))
    if not tables:
        raise UserError("holds no table", where=run_dir, hint="run `pitflow run` first")
    return score_tables(tables, read_truth(Path(truth_dir)), gate_px)


def score_tables(
    tables: Mapping[str, pd.DataFrame], truth: Truth, gate_px: float = GATE_PX
) -> Score:
    """Score tables of a run, by name, against the truth; see `score_run`."""
    return _Scorer(tables, truth, gate_px).score()


class _Scorer:
    def __init__(self, tables: Mapping[str, pd.DataFrame], truth: Truth, gate_px: float) -> None:
        self.absent: list[str] = []
        self.found = dict(tables)
        self.facts = truth.facts
        self.true = _within(truth.tables, tables.get("frames"))
        self.gate_px = gate_px
        self.sections: dict[str, dict[str, Any]] = {}

    def score(self) -> Score:
        particle_map: dict[int, int] = {}
        pit_map: dict[int, int] = {}
        if self._both("pits"):
            true, found = self.true["pits"], self.found["pits"]
            pairs, counts = match_pits(true, found)
            pit_map = dict(zip(pairs["found"].tolist(), pairs["true"].tolist(), strict=True))
            self.sections["pits"] = counts.as_dict() | score_pits(true, found, pairs)
            if len(pairs) and self._both("pit_pixels"):
                self.sections["growth"] = score_growth(
                    self.true["pit_pixels"], self.found["pit_pixels"], pairs
                )
        if self._both("particles"):
            particle_map = self._particles()
        if self._both("ejections"):
            self.sections["ejections"] = score_ejections(
                self.true["ejections"], self.found["ejections"], particle_map, pit_map
            )
        self._lag()
        if self._both("outliers"):
            self.sections["velocity outliers"] = score_events(
                self.true["outliers"], self.found["outliers"], particle_map
            ).as_dict()
        return Score(self.gate_px, self.sections, tuple(self.absent))

    def _particles(self) -> dict[int, int]:
        true, found = self.true["particles"], self.found["particles"]
        matches = detection.match_particles(true, found, self.gate_px)
        drifting = _with_drift(true, self.true.get("frames"))
        if drifting is not None:
            in_frame = detection.match_particles(drifting, found, self.gate_px)
            # Not the number of matches: a drift within the gate leaves that to chance.
            if self._closeness(in_frame) > self._closeness(matches):
                true, matches = drifting, in_frame
        rows = {
            "all": detection.count_matches(
                matches, np.ones(len(true), bool), np.ones(len(found), bool)
            )
        }
        for label, column, bins in (
            ("contrast", "contrast", detection.CONTRAST_BINS),
            ("diameter px", "diameter_px", detection.SIZE_BINS),
        ):
            if self._column("particles", column):
                counted = detection.count_by_bin(matches, true[column], found[column], bins)
                rows |= {f"{label} {name}": counts for name, counts in counted.items()}
        pits = self.true.get("pits")
        if pits is not None and {"pit", "x", "y", "area_px"} <= set(pits.columns):
            growth = self.true.get("growth", pd.DataFrame())
            near, found_near = (
                detection.rim_distance(table, pits, growth) <= RIM_PX for table in (true, found)
            )
            rows[f"within {RIM_PX:g} px of a rim"] = detection.count_matches(
                matches, near, found_near
            )
            if "contrast" in true and "contrast" in found:
                # NaN is in no bin.
                counted = detection.count_by_bin(
                    matches,
                    true["contrast"].where(near),
                    found["contrast"].where(found_near),
                    detection.CONTRAST_BINS,
                )
                rows |= {f"near rims, contrast {name}": counts for name, counts in counted.items()}
        else:
            self.absent.append("particles near rims: the truth has no pits with x, y and area_px")
        self.sections["detection"] = {name: counts.as_dict() for name, counts in rows.items()}
        self.sections["position"] = detection.position_error(matches, true, found)
        if self._column("particles", "z_um", in_found=False):
            self.sections["height"] = score_heights(matches, true, found)
        if not self._column("particles", "particle"):
            return {}
        track = score_tracks(true, found, self.gate_px)
        self.sections["linking"] = {name: getattr(track, name) for name in track.__slots__}
        return true_particle_of(matches, true, found)

    def _closeness(self, matches: detection.Matches) -> float:
        """Return by how much matches are nearer than the gate in all, px."""
        return float(np.sum(self.gate_px - matches.distance))

    def _lag(self) -> None:
        lag = self.facts.get("lag_frames")
        if lag is None:
            self.absent.append("lag: truth.json names no lag_frames")
        elif not isinstance(lag, int | float):
            raise UserError(f"lag_frames is {lag!r}", where="truth.json", hint="give a number")
        elif self._has(self.found, "correlation", "the run"):
            self.sections["lag"] = score_lag(self.found["correlation"], float(lag))

    def _both(self, name: str) -> bool:
        return all(
            self._has(tables, name, whose)
            for tables, whose in ((self.true, "the truth"), (self.found, "the run"))
        )

    def _has(self, tables: Mapping[str, pd.DataFrame], name: str, whose: str) -> bool:
        if name not in tables:
            self.absent.append(f"{name}: {whose} has no such table")
            return False
        lacking = [c for c in _NEEDED[name] if c not in tables[name].columns]
        if lacking:
            self.absent.append(f"{name}: {whose} lacks {', '.join(lacking)}")
            return False
        return True

    def _column(self, table: str, column: str, *, in_found: bool = True) -> bool:
        if column not in self.true[table].columns:
            self.absent.append(f"{table} by {column}: the truth has no such column")
            return False
        if in_found and column not in self.found[table].columns:
            self.absent.append(f"{table} by {column}: the run has no such column")
            return False
        return True


def as_json(score: Score) -> str:
    """Return the score as JSON; a value that is not defined is null."""
    return json.dumps(
        _plain(
            {"gate_px": score.gate_px, "sections": score.sections, "absent": list(score.absent)}
        ),
        indent=2,
    )


def render_text(score: Score) -> str:
    """Return the score as lines of text, one section after the other."""
    lines = [f"Positions match within {score.gate_px:g} px."]
    for title, values in score.sections.items():
        lines += ["", title.upper()]
        rows = {name: row for name, row in values.items() if isinstance(row, Mapping)}
        if rows:
            columns, width = list(next(iter(rows.values()))), max(24, *map(len, rows))
            lines.append(" " * (width + 2) + "".join(f"{column:>10}" for column in columns))
            lines += [
                f"  {name:<{width}}" + "".join(f"{_number(row[column]):>10}" for column in columns)
                for name, row in rows.items()
            ]
        else:
            lines += [f"  {name:<24}{_number(value):>10}" for name, value in values.items()]
    if score.absent:
        lines += ["", "NOT SCORED", *(f"  {line}" for line in score.absent)]
    return "\n".join(lines) + "\n"


def _within(
    true: Mapping[str, pd.DataFrame], frames: pd.DataFrame | None
) -> dict[str, pd.DataFrame]:
    """Keep the rows of truth that happened while the run was looking."""
    if frames is None or not len(frames):
        return dict(true)
    first, last = int(frames["frame"].min()), int(frames["frame"].max())
    kept = {}
    for name, table in true.items():
        when = "onset_frame" if name == "pits" else "frame"
        if when not in table.columns:
            kept[name] = table
        elif name in {"pits", "growth", "pit_pixels"}:
            kept[name] = table[table[when] <= last].reset_index(drop=True)
        else:
            kept[name] = table[table[when].between(first, last)].reset_index(drop=True)
    return kept


def _with_drift(particles: pd.DataFrame, frames: pd.DataFrame | None) -> pd.DataFrame | None:
    """Return the particles where each frame shows them, from positions in the first frame's place.

    Truth may leave the drift of the stage out of its positions, and a run may not; which of the
    two is meant shows in how close the matches are.
    """
    if frames is None or not {"frame", "shift_x_px", "shift_y_px"} <= set(frames.columns):
        return None
    shift = frames.set_index("frame")[["shift_x_px", "shift_y_px"]].reindex(particles["frame"])
    moved = particles.copy()
    moved[["x", "y"]] = particles[["x", "y"]].to_numpy(float) + shift.fillna(0.0).to_numpy(float)
    return moved


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _number(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "-"
    if isinstance(value, float) and not value.is_integer():
        return f"{value:.3g}" if abs(value) < 0.001 else f"{value:.3f}"
    return f"{value:.0f}" if isinstance(value, float) else str(value)
