from __future__ import annotations

import cv2
import numpy as np
import pytest
from recordings import scene_frames

from pitflow.acquire.quality import FrameCheck, Overview, is_same


def verdict(check: FrameCheck, *frames: np.ndarray) -> bool:
    """Judge the middle one of three frames."""
    before, frame, after = (Overview.of(image) for image in frames)
    return check.is_damaged(frame, before, after)


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    return scene_frames(3, (240, 320))


@pytest.fixture(scope="module")
def check(frames) -> FrameCheck:
    return FrameCheck(frames[0])


def spoilt(image: np.ndarray, how: str) -> np.ndarray:
    image = image.copy()
    match how:
        case "zero rows":
            image[150:] = 0
        case "a few flat rows":
            image[100:108] = 128
        case "black":
            image[:] = 0
        case "white":
            image[:] = 255
        case "lamp off":
            image = np.random.default_rng(0).poisson(3, image.shape).astype(np.uint8)
        case "noise":
            rng = np.random.default_rng(0)
            image[120:200] = rng.integers(0, 256, (80, image.shape[1]))
        case "older picture":
            # A stretch of rows from elsewhere, brighter, as stale buffers leave it.
            image[100:160] = np.minimum(image[20:80] * 1.4, 255)
        case "darker picture":
            image[100:160] = image[20:80] * 0.6
        case "rolled":
            image = np.roll(image, 120, axis=0)
            image[:120] //= 2
    return image


@pytest.mark.parametrize(
    "how",
    [
        "zero rows",
        "a few flat rows",
        "black",
        "white",
        "lamp off",
        "noise",
        "older picture",
        "darker picture",
        "rolled",
    ],
)
@pytest.mark.parametrize("levels", [1, 257])
def test_spoilt_frame_is_told(frames, how, levels) -> None:
    frames = [image.astype(np.uint8 if levels == 1 else np.uint16) * levels for image in frames]
    eight = frames[1] // levels
    bad = spoilt(eight.astype(np.uint8), how).astype(frames[0].dtype) * levels
    check = FrameCheck(frames[0])
    assert verdict(check, frames[0], bad, frames[2])
    assert not verdict(check, *frames)


@pytest.mark.parametrize("every", [1, 10, 13])
def test_rows_that_are_flat_in_some_columns_are_no_damage(frames, check, every) -> None:
    """A look at every tenth column alone cannot tell; lines across the steel are like that."""
    lined = frames[1].copy()
    lined[100:110, ::every] = 128
    assert verdict(check, frames[0], lined, frames[2]) == (every == 1)


@pytest.mark.parametrize("gain", [0.6, 0.9, 1.1, 1.5])
def test_change_of_light_is_no_damage(frames, check, gain) -> None:
    changed = np.clip(frames[1] * gain, 0, 255).astype(np.uint8)
    # A flicker, a step up, and a step back.
    assert not verdict(check, frames[0], changed, frames[2])
    assert not verdict(check, frames[0], changed, changed)
    assert not verdict(check, changed, frames[1], frames[2])


def test_alternating_light_is_no_damage(frames, check) -> None:
    for i in range(8):
        trio = [frames[j % 3] * (0.85 + 0.15 * ((i + j) % 2)) for j in range(3)]
        assert not verdict(check, *(image.astype(np.uint8) for image in trio))


def test_big_moving_object_is_no_damage(frames, check) -> None:
    trio = []
    for i, image in enumerate(frames):
        image = image.copy()
        cv2.circle(image, (60 + 60 * i, 120), 50, 40, -1)
        trio.append(image)
    assert not verdict(check, *trio)


def test_change_for_good_is_no_damage(frames, check) -> None:
    later = frames[1].copy()
    later[100:180] = later[100:180] // 3
    assert not verdict(check, frames[0], later, later)
    assert not verdict(check, frames[0], frames[1], later)
    assert not verdict(check, later, later, frames[2])


def test_black_bars_of_the_recording_are_no_damage(frames) -> None:
    barred = [image.copy() for image in frames]
    for image in barred:
        image[:30] = 0
        image[-30:] = 0
    check = FrameCheck(barred[0])
    assert not verdict(check, *barred)
    cut = barred[1].copy()
    cut[150:] = 0
    assert verdict(check, barred[0], cut, barred[2])


def test_drifting_texture_is_no_damage() -> None:
    rng = np.random.default_rng(5)
    wide = np.clip(150 + 500 * cv2.GaussianBlur(rng.normal(0, 0.1, (300, 400)), (0, 0), 2), 0, 255)
    trio = [wide[y : y + 240, x : x + 320].astype(np.uint8) for y, x in ((0, 0), (5, 8), (0, 2))]
    assert not verdict(FrameCheck(trio[0]), *trio)


def test_same_means_every_pixel() -> None:
    image = scene_frames(1)[0]
    other = image.copy()
    assert is_same(image, other)
    other[33, 40] ^= 1
    assert not is_same(image, other)


@pytest.mark.parametrize("shape", [(8, 8), (31, 5), (97, 64)])
def test_small_frames(shape) -> None:
    frames = scene_frames(3, shape, seed=3)
    assert not verdict(FrameCheck(frames[0]), *frames)


@pytest.mark.parametrize("name", ["clip-steel/clip.avi", "bulk-water/bulk-water.mov"])
def test_no_false_alarm_on_real_recordings(shared_data, name) -> None:
    from pitflow.acquire.opening import open_source

    source = open_source(shared_data / name)
    images = [image for _, image, _ in source.read(0, 40)]
    check = FrameCheck(images[0])
    for i in range(1, 39):
        assert not verdict(check, *images[i - 1 : i + 2])
