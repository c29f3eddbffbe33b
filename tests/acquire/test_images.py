from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import tifffile
from recordings import scene_frames

from pitflow.acquire import images, index
from pitflow.acquire.opening import open_source
from pitflow.acquire.source import Source
from pitflow.errors import UserError


def write_folder(folder: Path, names: list[str], frames: list[np.ndarray]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, image in zip(names, frames, strict=True):
        if name.endswith((".tif", ".tiff")):
            tifffile.imwrite(folder / name, image)
        else:
            assert cv2.imwrite(str(folder / name), image)
    return folder


def zip_of(
    folder: Path, path: Path, inside: str = "", compression: int = zipfile.ZIP_DEFLATED
) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for file in folder.iterdir():
            archive.write(file, inside + file.name)
    return path


def assert_frames(source: Source, frames: list[np.ndarray]) -> None:
    assert source.n_frames == len(frames)
    read = list(source.read(0, source.n_frames))
    assert [number for number, _, _ in read] == list(range(len(frames)))
    for (_, image, quality), truth in zip(read, frames, strict=True):
        assert quality == "ok"
        assert image is not None
        assert image.dtype == truth.dtype
        np.testing.assert_array_equal(image, truth)


@pytest.mark.parametrize("suffix", ["tif", "png", "bmp"])
def test_folder_is_read_in_natural_order(tmp_path, suffix) -> None:
    frames = scene_frames(12)
    names = [f"img{i}.{suffix}" for i in range(12)]
    source = open_source(write_folder(tmp_path / "f", names, frames))
    assert_frames(source, frames)
    assert source.index["file"].tolist() == names


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("suffix", ["tif", "png"])
def test_zip_is_read_in_memory(tmp_path, suffix, compression) -> None:
    frames = [image.astype(np.uint16) * 200 for image in scene_frames(11)]
    folder = write_folder(tmp_path / "f", [f"a_{i}.{suffix}" for i in range(11)], frames)
    path = zip_of(folder, tmp_path / "v.zip", "recording/", compression)
    before = sorted(tmp_path.iterdir())
    source = open_source(path)
    assert source.dtype == np.uint16
    assert_frames(pickle.loads(pickle.dumps(source)), frames)
    assert sorted(tmp_path.iterdir()) == before


def test_zip_members_that_are_no_frames_are_left_out(tmp_path) -> None:
    frames = scene_frames(2)
    folder = write_folder(tmp_path / "f", ["a0.tif", "a1.tif"], frames)
    (folder / "notes.txt").write_text("5 mM NaCl")
    (folder / "._a0.tif").write_bytes(b"resource fork")
    path = zip_of(folder, tmp_path / "v.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("__MACOSX/a0.tif", b"resource fork")
    assert_frames(open_source(path), frames)


@pytest.mark.parametrize("how", ["pages", "imagej", "lzw", "bigtiff", "tiled"])
def test_tiff_stack(tmp_path, how) -> None:
    frames = scene_frames(7)
    options = {
        "pages": {"photometric": "minisblack"},
        "imagej": {"imagej": True, "metadata": {"finterval": 0.125, "axes": "TYX"}},
        "lzw": {"photometric": "minisblack", "compression": "lzw"},
        "bigtiff": {"photometric": "minisblack", "bigtiff": True, "byteorder": ">"},
        "tiled": {"photometric": "minisblack", "tile": (32, 32)},
    }[how]
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, np.stack(frames), **options)
    source = open_source(path)
    assert_frames(source, frames)
    assert next(source.read(4, 5))[0] == 4
    assert source.fps == (8 if how == "imagej" else 15)


def test_imagej_stack_with_one_header_for_all(tmp_path) -> None:
    # As ImageJ writes stacks of more than 4 GB: one page, and the others' pixels behind it.
    frames = [image.astype(np.uint16) * 99 for image in scene_frames(5)]
    path = tmp_path / "stack.tif"
    tifffile.imwrite(
        path,
        frames[0],
        byteorder=">",
        description="ImageJ=1.54f\nimages=5\nslices=5\n",
        metadata=None,
    )
    with tifffile.TiffFile(path) as tiff:
        end = tiff.pages.first.dataoffsets[0] + frames[0].nbytes
    content = path.read_bytes()
    assert end == len(content)
    path.write_bytes(content + b"".join(image.astype(">u2").tobytes() for image in frames[1:]))
    assert_frames(open_source(path), frames)


def test_stack_that_was_cut_off_reads_up_to_its_end(tmp_path) -> None:
    frames = scene_frames(6)
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, np.stack(frames), photometric="minisblack", compression="zlib")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    source = open_source(path)
    read = list(source.read(0, source.n_frames))
    assert 0 < sum(quality == "ok" for _, _, quality in read) < 6
    for number, image, quality in read:
        if quality == "ok":
            np.testing.assert_array_equal(image, frames[number])


def test_stack_that_lost_its_headers_says_that_it_ends_early(tmp_path) -> None:
    frames = scene_frames(6)
    whole, cut = tmp_path / "whole.tif", tmp_path / "cut.tif"
    tifffile.imwrite(whole, np.stack(frames), photometric="minisblack")
    content = whole.read_bytes()
    cut.write_bytes(content[: len(content) * 6 // 10])
    source = open_source(cut)
    assert source.n_frames == 6
    assert [quality for _, _, quality in source.read(0, 6)] == ["ok"] * 3 + ["damaged"] * 3
    assert_frames(open_source(whole), frames)
    tifffile.imwrite(whole, np.stack(frames), photometric="minisblack", compression="zlib")
    content = whole.read_bytes()
    cut.write_bytes(content[: len(content) * 3 // 10])
    assert any("ends early" in note for note in open_source(cut).notes)


def test_stack_with_an_unreadable_first_page(tmp_path) -> None:
    frames = scene_frames(3)
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, np.stack(frames), photometric="minisblack", compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        start = tiff.pages[0].dataoffsets[0]
    content = bytearray(path.read_bytes())
    content[start : start + 50] = bytes(50)
    path.write_bytes(content)
    assert [quality for _, _, quality in open_source(path).read(0, 3)] == ["damaged", "ok", "ok"]


def test_folder_of_stacks_is_one_recording(tmp_path) -> None:
    frames = scene_frames(9)
    folder = tmp_path / "f"
    folder.mkdir()
    for i in range(3):
        stack = np.stack(frames[3 * i : 3 * i + 3])
        tifffile.imwrite(folder / f"part{i}.tif", stack, photometric="minisblack")
    source = open_source(folder)
    assert_frames(source, frames)
    np.testing.assert_array_equal(next(source.read(5, 6))[1], frames[5])


def test_colour_snapshots_become_grey(tmp_path) -> None:
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    folder = tmp_path / "f"
    folder.mkdir()
    tifffile.imwrite(folder / "a0.tif", colour, photometric="rgb")
    tifffile.imwrite(
        folder / "a1.tif", np.moveaxis(colour, -1, 0), photometric="rgb", planarconfig="separate"
    )
    cv2.imwrite(str(folder / "a2.png"), colour[..., ::-1])
    source = open_source(folder)
    assert "colour converted to grey (BT.601 luma)" in source.notes
    luma = colour @ np.array([0.299, 0.587, 0.114])
    for _, image, _ in source.read(0, 3):
        assert np.abs(image - luma).max() <= 0.51


def test_inverted_and_indexed_tiff(tmp_path) -> None:
    image = scene_frames(1)[0]
    folder = tmp_path / "f"
    folder.mkdir()
    tifffile.imwrite(folder / "a0.tif", 255 - image, photometric="miniswhite")
    backwards = np.repeat(np.arange(255, -1, -1, dtype=np.uint16)[None] * 257, 3, axis=0)
    tifffile.imwrite(folder / "a1.tif", 255 - image, photometric="palette", colormap=backwards)
    assert_frames(open_source(folder), [image, image])


def test_labels_of_tiles_are_skipped_and_said(tmp_path) -> None:
    frames = scene_frames(4)
    names = ["a_0.png", "a_0_mask.png", "a_1.png", "lone_mask.png"]
    source = open_source(write_folder(tmp_path / "f", names, frames))
    # Without an image of that name, lone_mask.png is a frame like any other.
    assert source.index["file"].tolist() == ["a_0.png", "a_1.png", "lone_mask.png"]
    assert "1 label images (*_mask) are not frames and were skipped" in source.notes


def test_missing_counters_are_gaps(tmp_path) -> None:
    counters = [i for i in range(20) if i not in (7, 8, 15)]
    frames = scene_frames(len(counters))
    folder = write_folder(tmp_path / "f", [f"s2_{i:04d}.tif" for i in counters], frames)
    source = open_source(folder)
    assert source.n_frames == 20
    assert np.flatnonzero(source.index["quality"] == "gap").tolist() == [7, 8, 15]
    assert "3 numbers are missing in the names of the files: gaps" in source.notes
    assert [quality for _, _, quality in source.read(6, 10)] == ["ok", "gap", "gap", "ok"]
    np.testing.assert_array_equal(next(source.read(9, 10))[1], frames[7])


@pytest.mark.parametrize(
    "names",
    [
        [f"t{minute}{second:02d}.tif" for minute in (1, 2) for second in range(0, 60, 2)],
        ["a3.tif", "a4.tif", "a900.tif", "a901.tif"],
        ["a_1_1.tif", "a_1_5.tif", "a_2_1.tif"],
        ["left.tif", "right.tif"],
        ["5 cm² 1²2.tif", "5 cm² 1²10.tif"],
    ],
)
def test_names_that_do_not_count_frames_make_no_gaps(tmp_path, names) -> None:
    source = open_source(write_folder(tmp_path / "f", names, scene_frames(len(names))))
    assert source.n_frames == len(names)
    assert set(source.index["quality"]) == {"ok"}


@pytest.mark.parametrize("suffix", ["tif", "png", "jpg"])
@pytest.mark.parametrize("zipped", [False, True])
def test_damaged_snapshot_keeps_its_number(tmp_path, suffix, zipped) -> None:
    folder = write_folder(tmp_path / "f", [f"a{i}.{suffix}" for i in range(5)], scene_frames(5))
    for number, share in ((1, 0.5), (3, 0.0)):
        file = folder / f"a{number}.{suffix}"
        file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    source = open_source(zip_of(folder, tmp_path / "v.zip") if zipped else folder)
    read = list(source.read(0, 5))
    assert [quality for _, _, quality in read] == ["ok", "damaged", "ok", "damaged", "ok"]
    assert [image is None for _, image, _ in read] == [False, True, False, True, False]


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("in_memory", [True, False])
def test_damage_in_a_zip_keeps_to_its_frame(tmp_path, monkeypatch, compression, in_memory) -> None:
    if not in_memory:
        monkeypatch.setattr(images, "_IN_MEMORY", 0)
    frames = scene_frames(4)
    folder = write_folder(tmp_path / "f", [f"a{i}.tif" for i in range(4)], frames)
    path = zip_of(folder, tmp_path / "v.zip", compression=compression)
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("a2.tif").header_offset
        size = archive.getinfo("a2.tif").compress_size
    content = bytearray(path.read_bytes())
    content[start + size // 2 : start + size // 2 + 40] = b"x" * 40
    path.write_bytes(content)
    read = [(quality, image) for _, image, quality in open_source(path).read(0, 4)]
    assert [quality for quality, _ in read] == ["ok", "ok", "damaged", "ok"]
    np.testing.assert_array_equal(read[3][1], frames[3])


def test_frames_of_one_size_only(tmp_path) -> None:
    frames = [*scene_frames(3), scene_frames(1, (64, 96))[0]]
    folder = write_folder(tmp_path / "f", [f"a{i}.png" for i in range(4)], frames)
    with pytest.raises(UserError, match=r"a3\.png is 96 x 64 px uint8, the first image 97 x 64"):
        open_source(folder)


def test_given_rate_silences_the_note(tmp_path) -> None:
    folder = write_folder(tmp_path / "f", ["a0.png", "a1.png"], scene_frames(2))
    assert any("15 frames/s assumed" in note for note in open_source(folder).notes)
    source = open_source(folder, fps=2.0)
    assert source.notes == []
    assert source.index["time_s"].tolist() == [0.0, 0.5]


def test_index_is_saved_and_used_again(tmp_path, monkeypatch) -> None:
    folder = write_folder(tmp_path / "f", [f"a{i}.tif" for i in range(4)], scene_frames(4))
    saved = tmp_path / "index.parquet"
    first = open_source(folder, index_file=saved)
    with monkeypatch.context() as patch:
        patch.setattr(tifffile, "TiffFile", lambda *args: pytest.fail("a file was opened"))
        assert open_source(folder, index_file=saved).index.equals(first.index)
    # Other code may find another index in the same files.
    with monkeypatch.context() as patch:
        patch.setattr(index, "_code", lambda: "other")
        assert index.load_index(saved, first_mark(saved)) is None
    assert index.load_index(saved, first_mark(saved)) is not None
    write_folder(folder, ["a4.tif"], scene_frames(1))
    assert open_source(folder, index_file=saved).n_frames == 5


def first_mark(saved: Path) -> str:
    header = json.loads(pq.read_schema(saved).metadata[index._KEY])
    return str(header["fingerprint"])


def bad_zip(tmp_path: Path) -> Path:
    path = tmp_path / "v.zip"
    path.write_text("this is not a zip file\n" * 10)
    return path


def zip_without_images(tmp_path: Path) -> Path:
    path = tmp_path / "v.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "nothing here")
    return path


def empty_folder(tmp_path: Path) -> Path:
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


def zip_of_several_recordings(tmp_path: Path) -> Path:
    folder = write_folder(tmp_path / "f", ["a0.png", "a1.png"], scene_frames(2))
    path = zip_of(folder, tmp_path / "v.zip", "5 mM/")
    with zipfile.ZipFile(path, "a") as archive:
        archive.write(folder / "a0.png", "10 mM/a0.png")
    return path


def float_image(tmp_path: Path) -> Path:
    tifffile.imwrite(tmp_path / "f.tif", np.zeros((8, 8), np.float32))
    return tmp_path / "f.tif"


def text_as_tiff(tmp_path: Path) -> Path:
    (tmp_path / "f.tif").write_text("this is not an image")
    return tmp_path / "f.tif"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (bad_zip, "not a zip file"),
        (zip_without_images, "no images in it"),
        (zip_of_several_recordings, "images in several folders: 10 mM, 5 mM"),
        (empty_folder, "no images in it"),
        (float_image, "pixels of type float32 are not supported"),
        (text_as_tiff, "none of the images in it can be read"),
    ],
)
def test_bad_input_is_one_clear_line(tmp_path, make, message) -> None:
    path = make(tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        open_source(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_real_tiles_are_a_recording(shared_data) -> None:
    source = open_source(shared_data / "particles-30mM")
    assert source.n_frames == 70
    assert source.shape == (200, 200)
    assert any("70 label images" in note for note in source.notes)
    first = shared_data / "particles-30mM" / source.index["file"][0]
    np.testing.assert_array_equal(next(source.read(0, 1))[1], cv2.imread(str(first), -1))
