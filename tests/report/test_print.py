"""Figures as a journal prints them: their width, their text, their lines, their panels' letters."""

from __future__ import annotations

import io
import re

import matplotlib as mpl
import pytest
from matplotlib.text import Text

from pitflow.report.contents import SECTIONS
from pitflow.report.data import ReportData
from pitflow.report.panel import Panel
from pitflow.report.style import RC, SMALL, letter, letters

_ENTRIES = [entry for section in SECTIONS for entry in section.entries]


@pytest.fixture(autouse=True)
def _style():
    with mpl.rc_context(RC):
        yield


def test_letters_go_on_after_z() -> None:
    assert [letter(place) for place in (0, 25, 26, 53)] == ["a", "z", "aa", "bb"]
    assert [letters(number) for number in (1, 2, 5)] == ["", "(a–b) ", "(a–e) "]


@pytest.mark.parametrize("entry", _ENTRIES, ids=[entry.name for entry in _ENTRIES])
def test_a_figure_reads_at_the_width_of_its_column(entry, run: ReportData) -> None:
    made = entry.make(run)
    if not isinstance(made, Panel):
        pytest.skip("nothing is drawn")
    assert 25.4 * made.figure.get_figwidth() <= 180.01
    svg = io.StringIO()
    made.figure.savefig(svg, format="svg")
    sizes = re.findall(r"font(?:-size)?: ?(?:\d+ )?([\d.]+)px", svg.getvalue())
    assert sizes
    assert min(map(float, sizes)) >= SMALL
    widths = [float(width) for width in re.findall(r"stroke-width: ([\d.]+)", svg.getvalue())]
    assert min(widths, default=1.0) >= 0.5


@pytest.mark.parametrize("entry", _ENTRIES, ids=[entry.name for entry in _ENTRIES])
def test_panels_have_letters_and_the_caption_tells_them(entry, run: ReportData) -> None:
    made = entry.make(run)
    if not isinstance(made, Panel):
        pytest.skip("nothing is drawn")
    words = [text.get_text() for text in made.figure.findobj(Text)]
    found = [word.split("  ")[0] for word in words if re.match(r"[a-z]$|[a-z]  \S", word)]
    assert sorted(found) == [letter(place) for place in range(len(found))]
    assert len(found) > 1 or len(made.figure.axes) == 1
    assert bool(found) == bool(re.search(r"\(a[)–]", made.caption))
