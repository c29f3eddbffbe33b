"""From the mask of a panel to its numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pitflow.domains.panels.pictures import Mask
from pitflow.measure.creep import (
    Creep,
    Profile,
    at_the_scribe,
    compute_creep,
    creep_profiles,
    touching_px,
)
from pitflow.measure.rating import area_rating, scribe_rating
from pitflow.scribe import Scribe


@dataclass(frozen=True, slots=True)
class PanelNumbers:
    """What is measured on a panel; the ratings are None without a scribe, creep then NaN.

    Parameters
    ----------
    half_width_mm:
        Half the width of the cut, from where creep counts.
    at_scribe:
        Mask of the corrosion that touches a scribe.
    profiles:
        Creep along each scribe.
    """

    scribes: tuple[Scribe, ...]
    mm_per_px: float
    half_width_mm: float
    at_scribe: Mask
    profiles: tuple[Profile, ...]
    creep: Creep
    corroded_area_mm2: float
    corroded_percent: float
    scribe_area_mm2: float
    rating: int | None
    rating_unscribed: int

    @property
    def scribe_length_mm(self) -> float:
        """Length of all scribes, mm; NaN without."""
        length = sum(scribe.length_px for scribe in self.scribes) * self.mm_per_px
        return length if self.scribes else math.nan


def measure_panel(
    mask: Mask, scribes: Sequence[Scribe], mm_per_px: float, scribe_width_mm: float = 0.0
) -> PanelNumbers:
    """Measure areas, creep and ratings on the mask of a panel.

    Parameters
    ----------
    mask:
        (height, width), true where corroded.
    mm_per_px:
        Size of a pixel.
    scribe_width_mm:
        Width of the cut itself, of which half is no creep.
    """
    half_width = scribe_width_mm / 2
    at_scribe = at_the_scribe(mask, scribes, touching_px(mm_per_px, half_width))
    profiles = creep_profiles(mask, scribes, mm_per_px, half_width)
    creep = compute_creep(profiles)
    corroded, near = int(np.count_nonzero(mask)), int(np.count_nonzero(at_scribe))
    pixel_mm2 = mm_per_px**2
    return PanelNumbers(
        tuple(scribes),
        mm_per_px,
        half_width,
        at_scribe,
        tuple(profiles),
        creep,
        corroded * pixel_mm2,
        100 * corroded / mask.size,
        near * pixel_mm2,
        None if math.isnan(creep.mean_mm) else scribe_rating(creep.mean_mm),
        area_rating(100 * (corroded - near) / mask.size),
    )
