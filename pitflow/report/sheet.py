"""A page of findings, tables and pictures in the look of the report, for what is not one run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pitflow.errors import UserError
from pitflow.report.page import fill_template
from pitflow.report.panel import Embedded


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure with its caption."""

    kind: ClassVar[str] = "picture"
    picture: Embedded
    title: str
    caption: str


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: headings with their units, rows of cells, the first of which is a name."""

    kind: ClassVar[str] = "grid"
    headings: Sequence[tuple[str, str]]
    rows: Sequence[Sequence[str]]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """Words and what they mean, or quantities and how they were made."""

    kind: ClassVar[str] = "terms"
    items: Sequence[tuple[str, str]]


Block = Text | Picture | Grid | Terms


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands under it."""

    anchor: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Sheet:
    """All that stands on a page; the findings say it in sentences."""

    title: str
    subtitle: str
    findings: Sequence[str]
    sections: Sequence[Section]
    warnings: Sequence[str] = ()


def write_sheet(sheet: Sheet, path: Path) -> Path:
    """Write a page as one file that holds everything; replaced at once, when complete.

    Raises
    ------
    UserError
        If it cannot be written.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(fill_template("sheet.html.j2", sheet=sheet), encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise UserError(f"cannot write the page ({error.strerror})", where=path) from error
    return path
