"""Particles that stand close together in a frame are counted; those of other frames are not."""

import numpy as np
import pandas as pd
import pytest

from pitflow.link.crowding import NEIGHBOUR_PX, crowded_share


def table(*rows: tuple[int, float, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["frame", "x", "y"])


def test_only_neighbours_in_the_same_frame_count() -> None:
    close, far = NEIGHBOUR_PX - 1, NEIGHBOUR_PX + 1
    particles = table((0, 10, 10), (0, 10 + close, 10), (0, 10, 60), (1, 10, 60 + far), (1, 10, 60))
    assert crowded_share(particles) == pytest.approx(2 / 5)


def test_it_is_the_share_that_pairs_have_when_counted_one_by_one() -> None:
    rng = np.random.default_rng(3)
    particles = pd.DataFrame(
        {
            "frame": rng.integers(0, 6, 300),
            "x": rng.uniform(0, 150, 300),
            "y": rng.uniform(0, 150, 300),
        }
    )
    near = 0
    for _, frame in particles.groupby("frame"):
        away = np.hypot(
            *(frame[axis].to_numpy()[:, None] - frame[axis].to_numpy() for axis in ("x", "y"))
        )
        np.fill_diagonal(away, np.inf)
        near += (away.min(axis=1) <= NEIGHBOUR_PX).sum()
    assert 0.05 < crowded_share(particles) == pytest.approx(near / 300)


def test_nothing_is_not_crowded() -> None:
    assert crowded_share(table()) == 0.0
