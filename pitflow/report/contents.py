"""The page's sections and their figures, in reading order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pitflow.report.data import ReportData
from pitflow.report.figures import (
    angle,
    correlation,
    electrochemistry,
    flow,
    focus,
    growth,
    growth_strip,
    outlier_crops,
    overview,
    particle_strip,
    polar,
    quality,
    segmenters,
    speed,
    trajectories,
)
from pitflow.report.panel import Panel


@dataclass(frozen=True, slots=True)
class Entry:
    """A figure: the name of its files, its title, and what makes it."""

    name: str
    title: str
    make: Callable[[ReportData], Panel | str]


@dataclass(frozen=True, slots=True)
class Section:
    """A section: its anchor, its heading and its figures."""

    anchor: str
    title: str
    entries: tuple[Entry, ...]


SECTIONS = (
    Section(
        "scene",
        "Pits and particles",
        (Entry("overview", "The busiest frame", overview.make),),
    ),
    Section(
        "directions",
        "Where do the pits eject their particles?",
        (
            Entry("angle", "How an angle is measured", angle.make),
            Entry("polar", "Ejection directions of each pit", polar.make),
        ),
    ),
    Section(
        "growth",
        "How do the pits grow?",
        (
            Entry("growth-strip", "One pit growing", growth_strip.make),
            Entry("growth", "Area and ejections over time", growth.make),
        ),
    ),
    Section(
        "lag",
        "Does ejection follow growth?",
        (Entry("correlation", "Correlation over lag", correlation.make),),
    ),
    Section(
        "current",
        "What does the current say?",
        (Entry("electrochemistry", "Current, ejection and growth", electrochemistry.make),),
    ),
    Section(
        "motion",
        "How do the particles travel?",
        (
            Entry("trajectories", "All tracks", trajectories.make),
            Entry("flow", "Flow field", flow.make),
        ),
    ),
    Section(
        "particle",
        "Single particles: height, speed, sudden changes",
        (
            Entry("particle", "One particle over time", particle_strip.make),
            Entry("speed", "Its speed", speed.make),
            Entry("outliers", "Velocity outliers", outlier_crops.make),
            Entry("focus", "Blur, or height, since departure", focus.make),
        ),
    ),
    Section(
        "segmenters",
        "How well are particles and pits seen?",
        (Entry("segmenters", "Segmenters side by side", segmenters.make),),
    ),
    Section(
        "quality",
        "Quality of the recording",
        (Entry("quality", "Brightness, drift and detections", quality.make),),
    ),
)
