"""What the pages about micrographs have in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pitflow.report.panel import Panel, render
from pitflow.report.sheet import Picture, Section, Terms, Text


def picture(panel: Panel, page: Path, name: str, title: str) -> Picture:
    """Write a figure to ``figures/`` beside the page, as PNG and SVG; return it for the page."""
    return Picture(render(panel, page.parent / "figures" / name, svg=True), title, panel.caption)


def closing(
    methods: Sequence[tuple[str, str]], limits: Sequence[str], origin: Sequence[tuple[str, str]]
) -> list[Section]:
    """Return the sections that close a page: how numbers were made, their limits, their origin."""
    return [
        Section("methods", "How each number was made", [Terms(methods)]),
        Section("limits", "What to keep in mind", [Text(limit) for limit in limits]),
        Section("origin", "Where this page comes from", [Terms(origin)]),
    ]
