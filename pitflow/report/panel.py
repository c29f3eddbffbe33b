"""A finished figure, and how it becomes files and part of the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image as PilImage

from pitflow.report.style import UNIT_IN

DPI = 300
"""Pixels per inch in print of the PNG, as journals ask of pictures."""


@dataclass(frozen=True)
class Panel:
    """A figure with its caption.

    Parameters
    ----------
    figure:
        What is drawn.
    caption:
        What is shown and how to read it, in plain words.
    photo:
        True if most of it is an image; the page then holds it as JPEG.
    drawn:
        The numbers that were drawn, by name.
    """

    figure: Figure
    caption: str
    photo: bool = False
    drawn: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Embedded:
    """A figure as the page holds it: a data URI and its size on the page, px."""

    uri: str
    width: int
    height: int


def render(panel: Panel, stem: Path, *, svg: bool) -> Embedded:
    """Write ``stem``.png, and ``stem``.svg if asked, and return the figure for the page."""
    return draw(panel, stem, svg=svg)()


def draw(panel: Panel, stem: Path, *, svg: bool) -> Callable[[], Embedded]:
    """Draw a figure and write ``stem``.svg if asked; return what does the rest of ``render``.

    That rest is compression, for another thread while the next figure is drawn. The figure is drawn
    once for the PNG and the page together, and once more for the SVG.
    """
    panel.figure.set_dpi(DPI)
    canvas: Any = FigureCanvasAgg(panel.figure)
    canvas.draw()
    picture = PilImage.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
    width, height = (round(100 * side / UNIT_IN) for side in panel.figure.get_size_inches())
    size = width, height
    stem.parent.mkdir(parents=True, exist_ok=True)
    if svg:
        panel.figure.savefig(
            stem.with_name(stem.name + ".svg"), format="svg", dpi=DPI, metadata={"Date": None}
        )
    return partial(_write_png, picture, stem.with_name(stem.name + ".png"), panel.photo, size)


def _write_png(picture: PilImage.Image, path: Path, photo: bool, size: tuple[int, int]) -> Embedded:
    png = io.BytesIO()
    # A noisy photograph hardly shrinks with effort; a chart does.
    picture.save(png, "png", compress_level=2 if photo else 6, dpi=(DPI, DPI))
    path.write_bytes(png.getvalue())
    kind, content = "png", png.getvalue()
    if photo:
        jpeg = io.BytesIO()
        picture.save(jpeg, "jpeg", quality=85)
        kind, content = "jpeg", jpeg.getvalue()
    text = base64.b64encode(content).decode("ascii")
    return Embedded(f"data:image/{kind};base64,{text}", *size)
