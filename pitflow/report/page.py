"""The report: one HTML file that holds everything, and the figures beside it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

import jinja2
import matplotlib as mpl

from pitflow.errors import UserError
from pitflow.report.contents import SECTIONS
from pitflow.report.data import ReportData
from pitflow.report.methods import limits, methods
from pitflow.report.panel import Embedded, draw
from pitflow.report.pit_table import headings, pit_rows
from pitflow.report.style import RC
from pitflow.report.summary import findings
from pitflow.report.words import moment, sentence

Progress = Callable[[int, int], None]
"""Told how many of how many figures are done."""

_ENTRIES = [entry for section in SECTIONS for entry in section.entries]


@dataclass(frozen=True, slots=True)
class Shown:
    """An entry as the page shows it: a figure with its caption, or a sentence instead."""

    number: int
    title: str
    caption: str
    name: str = ""
    picture: Embedded | None = None


class Drawer(Protocol):
    """A process that draws figures of the same run beside this one."""

    def start(self) -> None:
        """Get ready, which takes a while; does nothing the second time."""
        ...

    def draw(self, number: int) -> Shown | None:
        """Draw figure ``number`` (from 1, in reading order) as ``draw_figure``; None: it cannot."""
        ...


def write_report(
    data: ReportData,
    folder: Path,
    progress: Progress | None = None,
    drawer: Drawer | None = None,
) -> Path:
    """Write ``folder``/report.html and ``folder``/figures/*.png (and *.svg); return the page.

    Parameters
    ----------
    data:
        The finished run.
    folder:
        The run directory; made if it is not there. The page is replaced at once, when complete.
    progress:
        Called after every figure with the number done and the number of all.
    drawer:
        Draws figures too, from the last one backwards, until all are drawn.

    Raises
    ------
    UserError
        If the folder cannot be written.
    """
    total = len(_ENTRIES)
    waiting = deque(range(1, total + 1))
    shown: dict[int, Shown | Future[Shown]] = {}

    lock = threading.Lock()

    def done(number: int, figure: Shown | Future[Shown]) -> None:
        with lock:
            shown[number] = figure
            if progress is not None:
                progress(len(shown), total)

    def draw_elsewhere(drawer: Drawer) -> None:
        while (number := _taken(waiting.pop)) is not None:
            figure = drawer.draw(number)
            if figure is None:
                waiting.append(number)
                return
            done(number, figure)

    try:
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        with mpl.rc_context(RC), ThreadPoolExecutor(2, "figures") as threads:
            elsewhere = None if drawer is None else threads.submit(draw_elsewhere, drawer)
            while len(shown) < total:
                number = _taken(waiting.popleft)
                if number is not None:
                    done(number, _draw(data, number, folder / "figures", threads))
                elif elsewhere is not None:
                    elsewhere.result()
        figures = {
            number: figure if isinstance(figure, Shown) else figure.result()
            for number, figure in shown.items()
        }
        page = folder / "report.html"
        partial = folder / "report.html.partial"
        partial.write_text(fill_page(data, figures), encoding="utf-8")
        partial.replace(page)
    except OSError as error:
        raise UserError(f"cannot write the report ({error.strerror})", where=folder) from error
    return page


def draw_figure(data: ReportData, number: int, folder: Path) -> Shown:
    """Draw figure ``number`` (from 1, in reading order) and write its files into ``folder``."""
    with mpl.rc_context(RC), ThreadPoolExecutor(1) as threads:
        return _draw(data, number, folder, threads).result()


def fill_template(name: str, **content: Any) -> str:
    """Return a template of this package, filled and in the look of all pages."""
    here = files("pitflow.report")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"sentence": sentence, "moment": moment}
    template = environment.from_string(here.joinpath(name).read_text(encoding="utf-8"))
    return template.render(style=here.joinpath("page.css").read_text(encoding="utf-8"), **content)


def fill_page(data: ReportData, figures: Mapping[int, Shown]) -> str:
    """Return the page with its figures as HTML; every text from outside is escaped."""
    numbers = iter(sorted(figures))
    shown = [(section, [figures[next(numbers)] for _ in section.entries]) for section in SECTIONS]
    return fill_template(
        "page.html.j2",
        title=data.config.title or data.name,
        data=data,
        findings=findings(data),
        sections=shown,
        headings=headings(data),
        pits=pit_rows(data),
        methods=methods(data),
        limits=limits(data),
        warnings=data.provenance.get("warnings", []),
        notes=data.provenance.get("notes", []),
        source=[
            (label, value)
            for label, value in (
                ("Recording", data.provenance.get("input", "")),
                ("Hash of its size and samples of it", data.provenance.get("input_hash", "")),
                ("Analysed", moment(data.provenance.get("date", ""))),
            )
            if value
        ],
        versions=sorted(data.provenance.get("versions", {}).items()),
        timings=list(data.provenance.get("timings", {}).items()),
        parameters=data.provenance.get("config", ""),
    )


def _taken(take: Callable[[], int]) -> int | None:
    try:
        return take()
    except IndexError:
        return None


def _draw(data: ReportData, number: int, folder: Path, threads: Executor) -> Future[Shown]:
    """Draw and write one figure; files of an earlier report that no longer apply are removed."""
    entry = _ENTRIES[number - 1]
    stem = folder / entry.name
    made = entry.make(data)
    wanted = () if isinstance(made, str) else ("png", "svg") if data.config.svg else ("png",)
    for kind in {"png", "svg"} - set(wanted):
        stem.with_name(f"{entry.name}.{kind}").unlink(missing_ok=True)
    if isinstance(made, str):
        return threads.submit(Shown, number, entry.title, made)
    finish = draw(made, stem, svg=data.config.svg)
    caption = made.caption
    return threads.submit(lambda: Shown(number, entry.title, caption, entry.name, finish()))
