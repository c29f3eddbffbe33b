"""What is drawn is what the truth says."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest

from pitflow.frame import CLASS_PARTICLE, CLASS_PIT
from pitflow.simulate.config import SimulateConfig
from pitflow.simulate.drawn_pit import DrawnPit
from pitflow.simulate.exposure import Camera
from pitflow.simulate.render import classes, render, scenes
from pitflow.simulate.world import World, simulate_world

PLAIN = {
    "steel": {"scratches": 0, "specks_per_mpx": 0, "shading": 0},
    "camera": {"gain_drift": 0, "flicker": 0, "drift_px": 0},
    "noise": 0,
}


def _plain(**changes: object) -> SimulateConfig:
    return SimulateConfig(
        **{"frames": 60, "height": 260, "width": 300, "pits": 2} | PLAIN | changes
    )


@pytest.fixture(scope="module")
def flat() -> tuple[World, list[np.ndarray]]:
    """Particles from out of view over even steel: no pit, no noise."""
    config = _plain(pits=0, motion={"field_particles": 12}, frames=40)
    world = simulate_world(config, 1)
    return world, [scene.light.copy() for scene in scenes(world)]


def _alone(world: World, frame: int, far: float) -> pd.DataFrame:
    """Return the particles of a frame that nothing else is near."""
    own = world.tables["particles"].query("frame == @frame")
    specks = world.landed.query("frame <= @frame")
    other = np.vstack([own[["x", "y"]], specks[["x", "y"]]])
    gaps = np.hypot(*(own[["x", "y"]].to_numpy()[:, None] - other[None]).transpose(2, 0, 1))
    gaps[np.arange(len(own)), np.arange(len(own))] = np.inf
    inner = own["x"].between(far, world.config.width - far)
    inner &= own["y"].between(far, world.config.height - far)
    return own[inner & (gaps.min(axis=1) > 2 * far)]


def test_particles_are_drawn_where_and_as_dark_as_the_truth_says(
    flat: tuple[World, list[np.ndarray]],
) -> None:
    world, lights = flat
    checked = 0
    for frame in (5, 20, 35):
        for row in _alone(world, frame, 20).itertuples():
            left, top = round(row.x) - 20, round(row.y) - 20
            patch = 1 - lights[frame][top : top + 41, left : left + 41] / np.float32(0.83)
            rows, columns = np.indices(patch.shape)
            assert patch.sum() == pytest.approx(row.mass, rel=0.03)
            if row.blur_px < 5:
                assert left + (columns * patch).sum() / patch.sum() == pytest.approx(row.x, abs=0.1)
                assert top + (rows * patch).sum() / patch.sum() == pytest.approx(row.y, abs=0.1)
            assert patch.max() == pytest.approx(row.contrast, rel=0.2)
            checked += 1
    assert checked >= 8


def test_a_landed_particle_stays_as_a_sharp_speck(flat: tuple[World, list[np.ndarray]]) -> None:
    world, lights = flat
    landing = world.landed[world.landed["frame"] < 35].iloc[0]
    frame, x, y = int(landing["frame"]), round(landing["x"]), round(landing["y"])
    body = int(landing["particle"])
    assert lights[0][y, x] == pytest.approx(0.83, abs=0.01)
    assert lights[frame][y, x] < 0.83 * (1 - 0.15 * world.bodies.opacity[body])
    assert lights[-1][y, x] == pytest.approx(float(lights[frame][y, x]), rel=0.02)


def test_pit_pixels_are_black_from_their_frame_on_and_not_before() -> None:
    world = simulate_world(_plain(rate=0, motion={"field_particles": 0}), 3)
    pixels = world.tables["pit_pixels"]
    for scene in scenes(world):
        dark = (scene.light < 0.45 * 0.83).astype(np.uint8)
        true = np.zeros_like(dark)
        now = pixels[pixels["frame"] <= scene.frame]
        true[now["y"], now["x"]] = 1
        assert int(dark.sum()) == pytest.approx(int(true.sum()), rel=0.15)
        # Deep inside it is black, far outside it is steel.
        assert (dark[cv2.erode(true, np.ones((5, 5))) > 0] == 1).all()
        assert (dark[cv2.dilate(true, np.ones((5, 5))) == 0] == 0).all()


def test_stage_drift_moves_everything_by_the_shift_in_the_frames_table() -> None:
    config = _plain(
        camera={"gain_drift": 0, "flicker": 0, "drift_px": 6},
        rate=0,
        steel={"shading": 0},
        motion={"field_particles": 0},
        pits=0,
    )
    world = simulate_world(config, 2)
    frames = world.tables["frames"]
    last = frames.iloc[-1]
    assert np.hypot(last["shift_x_px"], last["shift_y_px"]) > 1
    lights = [scene.light.copy() for scene in scenes(world)]
    matrix = np.array([[1, 0, last["shift_x_px"]], [0, 1, last["shift_y_px"]]])
    moved = cv2.warpAffine(lights[0], matrix, lights[0].shape[::-1], flags=cv2.INTER_CUBIC)
    inner = (slice(20, -20), slice(20, -20))
    assert (
        np.abs(moved - lights[-1])[inner].mean()
        < 0.15 * np.abs(lights[0] - lights[-1])[inner].mean()
    )


def test_gain_of_the_frames_table_scales_the_light() -> None:
    config = _plain(
        camera={"gain_drift": 0.2, "flicker": 0.01, "drift_px": 0},
        rate=0,
        pits=0,
        motion={"field_particles": 0},
    )
    world = simulate_world(config, 2)
    mean = np.array([scene.light.mean() for scene in scenes(world)])
    np.testing.assert_allclose(mean / mean[0], world.tables["frames"]["gain"], rtol=1e-5)


def test_noise_has_the_configured_strength_on_bright_steel() -> None:
    config = _plain(noise=3.0, pits=0, frames=2, motion={"field_particles": 0})
    first, second = (image.astype(float) for image in render(simulate_world(config, 1)))
    assert np.std(second - first) / np.sqrt(2) == pytest.approx(3.0, rel=0.03)


@pytest.mark.parametrize(("bits", "top"), [(8, 255), (16, 65535)])
def test_bits_set_the_type_and_the_scale(bits: int, top: int) -> None:
    image = next(render(simulate_world(_plain(bits=bits, pits=0), 1)))
    assert image.dtype == np.dtype(f"uint{bits}")
    assert np.median(image) == pytest.approx(0.83 * top, rel=0.01)


@pytest.mark.parametrize("shape", [(16, 16), (33, 47), (64, 201)])
def test_any_size_is_rendered(shape: tuple[int, int]) -> None:
    config = SimulateConfig(frames=3, height=shape[0], width=shape[1], pits=1)
    assert [image.shape for image in render(simulate_world(config, 1))] == [shape] * 3


def test_class_maps_hold_the_true_areas() -> None:
    world = simulate_world(_plain(pits=1), 4)
    frame = 50
    result = classes(world, frame)
    area = world.tables["growth"].query("frame == @frame")["area_px"].sum()
    assert (result == CLASS_PIT).sum() == area
    for row in _alone(world, frame, 12).itertuples():
        box = result[round(row.y) - 12 : round(row.y) + 13, round(row.x) - 12 : round(row.x) + 13]
        if (box == CLASS_PIT).any() or row.blur_px > 4:
            continue
        assert (box == CLASS_PARTICLE).sum() == pytest.approx(row.area_px, rel=0.3, abs=4)


def test_noise_depends_on_the_frame_not_on_the_order() -> None:
    world = simulate_world(SimulateConfig(frames=4, height=40, width=50, pits=1), 1)
    all_scenes = list(scenes(world))
    forward = [Camera(world).expose(scene) for scene in all_scenes]
    camera = Camera(world)
    backward = [camera.expose(scene) for scene in all_scenes[::-1]][::-1]
    np.testing.assert_array_equal(forward, backward)


def test_a_lacy_rim_may_reach_beyond_the_front():
    world = simulate_world(_plain(frames=100), 3)
    pixels = world.tables["pit_pixels"]
    own = pixels[pixels["pit"] == 0]
    far = own.iloc[-1:].assign(x=int(world.pits.onset[0][0]) + int(world.pits.front[0].max()) + 12)
    tables = world.tables | {"pit_pixels": pd.concat([pixels, far], ignore_index=True)}
    pit = DrawnPit(replace(world, tables=tables), 0, np.random.default_rng(0))
    light = np.ones((260, 300), dtype=np.float32)
    pit.draw(light, 99, (0.0, 0.0))
    assert light.min() < 0.5
