"""What is not marked is measured beside what is."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pitflow.frame import CLASS_PARTICLE, CLASS_PIT
from pitflow.segment.classical.blobs import Seeds, build_pyramid
from pitflow.segment.classical.darkening import Darkening, Structure
from pitflow.segment.classical.marking import mark_particles, measure_beside
from pitflow.segment.protocol import DETECTION_COLUMNS

SHAPE = (96, 96)
FAINT, STRONG = (40.0, 40.0), (40.0, 45.0)


@pytest.fixture
def darkening() -> Darkening:
    """A faint particle 5 px left of one five times as dark, on 200 grey levels."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    image = np.random.default_rng(3).normal(0, 0.3, SHAPE)
    for (row, column), depth in ((FAINT, 10), (STRONG, 50)):
        image += depth * np.exp(-0.5 * ((rows - row) ** 2 + (columns - column) ** 2) / 1.6**2)
    image = image.astype(np.float32)
    pyramid = build_pyramid(image, 1.2, 4)
    noise = tuple(Structure(np.zeros_like(band)).noise(band) for band in pyramid.band)
    return Darkening(image, np.full(SHAPE, 200, np.float32), pyramid, noise)


def seed_at(row: float, column: float) -> Seeds:
    return Seeds(
        np.zeros(1, np.intp), np.array([int(row)]), np.array([int(column)]), np.array([9.0])
    )


LOOK = SimpleNamespace(frame=SimpleNamespace(index=7, gain=1.0), pit=np.zeros(SHAPE, bool))
NOWHERE = np.full((1, 2), np.nan)


def test_beside_others_it_is_measured_without_what_is_theirs(darkening):
    def measured(others: Seeds) -> pd.DataFrame:
        table = measure_beside(LOOK, darkening, seed_at(*FAINT), np.array([0.01]), NOWHERE, others)
        assert tuple(table.columns) == DETECTION_COLUMNS
        assert (table["frame"].item(), table["score"].item()) == (7, 0.01)
        return table

    beside, alone = measured(seed_at(*STRONG)), measured(Seeds.none())
    assert beside["contrast"].item() == pytest.approx(10 / 200, rel=0.3)
    assert alone["contrast"].item() > 25 / 200
    assert beside["area_px"].item() < alone["area_px"].item()


def test_it_lies_where_the_network_sees_it(darkening):
    seen_at = np.array([[FAINT[1] + 0.3, FAINT[0] - 0.2]])
    table = measure_beside(
        LOOK, darkening, seed_at(*FAINT), np.array([0.01]), seen_at, seed_at(*STRONG)
    )
    assert table[["x", "y"]].to_numpy() == pytest.approx(seen_at)


def test_it_takes_nothing_from_what_is_marked(darkening):
    """The particles are measured as if it were not there, and so is their class map."""
    strong = seed_at(*STRONG)
    before = mark_particles(LOOK, darkening, strong, np.array([0.9]), certain=True)
    measure_beside(LOOK, darkening, seed_at(*FAINT), np.array([0.01]), NOWHERE, strong)
    after = mark_particles(LOOK, darkening, strong, np.array([0.9]), certain=True)
    np.testing.assert_array_equal(before.classes, after.classes)
    assert before.particles.equals(after.particles)


def test_nothing_unsure_gives_no_rows(darkening):
    nothing = measure_beside(
        LOOK, darkening, Seeds.none(), np.empty(0), np.empty((0, 2)), seed_at(*STRONG)
    )
    assert len(nothing) == 0
    assert tuple(nothing.columns) == DETECTION_COLUMNS


def test_a_pit_stays_a_pit_where_a_particle_is_seen_too(darkening):
    """A young pit is as small and dark as a particle."""
    pit = np.zeros(SHAPE, bool)
    pit[39:42, 44:47] = True
    look = SimpleNamespace(frame=LOOK.frame, pit=pit)
    marked = mark_particles(look, darkening, seed_at(*STRONG), np.array([0.9]), certain=True)
    assert (marked.classes[pit] == CLASS_PIT).all()
    assert (marked.classes == CLASS_PARTICLE).any()


def test_what_lies_on_a_pit_altogether_is_no_particle(darkening):
    pit = np.zeros(SHAPE, bool)
    pit[25:60, 25:70] = True
    look = SimpleNamespace(frame=LOOK.frame, pit=pit)
    marked = mark_particles(look, darkening, seed_at(*STRONG), np.array([0.9]), certain=True)
    assert len(marked.particles) == 0
    assert not (marked.classes == CLASS_PARTICLE).any()
