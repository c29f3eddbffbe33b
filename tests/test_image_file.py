"""One rule of what is an image, for every command that takes images or folders of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from pitflow.acquire.opening import open_source
from pitflow.cli import main
from pitflow.errors import UserError
from pitflow.image_file import IMAGE_SUFFIXES, images_in, left_out, listed_images, read_image

GREY = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64).astype(np.uint8)


def write(path: Path) -> None:
    """Write an image whose name may end in capitals."""
    _, data = cv2.imencode(path.suffix.lower(), GREY)
    path.write_bytes(data.tobytes())


@pytest.mark.parametrize("suffix", sorted(IMAGE_SUFFIXES))
@pytest.mark.parametrize("capitals", [False, True])
def test_images_are_the_same_to_commands_and_to_recordings(
    tmp_path: Path, suffix: str, capitals: bool
) -> None:
    path = tmp_path / f"f1{suffix.upper() if capitals else suffix}"
    write(path)
    write(tmp_path / "._f1.png")
    assert images_in(tmp_path) == listed_images([tmp_path]) == [path]
    assert read_image(path, cv2.IMREAD_GRAYSCALE).shape == GREY.shape
    ((_, frame, _),) = open_source(tmp_path).read(0, 1)
    assert frame is not None
    assert np.abs(frame.astype(int) - GREY).mean() < 20


def test_images_of_other_formats_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("b.HEIC", "c.czi"):
        (tmp_path / name).write_bytes(b"?")
    said = "b.HEIC and 1 more: of a format that is not read; save it as PNG or TIFF"
    with pytest.raises(UserError, match=f"holds no images; {said}"):
        listed_images([tmp_path])
    with pytest.raises(UserError, match=f"no images in it; {said}"):
        open_source(tmp_path)
    write(tmp_path / "a.png")
    assert left_out([tmp_path, tmp_path / "a.png"]) == [f"{tmp_path}: left out {said}"]
    assert f"left out {said}" in open_source(tmp_path).notes
    # What is wrong besides is told after it.
    assert main(["panel", str(tmp_path), "--scale", "0.1", "--masks", "nowhere"]) == 2
    assert f"left out {said}" in capsys.readouterr().err
