"""Stacks of images on disk: OME-Zarr 0.5, one chunk per frame.

The arrays stand under "0" in their group, as image viewers expect it. A chunk is one frame, so
frames can be written by many threads or processes at once. Whether a chunk's file exists says
nothing about whether its frame was done.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import ZstdCodec

from pitflow.errors import UserError
from pitflow.frame import CLASS_PARTICLE, CLASS_PIT, Image

_COLOURS = {CLASS_PARTICLE: [255, 140, 0, 255], CLASS_PIT: [0, 114, 178, 255]}
_MEANINGS = {CLASS_PARTICLE: "particle", CLASS_PIT: "pit"}


def create_stack(
    path: Path,
    shape: tuple[int, int, int],
    dtype: np.dtype[Any] | type[np.generic],
    *,
    interval_s: float,
    um_per_px: float,
) -> zarr.Array[Any]:
    """Create an empty stack of images, replacing one that is there, and return its array.

    Parameters
    ----------
    path:
        The group, such as ``video.zarr``.
    shape:
        (n, height, width).
    dtype:
        uint8 or uint16.
    interval_s:
        Time between images, s.
    um_per_px:
        Size of a pixel, um.
    """
    group = zarr.open_group(path, mode="w", zarr_format=3)
    group.attrs["ome"] = {
        "version": "0.5",
        "multiscales": _multiscales(path.stem, interval_s, um_per_px),
    }
    return group.create_array(
        "0",
        shape=shape,
        chunks=(1, *shape[1:]),
        dtype=dtype,
        fill_value=0,
        compressors=ZstdCodec(level=1, checksum=True),
        dimension_names=["t", "y", "x"],
        # Finding out that a frame is not all zero costs more than compressing it.
        config={"write_empty_chunks": True},
    )


def set_scale(path: Path, *, interval_s: float, um_per_px: float) -> None:
    """Change the scale that viewers read of a stack; where there is none, nothing is done."""
    if not (path / "zarr.json").is_file():
        return
    group = zarr.open_group(path, mode="r+")
    ome = dict(group.attrs.get("ome", {}))  # type: ignore[arg-type]
    group.attrs["ome"] = {**ome, "multiscales": _multiscales(path.stem, interval_s, um_per_px)}


def create_masks(
    path: Path,
    shape: tuple[int, int, int],
    *,
    interval_s: float,
    um_per_px: float,
    image: str | None = None,
) -> zarr.Array[Any]:
    """Create an empty stack of class maps (0 background, 1 particle, 2 pit), uint8.

    Parameters
    ----------
    path, shape, interval_s, um_per_px:
        As for ``create_stack``.
    image:
        The stack that the masks label, relative to ``path``.
    """
    masks = create_stack(path, shape, np.uint8, interval_s=interval_s, um_per_px=um_per_px)
    group = zarr.open_group(path, mode="r+")
    label: dict[str, Any] = {
        "colors": [{"label-value": value, "rgba": rgba} for value, rgba in _COLOURS.items()],
        "properties": [{"label-value": value, "class": name} for value, name in _MEANINGS.items()],
    }
    if image is not None:
        label["source"] = {"image": image}
    group.attrs["ome"] = {**group.attrs["ome"], "image-label": label}  # type: ignore[dict-item]
    return masks


def open_stack(path: Path, *, writable: bool = False) -> zarr.Array[Any]:
    """Open the array of a stack.

    Raises
    ------
    UserError
        If there is none at ``path``.
    """
    try:
        array = zarr.open_array(path / "0", mode="r+" if writable else "r", zarr_format=3)
    except (FileNotFoundError, ValueError, KeyError) as error:
        raise UserError("not a stack of images", where=path) from error
    # Not kept in the metadata: it is a property of the writing.
    return array.with_config({"write_empty_chunks": True}) if writable else array


def write_frame(array: zarr.Array[Any], number: int, image: Image) -> None:
    """Write one image of a stack; different ones may be written at the same time."""
    array[number] = image


def read_frame(array: zarr.Array[Any], number: int, *, written: bool = False) -> Image:
    """Return one image of a stack, black where none was written.

    Parameters
    ----------
    array, number:
        The stack's array, and the image in it.
    written:
        It is known to have been written: where it is not there, it was lost.

    Raises
    ------
    UserError
        If the image is damaged, or lost.
    """
    stack = Path(array.store.root) / array.path  # type: ignore[attr-defined]
    stack = stack.parent if stack.name == "0" else stack
    hint = f"delete {stack.name} and repeat `pitflow run`, which writes it again"
    if written and not image_file(stack, number).is_file():
        raise UserError(f"image {number} is lost", where=stack, hint=hint)
    try:
        return np.asarray(array[number])
    except (RuntimeError, ValueError) as error:
        raise UserError(f"image {number} is damaged", where=stack, hint=hint) from error


class WrittenImages:
    """The images of a stack of which each was written; one that is lost or damaged is an error.

    Parameters
    ----------
    array:
        The stack's array.
    """

    def __init__(self, array: zarr.Array[Any]) -> None:
        self._array = array

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, height, width)."""
        return self._array.shape

    def __getitem__(self, number: int, /) -> Image:
        return read_frame(self._array, number, written=True)


def image_file(path: Path, number: int) -> Path:
    """Return the file that holds one image of a stack; black ones are written too."""
    return path / "0" / "c" / str(number) / "0" / "0"


def image_marks(path: Path, numbers: Iterable[int]) -> dict[int, str]:
    """Return a mark of some images of a stack, which changes when they are written again.

    It is the checksum of the compressed image, which is read but not unpacked.
    """
    marks = {}
    for number in numbers:
        file = image_file(path, number)
        marks[number] = f"{zlib.crc32(file.read_bytes()):08x}" if file.is_file() else ""
    return marks


def _multiscales(name: str, interval_s: float, um_per_px: float) -> Any:
    """Return axes and scale as OME-Zarr 0.5 has them, for one resolution."""
    scale = {"type": "scale", "scale": [interval_s, um_per_px, um_per_px]}
    return [
        {
            "name": name,
            "axes": [
                {"name": "t", "type": "time", "unit": "second"},
                {"name": "y", "type": "space", "unit": "micrometer"},
                {"name": "x", "type": "space", "unit": "micrometer"},
            ],
            "datasets": [{"path": "0", "coordinateTransformations": [scale]}],
        }
    ]
