from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import fourier_shift, gaussian_filter, rotate
from scipy.ndimage import shift as move

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


def dots(rng: np.random.Generator) -> np.ndarray:
    """Many particles out of focus over steel without texture."""
    amount = np.zeros((424, 640))
    amount[rng.integers(0, 424, 500), rng.integers(0, 640, 500)] = rng.uniform(100, 500, 500)
    seen = 200 - gaussian_filter(amount, 2.2) + rng.normal(0, 1, amount.shape)
    return np.clip(np.rint(seen), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("seed", [2, 6, 23])
def test_particles_that_have_all_moved_on_are_no_shift(seed):
    rng = np.random.default_rng(seed)
    pose = Registration(dots(rng)).measure(dots(rng))
    assert (pose.dx, pose.dy) == (0.0, 0.0)


def test_a_frame_too_small_for_tiles_has_no_shift_but_a_gain():
    small = frame(0, 0)[:97, :64]
    pose = Registration(small).measure((small * 0.9).astype(np.uint8))
    assert (pose.dx, pose.dy) == (0.0, 0.0)
    assert pose.gain == pytest.approx(0.9, abs=0.01)


def grained(shape: tuple[int, int], seed: int, along: float = 25.0) -> np.ndarray:
    """Steel brushed along 30 degrees, which resembles itself wherever it slides along its grain."""
    rng = np.random.default_rng(seed)
    side = 2 * max(shape)
    grain = rotate(
        gaussian_filter(rng.normal(size=(side, side)), (0.8, along)), -30, order=1, reshape=False
    )
    grain = grain[side // 4 : side // 4 + shape[0], side // 4 : side // 4 + shape[1]]
    fine = gaussian_filter(rng.normal(size=shape), 1.0)
    return 190 + 5 * grain / grain.std() + 1.5 * fine / fine.std()


def pitted(steel: np.ndarray, pits, shift=(0.0, 0.0), gain=1.0, noise=1.5, seed=1) -> np.ndarray:
    """The middle of ``steel`` as an 8 bit frame, 40 px off each edge, with pits (x, y, radius)."""
    rows, columns = np.mgrid[: steel.shape[0], : steel.shape[1]] - 40
    open_ = np.zeros(steel.shape)
    for x, y, radius in pits:
        open_[np.hypot(columns - x, rows - y) < radius] = 1
    halo, edge = gaussian_filter(open_, 14), gaussian_filter(open_, 0.7)
    scene = steel * (1 - 0.2 * halo) * (1 - edge) + 22 * edge
    seen = move(scene, shift[::-1], order=3, mode="nearest")[40:-40, 40:-40]
    seen = gain * seen + np.random.default_rng(seed).normal(0, noise, seen.shape)
    return np.clip(np.rint(seen), 0, 255).astype(np.uint8)


SMALL_PITS = [(130, 130, 5), (290, 220, 5)]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("shift", [(0, 0), (-8.3, 11.2), (12.1, 7.0), (30.6, -21.4)], ids=str)
def test_grown_pits_leave_the_shift_of_grained_steel_alone(seed, shift):
    steel = grained((440, 500), seed)
    registration = Registration(pitted(steel, SMALL_PITS, seed=100))
    for radius in (20, 38):
        grown = [(x, y, radius) for x, y, _ in SMALL_PITS]
        pose = registration.measure(pitted(steel, grown, shift, gain=0.85, seed=radius))
        assert (pose.dx, pose.dy) == pytest.approx(shift, abs=0.15)


@pytest.mark.parametrize("shift", [(0, 0), (12.4, -7.6)], ids=str)
def test_pits_on_a_third_of_a_small_frame_leave_its_shift_alone(shift):
    steel = grained((320, 400), 3, along=3.0)
    registration = Registration(pitted(steel, [(90, 120, 5), (230, 120, 5)], seed=100))
    image = pitted(steel, [(90, 120, 60), (230, 120, 60)], shift)
    pose = registration.measure(image)
    assert (pose.dx, pose.dy) == pytest.approx(shift, abs=0.7)


@pytest.mark.parametrize("seed", range(3))
def test_pits_that_grow_on_blank_steel_are_no_shift(seed):
    blank = np.full((440, 500), 200.0)
    registration = Registration(pitted(blank, SMALL_PITS, seed=100 + seed))
    for radius in (9, 14, 25):
        grown = [(x, y, radius) for x, y, _ in SMALL_PITS]
        pose = registration.measure(pitted(blank, grown, seed=seed))
        assert np.hypot(pose.dx, pose.dy) < 0.5


@pytest.mark.parametrize("shift", [(0, 0), (3.4, -2.1)], ids=str)
def test_texture_that_repeats_itself_moves_the_least_it_can(shift):
    rows, columns = np.mgrid[:440, :500] * 2 * np.pi / 24
    tiles = 180 + 8 * np.sin(rows) * np.sin(columns)
    tiles += 4 * gaussian_filter(np.random.default_rng(4).normal(size=tiles.shape), 1.2)
    registration = Registration(pitted(tiles, SMALL_PITS, seed=100))
    image = pitted(tiles, [(x, y, 30) for x, y, _ in SMALL_PITS], shift)
    pose = registration.measure(image)
    assert (pose.dx, pose.dy) == pytest.approx(shift, abs=0.1)
