"""Labelled pictures: images with ``_mask.png`` beside them, and simulated recordings with truth."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from pitflow.domains.particles.channels import EARLIER_FRAMES, Views, full_scale
from pitflow.domains.particles.groups import overlap_groups
from pitflow.errors import UserError
from pitflow.frame import CLASS_PARTICLE, CLASS_PIT, Image

if TYPE_CHECKING:
    from pitflow.acquire.source import Source

CLASSES = ("particle", "pit")
MASK_SUFFIX = "_mask"
IMAGE_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp"})
FRAMES_PER_CLIP = 40

_BACKGROUND_SAMPLES = 13


@dataclass(frozen=True, slots=True)
class Picture:
    """A frame with its truth.

    Parameters
    ----------
    name:
        File name, or recording and frame number.
    group:
        Pictures of one group share pixels or a recording, and belong on one side of a split.
    frame, background, earlier:
        (height, width) uint8 or uint16; the last two None where there is a single image.
    truth:
        Class name to (height, width) mask. A class that is missing is not known.
    """

    name: str
    group: str
    frame: Image
    truth: dict[str, npt.NDArray[np.bool_]]
    background: Image | None = None
    earlier: Image | None = None

    @property
    def views(self) -> Views:
        """The frame and its company, full scale 1."""
        return Views(
            full_scale(self.frame),
            None if self.background is None else full_scale(self.background),
            None if self.earlier is None else full_scale(self.earlier),
        )


def read_pictures(folders: Sequence[Path]) -> list[Picture]:
    """Read all labelled pictures of some folders, in order of folder and name.

    A folder with ``truth.json`` is the truth of a simulated recording, which lies beside that
    folder or in it. Any other folder holds images, each with its mask ``<name>_mask.png``
    (particles are not 0), and may hold folders of truth.

    Raises
    ------
    UserError
        If a folder is missing or holds nothing labelled, or a file cannot be read.
    """
    pictures: list[Picture] = []
    for folder in folders:
        if not folder.is_dir():
            raise UserError("no such folder", where=folder, hint="--data takes folders")
        found = list(_read_tiles(folder))
        for truth in sorted({path.parent for path in folder.rglob("truth.json")}):
            found += read_clip(truth)
        if not found:
            raise UserError(
                "holds nothing labelled",
                where=folder,
                hint=f"images need a mask beside them, such as a.png and a{MASK_SUFFIX}.png; "
                "simulated recordings the folder of their truth",
            )
        pictures += found
    return pictures


def read_grey(path: Path) -> Image:
    """Read an image as grey, 8 or 16 bit; colour is converted.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", where=path) from error
    flags = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH
    image: Image | None = cv2.imdecode(data, flags) if data.size else None
    if image is None or image.dtype not in (np.uint8, np.uint16):
        raise UserError("is not an image of 8 or 16 bits", where=path)
    return image


def list_images(folder: Path) -> list[Path]:
    """Return the images of a folder that are not masks, in natural order of their names."""
    paths = (path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    return sorted((path for path in paths if not path.stem.endswith(MASK_SUFFIX)), key=_natural)


def read_clip(folder: Path, n_frames: int = FRAMES_PER_CLIP) -> list[Picture]:
    """Read frames of a simulated recording, evenly over time, with background and truth.

    The background is the median of sampled frames and everything is aligned as in a run, so that
    the network learns from what it will be given. All pictures are held in memory, at 5 bytes per
    pixel of an 8-bit recording: 40 frames of 720 x 720 px take 100 MB.

    Parameters
    ----------
    folder:
        What ``pitflow simulate --truth`` wrote; the recording lies in it or beside it.
    n_frames:
        Frames read, at most.

    Raises
    ------
    UserError
        If the truth is damaged, or the recording is missing or not the one simulated.
    """
    from pitflow.acquire.source import open_source
    from pitflow.simulate.config import SimulateConfig
    from pitflow.simulate.world import simulate_world

    path = folder / "truth.json"
    try:
        about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        config = SimulateConfig.model_validate(about["config"])
        seed, name = int(about["seed"]), str(about["recording"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError("is not the truth of a simulated recording", where=path) from error
    beside = [place / name for place in (folder, folder.parent) if (place / name).exists()]
    if not beside:
        raise UserError(f"its recording {name} is neither in it nor beside it", where=folder)
    source = open_source(beside[0])
    if (source.n_frames, *source.shape) != (config.frames, config.height, config.width):
        raise UserError("is not the recording that the truth speaks of", where=beside[0])
    return list(_clip_pictures(source, simulate_world(config, seed), n_frames))


def _clip_pictures(source: Source, world: Any, n_frames: int) -> Iterator[Picture]:
    from pitflow.acquire.background import median_background
    from pitflow.acquire.registration import Registration
    from pitflow.simulate.render import classes
    from pitflow.translation import translated

    total = source.n_frames
    sampled = _evenly(0, total, _BACKGROUND_SAMPLES)
    samples = [_read_frame(source, number) for number in sampled]
    registration = Registration(samples[0])
    background = median_background(samples, [registration.measure(image) for image in samples])
    name = source.path.stem
    for number in _evenly(min(EARLIER_FRAMES, total - 1), total, n_frames):
        image = _read_frame(source, number)
        pose = registration.measure(image)
        earlier = None
        if number >= EARLIER_FRAMES:
            before = _read_frame(source, number - EARLIER_FRAMES)
            pose_before = registration.measure(before)
            earlier = translated(before, pose.dx - pose_before.dx, pose.dy - pose_before.dy)
        truth = classes(world, number)
        yield Picture(
            f"{name} frame {number}",
            f"recording {source.path}",
            image,
            {"particle": truth == CLASS_PARTICLE, "pit": truth == CLASS_PIT},
            translated(background, pose.dx, pose.dy),
            earlier,
        )


def _read_frame(source: Source, number: int) -> Image:
    _, image, _ = next(source.read(number, number + 1))
    if image is None:
        raise UserError(f"frame {number} is lost", where=source.path)
    return image


def _evenly(start: int, stop: int, n: int) -> list[int]:
    return sorted({int(number) for number in np.linspace(start, stop - 1, min(n, stop - start))})


def _read_tiles(folder: Path) -> Iterator[Picture]:
    labelled = [
        (path, mask)
        for path in list_images(folder)
        if (mask := path.with_name(path.stem + MASK_SUFFIX + ".png")).exists()
    ]
    groups = overlap_groups([path.stem for path, _ in labelled])
    for (path, mask), group in zip(labelled, groups, strict=True):
        image, label = read_grey(path), read_grey(mask)
        if image.shape != label.shape:
            raise UserError(
                f"is {label.shape[1]} x {label.shape[0]} px and its image "
                f"{image.shape[1]} x {image.shape[0]}",
                where=mask,
            )
        yield Picture(path.name, f"{folder.name}: {group}", image, {"particle": label > 0})


def _natural(path: Path) -> list[tuple[bool, int, str]]:
    parts = re.split(r"(\d+)", path.name)
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]
