"""The scribe, and rust by its colour, on rendered panels."""

from __future__ import annotations

import numpy as np
import pytest

from pitflow.segment.find_scribe import find_scribe
from pitflow.segment.rust import rust_mask
from pitflow.simulate.panel import PanelConfig, RenderedPanel, render_panel

CASES = {
    "fresh cut": PanelConfig(creep_left_mm=0, creep_right_mm=0, margin=0.05, stains=2),
    "little creep": PanelConfig(creep_left_mm=0.6, creep_right_mm=0.4, blisters=6, spots=3),
    "one-sided": PanelConfig(creep_left_mm=0.6, creep_right_mm=5, coating=(70, 110, 170)),
    "slanted": PanelConfig(
        creep_left_mm=1.5, creep_right_mm=1.2, scribe=(0.25, 0.3, 0.75, 0.6), coating=(90, 140, 90)
    ),
    "wide": PanelConfig(creep_left_mm=4, creep_right_mm=4, margin=0.05, spots=4),
}


@pytest.fixture(params=CASES.values(), ids=CASES.keys(), scope="module")
def panel(request: pytest.FixtureRequest) -> RenderedPanel:
    return render_panel(request.param, seed=4)


def test_rust_is_found_and_stains_are_not(panel: RenderedPanel) -> None:
    found = rust_mask(panel.image)
    if not panel.mask.any():
        assert found.mean() < 1e-4
        return
    both = np.count_nonzero(found & panel.mask)
    assert both / np.count_nonzero(found | panel.mask) > 0.9


def test_the_scribe_is_found(panel: RenderedPanel) -> None:
    scribe = find_scribe(panel.image, rust_mask(panel.image))
    assert scribe is not None
    assert scribe.length_px > 0.8 * panel.scribe.length_px
    (ax, ay), (bx, by) = scribe.along, panel.scribe.along
    assert abs(ax * bx + ay * by) > np.cos(np.radians(2))
    nx, ny = panel.scribe.to_the_right
    middle = (scribe.x0 + scribe.x1) / 2, (scribe.y0 + scribe.y1) / 2
    off = (middle[0] - panel.scribe.x0) * nx + (middle[1] - panel.scribe.y0) * ny
    assert abs(off) < 8


def test_noise_holds_no_scribe() -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(150, 6, (300, 240, 3)).clip(0, 255).astype(np.uint8)
    assert find_scribe(image) is None
    assert find_scribe(np.full((200, 200, 3), 90, np.uint8)) is None
