"""The position of what hardly stands out is known less well, by as much as its tracks show."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pitflow.config import LinkConfig
from pitflow.link import link_detections
from pitflow.link.looks import describe
from pitflow.link.motion import MotionModel, MotionNoise, estimate_noise
from pitflow.link.position_noise import PositionNoise
from pitflow.link.velocity_prior import VelocityPrior

SHARP_PX, FAINT_PX = 0.1, 3.0


def sharp_and_faint(n: int = 40, frames: int = 40, seed: int = 0) -> pd.DataFrame:
    """Steady particles, every second one sharp and dark, the others faint and wide."""
    rng = np.random.default_rng(seed)
    particle, frame = np.divmod(np.arange(n * frames), frames)
    faint = particle % 2 == 1
    noise = np.where(faint, FAINT_PX, SHARP_PX)
    return pd.DataFrame(
        {
            "true": particle,
            "frame": frame,
            "x": 2.0 * frame + 25.0 * (particle % 8) + noise * rng.standard_normal(frame.size),
            "y": 40.0 * (particle // 8)
            + 3.0 * (particle % 8)
            + noise * rng.standard_normal(frame.size),
            "mass": np.where(faint, 4.0, 2.0) * rng.lognormal(0, 0.1, frame.size),
            "diameter_px": np.where(faint, 18.0, 4.0) * rng.lognormal(0, 0.05, frame.size),
        }
    )


def learned(table: pd.DataFrame) -> tuple[PositionNoise, MotionNoise]:
    linked = table["true"].to_numpy(), table["frame"].to_numpy(), table[["x", "y"]].to_numpy()
    noise = estimate_noise(*linked, MotionNoise(0.5, 0.7))
    return PositionNoise.learned(*linked, describe(table), noise), noise


def test_each_class_has_the_noise_of_its_tracks() -> None:
    table = sharp_and_faint()
    found, noise = learned(table)
    px = np.sqrt(found.variance(describe(table)))
    faint = (table["true"] % 2 == 1).to_numpy()
    assert np.median(px[faint]) == pytest.approx(FAINT_PX, rel=0.2)
    # No class is taken to be better than all together.
    assert np.median(px[~faint]) == pytest.approx(noise.position_px)
    assert noise.position_px < FAINT_PX / 2


def test_of_few_or_unknown_looks_all_are_alike() -> None:
    table = sharp_and_faint(n=4, frames=20)
    found, noise = learned(table)
    assert set(found.variance(describe(table))) == {noise.position_px**2}
    found, noise = learned(sharp_and_faint().drop(columns=["mass"]))
    assert found.variance(np.full((3, 2), np.nan)).tolist() == [noise.position_px**2] * 3


def test_a_track_expects_its_next_position_as_exactly_as_its_last_was_known() -> None:
    filters = MotionModel(MotionNoise(0.3, 0.1), VelocityPrior.unknown(5.0), 3)
    ids, places = np.array([0, 1]), np.array([[10.0, 20.0], [50.0, 20.0]])
    filters.observe(0, ids, places, np.array([0.01, 4.0]))
    filters.observe(1, ids, places + 2.0, np.array([0.01, 4.0]))
    filters.predict(2, [Track(0), Track(1)])
    sharp, faint = filters.prediction.covariance[:, 0, 0]
    assert faint - sharp > 2 * (4.0 - 0.01)


def test_faint_particles_that_jitter_keep_their_tracks() -> None:
    table = sharp_and_faint()
    linked = link_detections(table, LinkConfig()).particles
    pieces = linked[linked["particle"] >= 0].groupby("true")["particle"].nunique()
    assert pieces.sum() <= 1.1 * table["true"].nunique()


class Track:
    """A track as trackpy hands it to a predictor."""

    def __init__(self, number: int) -> None:
        self.track = self
        self.id = number
