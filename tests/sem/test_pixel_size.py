"""The size of a pixel from the tags of TIFF files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile

from pitflow.cli import main
from pitflow.domains.sem.micrographs import read_with_scale

FEI, ZEISS, TESCAN = 34682, 34118, 50431
HEIGHT, WIDTH = 60, 80


def fei(width: str = "4.5e-008", height: str = "4.5e-008", columns: int = WIDTH) -> bytes:
    return (
        f"[User]\r\nDate=1\r\n[Scan]\r\nPixelWidth={width}\r\nPixelHeight={height}\r\n"
        f"[Image]\r\nResolutionX={columns}\r\n"
    ).encode()


def zeiss(size: str, columns: int = WIDTH) -> bytes:
    return (
        f"\r\n0\r\nDP_IMAGE_STORE\r\nStore resolution = {columns} * {HEIGHT}\r\nAP_PIXEL_SIZE\r\n"
        f"Pixel Size = 99 nm\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = {size}\r\n"
    ).encode("latin-1")


def jeol(bar: int = 160, marker: str = "5um", columns: int = WIDTH) -> str:
    return (
        f"$CM_FORMAT JEOL/SEM\r\n$CM_MAG 5000\r\n$CM_FULL_SIZE {columns} {HEIGHT}\r\n"
        f"$$SM_MICRON_BAR {bar}\r\n$$SM_MICRON_MARKER {marker}\r\n"
    )


def hitachi(columns: int = WIDTH) -> str:
    return f"[SemImageFile]\r\nDataSize={columns}x{HEIGHT}\r\nPixelSize=24.8\r\n"


def tescan(height: str = "1.36e-007") -> str:
    return f"[MAIN]\r\nMagnification=2000.0\r\nPixelSizeX=1.36e-007\r\nPixelSizeY={height}\r\n"


def scale_of(path: Path) -> float | None:
    return read_with_scale(path)[1]


def write(path: Path, tag: int, text: bytes) -> Path:
    image = np.full((HEIGHT, WIDTH), 120, np.uint8)
    extra = [(tag, "s", len(text) + 1, text, True)]
    tifffile.imwrite(path, image, extratags=extra, metadata=None)
    return path


@pytest.mark.parametrize(
    ("tag", "text", "size"),
    [
        (FEI, fei(), 0.045),
        (ZEISS, zeiss("12.3 nm"), 0.0123),
        (ZEISS, zeiss("1.203 \xb5m"), 1.203),
        (TESCAN, b"\0\x01\xff" + tescan().encode(), 0.136),
        # Enlarged or reduced since, not square, or not to be understood.
        (FEI, fei(columns=1024), None),
        (ZEISS, zeiss("12.3 nm", columns=1024), None),
        (FEI, fei(height="9e-008"), None),
        (FEI, fei(width="", height=""), None),
        (FEI, fei(width="0", height="0"), None),
        (ZEISS, zeiss("12.3 furlongs"), None),
    ],
)
def test_the_tags_of_microscopes(tmp_path: Path, tag: int, text: bytes, size: float | None) -> None:
    assert scale_of(write(tmp_path / "a.tif", tag, text)) == pytest.approx(size)


@pytest.mark.parametrize(
    ("unit", "size"), [("um", 0.05), ("\\u00B5m", 0.05), ("nm", 5e-5), ("pixel", None)]
)
def test_the_scale_of_imagej(tmp_path: Path, unit: str, size: float | None) -> None:
    image, path = np.zeros((HEIGHT, WIDTH), np.uint8), tmp_path / "a.tif"
    tifffile.imwrite(path, image, imagej=True, resolution=(20, 20), metadata={"unit": unit})
    assert scale_of(path) == pytest.approx(size)


@pytest.mark.parametrize(
    ("name", "text", "size"),
    [
        ("a-tif.hdr", tescan(), 0.136),
        ("a-tif.hdr", tescan(height="9e-007"), None),
        ("a.txt", jeol(), 5 / 160),
        ("a.txt", jeol(marker="500nm"), 0.5 / 160),
        ("a.txt", jeol(marker="1\xb5m"), 1 / 160),
        ("a.txt", jeol(columns=1280), None),
        ("a.txt", jeol(bar=0), None),
        ("a.txt", hitachi(), 0.0248),
        ("a.txt", hitachi(columns=1280), None),
    ],
)
@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_the_files_that_microscopes_write_beside(
    tmp_path: Path, name: str, text: str, size: float | None, encoding: str
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.full((HEIGHT, WIDTH), 120, np.uint8))
    (tmp_path / name).write_bytes(text.encode(encoding))
    assert scale_of(tmp_path / "a.tif") == pytest.approx(size)


def test_a_tiff_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    original = tifffile.TiffFile

    def counted(*arguments: object, **more: object) -> tifffile.TiffFile:
        opened.append(arguments)
        return original(*arguments, **more)

    path = write(tmp_path / "a.tif", FEI, fei())
    monkeypatch.setattr(tifffile, "TiffFile", counted)
    assert scale_of(path) == pytest.approx(0.045)
    assert len(opened) == 1


def test_other_files_tell_nothing(tmp_path: Path) -> None:
    image = np.zeros((HEIGHT, WIDTH), np.uint8)
    tifffile.imwrite(tmp_path / "print.tif", image, resolution=(300, 300), resolutionunit="INCH")
    cv2.imwrite(str(tmp_path / "a.png"), image)
    (tmp_path / "a.txt").write_text("0 0.1 0.1 0.2 0.1 0.2 0.2\n")
    for name in ("print.tif", "a.png"):
        assert scale_of(tmp_path / name) is None


def test_what_the_file_tells_is_used_and_said_and_what_is_given_wins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    write(images / "a.tif", FEI, fei())
    labels = np.zeros((HEIGHT, WIDTH), np.uint16)
    labels[20:40, 20:40] = 1
    cv2.imwrite(str(images / "a_labels.png"), labels)
    out = tmp_path / "out"
    command = ["sem", str(images), "--labels", str(images), "-o", str(out), "--overwrite"]
    for options, size, said in (
        ([], 0.045, "0.045 µm per px, read from the files"),
        (["--um-per-px", "2"], 2, "2 µm per px"),
    ):
        with pytest.raises(SystemExit) as stopped:
            raise SystemExit(main([*command, *options]))
        assert not stopped.value.code
        assert (said in capsys.readouterr().err) == (not options)
        (area,) = pd.read_csv(out / "pits.csv")["area_um2"]
        assert area == pytest.approx(400 * size**2, rel=1e-4)
        page = (out / "sem.html").read_text(encoding="utf-8")
        assert said in page
        assert ("read from the files" in page) == (not options)
