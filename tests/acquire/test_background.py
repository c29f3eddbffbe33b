from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from pitflow.acquire.background import StoredScene, median_background
from pitflow.acquire.registration import Pose
from pitflow.translation import translated

RNG = np.random.default_rng(3)


@pytest.mark.parametrize("n", [*range(1, 10), 13, 16, 21])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_median_equals_numpys(n, dtype):
    images = RNG.integers(0, np.iinfo(dtype).max + 1, (n, 37, 53)).astype(dtype)
    median = median_background(list(images), [Pose()] * n)
    assert median.dtype == dtype
    np.testing.assert_array_equal(median, np.floor(np.median(images, axis=0)))


def test_drift_of_stage_and_light_is_taken_out():
    scene = gaussian_filter(RNG.normal(size=(90, 110)), 2)
    scene = (150 + 12 * scene / scene.std()).astype(np.float32)
    poses = [Pose(0.4 * i, -0.7 * i, 1 + 0.02 * i) for i in range(5)]
    images = [np.rint(pose.gain * translated(scene, pose.dx, pose.dy)) for pose in poses]
    background = median_background([image.astype(np.uint8) for image in images], poses)
    inside = (slice(8, -8), slice(8, -8))
    np.testing.assert_allclose(background[inside], scene[inside], atol=1.5)


def test_moving_particles_leave_no_trace():
    images = [np.full((40, 60), 180, np.uint8) for _ in range(7)]
    for i, image in enumerate(images):
        image[10:14, 8 * i : 8 * i + 4] = 30
    background = median_background(images, [Pose()] * 7)
    assert (background == 180).all()


def test_poses_must_match_images():
    with pytest.raises(ValueError, match="2 images and 1 poses"):
        median_background([np.zeros((4, 4), np.uint8)] * 2, [Pose()])


@pytest.fixture
def stored() -> StoredScene:
    backgrounds = np.arange(10, dtype=np.uint8)[:, None, None] + np.zeros((1, 5, 7), np.uint8)
    frames = pd.DataFrame({"frame": np.arange(100, 180), "quality": "ok"})
    return StoredScene(backgrounds, frames, np.zeros((5, 7), np.uint8), block_frames=8)


def test_scene_answers(stored):
    assert stored.shape == (5, 7)
    assert stored.levels == 256
    assert stored.n_blocks == 10
    assert [stored.block_of(frame) for frame in (100, 107, 108, 179)] == [0, 0, 1, 9]
    assert (stored.background(4) == 4).all()
    with pytest.raises(ValueError, match="read-only"):
        stored.background(4)[:] = 0


def test_a_block_without_a_sound_frame_looks_like_the_nearest_that_has_some():
    backgrounds = np.arange(5, dtype=np.uint8)[:, None, None] + np.zeros((1, 5, 7), np.uint8)
    quality = ["damaged"] * 8 + ["ok"] * 16 + ["damaged", "gap"] * 8
    frames = pd.DataFrame({"frame": np.arange(40), "quality": quality})
    scene = StoredScene(backgrounds, frames, backgrounds[0], block_frames=8)
    assert [int(scene.background(block)[0, 0]) for block in range(5)] == [1, 1, 2, 2, 2]


def test_scene_is_safe_to_read_from_threads(stored):
    blocks = RNG.integers(0, 10, 400).tolist()
    with ThreadPoolExecutor(8) as pool:
        values = list(pool.map(lambda block: int(stored.background(block)[2, 3]), blocks))
    assert values == blocks
