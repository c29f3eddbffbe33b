"""The table of pits, as text for the page."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pitflow.lag import ALPHA, find_lag
from pitflow.report.data import ReportData, there_from_the_start
from pitflow.report.style import pit_colour
from pitflow.report.words import angle_interval, p_value, significant
from pitflow.schema import FEWEST_FOR_MODES


@dataclass(frozen=True, slots=True)
class PitRow:
    """One pit: its colour and its cells, in the order of `headings`."""

    colour: str
    cells: tuple[str, ...]


def headings(data: ReportData) -> tuple[tuple[str, str], ...]:
    """Return name and unit, or a note, of each column."""
    coverage = f"{100 * data.parameters.measure.ejection.confidence:g} %"
    return (
        ("pit", ""),
        ("centre", "x, y in px"),
        ("onset", "s"),
        ("area", "µm²"),
        ("at the end", ""),
        ("particles", ""),
        ("mean direction", f"{coverage} interval"),
        ("R", "0 to 1"),
        ("q", "Rayleigh"),
        ("directions", "0: uniform"),
        ("growth leads", f"by frames, q ≤ {ALPHA:g}"),
    )


def pit_rows(data: ReportData) -> list[PitRow]:
    """Return one row per pit, in order of their numbers."""
    rows = []
    pits = data.tables["pits"].sort_values("pit")
    from_start = there_from_the_start(data, pits)
    for (_, row), was_there in zip(pits.iterrows(), from_start, strict=True):
        pit = int(row["pit"])
        answer = find_lag(data.tables["correlation"], pit)
        lag = (
            "–"
            if answer is None
            else f"{answer.lag}{'' if answer.r > 0 else ' (r < 0)'}".replace("-", "−")
            if answer.is_evidence
            else "no evidence"
        )
        # A preference may be significant and yet be told by no single direction.
        preferring = float(row["rayleigh_q"]) <= ALPHA
        modes = "not told" if preferring and row["n_modes"] < 1 else str(int(row["n_modes"]))
        if row["n_ejected"] < FEWEST_FOR_MODES:
            modes = "–"
        length = float(row["resultant_length"])
        direction = angle_interval(
            *(float(row[f"mean_angle_{end}deg"]) for end in ("", "lo_", "hi_"))
        )
        rows.append(
            PitRow(
                pit_colour(pit),
                (
                    str(pit),
                    f"{row['x']:.0f}, {row['y']:.0f}",
                    f"{'≤ ' if was_there else ''}{data.seconds(int(row['onset_frame'])):.1f}",
                    significant(float(row["area_um2"])),
                    "growing" if row["is_stable"] else "stopped",
                    f"{int(row['n_ejected'])}",
                    direction,
                    f"{length:.2f}" if np.isfinite(length) else "–",
                    p_value(float(row["rayleigh_q"]), "").strip().removeprefix("= "),
                    modes,
                    lag,
                ),
            )
        )
    return rows
