from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from pitflow.link.motion import MotionModel, MotionNoise, estimate_noise
from pitflow.link.velocity_prior import VelocityPrior


def spots(*ids: int) -> list[SimpleNamespace]:
    return [SimpleNamespace(track=SimpleNamespace(id=k)) for k in ids]


def model(memory: int = 3) -> MotionModel:
    return MotionModel(MotionNoise(0.3, 0.1), VelocityPrior.unknown(5.0), memory)


def test_a_new_track_is_expected_where_it_is():
    filters = model()
    filters.observe(0, np.array([0]), np.array([[10.0, 20.0]]))
    assert filters.predict(1, spots(0)) == pytest.approx(np.array([[10, 20]]))
    # position noise twice, the unknown velocity, and half a frame of acceleration
    expected = 2 * 0.3**2 + 5.0**2 + 0.1**2 / 4
    assert filters.prediction.covariance[0] == pytest.approx(expected * np.eye(2))


def test_constant_velocity_is_learned_and_extrapolated():
    filters = model()
    for t in range(20):
        filters.observe(t, np.array([7]), np.array([[3.0 * t, -2.0 * t]]))
    assert filters.predict(20, spots(7)) == pytest.approx(np.array([[60, -40]]), abs=0.05)
    assert filters.predict(23, spots(7)) == pytest.approx(np.array([[69, -46]]), abs=0.2)
    assert filters.prediction.covariance[0, 0, 0] > 2 * 0.3**2


def test_filter_equals_least_squares():
    """Without acceleration and with a wide prior, the filter is a straight line's best fit."""
    rng = np.random.default_rng(0)
    t = np.arange(12)
    xy = np.column_stack([4 * t, -t]) + rng.normal(0, 0.5, (12, 2))
    filters = MotionModel(MotionNoise(0.5, 1e-9), VelocityPrior.unknown(1e4), 3)
    for k in t:
        filters.observe(int(k), np.array([0]), xy[k : k + 1])
    fit = np.array([np.polyval(np.polyfit(t, xy[:, axis], 1), 12) for axis in (0, 1)])
    assert filters.predict(12, spots(0))[0] == pytest.approx(fit, abs=1e-3)


def test_order_of_the_particles_does_not_matter():
    filters = model()
    filters.observe(0, np.array([4, 2]), np.array([[40.0, 0], [20, 0]]))
    filters.observe(1, np.array([9, 4]), np.array([[90.0, 0], [41, 0]]))
    x = filters.predict(2, spots(2, 9, 4))[:, 0]
    assert x == pytest.approx([20, 90, 42], abs=0.1)
    assert filters.prediction.missed.tolist() == [1, 0, 0]
    assert filters.prediction.seen.tolist() == [1, 1, 2]


def test_velocity_survives_a_jump():
    """After a jump of 30 px the track goes on from the new place, unsure of its velocity."""
    filters = model()
    for t in range(10):
        filters.observe(t, np.array([0]), np.array([[2.0 * t, 0.0]]))
    filters.observe(10, np.array([0]), np.array([[50.0, 0.0]]))
    assert filters.predict(11, spots(0))[0] == pytest.approx([52, 0], abs=0.5)
    assert np.sqrt(filters.prediction.covariance[0, 0, 0]) > 15


@pytest.mark.parametrize(("position", "acceleration"), [(0.4, 0.1), (0.1, 0.5), (0.8, 0.05)])
def test_noise_is_estimated(position, acceleration):
    """Simulated from the model itself, with one link in fifty wrong."""
    rng = np.random.default_rng(5)
    n, length = 300, 30
    change = rng.normal(0, acceleration, (n, length, 2))
    velocity = np.cumsum(change, axis=1)
    x = np.cumsum(velocity - change / 2, axis=1) + rng.normal(0, position, (n, length, 2))
    x[rng.random((n, length)) < 0.02] += 10
    track = np.repeat(np.arange(n), length)
    frame = np.tile(np.arange(length), n)
    noise = estimate_noise(track, frame, x.reshape(-1, 2), MotionNoise(9, 9))
    assert noise.position_px == pytest.approx(position, rel=0.2)
    assert noise.acceleration_px == pytest.approx(acceleration, rel=0.25, abs=0.03)


def test_too_few_to_estimate():
    fallback = MotionNoise(1.0, 2.0)
    track, frame = np.zeros(9, np.int64), np.arange(9)
    assert estimate_noise(track, frame, np.zeros((9, 2)), fallback) is fallback


def test_velocity_prior_is_that_of_its_place():
    """Right of x = 0 all move right, left of it left; nobody knows about far away."""
    rng = np.random.default_rng(0)
    places = rng.uniform(-200, 200, (4000, 2))
    velocities = np.column_stack([np.sign(places[:, 0]) * 6.0, np.zeros(4000)])
    prior = VelocityPrior.learned(3.0, places, velocities)
    mean, covariance = prior.at(np.array([[100.0, 0], [-100, 50], [5000, 0]]))
    assert mean[:2] == pytest.approx(np.array([[6, 0], [-6, 0]]), abs=1.0)
    assert mean[2] == pytest.approx([0, 0])
    assert covariance[2] == pytest.approx(9 * np.eye(2))
    assert np.linalg.eigvalsh(covariance).min() > 0
