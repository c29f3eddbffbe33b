"""Labelled pictures: images with ``_mask.png`` beside them, and simulated recordings with truth."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2

from pitflow.domains.particles.centres import centres_of
from pitflow.domains.particles.clips import read_clip
from pitflow.domains.particles.groups import overlap_groups
from pitflow.domains.particles.picture import Picture
from pitflow.errors import UserError
from pitflow.frame import Image
from pitflow.image_file import MASK_SUFFIX, by_stem, images_in, masks_in, read_image


def read_pictures(folders: Sequence[Path], *, room: Path | None = None) -> list[Picture]:
    """Read all labelled pictures of some folders, in order of folder and name.

    Groups of which the same image is part, such as that of a copy in another folder, are one.

    A folder with ``truth.json`` is the truth of a simulated recording, which lies beside that
    folder or in it. Any other folder holds images, each with its mask ``<name>_mask.png``
    (particles are not 0), and may hold folders of truth.

    Parameters
    ----------
    room:
        Folder in whose file system frames of recordings are kept until they are gone; None: in
        memory.

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
            found += read_clip(truth, room=room)
        if not found:
            raise UserError(
                "holds nothing labelled",
                where=folder,
                hint=f"images need a mask beside them, such as a.png and a{MASK_SUFFIX}.png; "
                "simulated recordings the folder of their truth",
            )
        pictures += found
    return _with_copies_together(pictures)


def left_out(folders: Sequence[Path]) -> list[str]:
    """Return what ``read_pictures`` passes over in labelled folders, in words.

    That is images without a mask beside masks that are there, and masks without an image.
    """
    notes = []
    for folder in folders:
        images = images_in(folder)
        masks = {path.stem for path in masks_in(folder)}
        bare = [path.name for path in images if path.stem + MASK_SUFFIX not in masks]
        # A folder of a recording's snapshots and its truth has no masks beside the images.
        if bare and masks:
            notes.append(f"{folder}: left out, for want of a mask: {_first(bare)}")
        for path in images:
            masks.discard(path.stem + MASK_SUFFIX)
        if masks:
            alone = [f"{stem}.png" for stem in sorted(masks)]
            notes.append(f"{folder}: left out, for want of an image: {_first(alone)}")
    return notes


def _first(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def read_grey(path: Path) -> Image:
    """Read an image as grey, 8 or 16 bit; colour is converted.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    return read_image(path, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)


def _with_copies_together(pictures: Sequence[Picture]) -> list[Picture]:
    """Return the pictures, groups that share an image as one: the first of them."""
    first: dict[tuple[tuple[int, ...], bytes], str] = {}
    joined: dict[str, str] = {}

    def name_of(group: str) -> str:
        while group in joined:
            group = joined[group]
        return group

    for picture in pictures:
        if not picture.is_still:
            continue
        content = picture.frame.shape, hashlib.sha256(picture.frame.tobytes()).digest()
        one, other = name_of(first.setdefault(content, picture.group)), name_of(picture.group)
        if one != other:
            joined[other] = one
    return [replace(picture, group=name_of(picture.group)) for picture in pictures]


def _read_tiles(folder: Path) -> Iterator[Picture]:
    masks = {path.stem: path for path in masks_in(folder)}
    labelled = [
        (path, masks[path.stem + MASK_SUFFIX])
        for path in images_in(folder)
        if path.stem + MASK_SUFFIX in masks
    ]
    names = list(by_stem(path for path, _ in labelled))
    groups = overlap_groups(names)
    for (path, mask), group in zip(labelled, groups, strict=True):
        image, label = read_grey(path), read_grey(mask)
        if image.shape != label.shape:
            raise UserError(
                f"is {label.shape[1]} x {label.shape[0]} px and its image "
                f"{image.shape[1]} x {image.shape[0]}",
                where=mask,
            )
        truth = {"particle": label > 0, "centre": centres_of(label > 0)}
        yield Picture(path.name, f"{folder.name}: {group}", image, truth)
