"""How photographs of panels are measured, and what came of one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pitflow.domains.panels.measure import PanelNumbers
from pitflow.scribe import Scribe


@dataclass(frozen=True, slots=True)
class AssessConfig:
    """How photographs are measured.

    Parameters
    ----------
    mm_per_px:
        Size of a pixel.
    scribes:
        Axes of the cuts in every photograph, px; None: found in each.
    scribe_width_mm:
        Width of the cut itself, of which half is no creep.
    """

    mm_per_px: float
    scribes: tuple[Scribe, ...] | None = None
    scribe_width_mm: float = 0.0


@dataclass(frozen=True, slots=True)
class Assessed:
    """One photograph and what came of it; ``doubts`` says why not to trust it, a sentence each."""

    name: str
    numbers: PanelNumbers
    row: dict[str, Any]
    overlay: Path
    doubts: tuple[str, ...] = ()
