"""Single images to particle masks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from pitflow.acquire.polarity import Spots, count_spots
from pitflow.compute import Progress, Silent
from pitflow.domains.particles.channels import Views
from pitflow.domains.particles.model import load_model
from pitflow.domains.particles.pictures import read_grey
from pitflow.domains.particles.relative import full_scale
from pitflow.errors import UserError
from pitflow.image_file import check_targets, listed_images
from pitflow.segment.devices import choose_execution


def segment_images(
    images: Sequence[Path],
    model: str,
    out: Path,
    *,
    device: str = "auto",
    flips: bool = True,
    overwrite: bool = False,
    progress: Progress | None = None,
    refused: Callable[[UserError], None] | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> list[Path]:
    """Write a particle mask for every image; returns their paths.

    Parameters
    ----------
    images:
        Image files, or folders of them; any size, 8 or 16 bit. Masks in folders are left out.
    model:
        Name of an included model, or path of a model's folder.
    flips:
        Average over the eight symmetries of the square.
    out:
        Folder that gets one 8-bit PNG per image under the image's name: 255 particle, 0 none.
    refused:
        Told of each image that cannot be read, when the others are. None: the first such error is
        raised.
    note:
        Told what the model had to adapt, such as that it left the GPU, and of images that look
        inverted.

    Raises
    ------
    UserError
        If an image or the model cannot be read, two images have the same name, or a mask is there
        already.
    """
    paths = _listed(images)
    targets = [out / f"{path.stem}.png" for path in paths]
    check_targets(paths, targets, overwrite=overwrite)
    execution = choose_execution(device)
    loaded = load_model(model, stills=True, execution=execution, flips=flips, note=note)
    progress = progress or Silent()
    progress.start("segment", len(paths))
    # Images are read ahead of the network.
    due: deque[Path] = deque()
    written: list[Path] = []
    spots: list[Spots] = []

    def views() -> Iterator[Views]:
        for path, target in zip(paths, targets, strict=True):
            try:
                image = read_grey(path)
            except UserError as error:
                if refused is None:
                    raise
                refused(error)
                continue
            due.append(target)
            spots.append(count_spots(image))
            yield Views(full_scale(image))

    try:
        out.mkdir(parents=True, exist_ok=True)
        for mask in loaded.masks(views()):
            target = due.popleft()
            _, png = cv2.imencode(".png", mask.astype(np.uint8) * np.uint8(255))
            target.write_bytes(png.tobytes())
            written.append(target)
            progress.advance()
    except OSError as error:
        raise UserError(f"cannot be written ({error.strerror})", where=out) from error
    progress.finish()
    seen = Spots(sum(each.dark for each in spots), sum(each.bright for each in spots))
    if seen.are_bright:
        note(
            f"{seen.bright} of {seen.dark + seen.bright} small spots in the images are brighter "
            "than what is around them, but included models look for what is darker: turn the grey "
            "values round first, unless this model learned from such images"
        )
    return written


def _listed(images: Sequence[Path]) -> list[Path]:
    paths = listed_images(images)
    if not paths:
        raise UserError("no images given")
    return paths
