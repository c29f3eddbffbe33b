"""The code of the page on changing pitflow does what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pitflow.report import contents
from pitflow.report.contents import Entry, Section
from pitflow.results import open_results
from pitflow.segment.pit_map import no_pits
from pitflow.segment.protocol import DETECTION_COLUMNS

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    """What the page's code defines."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 3
    namespace: dict[str, Any] = {}
    for block in blocks:
        exec(block, namespace)
    return namespace


def test_the_segmenter_keeps_to_the_protocol(page: dict[str, Any], small_run: Path) -> None:
    results = open_results(small_run)
    segmenter = page["LocalSegmenter"](SimpleNamespace(share=0.1), no_pits(results.scene.shape))
    found = list(segmenter.segment(results.reader.read(0, 30), results.scene))
    assert [one.frame for one in found] == list(range(30))
    for one in found:
        assert tuple(one.particles.columns) == DETECTION_COLUMNS
        assert (one.classes == 1).sum() == pytest.approx(one.particles["area_px"].sum(), abs=3)
    assert sum(len(one.particles) for one in found) > 0


def test_the_measure_and_its_figure(
    page: dict[str, Any], small_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = open_results(small_run)
    pits, ejections = results.table("pits"), results.table("ejections")
    speed = page["compute_departure_speed"](pits, ejections)
    assert speed.tolist() == [ejections["speed_um_s"].median()]

    drawn = []
    make = page["make"]

    def kept(data: Any) -> Any:
        drawn.append(make(data))
        return drawn[-1]

    section = Section("own", "Own", (Entry("departure", "Speed at departure", kept),))
    monkeypatch.setattr(contents, "SECTIONS", (*contents.SECTIONS, section))
    (axes,) = results.figure("departure").axes
    np.testing.assert_array_equal(drawn[0].drawn["um_s"], speed)
    assert [bar.get_height() for bar in axes.patches] == speed.tolist()
