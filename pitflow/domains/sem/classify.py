"""Micrographs in; label images of the classes of their materials out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from pitflow.compute import Progress, Silent
from pitflow.domains.sem.data_bar import find_data_bar
from pitflow.domains.sem.micrographs import LABEL_SUFFIX, list_micrographs, read_grey
from pitflow.domains.sem.model import load_class_model
from pitflow.errors import UserError
from pitflow.image_file import check_targets
from pitflow.output_folder import make_folder
from pitflow.segment.devices import choose_execution


def classify_images(
    images: Sequence[Path],
    model: str,
    out: Path,
    *,
    device: str = "auto",
    overwrite: bool = False,
    progress: Progress | None = None,
    refused: Callable[[UserError], None],
) -> list[Path]:
    """Write the classes of every micrograph; returns the paths.

    Parameters
    ----------
    images:
        Image files, or folders of them; any size and depth.
    model:
        Path of a model's folder.
    out:
        Folder that gets one 8-bit ``NAME_labels.png`` per image, as `train sem --task semantic`
        takes them: 0 none, from 1 the classes in the order of the model. 0 in a data bar.
    refused:
        Told of each image that cannot be read, when the others are.

    Raises
    ------
    UserError
        If the model cannot be read or finds instances, two images have the same name, or a label
        image is there already.
    """
    paths = list_micrographs(images)
    targets = [out / f"{path.stem}{LABEL_SUFFIX}.png" for path in paths]
    check_targets(paths, targets, overwrite=overwrite)
    loaded = load_class_model(model, execution=choose_execution(device))
    make_folder(out)
    progress = progress or Silent()
    progress.start("segment", len(paths))
    written = []
    for path, target in zip(paths, targets, strict=True):
        try:
            image = read_grey(path)
        except UserError as error:
            refused(error)
            continue
        labels = np.zeros(image.shape, dtype=np.uint8)
        end = find_data_bar(image)
        labels[:end] = loaded.classify(image[:end])
        _, png = cv2.imencode(".png", labels)
        target.write_bytes(png.tobytes())
        written.append(target)
        progress.advance()
    progress.finish()
    return written
