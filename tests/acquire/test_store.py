from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import zarr
from ome_zarr_models.v05 import Image as OmeImage
from ome_zarr_models.v05 import ImageLabel
from recordings import scene_frames

from pitflow.acquire.store import (
    WrittenImages,
    create_masks,
    create_stack,
    image_file,
    open_stack,
    read_frame,
    write_frame,
)
from pitflow.errors import UserError


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_frames_come_back_as_written_by_many_threads(tmp_path, dtype) -> None:
    frames = [image.astype(dtype) * np.iinfo(dtype).max // 255 for image in scene_frames(24)]
    path = tmp_path / "video.zarr"
    create_stack(path, (24, 64, 97), dtype, interval_s=1 / 15, um_per_px=0.48)
    array = open_stack(path, writable=True)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda i: write_frame(array, i, frames[i]), reversed(range(24))))
    stored = open_stack(path)
    assert stored.dtype == dtype
    for i, image in enumerate(frames):
        np.testing.assert_array_equal(read_frame(stored, i), image)


def test_layout_is_one_checked_zstd_chunk_per_frame(tmp_path) -> None:
    array = create_stack(tmp_path / "v.zarr", (3, 64, 97), np.uint8, interval_s=0.1, um_per_px=0.5)
    assert array.metadata.zarr_format == 3
    assert array.chunks == (1, 64, 97)
    assert array.metadata.dimension_names == ("t", "y", "x")
    (codec,) = array.compressors
    assert codec.to_dict() == {"name": "zstd", "configuration": {"level": 1, "checksum": True}}


def test_damage_on_disk_is_noticed(tmp_path) -> None:
    array = create_stack(tmp_path / "v.zarr", (1, 64, 97), np.uint8, interval_s=0.1, um_per_px=0.5)
    write_frame(array, 0, scene_frames(1)[0])
    (chunk,) = (tmp_path / "v.zarr" / "0" / "c").rglob("0/0/0")
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 1
    chunk.write_bytes(content)
    with pytest.raises(UserError, match=r"v\.zarr: image 0 is damaged; delete v\.zarr and repeat"):
        read_frame(array, 0)


@pytest.mark.parametrize("opened", [False, True])
def test_an_image_that_was_written_and_is_gone_is_noticed(tmp_path, opened: bool) -> None:
    path = tmp_path / "v.zarr"
    array = create_stack(path, (2, 8, 8), np.uint8, interval_s=0.1, um_per_px=0.5)
    for number in range(2):
        write_frame(array, number, np.zeros((8, 8), np.uint8))
    image_file(path, 1).unlink()
    images = WrittenImages(open_stack(path) if opened else array)
    assert images.shape == (2, 8, 8)
    assert not images[0].any()
    with pytest.raises(UserError, match=r"v\.zarr: image 1 is lost; delete v\.zarr and repeat"):
        images[1]


def test_frames_not_written_are_black(tmp_path) -> None:
    array = create_stack(tmp_path / "v.zarr", (4, 8, 8), np.uint8, interval_s=0.1, um_per_px=0.5)
    assert not read_frame(array, 2).any()


def test_video_is_valid_ome_zarr(tmp_path) -> None:
    path = tmp_path / "video.zarr"
    create_stack(path, (5, 64, 97), np.uint8, interval_s=1 / 15, um_per_px=0.48)
    model = OmeImage.from_zarr(zarr.open_group(path, mode="r"))
    (multiscale,) = model.ome_attributes.multiscales
    assert [(axis.name, axis.type, axis.unit) for axis in multiscale.axes] == [
        ("t", "time", "second"),
        ("y", "space", "micrometer"),
        ("x", "space", "micrometer"),
    ]
    (scale,) = multiscale.datasets[0].coordinateTransformations
    assert scale.scale == [1 / 15, 0.48, 0.48]


def test_masks_are_a_valid_label_image(tmp_path) -> None:
    path = tmp_path / "masks.zarr"
    masks = create_masks(
        path, (5, 64, 97), interval_s=1 / 15, um_per_px=0.48, image="../video.zarr"
    )
    classes = np.zeros((64, 97), np.uint8)
    classes[10:14, 20:25], classes[30:50, 40:60] = 1, 2
    write_frame(masks, 3, classes)
    np.testing.assert_array_equal(read_frame(open_stack(path), 3), classes)
    model = ImageLabel.from_zarr(zarr.open_group(path, mode="r"))
    label = model.ome_attributes.image_label
    assert {c.label_value for c in label.colors} == {1, 2}
    assert label.source.image == "../video.zarr"
    assert len(model.ome_attributes.multiscales) == 1


def test_creating_again_empties(tmp_path) -> None:
    path = tmp_path / "v.zarr"
    for _ in range(2):
        array = create_stack(path, (2, 8, 8), np.uint8, interval_s=0.1, um_per_px=0.5)
        assert not read_frame(array, 0).any()
        write_frame(array, 0, np.full((8, 8), 7, np.uint8))


def test_nothing_there_is_one_clear_line(tmp_path) -> None:
    with pytest.raises(UserError, match="not a stack of images"):
        open_stack(tmp_path / "none.zarr")
