from __future__ import annotations

import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import av
import cv2
import numpy as np
import pytest
from recordings import damage, packets_of, scene_frames, write_imagej_avi, write_video

from pitflow.acquire import packets
from pitflow.acquire.opening import open_source
from pitflow.acquire.source import Source
from pitflow.errors import UserError


def read_all(source: Source) -> list[np.ndarray | None]:
    frames = list(source.read(0, source.n_frames))
    assert [number for number, _, _ in frames] == list(range(source.n_frames))
    return [image for _, image, _ in frames]


def qualities(source: Source) -> list[str]:
    return [quality for _, _, quality in source.read(0, source.n_frames)]


LOSSLESS = [
    ("ffv1.avi", "ffv1", "gray", {}),
    ("ffv1.mkv", "ffv1", "gray", {"g": "8"}),
    ("huffyuv.avi", "huffyuv", "bgra", {}),
    ("ffvhuff.avi", "ffvhuff", "yuv444p", {}),
    ("raw.avi", "rawvideo", "gray", {}),
    ("rgb.avi", "rawvideo", "bgr24", {}),
    ("rgb.mkv", "ffv1", "bgr0", {}),
    ("packed.avi", "rawvideo", "yuyv422", {}),
]


@pytest.mark.parametrize(("name", "codec", "pix_fmt", "options"), LOSSLESS)
def test_lossless_codecs_give_back_every_grey_value(
    tmp_path, name, codec, pix_fmt, options
) -> None:
    # An even width, which formats with shared colour samples need.
    frames = scene_frames(12, (64, 98) if "yu" in pix_fmt else (64, 97))
    source = open_source(write_video(tmp_path / name, frames, codec, pix_fmt, options=options))
    assert source.n_frames == 12
    assert source.shape == frames[0].shape
    assert source.dtype == np.uint8
    assert source.fps == 15
    # Limited range has 219 steps for 255 levels: one level may be off by rounding.
    tolerance = 1 if "yu" in pix_fmt else 0
    for image, truth in zip(read_all(source), frames, strict=True):
        assert image is not None
        assert np.abs(image.astype(int) - truth).max() <= tolerance


@pytest.mark.parametrize("name", ["deep.avi", "deep.mkv"])
def test_16_bit_is_kept(tmp_path, name) -> None:
    frames = [image.astype(np.uint16) * 257 + i for i, image in enumerate(scene_frames(6))]
    path = write_video(tmp_path / name, frames, "ffv1", "gray16le", source_format="gray16le")
    source = open_source(path)
    assert source.dtype == np.uint16
    for image, truth in zip(read_all(source), frames, strict=True):
        np.testing.assert_array_equal(image, truth)


def test_12_bit_levels_are_kept_and_said(tmp_path) -> None:
    frames = [image.astype(np.uint16) * 16 for image in scene_frames(4)]
    path = write_video(tmp_path / "v.mkv", frames, "ffv1", "gray12le", source_format="gray12le")
    source = open_source(path)
    np.testing.assert_array_equal(read_all(source)[2], frames[2])
    assert "12-bit grey levels kept as they are, in 16 bits" in source.notes


def test_imagej_avi_is_the_right_way_up(tmp_path) -> None:
    rng = np.random.default_rng(1)
    frames = [rng.integers(0, 256, (64, 97), dtype=np.uint8) for _ in range(9)]
    source = open_source(write_imagej_avi(tmp_path / "imagej.avi", frames))
    for image, truth in zip(read_all(source), frames, strict=True):
        np.testing.assert_array_equal(image, truth)
    # The palette stands with the first packet only, and must be known after a seek.
    np.testing.assert_array_equal(next(source.read(6, 7))[1], frames[6])
    assert source.notes == []


def test_inverted_palette_is_applied(tmp_path) -> None:
    frames = scene_frames(3)
    inverted = np.repeat(np.arange(255, -1, -1, dtype=np.uint8)[:, None], 3, axis=1)
    source = open_source(write_imagej_avi(tmp_path / "v.avi", frames, palette=inverted))
    np.testing.assert_array_equal(read_all(source)[1], 255 - frames[1])


def test_grey_avi_without_palette_is_not_black(tmp_path) -> None:
    frames = scene_frames(5)
    source = open_source(write_imagej_avi(tmp_path / "v.avi", frames, with_palette=False))
    for image, truth in zip(read_all(source), frames, strict=True):
        np.testing.assert_array_equal(image, truth)


def test_colour_palette_is_said(tmp_path) -> None:
    colours = np.stack([np.arange(256), np.arange(256)[::-1], np.zeros(256)], 1).astype(np.uint8)
    frames = scene_frames(2)
    source = open_source(write_imagej_avi(tmp_path / "v.avi", frames, palette=colours))
    assert source.notes == ["colour converted to grey (BT.601 luma)"]
    luma = colours[frames[1]] @ np.array([0.299, 0.587, 0.114])
    assert np.abs(read_all(source)[1] - luma).max() <= 0.51


def test_colour_avi_is_the_right_way_up(tmp_path) -> None:
    frames = [np.stack([image, image // 2, image // 3], -1) for image in scene_frames(4)]
    source = open_source(write_imagej_avi(tmp_path / "v.avi", frames))
    luma = frames[2] @ np.array([0.299, 0.587, 0.114])
    assert np.abs(read_all(source)[2] - luma).max() <= 0.51


def test_colour_is_converted_by_bt601_and_said(tmp_path) -> None:
    rng = np.random.default_rng(2)
    frames = [rng.integers(0, 256, (32, 40, 3), dtype=np.uint8) for _ in range(3)]
    path = write_video(tmp_path / "c.avi", frames, "rawvideo", "bgr24", source_format="rgb24")
    source = open_source(path)
    assert source.notes == ["colour converted to grey (BT.601 luma)"]
    luma = frames[1] @ np.array([0.299, 0.587, 0.114])
    assert np.abs(read_all(source)[1] - luma).max() <= 0.51


def test_colour_mjpeg_is_said(tmp_path) -> None:
    tint = np.zeros((64, 96, 3), np.uint8) + np.array([200, 120, 40], np.uint8)
    path = write_video(tmp_path / "c.avi", [tint] * 2, "mjpeg", "yuvj420p", source_format="rgb24")
    assert open_source(path).notes == ["colour converted to grey (its luma)"]


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "options"),
    [
        ("mjpeg.avi", "mjpeg", "yuvj420p", {}),
        ("h264.mp4", "libx264", "yuv420p", {"bf": "3", "g": "8", "crf": "12"}),
        ("h264.mkv", "libx264", "yuv420p", {"bf": "3", "g": "8", "crf": "12"}),
        ("h264.avi", "libx264", "yuv420p", {"bf": "3", "g": "8", "crf": "12"}),
        ("full.mp4", "libx264", "yuvj420p", {"bf": "0", "crf": "12"}),
        ("mpeg4.avi", "mpeg4", "yuv420p", {"bf": "2", "g": "8", "qmax": "2"}),
    ],
)
def test_lossy_codecs_agree_with_opencv_in_order_and_level(
    tmp_path, name, codec, pix_fmt, options
) -> None:
    frames = scene_frames(20, (64, 98))
    path = write_video(tmp_path / name, frames, codec, pix_fmt, options=options)
    source = open_source(path)
    assert source.n_frames == 20
    images = read_all(source)
    capture = cv2.VideoCapture(str(path))
    for image, truth in zip(images, frames, strict=True):
        ok, colour = capture.read()
        assert ok
        assert image is not None
        other = cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY).astype(int)
        assert np.abs(image - other).max() <= 2
        # The spot moves, so frames in another order would be far off.
        assert np.abs(image.astype(int) - truth).mean() < 4
    np.testing.assert_allclose(source.index["time_s"], np.arange(20) / 15, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "options"),
    [
        ("a.mp4", "libx264", "yuv420p", {"bf": "3", "g": "8"}),
        ("a.mkv", "libx264", "yuv420p", {"bf": "3", "g": "8", "x264-params": "open-gop=1"}),
        ("a.avi", "libx264", "yuv420p", {"bf": "2", "g": "8"}),
        ("b.avi", "mjpeg", "yuvj420p", {}),
        ("c.avi", "ffv1", "gray", {"g": "6"}),
        ("d.mp4", "libx264", "yuv420p", {"bf": "2", "g": "500"}),
        ("e.ts", "libx264", "yuv420p", {"bf": "2", "g": "8"}),
    ],
)
def test_any_stretch_reads_like_the_whole(tmp_path, name, codec, pix_fmt, options) -> None:
    frames = scene_frames(30, (64, 98))
    source = open_source(write_video(tmp_path / name, frames, codec, pix_fmt, options=options))
    whole = read_all(source)
    assert source.n_frames == 30
    for start, stop in [(0, 1), (7, 9), (8, 10), (13, 30), (29, 30), (5, 5)]:
        part = list(source.read(start, stop))
        assert [number for number, _, _ in part] == list(range(start, stop))
        for number, image, quality in part:
            assert quality == "ok"
            np.testing.assert_array_equal(image, whole[number])


@pytest.mark.parametrize("kind", ["avi", "avi without index", "mkv", "mp4"])
def test_late_frames_are_reached_without_reading_the_early_ones(
    tmp_path, monkeypatch, kind
) -> None:
    frames = scene_frames(60, (64, 98))
    if kind == "avi without index":
        path = write_imagej_avi(tmp_path / "v.avi", frames, with_index=False)
    else:
        options = {"g": "10", "bf": "0"}
        path = write_video(tmp_path / f"v.{kind}", frames, "mpeg4", "yuv420p", options=options)
    source = open_source(path)
    whole = read_all(source)
    positions = []
    all_packets = packets.packets_with_data

    def listed(*args):
        for packet in all_packets(*args):
            positions.append(packet.pos)
            yield packet

    monkeypatch.setattr(packets, "packets_with_data", listed)
    ((_, image, _),) = source.read(55, 56)
    np.testing.assert_array_equal(image, whole[55])
    # The packets from the key frame on, the one sought from, and the first with its palette.
    assert len(positions) <= 8


def test_threads_and_copies_read_alike(tmp_path) -> None:
    source = open_source(write_video(tmp_path / "v.avi", scene_frames(24), "mjpeg", "yuvj420p"))
    whole = read_all(source)
    copy = pickle.loads(pickle.dumps(source))
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda i: list(copy.read(6 * i, 6 * i + 6)), range(4)))
    for number, image, _ in (frame for part in parts for frame in part):
        np.testing.assert_array_equal(image, whole[number])


def test_lost_frames_keep_their_numbers(tmp_path) -> None:
    frames = scene_frames(10)
    source = open_source(write_imagej_avi(tmp_path / "v.avi", frames, lost=[3, 4, 7]))
    assert source.n_frames == 10
    read = qualities(source)
    assert [i for i, quality in enumerate(read) if quality == "gap"] == [3, 4, 7]
    np.testing.assert_array_equal(read_all(source)[5], frames[5])
    assert any("3 frames are missing" in note for note in source.notes)
    assert list(source.read(3, 5)) == [(3, None, "gap"), (4, None, "gap")]


@pytest.mark.parametrize("name", ["v.mkv", "v.mp4"])
def test_missing_times_are_gaps(tmp_path, name) -> None:
    times = [0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 13, 14]
    path = write_video(
        tmp_path / name, scene_frames(12, (64, 98)), "libx264", "yuv420p", times=times
    )
    source = open_source(path)
    assert source.n_frames == 15
    assert np.flatnonzero(source.index["quality"] == "gap").tolist() == [4, 5, 12]
    np.testing.assert_allclose(source.index["time_s"], np.arange(15) / 15, atol=1e-6)


def test_uneven_times_are_kept_and_said(tmp_path) -> None:
    rng = np.random.default_rng(3)
    times = np.cumsum(rng.integers(10, 100, 12)).tolist()
    path = write_video(
        tmp_path / "v.mkv", scene_frames(12, (64, 98)), "libx264", "yuv420p", rate=1000, times=times
    )
    source = open_source(path)
    assert source.n_frames == 12
    assert any("frame rate varies" in note for note in source.notes)
    assert source.fps == pytest.approx(1000 / np.median(np.diff(times)))
    np.testing.assert_allclose(source.index["time_s"], (np.array(times) - times[0]) / 1000)


@pytest.mark.parametrize("name", ["5 mM: #1 (50%).avi", "http:v.avi", "Größe-%03d.avi"])
def test_any_name_is_just_a_name(tmp_path, name, monkeypatch) -> None:
    write_imagej_avi(tmp_path / name, scene_frames(3))
    monkeypatch.chdir(tmp_path)
    assert open_source(name).n_frames == 3


def test_given_rate_replaces_the_stated_one(tmp_path) -> None:
    path = write_video(tmp_path / "v.avi", scene_frames(5), "mjpeg", "yuvj420p")
    source = open_source(path, fps=7.5)
    assert source.fps == 7.5
    np.testing.assert_allclose(source.index["time_s"], np.arange(5) / 7.5)


def test_damaged_mjpeg_frame_is_told_from_its_neighbours(tmp_path) -> None:
    path = write_video(tmp_path / "v.avi", scene_frames(12), "mjpeg", "yuvj420p")
    damage(path, 5)
    assert qualities(open_source(path)) == ["ok"] * 5 + ["damaged"] + ["ok"] * 6


def test_frames_after_a_spoilt_stretch_keep_their_numbers(tmp_path) -> None:
    frames = scene_frames(24)
    path = write_video(tmp_path / "video.avi", frames, "ffv1", "gray", options={"g": "1"})
    where = packets_of(path)
    start, end = (position + size // 2 for position, size in (where[8], where[12]))
    data = bytearray(path.read_bytes())
    data[start:end] = bytes(i % 251 for i in range(end - start))
    path.write_bytes(data)
    source = open_source(path)
    assert qualities(source) == ["ok"] * 8 + ["damaged"] * 5 + ["ok"] * 11
    for number, image, quality in source.read(6, 24):
        if quality == "ok":
            np.testing.assert_array_equal(image, frames[number])
    assert source.notes == ["4 frames cannot be found in the file, which is damaged"]


def test_damage_spreads_to_the_next_key_frame(tmp_path) -> None:
    path = write_video(
        tmp_path / "v.mkv",
        scene_frames(24, (64, 98)),
        "libx264",
        "yuv420p",
        options={"g": "8", "bf": "0", "x264-params": "scenecut=0"},
    )
    damage(path, 10)
    source = open_source(path)
    assert qualities(source) == ["ok"] * 10 + ["damaged"] * 6 + ["ok"] * 8
    # The same when reading starts behind the damage.
    assert [quality for _, _, quality in source.read(13, 18)] == ["damaged"] * 3 + ["ok"] * 2


@pytest.mark.parametrize("keep", [0.35, 0.6])
def test_truncated_avi_reads_up_to_its_end_and_says_so(tmp_path, keep) -> None:
    frames = scene_frames(40)
    path = write_video(tmp_path / "v.avi", frames, "mjpeg", "yuvj420p")
    whole = read_all(open_source(path))
    sound = sum(
        position + size <= keep * path.stat().st_size for position, size in packets_of(path)
    )
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    source = open_source(path)
    assert source.n_frames - sound in (0, 1)
    assert f"the file ends early: {source.n_frames} of its 40 frames can be read" in source.notes
    assert qualities(source)[: sound - 1] == ["ok"] * (sound - 1)
    np.testing.assert_array_equal(next(source.read(sound - 2, sound - 1))[1], whole[sound - 2])


def test_a_truncated_mkv_says_so(tmp_path) -> None:
    """It states how long it lasts, not how many frames it has."""
    path = write_video(tmp_path / "v.mkv", scene_frames(40), "mjpeg", "yuvj420p")
    assert not [note for note in open_source(path).notes if "early" in note]
    path.write_bytes(path.read_bytes()[: int(0.6 * path.stat().st_size)])
    source = open_source(path)
    assert 15 < source.n_frames < 30
    assert [note for note in source.notes if f"{source.n_frames} of its" in note]


def test_avi_without_index_is_read(tmp_path) -> None:
    frames = scene_frames(8)
    source = open_source(write_imagej_avi(tmp_path / "v.avi", frames, with_index=False))
    np.testing.assert_array_equal(next(source.read(6, 7))[1], frames[6])


def test_index_is_saved_and_used_again(tmp_path, monkeypatch) -> None:
    path = write_video(tmp_path / "v.avi", scene_frames(6), "mjpeg", "yuvj420p")
    saved = tmp_path / "run" / "index.parquet"
    first = open_source(path, index_file=saved)
    assert saved.is_file()
    with monkeypatch.context() as patch:
        patch.setattr(av, "open", lambda *args, **kwargs: pytest.fail("the file was opened"))
        again = open_source(path, index_file=saved)
    assert again.index.equals(first.index)
    assert (again.shape, again.fps, again.notes) == (first.shape, first.fps, first.notes)
    write_video(path, scene_frames(9), "mjpeg", "yuvj420p")
    assert open_source(path, index_file=saved).n_frames == 9


def test_spoilt_index_is_built_anew(tmp_path) -> None:
    path = write_video(tmp_path / "v.avi", scene_frames(6), "mjpeg", "yuvj420p")
    saved = tmp_path / "index.parquet"
    saved.write_bytes(b"not parquet")
    assert open_source(path, index_file=saved).n_frames == 6
    assert open_source(path, index_file=saved).n_frames == 6


def test_index_columns(tmp_path) -> None:
    path = write_video(
        tmp_path / "v.mp4",
        scene_frames(20, (64, 98)),
        "libx264",
        "yuv420p",
        options={"g": "8", "bf": "2"},
    )
    index = open_source(path).index
    assert {"frame", "time_s", "pts", "byte_position", "is_key", "quality"} <= set(index)
    assert index["frame"].tolist() == list(range(20))
    assert index["pts"].is_monotonic_increasing
    assert bool(index["is_key"][0])
    assert index["is_key"].sum() >= 2


BAD = [
    ("missing.avi", None, "no such file"),
    ("text.avi", b"this is not a video\n" * 20, "not a video that can be read"),
    ("empty.avi", b"", "the file is empty"),
    ("subtitles.avi", b"1\n00:00:01,000 --> 00:00:02,000\nhello\n\n" * 20, "holds no video"),
    ("playlist.avi", b"#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/x.ts\n", "not a video"),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD)
def test_bad_file_is_one_clear_line(tmp_path, name, content, message) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        open_source(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_video_without_frames(tmp_path) -> None:
    path = write_imagej_avi(tmp_path / "v.avi", scene_frames(2), lost=[0, 1])
    with pytest.raises(UserError, match="holds no frames"):
        open_source(path)


def test_frames_outside_the_recording(tmp_path) -> None:
    source = open_source(write_video(tmp_path / "v.avi", scene_frames(4), "mjpeg", "yuvj420p"))
    with pytest.raises(ValueError, match="not within 0:4"):
        list(source.read(2, 5))


def test_unreadable_permission_is_one_clear_line(tmp_path, monkeypatch) -> None:
    path = write_video(tmp_path / "v.avi", scene_frames(2), "mjpeg", "yuvj420p")

    def refuse(*args: object, **kwargs: object) -> None:
        raise av.error.PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(av, "open", refuse)
    with pytest.raises(UserError, match="may not be read"):
        open_source(path)


def test_decoding_is_quiet(tmp_path) -> None:
    path = write_video(tmp_path / "v.avi", scene_frames(6), "mjpeg", "yuvj420p")
    damage(path, 3)
    code = (
        "import sys; from pitflow.acquire.opening import open_source;"
        "s = open_source(sys.argv[1]); list(s.read(0, s.n_frames))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == done.stderr == ""


@pytest.mark.parametrize("name", ["clip-steel/clip.avi", "bulk-water/bulk-water.mov"])
def test_real_recordings_agree_with_opencv(shared_data, name) -> None:
    path = shared_data / name
    source = open_source(path)
    capture = cv2.VideoCapture(str(path))
    assert source.n_frames == int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    for number, image, quality in source.read(0, 25):
        _, colour = capture.read()
        other = cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY)
        assert (number >= 0, quality) == (True, "ok")
        assert np.abs(image.astype(int) - other).max() <= 1
