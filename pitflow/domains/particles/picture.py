"""A frame with its truth: what is learned from, and tested on."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from pitflow.domains.particles.channels import Views
from pitflow.domains.particles.relative import full_scale
from pitflow.frame import Image

_ALIGN = 8
"""Arrays in a file begin at multiples of so many bytes."""


@dataclass(frozen=True)
class Picture:
    """A frame with its truth.

    Parameters
    ----------
    name:
        File name, or recording and frame number.
    group:
        Pictures of one group share pixels or a recording, and belong on one side of a split.
    frame:
        (height, width) uint8 or uint16.
    truth:
        Class name to (height, width) mask. A class that is missing is not known.
    company:
        What the frame may be compared with (``channels.COMPANY``), by name, (height, width) uint8
        or uint16; nothing where there is a single image.
    known:
        (height, width) False where nobody knows the truth; None: it is known everywhere.
    """

    name: str
    group: str
    frame: Image
    truth: dict[str, npt.NDArray[np.bool_]]
    company: Mapping[str, Image] = field(default_factory=dict)
    known: npt.NDArray[np.bool_] | None = None

    @property
    def is_still(self) -> bool:
        """True for a single image, without background, past and future."""
        return not self.company

    @cached_property
    def marked(self) -> npt.NDArray[np.intp]:
        """Flat positions where something is to be seen: near centres, else in any class."""
        chosen = [self.truth["centre"]] if "centre" in self.truth else list(self.truth.values())
        return np.flatnonzero(np.logical_or.reduce(chosen))

    @property
    def views(self) -> Views:
        """The frame and its company, full scale 1."""
        company = {name: full_scale(image) for name, image in self.company.items()}
        return Views(full_scale(self.frame), company)


def kept_on_disk(pictures: Iterable[Picture], folder: Path) -> list[Picture]:
    """Return pictures whose arrays are read from a file as they are needed.

    The file has no name, and its space is free again when the pictures are gone, even if the
    program is killed (on Windows, when it ends).

    Parameters
    ----------
    pictures:
        One is held in memory at a time.
    folder:
        Where there is room for them.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        placed = [_each_array(picture, partial(_Place.appended, file)) for picture in pictures]
        file.flush()
        memory = np.memmap(file, np.uint8, "r") if placed else None
    return [_each_array(picture, lambda place: place.read(memory)) for picture in placed]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an array lies in a file."""

    start: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @classmethod
    def appended(cls, file: IO[bytes], array: npt.NDArray[Any]) -> _Place:
        """Append an array to a file; returns where it lies."""
        start = file.tell()
        file.write(np.ascontiguousarray(array).data)
        file.write(bytes(-file.tell() % _ALIGN))
        return cls(start, array.dtype, array.shape)

    def read(self, memory: Any) -> npt.NDArray[Any]:
        """Return the array in what the file is mapped to."""
        return np.ndarray(self.shape, self.dtype, memory, self.start)


def _each_array(picture: Picture, change: Callable[[Any], Any]) -> Picture:
    """Return a picture with something else, such as its place in a file, for each array."""
    return replace(
        picture,
        frame=change(picture.frame),
        truth={name: change(mask) for name, mask in picture.truth.items()},
        company={name: change(image) for name, image in picture.company.items()},
        known=None if picture.known is None else change(picture.known),
    )
