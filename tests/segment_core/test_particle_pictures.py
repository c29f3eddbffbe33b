"""Reading labelled tiles and simulated recordings, and what the network is shown of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from pitflow.domains.particles.centres import centres_of, draw_centres
from pitflow.domains.particles.channels import COMPANY, Views, make_channels
from pitflow.domains.particles.clips import read_clip, signal_to_noise
from pitflow.domains.particles.neighbours import neighbours
from pitflow.domains.particles.pictures import (
    left_out,
    read_grey,
    read_pictures,
)
from pitflow.domains.particles.relative import darkening
from pitflow.errors import UserError
from pitflow.frame import Frame
from pitflow.image_file import images_in, listed_images
from pitflow.segment.classical.window import Window
from pitflow.simulate.config import SimulateConfig, SteelConfig
from pitflow.simulate.render import classes
from pitflow.simulate.simulate import simulate
from pitflow.simulate.world import simulate_world


def test_labelled_images_are_found_in_natural_order(
    tmp_path: Path, write_pictures: Callable[..., None]
) -> None:
    write_pictures(tmp_path, ["v_0.5_10.000", "v_0.5_9.000"])
    cv2.imwrite(str(tmp_path / "unlabelled.png"), np.zeros((8, 8), np.uint8))
    pictures = read_pictures([tmp_path])
    assert [picture.name for picture in pictures] == ["v_0.5_9.000.png", "v_0.5_10.000.png"]
    assert len({picture.group for picture in pictures}) == 1
    assert set(pictures[0].truth) == {"particle", "centre"}
    assert pictures[0].truth["particle"].sum() > 50
    assert not pictures[0].views.company
    assert 0.5 < pictures[0].views.frame.max() <= 1
    assert len(images_in(tmp_path)) == 3


def test_a_copy_in_another_folder_is_of_the_same_group(
    tmp_path: Path, write_pictures: Callable[..., None]
) -> None:
    write_pictures(tmp_path / "one", ["v_0.5_1", "v_0.5_2", "w"])
    write_pictures(tmp_path / "other", ["x", "y"], seed=5)
    for end in (".png", "_mask.png"):
        shutil.copy(tmp_path / "one" / f"v_0.5_2{end}", tmp_path / "other" / f"copy{end}")
    groups = {p.name: p.group for p in read_pictures([tmp_path / "one", tmp_path / "other"])}
    assert groups["copy.png"] == groups["v_0.5_1.png"] == groups["v_0.5_2.png"]
    assert len(set(groups.values())) == 4


def test_images_of_sixteen_bits_and_of_colour_become_grey(tmp_path: Path) -> None:
    deep = np.full((4, 5), 40000, np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    np.testing.assert_array_equal(read_grey(tmp_path / "deep.png"), deep)
    cv2.imwrite(str(tmp_path / "colour.png"), np.full((4, 5, 3), 90, np.uint8))
    np.testing.assert_array_equal(read_grey(tmp_path / "colour.png"), np.full((4, 5), 90))


def _missing(folder: Path, write_pictures: Callable[..., None]) -> None:
    pass


def _unlabelled(folder: Path, write_pictures: Callable[..., None]) -> None:
    write_pictures(folder, ["a"])
    (folder / "a_mask.png").unlink()


def _other_size(folder: Path, write_pictures: Callable[..., None]) -> None:
    write_pictures(folder, ["a"])
    cv2.imwrite(str(folder / "a_mask.png"), np.zeros((9, 9), np.uint8))


def _text(folder: Path, write_pictures: Callable[..., None]) -> None:
    write_pictures(folder, ["a"])
    (folder / "a.png").write_text("no image")


def _empty(folder: Path, write_pictures: Callable[..., None]) -> None:
    write_pictures(folder, ["a"])
    (folder / "a_mask.png").write_bytes(b"")


def _as_tiff(folder: Path, write_pictures: Callable[..., None]) -> None:
    write_pictures(folder, ["a", "b"])
    mask = cv2.imread(str(folder / "a_mask.png"), cv2.IMREAD_UNCHANGED)
    (folder / "a_mask.png").unlink()
    cv2.imwrite(str(folder / "a_mask.tif"), mask)


def _in_capitals(folder: Path, write_pictures: Callable[..., None]) -> None:
    write_pictures(folder, ["a", "b"])
    (folder / "a_mask.png").rename(folder / "a_mask.PNG")


def _no_truth(folder: Path, write_pictures: Callable[..., None]) -> None:
    folder.mkdir()
    (folder / "truth.json").write_text("{}")


def _no_recording(folder: Path, write_pictures: Callable[..., None]) -> None:
    folder.mkdir()
    about = {"config": SimulateConfig().model_dump(mode="json"), "seed": 0, "recording": "x.avi"}
    (folder / "truth.json").write_text(json.dumps(about))


@pytest.mark.parametrize(
    "make",
    [
        _missing,
        _unlabelled,
        _other_size,
        _text,
        _empty,
        _as_tiff,
        _in_capitals,
        _no_truth,
        _no_recording,
    ],
)
def test_bad_data_is_named_in_one_line(
    tmp_path: Path, make: Callable[..., None], write_pictures: Callable[..., None]
) -> None:
    folder = tmp_path / "data"
    make(folder, write_pictures)
    with pytest.raises(UserError) as error:
        read_pictures([folder])
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    config = SimulateConfig(frames=24, height=160, width=176, pits=1, rate=2.0)
    simulate(folder / "clip.mkv", config, folder / "truth", seed=3)
    return folder


def test_a_simulated_recording_comes_with_truth_background_and_past(clip: Path) -> None:
    pictures = read_pictures([clip])
    assert len(pictures) == 24
    assert len({picture.group for picture in pictures}) == 1
    config = SimulateConfig(frames=24, height=160, width=176, pits=1, rate=2.0)
    expected = classes(simulate_world(config, 3), 23)
    known = pictures[-1].known
    assert known is not None
    assert known.mean() > 0.8
    np.testing.assert_array_equal(pictures[-1].truth["particle"][known], (expected == 1)[known])
    np.testing.assert_array_equal(pictures[-1].truth["pit"], expected == 2)
    assert sum(picture.truth["particle"].sum() for picture in pictures) > 0
    assert len(read_clip(clip / "truth", n_frames=5)) == 5


def test_frames_kept_on_disk_are_those_in_memory_and_leave_no_file(
    clip: Path, tmp_path: Path
) -> None:
    kept = read_clip(clip / "truth", n_frames=5, room=tmp_path)
    assert not list(tmp_path.iterdir())
    for one, other in zip(kept, read_clip(clip / "truth", n_frames=5), strict=True):
        assert (one.name, one.group) == (other.name, other.group)
        arrays, expected = (
            {"frame": p.frame, "known": p.known, **p.truth, **p.company} for p in (one, other)
        )
        assert arrays.keys() == expected.keys()
        for name, array in arrays.items():
            assert isinstance(array, np.ndarray)
            assert isinstance(array.base, np.memmap)
            np.testing.assert_array_equal(array, expected[name])


def test_a_wide_particle_stands_out_at_a_hundredth_of_the_light() -> None:
    """A Gaussian of peak c in noise n stands out by c sqrt(pi) sigma / n, and is to be found."""
    config = SimulateConfig(noise=2.0, steel=SteelConfig(brightness=0.8))
    noise, sigma = 2.0 / (256 * 0.8), np.array([2.0, 9.0])
    area = 2 * np.pi * sigma**2 * np.log(4)
    seen = pd.DataFrame({"contrast": [0.01, 0.008], "area_px": area})
    expected = seen["contrast"] * np.sqrt(np.pi) * sigma / noise
    np.testing.assert_allclose(signal_to_noise(seen, config), expected)
    world = simulate_world(SimulateConfig(frames=40, height=400, width=400, noise=4.0), 3)
    particles = world.tables["particles"]
    apart = signal_to_noise(particles, world.config)
    # How dark it is at its darkest does not tell what can be seen.
    assert particles["contrast"][apart > 5].min() < particles["contrast"][apart < 5].max()


def test_what_came_since_shows_in_the_differences(clip: Path) -> None:
    """Steel cancels out of the difference channels, particles and pits do not."""
    pictures = read_pictures([clip])[5:]
    steel, particles = [], []
    for picture in pictures:
        channels = make_channels(("frame", "background", "earlier"), picture.views)
        quiet = ~picture.truth["particle"] & ~cv2.dilate(
            picture.truth["pit"].astype(np.uint8), np.ones((31, 31))
        ).astype(bool)
        steel.append(channels[:, quiet].std(axis=1))
        particles.append(channels[1][picture.truth["particle"]])
    frame, background, _ = np.mean(steel, axis=0)
    assert background < frame
    assert np.concatenate(particles).mean() < -2 * background


def test_the_ground_under_a_particle_is_the_steel(clip: Path) -> None:
    """Where particles are, the company shows the frame as it would be without them."""
    for picture in read_clip(clip / "truth", n_frames=4):
        truth = picture.truth["particle"] & ~picture.truth["pit"]
        views = picture.views
        background = views.company["background"]
        if truth.any():
            assert background[truth].mean() > views.frame[truth].mean()
        assert abs(np.median(background) - np.median(views.frame)) < 0.01


def test_neighbours_are_the_frames_around_and_mirrored_where_there_are_none() -> None:
    """The first frames are compared with those after them, the last with those before."""
    frames = [Frame(n, np.full((6, 7), n, np.uint8)) for n in range(12)]
    frames[5] = replace(frames[5], quality="damaged")
    window = Window(0, tuple(frames), 10)
    expected = {
        0: {"before": 8, "earlier": 2, "previous": 1, "next": 1, "later": 2, "after": 8},
        4: {"earlier": 2, "previous": 3, "next": 3, "later": 6},
        7: {"earlier": 9, "previous": 6, "next": 8, "later": 9},
        9: {"before": 1, "earlier": 7, "previous": 8, "next": 10, "later": 11, "after": 1},
    }
    for i, numbers in expected.items():
        found = neighbours(window, i)
        assert {name: int(image.whole()[0, 0]) for name, image in found.items()} == numbers
    assert set(neighbours(window, 0, ("frame", "background", "later"))) == {"later"}


def test_neighbours_come_in_the_frames_geometry(clip: Path) -> None:
    """A moved neighbour shows the steel where the frame shows it."""
    for picture in read_clip(clip / "truth", n_frames=4):
        assert set(picture.company) == set(COMPANY)
    steel = np.random.default_rng(2).integers(90, 190, (40, 50)).astype(np.uint8)
    moved = np.roll(steel, (2, -3), (0, 1))
    window = Window(0, (Frame(0, steel), Frame(1, moved, shift=(-3.0, 2.0))), 2)
    after = neighbours(window, 0)["next"].whole()
    np.testing.assert_array_equal(after[4:-4, 4:-4], steel[4:-4, 4:-4])


def test_a_neighbour_in_other_light_shows_no_difference() -> None:
    rng = np.random.default_rng(1)
    image = (0.6 + 0.05 * rng.standard_normal((90, 110))).astype(np.float32)
    views = Views(image, {"previous": image * np.float32(0.8)})
    (difference,) = make_channels(("previous",), views)
    np.testing.assert_allclose(difference, 0, atol=2e-3)


def test_touching_particles_have_two_centres() -> None:
    x, y, diameter = np.array([[20.0, 20.0, 8.0], [26.0, 20.0, 8.0], [-30.0, 5.0, 8.0]]).T
    centres = draw_centres((40, 60), x, y, diameter)
    assert cv2.connectedComponents(centres.astype(np.uint8))[0] == 3
    assert centres[20, 20]
    assert centres[20, 26]
    particles = draw_centres((40, 60), x, y, diameter, scale=0.5)
    assert cv2.connectedComponents(particles.astype(np.uint8))[0] == 2
    assert centres_of(particles)[20, 23]


def test_another_recording_under_the_name_is_refused(clip: Path, tmp_path: Path) -> None:
    config = SimulateConfig(frames=5, height=160, width=176, pits=1)
    simulate(tmp_path / "clip.mkv", config, None, seed=3)
    (tmp_path / "truth.json").write_bytes((clip / "truth" / "truth.json").read_bytes())
    with pytest.raises(UserError, match="not the recording"):
        read_pictures([tmp_path])


def test_darkening_does_not_depend_on_gain_or_slow_shading() -> None:
    rng = np.random.default_rng(0)
    image = 0.6 + 0.01 * rng.standard_normal((200, 220)).astype(np.float32)
    image[60:63, 80:84] *= 0.7
    shading = np.linspace(0.8, 1.2, 220, dtype=np.float32)
    np.testing.assert_allclose(darkening(image * np.float32(0.5)), darkening(image), atol=1e-3)
    inner = slice(40, -40), slice(40, -40)
    np.testing.assert_allclose(
        darkening(image * shading)[inner], darkening(image)[inner], atol=0.05
    )
    assert darkening(image)[61, 82] == pytest.approx(-3, abs=0.6)
    assert np.median(darkening(image)) == pytest.approx(0, abs=0.05)


def test_a_pit_is_dark_to_its_middle_and_leaves_its_surroundings_alone() -> None:
    image = np.full((300, 300), 0.7, np.float32)
    rows, columns = np.mgrid[:300, :300]
    pit = (rows - 150) ** 2 + (columns - 150) ** 2 < 60**2
    image[pit] = 0.05
    relative = darkening(image)
    assert relative[pit].max() < -8
    assert np.abs(relative[~pit]).max() < 0.2


def test_a_black_image_has_channels_too() -> None:
    assert np.isfinite(darkening(np.zeros((20, 20), np.float32))).all()


def test_a_missing_channel_is_zero_and_an_unknown_one_an_error() -> None:
    view = Views(np.full((20, 30), 0.5, np.float32))
    channels = make_channels(("raw", "frame", "background", "earlier"), view)
    assert channels.dtype == np.float32
    np.testing.assert_array_equal(channels[0], view.frame)
    np.testing.assert_allclose(channels[1], 0, atol=1e-4)
    assert not channels[2:].any()
    with pytest.raises(ValueError, match="no channel"):
        make_channels(("future",), view)


def test_the_real_tiles(shared_data: Path) -> None:
    pictures = read_pictures([shared_data / "particles-30mM"])
    assert len(pictures) == 70
    assert {picture.frame.shape for picture in pictures} == {(200, 200)}
    # No pixel of a time fraction is in two groups.
    assert len({picture.group for picture in pictures}) == 24


def test_a_stack_is_no_single_image(tmp_path: Path) -> None:
    pages = [np.full((20, 30), value, np.uint8) for value in (90, 120)]
    cv2.imwritemulti(str(tmp_path / "stack.tif"), pages)
    with pytest.raises(UserError, match="is a stack of images"):
        read_grey(tmp_path / "stack.tif")
    cv2.imwritemulti(str(tmp_path / "shown.tif"), [pages[0], pages[1][::4, ::4]])
    assert read_grey(tmp_path / "shown.tif").shape == (20, 30)


def test_what_has_no_mask_or_no_image_is_named(tmp_path: Path) -> None:
    for name in ("a.png", "a_mask.png", "b.png", "c.png", "d_mask.png"):
        cv2.imwrite(str(tmp_path / name), np.full((9, 9), 200, np.uint8))
    assert [picture.name for picture in read_pictures([tmp_path])] == ["a.png"]
    bare, alone = left_out([tmp_path])
    assert bare.endswith("left out, for want of a mask: b.png and 1 more")
    assert alone.endswith("left out, for want of an image: d_mask.png")
    for name in ("b.png", "c.png", "d_mask.png"):
        (tmp_path / name).unlink()
    assert left_out([tmp_path]) == []


def test_a_damaged_image_is_told_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    image = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    for name in ("cut.png", "cut.tif"):
        cv2.imwrite(str(tmp_path / name), image)
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(UserError, match="or a damaged one"):
            read_grey(tmp_path / name)
    assert capfd.readouterr().err == ""


def test_folders_in_a_folder_without_images_are_named(tmp_path: Path) -> None:
    (tmp_path / "tiles").mkdir()
    with pytest.raises(UserError, match=r"folders in it are not searched: name .*tiles"):
        listed_images([tmp_path])
    with pytest.raises(UserError, match=r"holds no images$"):
        listed_images([tmp_path / "tiles"])
