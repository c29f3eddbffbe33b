from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import fourier_shift, gaussian_filter

from pitflow.acquire.registration import Pose, Registration

RNG = np.random.default_rng(20)
TEXTURE = gaussian_filter(RNG.normal(size=(500, 467)), 1.5, mode="wrap")
TEXTURE = 150 + 8 * TEXTURE / TEXTURE.std()


def frame(dx: float, dy: float, gain: float = 1.0, noise: float = 3.0, seed: int = 1) -> np.ndarray:
    """The texture moved exactly (by its Fourier phases), as an 8 bit frame with noise."""
    moved = np.fft.ifft2(fourier_shift(np.fft.fft2(TEXTURE), (dy, dx))).real
    noisy = gain * moved + np.random.default_rng(seed).normal(0, noise, moved.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def registration() -> Registration:
    return Registration(frame(0, 0, seed=0))


@pytest.mark.parametrize(
    "shift", [(0, 0), (0.5, 0.5), (0.3, -0.7), (3.25, 1.9), (-11.4, 6.6), (25.2, -17.7), (-40, 31)]
)
@pytest.mark.parametrize("gain", [1.0, 0.93])
def test_recovers_a_known_pose(registration, shift, gain):
    pose = registration.measure(frame(*shift, gain=gain))
    assert (pose.dx, pose.dy) == pytest.approx(shift, abs=0.03)
    assert pose.gain == pytest.approx(gain, abs=0.002)


def test_has_no_preference_for_whole_pixels(registration):
    parts = np.linspace(-0.5, 0.5, 9)
    measured = [registration.measure(frame(part, 0, seed=i)) for i, part in enumerate(parts)]
    assert np.mean([pose.dx for pose in measured] - parts) == pytest.approx(0, abs=0.01)
    assert np.abs([pose.dx for pose in measured] - parts).max() < 0.03


def test_moving_objects_and_growing_pits_do_not_pull(registration):
    image = frame(1.4, -0.6)
    rows, columns = np.mgrid[:500, :467]
    for x, y, radius in RNG.uniform([0, 0, 2], [467, 500, 6], (60, 3)):
        image[np.hypot(columns - x, rows - y) < radius] = 40
    image[np.hypot(columns - 230, rows - 250) < 60] = 15
    pose = registration.measure(image)
    assert (pose.dx, pose.dy) == pytest.approx((1.4, -0.6), abs=0.05)
    assert pose.gain == pytest.approx(1.0, abs=0.01)


def test_16_bit_equals_8_bit():
    wide = Registration(frame(0, 0, seed=0).astype(np.uint16) * 200)
    pose = wide.measure(frame(2.3, 1.1).astype(np.uint16) * 200)
    assert (pose.dx, pose.dy) == pytest.approx((2.3, 1.1), abs=0.03)


@pytest.mark.parametrize("value", [0, 90])
def test_a_flat_image_has_no_shift(value):
    flat = np.full((300, 420), value, np.uint8)
    pose = Registration(flat).measure(flat)
    assert pose == Pose(0.0, 0.0, 1.0)


def test_noise_alone_has_no_shift():
    noise = RNG.normal(150, 3, (2, 500, 467)).astype(np.uint8)
    pose = Registration(noise[0]).measure(noise[1])
    assert (pose.dx, pose.dy) == (0.0, 0.0)


def test_a_frame_too_small_for_tiles_has_no_shift_but_a_gain():
    small = frame(0, 0)[:97, :64]
    pose = Registration(small).measure((small * 0.9).astype(np.uint8))
    assert (pose.dx, pose.dy) == (0.0, 0.0)
    assert pose.gain == pytest.approx(0.9, abs=0.01)
