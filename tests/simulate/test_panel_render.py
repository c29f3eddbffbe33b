"""Rendered panels hold what they say."""

from __future__ import annotations

import numpy as np
import pytest

from pitflow.segment.classical.rust import is_rust_coloured
from pitflow.simulate.panel import PanelConfig, draw_panel, render_panel


def test_the_creep_is_the_mean_that_was_asked_for() -> None:
    config = PanelConfig(creep_left_mm=1.5, creep_right_mm=3.0, roughness=0.5)
    panel = render_panel(config, seed=3)
    assert panel.left_mm.mean() == pytest.approx(1.5, rel=1e-3)
    assert panel.right_mm.mean() == pytest.approx(3.0, rel=1e-3)
    assert panel.left_mm.std() > 0.05
    # Area = both sides times length.
    area_mm2 = panel.at_scribe.sum() * config.mm_per_px**2
    expected = 4.5 * panel.scribe.length_px * config.mm_per_px
    assert area_mm2 == pytest.approx(expected, rel=0.01)


def test_the_same_seed_gives_the_same_picture() -> None:
    config = PanelConfig(height=96, width=80, spots=2, blisters=2, stains=1, margin=0.1)
    one, same, other = (render_panel(config, seed) for seed in (1, 1, 2))
    assert np.array_equal(one.image, same.image)
    assert not np.array_equal(one.image, other.image)


def test_spots_are_corroded_but_not_at_the_scribe() -> None:
    panel = render_panel(PanelConfig(spots=5), seed=1)
    assert (panel.mask & ~panel.at_scribe).sum() > 50
    assert (panel.mask | panel.at_scribe).sum() == panel.mask.sum()


def test_without_creep_nothing_is_corroded() -> None:
    assert not render_panel(PanelConfig(creep_left_mm=0, creep_right_mm=0), seed=0).mask.any()


def test_a_coating_of_the_colour_of_rust_changes_no_corrosion_at_the_scribe() -> None:
    coloured = 0
    for seed in range(8):
        grey, rusty = (
            draw_panel(np.random.default_rng(seed), 128, rust_coloured=of_rust)
            for of_rust in (False, True)
        )
        assert grey.scribe == rusty.scribe
        one, other = render_panel(grey, seed), render_panel(rusty, seed)
        assert np.array_equal(one.left_mm, other.left_mm)
        assert np.array_equal(one.at_scribe, other.at_scribe)
        coloured += is_rust_coloured(other.image)
    assert coloured >= 6
