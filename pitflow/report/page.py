"""The report: one HTML file that holds everything, and the figures beside it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import matplotlib as mpl

from pitflow.errors import UserError
from pitflow.report.contents import SECTIONS, Entry
from pitflow.report.data import ReportData
from pitflow.report.methods import limits, methods
from pitflow.report.panel import Embedded, draw
from pitflow.report.pit_table import HEADINGS, pit_rows
from pitflow.report.style import RC
from pitflow.report.summary import findings

Progress = Callable[[int, int], None]
"""Told how many of how many figures are done."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An entry as the page shows it: a figure with its caption, or a sentence instead."""

    number: int
    title: str
    caption: str
    name: str = ""
    picture: Embedded | None = None


def write_report(data: ReportData, folder: Path, progress: Progress | None = None) -> Path:
    """Write ``folder``/report.html and ``folder``/figures/*.png (and *.svg); return the page.

    Parameters
    ----------
    data:
        The finished run.
    folder:
        The run directory; made if it is not there. The page is replaced at once, when complete.
    progress:
        Called after every figure with the number done and the number of all.

    Raises
    ------
    UserError
        If the folder cannot be written.
    """
    total = sum(len(section.entries) for section in SECTIONS)
    coming: list[tuple[Any, list[Future[Shown]]]] = []
    done = 0
    try:
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        with mpl.rc_context(RC), ThreadPoolExecutor(1, "figures") as writer:
            for section in SECTIONS:
                entries = []
                for entry in section.entries:
                    entries.append(_show(entry, data, folder / "figures", done + 1, writer))
                    done += 1
                    if progress is not None:
                        progress(done, total)
                coming.append((section, entries))
        shown = [(section, [entry.result() for entry in entries]) for section, entries in coming]
        page = folder / "report.html"
        partial = folder / "report.html.partial"
        partial.write_text(fill_page(data, shown), encoding="utf-8")
        partial.replace(page)
    except OSError as error:
        raise UserError(f"cannot write the report ({error.strerror})", where=folder) from error
    return page


def fill_template(name: str, **content: Any) -> str:
    """Return a template of this package, filled and in the look of all pages."""
    here = files("pitflow.report")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(here.joinpath(name).read_text(encoding="utf-8"))
    return template.render(style=here.joinpath("page.css").read_text(encoding="utf-8"), **content)


def fill_page(data: ReportData, shown: list[tuple[Any, list[Shown]]]) -> str:
    """Return the page as HTML; every text from outside is escaped."""
    return fill_template(
        "page.html.j2",
        title=data.config.title or data.name,
        data=data,
        findings=findings(data),
        sections=shown,
        headings=HEADINGS,
        pits=pit_rows(data),
        methods=methods(data),
        limits=limits(data),
        warnings=data.provenance.get("warnings", []),
        notes=data.provenance.get("notes", []),
        source=[
            (label, value)
            for label, value in (
                ("Recording", data.provenance.get("input", "")),
                ("Its hash", data.provenance.get("input_hash", "")),
                ("Analysed", data.provenance.get("date", "")),
            )
            if value
        ],
        versions=sorted(data.provenance.get("versions", {}).items()),
        timings=list(data.provenance.get("timings", {}).items()),
        parameters=data.provenance.get("config", ""),
    )


def _show(
    entry: Entry, data: ReportData, folder: Path, number: int, writer: Executor
) -> Future[Shown]:
    """Draw and write one figure; files of an earlier report that no longer apply are removed."""
    stem = folder / entry.name
    made = entry.make(data)
    wanted = () if isinstance(made, str) else ("png", "svg") if data.config.svg else ("png",)
    for kind in {"png", "svg"} - set(wanted):
        stem.with_name(f"{entry.name}.{kind}").unlink(missing_ok=True)
    if isinstance(made, str):
        return writer.submit(Shown, number, entry.title, made)
    finish = draw(made, stem, svg=data.config.svg)
    caption = made.caption
    return writer.submit(lambda: Shown(number, entry.title, caption, entry.name, finish()))
