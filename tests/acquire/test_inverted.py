"""An inverted recording differs in its grey values alone."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from pitflow.acquire.inverted import Inverted
from pitflow.acquire.opening import open_source


def recording(folder: Path, dtype: type[np.integer], brightest: int) -> Path:
    rng = np.random.default_rng(1)
    for number in range(3):
        image = rng.integers(0, brightest + 1, (40, 60)).astype(dtype)
        image[0, 0] = brightest
        cv2.imwrite(str(folder / f"{number}.png"), image)
    return folder


@pytest.mark.parametrize(
    ("dtype", "brightest", "top"),
    [(np.uint8, 90, 255), (np.uint16, 65000, 65535), (np.uint16, 1000, 1023), (np.uint16, 9, 255)],
)
def test_white_becomes_black_and_all_else_stays(tmp_path, dtype, brightest, top):
    source = open_source(recording(tmp_path, dtype, brightest))
    inverted = Inverted(source)
    assert (inverted.shape, inverted.dtype, inverted.n_frames) == ((40, 60), np.dtype(dtype), 3)
    assert (inverted.path, inverted.files, inverted.fps) == (source.path, source.files, source.fps)
    assert inverted.index.equals(source.index)
    assert any("inverted" in note for note in inverted.notes)
    pairs = list(zip(source.read(1, 3), inverted.read(1, 3), strict=True))
    assert [turned[0] for _, turned in pairs] == [1, 2]
    for (_, image, quality), (_, turned, turned_quality) in pairs:
        assert turned_quality == quality
        assert turned.dtype == image.dtype
        np.testing.assert_array_equal(turned.astype(int), top - image.astype(int))


def test_what_is_brighter_than_the_first_frame_could_be_becomes_black(tmp_path):
    recording(tmp_path, np.uint16, 1000)
    cv2.imwrite(str(tmp_path / "3.png"), np.full((40, 60), 5000, np.uint16))
    (*_, (_, last, _)) = Inverted(open_source(tmp_path)).read(0, 4)
    assert (last == 0).all()
