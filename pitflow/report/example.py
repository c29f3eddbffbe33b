"""Which frame, pit and particle stand for the whole recording."""

from __future__ import annotations

import numpy as np

from pitflow.report.data import ReportData, ints

_STEADY = 1.25
"""Largest factor by which a steady particle's mass is off its median."""


def busiest_pit(data: ReportData) -> int | None:
    """Return the pit with most ejected particles, the larger one on a tie; None without pits."""
    return next(iter(busiest_pits(data)), None)


def busiest_pits(data: ReportData) -> list[int]:
    """Return the pits, those with most ejected particles first, the larger one on a tie."""
    ranked = data.tables["pits"].sort_values(
        ["n_ejected", "area_px"], ascending=False, kind="stable"
    )
    return [int(pit) for pit in ints(ranked, "pit")]


def busiest_frame(data: ReportData) -> int:
    """Return the good frame with most linked particles, the last one on a tie.

    Particles of the busiest pit count, or all of them if none has a source.
    """
    if data.good_frames.size == 0:
        return 0
    tracks = data.tracks[data.tracks["frame"].isin(data.good_frames)]
    of_pit = tracks[tracks["pit"] == (busiest_pit(data) or 0)]
    chosen = of_pit if not of_pit.empty else tracks
    if chosen.empty:
        return int(data.good_frames[-1])
    counts = np.bincount(ints(chosen, "frame"))
    return int(len(counts) - 1 - np.argmax(counts[::-1]))


def example_track(data: ReportData) -> int | None:
    """Return the track that shows best how a particle travels; None without a track of 5 frames.

    It is long, dark, has moved, comes from a pit, changes its blur and, if there is one, has a
    velocity outlier; its mass, which no height changes, is steady, and it is seen in most frames:
    a track that was handed from one particle to another is no example.
    """
    tracks = data.tracks[data.tracks["frame"].isin(data.good_frames)]
    if tracks.empty:
        return None
    groups = tracks.groupby("particle")
    size = groups.size()
    ends = groups[["x", "y", "pit"]].agg(["first", "last"])
    moved = np.hypot(*(np.asarray(ends[k, "last"] - ends[k, "first"], float) for k in "xy"))
    blur = tracks["blur_px"].where(tracks["blur_px"] > 0)
    third = groups.cumcount() * 3 // groups["frame"].transform("size")
    early, late = (
        blur[third == part].groupby(tracks["particle"]).median().reindex(size.index).to_numpy(float)
        for part in (0, 2)
    )
    ratio = tracks["mass"] / groups["mass"].transform("median")
    is_steady = ratio.isna() | ratio.between(1.0 / _STEADY, _STEADY)
    steady = is_steady.groupby(tracks["particle"]).mean().to_numpy(float)
    spans = (groups["frame"].max() - groups["frame"].min() + 1).to_numpy(float)
    change = np.nan_to_num(np.minimum(np.abs(np.log2(early / late)), 2.0))
    merit = (
        np.minimum(size.to_numpy(float), 60.0)
        * np.nan_to_num(groups["contrast"].median().to_numpy(float))
        * np.minimum(moved / 30.0, 1.0)
        * (1.0 + change)
        * np.where(groups["is_outlier"].any().to_numpy(bool), 1.5, 1.0)
        * (steady * size.to_numpy(float) / spans) ** 2
        * np.where(ends["pit", "first"].to_numpy(int) >= 0, 1.0, 0.3)
    )
    long = np.flatnonzero(size.to_numpy(int) >= 5)
    return int(size.index.to_numpy(int)[long[np.argmax(merit[long])]]) if long.size else None


def pit_radius(data: ReportData, pit: int) -> float:
    """Return the radius of the circle of the pit's final area, px."""
    area = float(data.pit(pit)["area_px"])
    return float(np.sqrt(area / np.pi)) if area > 0 else 0.0


def pit_centre(data: ReportData, pit: int) -> tuple[float, float]:
    """Return the centre that angles refer to, px, drift removed."""
    row = data.pit(pit)
    return float(row["x"]), float(row["y"])
