from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from recordings import damage, scene_frames, write_imagej_avi, write_video

from pitflow.acquire.acquire import (
    acquire_blocks,
    checked_frames,
    first_good_frame,
    stray_frames,
)
from pitflow.acquire.background import StoredScene, median_background
from pitflow.acquire.blocks import plan_blocks
from pitflow.acquire.frames import FrameReader, frames_of_block
from pitflow.acquire.opening import open_source
from pitflow.acquire.quality import FrameCheck
from pitflow.acquire.registration import Registration
from pitflow.acquire.source import Source
from pitflow.acquire.store import create_stack, read_frame
from pitflow.config import AcquireConfig
from pitflow.errors import UserError
from pitflow.schema import FRAMES, validate_table

SHAPE = (176, 181)
"""Just large enough for the registration to find its tiles."""


class Acquired:
    """A recording acquired in tasks of the given blocks."""

    def __init__(self, source: Source, folder: Path, tasks: list[list[int]] | None = None) -> None:
        config = AcquireConfig(block_frames=8, background_samples=3)
        _, reference = first_good_frame(source, 0, source.n_frames)
        self.source = source
        self.blocks = plan_blocks(0, source.n_frames, config.block_frames)
        scale = {"interval_s": 1 / source.fps, "um_per_px": 0.48}
        n = (source.n_frames, *source.shape)
        self.video = create_stack(folder / "video.zarr", n, source.dtype, **scale)
        n = (len(self.blocks), *source.shape)
        self.background = create_stack(folder / "background.zarr", n, source.dtype, **scale)
        self.tables = [
            acquire_blocks(
                source,
                [self.blocks[i] for i in task],
                config,
                Registration(reference),
                FrameCheck(reference),
                self.video,
                self.background,
            )
            for task in tasks or [[block.number] for block in self.blocks]
        ]
        self.frames = pd.concat(self.tables, ignore_index=True)


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    frames = scene_frames(26, SHAPE)
    # Lost: 3 and 4. The camera delivered 10 twice. Row 100 on is missing from 13; 16 is black.
    frames[11] = frames[10]
    frames[13] = frames[13].copy()
    frames[13][100:] = 0
    frames[16] = np.zeros_like(frames[16])
    return frames


@pytest.fixture(scope="module")
def acquired(frames, tmp_path_factory) -> Acquired:
    folder = tmp_path_factory.mktemp("acquired")
    return Acquired(open_source(write_imagej_avi(folder / "v.avi", frames, lost=[3, 4])), folder)


def test_every_frame_has_its_row(acquired) -> None:
    table = validate_table(acquired.frames, FRAMES)
    assert table["frame"].tolist() == list(range(26))
    np.testing.assert_allclose(table["time_s"], np.arange(26) / 15)
    assert (table["n_particles"] == 0).all()
    expected = dict.fromkeys(range(26), "ok")
    expected |= {3: "gap", 4: "gap", 11: "duplicate", 13: "damaged", 16: "damaged"}
    assert table["quality"].to_dict() == expected


def test_pose_is_measured_of_sound_frames_only(acquired) -> None:
    sound = acquired.frames["quality"].isin(["ok", "duplicate"])
    measured = acquired.frames[["gain", "shift_x_px", "shift_y_px"]]
    assert measured[sound].notna().all(axis=None)
    assert measured[~sound].isna().all(axis=None)
    np.testing.assert_allclose(measured["gain"][sound], 1, atol=0.02)


def test_what_was_read_is_stored(acquired, frames) -> None:
    for number, image in enumerate(frames):
        stored = read_frame(acquired.video, number)
        np.testing.assert_array_equal(stored, 0 if number in (3, 4) else image)


def test_background_is_the_median_of_even_samples(acquired, frames) -> None:
    table = acquired.frames.set_index("frame")
    # Of frames 0, 4 and 7 the second is lost; the first sound one after it is taken.
    poses = [tuple(table.loc[n, ["shift_x_px", "shift_y_px", "gain"]]) for n in (0, 5, 7)]
    from pitflow.acquire.registration import Pose

    expected = median_background([frames[n] for n in (0, 5, 7)], [Pose(*pose) for pose in poses])
    np.testing.assert_array_equal(acquired.background[0], expected)


@pytest.mark.parametrize("tasks", [[[0, 1, 2]], [[0], [1, 2]]])
def test_grouping_blocks_changes_nothing(acquired, tmp_path, tasks) -> None:
    again = Acquired(acquired.source, tmp_path, tasks)
    pd.testing.assert_frame_equal(again.frames, acquired.frames)
    np.testing.assert_array_equal(again.background[:], acquired.background[:])
    np.testing.assert_array_equal(again.video[:], acquired.video[:])


def test_block_without_a_sound_frame_has_the_reference_for_background(tmp_path) -> None:
    frames = scene_frames(16, SHAPE)
    source = open_source(write_imagej_avi(tmp_path / "v.avi", frames, lost=range(7, 15)))
    acquired = Acquired(source, tmp_path)
    assert (acquired.frames["quality"][8:15] == "gap").all()
    assert acquired.background[0].any()
    lost = write_imagej_avi(tmp_path / "w.avi", scene_frames(24, SHAPE), lost=range(8, 16))
    acquired = Acquired(open_source(lost), tmp_path)
    np.testing.assert_array_equal(acquired.background[1], frames[0])


def test_frames_can_be_left_unstored(acquired, tmp_path) -> None:
    source = acquired.source
    background = create_stack(
        tmp_path / "b.zarr", (3, *source.shape), np.uint8, interval_s=1, um_per_px=1
    )
    _, reference = first_good_frame(source, 0, 26)
    table = acquire_blocks(
        source,
        acquired.blocks[:1],
        AcquireConfig(block_frames=8),
        Registration(reference),
        FrameCheck(reference),
        None,
        background,
    )
    pd.testing.assert_frame_equal(table, acquired.tables[0])


def test_stored_and_decoded_frames_are_the_same(acquired, frames) -> None:
    stored = FrameReader(None, acquired.video, acquired.frames)
    decoded = FrameReader(acquired.source, None, acquired.frames)
    for start, stop in [(0, 26), (2, 6), (3, 5), (12, 17), (25, 26)]:
        pairs = list(zip(stored.read(start, stop), decoded.read(start, stop), strict=True))
        expected = [n for n in range(start, stop) if n not in (3, 4, 13, 16)]
        assert [frame.index for frame, _ in pairs] == expected
        for one, other in pairs:
            np.testing.assert_array_equal(one.image, frames[one.index])
            np.testing.assert_array_equal(one.image, other.image)
            assert (one.quality, one.shift, one.gain) == (other.quality, other.shift, other.gain)
            assert one.quality == ("duplicate" if one.index == 11 else "ok")


def test_frames_of_a_block(acquired, frames) -> None:
    reader = FrameReader(None, acquired.video, acquired.frames)
    scene = StoredScene(acquired.background, acquired.frames, frames[0], block_frames=8)
    numbers = [[frame.index for frame in frames_of_block(reader, scene, b)] for b in range(4)]
    assert numbers == [[0, 1, 2, 5, 6, 7], [8, 9, 10, 11, 12, 14, 15], [*range(17, 26)], []]


def test_reader_carries_pose(acquired) -> None:
    table = acquired.frames.copy()
    table.loc[7, ["shift_x_px", "shift_y_px", "gain"]] = [1.5, -2.0, 0.9]
    (frame,) = FrameReader(None, acquired.video, table).read(7, 8)
    assert (frame.shift, frame.gain) == ((1.5, -2.0), 0.9)


def test_reader_needs_something_to_read(acquired) -> None:
    with pytest.raises(ValueError, match="neither"):
        FrameReader(None, None, acquired.frames)


def test_the_last_sound_frames_are_those_before_what_is_damaged(tmp_path) -> None:
    video = create_stack(tmp_path / "v.zarr", (12, 4, 5), np.uint8, interval_s=0.1, um_per_px=0.5)
    video[:] = np.arange(12, dtype=np.uint8)[:, None, None]
    quality = ["ok"] * 5 + ["gap"] + ["duplicate"] + ["damaged"] * 5
    columns = {"shift_x_px": 0.0, "shift_y_px": 0.0, "gain": 1.0}
    frames = pd.DataFrame({"frame": np.arange(12), "quality": quality, **columns})
    reader = FrameReader(None, video, frames)
    assert [frame.index for frame in reader.last(3, 12)] == [3, 4, 6]
    assert [frame.index for frame in reader.last(3, 3)] == [0, 1, 2]
    assert reader.last(3, 0) == []


def test_damaged_packets_are_damaged_frames(tmp_path) -> None:
    path = write_video(tmp_path / "v.avi", scene_frames(10, SHAPE), "mjpeg", "yuvj420p")
    damage(path, 6)
    source = open_source(path)
    check = FrameCheck(first_good_frame(source, 0, 10)[1])
    qualities = [quality for _, _, quality in checked_frames(source, 0, 10, check)]
    assert qualities == ["ok"] * 6 + ["damaged"] + ["ok"] * 3


@pytest.mark.parametrize(
    ("spoil", "number"),
    [
        ([], 0),
        # Black, flat, and taken while the lamp came on.
        ([(0, 0.0)], 1),
        ([(0, 0.0), (1, 0.0), (2, 0.3)], 3),
        ([(0, 0.9)], 0),
    ],
)
def test_first_good_frame(tmp_path, spoil, number) -> None:
    frames = scene_frames(12)
    for index, gain in spoil:
        frames[index] = (frames[index] * gain).astype(np.uint8)
    source = open_source(write_imagej_avi(tmp_path / "v.avi", frames))
    found, image = first_good_frame(source, 0, 12)
    assert found == number
    np.testing.assert_array_equal(image, frames[number])


def test_the_first_good_frame_is_found_sound_later(tmp_path) -> None:
    """A band of it is torn, which only the frames around it tell."""
    frames = scene_frames(12, SHAPE)
    frames[4][60:110] = np.random.default_rng(0).integers(0, 255, (50, SHAPE[1]))
    source = open_source(write_imagej_avi(tmp_path / "v.avi", frames))
    number, reference = first_good_frame(source, 4, 12)
    assert number == 5
    qualities = [quality for _, _, quality in checked_frames(source, 4, 12, FrameCheck(reference))]
    assert qualities == ["damaged"] + ["ok"] * 7


def test_no_good_frame_is_one_clear_line(tmp_path) -> None:
    frames = [np.zeros((32, 32), np.uint8)] * 4
    source = open_source(write_imagej_avi(tmp_path / "v.avi", frames))
    with pytest.raises(UserError, match="no sound frame from 1 to 3"):
        first_good_frame(source, 1, 4)


def test_only_a_shift_that_does_not_last_strays():
    frame = np.arange(120)
    x = 0.2 * frame + np.random.default_rng(2).normal(0, 1, 120)
    x[80:] -= 31.0
    x[[30, 31, 100]] += 12.9
    x[60] = np.nan
    table = pd.DataFrame({"frame": frame, "shift_x_px": x, "shift_y_px": -0.1 * frame})
    assert stray_frames(table) == [30, 31, 100]
    assert stray_frames(table.iloc[60:61]) == []
