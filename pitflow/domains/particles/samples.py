"""Training images drawn from labelled pictures: cropped, varied, turned into channels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from pitflow.domains.particles.channels import Views, make_channels
from pitflow.domains.particles.picture import Picture
from pitflow.domains.particles.relative import Floats, full_scale
from pitflow.domains.particles.stamps import Stamp, clump, cut_stamps, find_specks, paste, warped
from pitflow.domains.recipe import AugmentConfig, Recipe
from pitflow.segment.training.learn import Sample

Mask = npt.NDArray[np.bool_]

_AIMED = 0.5


class ParticleSamples:
    """Pictures as training images of a recipe (``pitflow.segment.training.learn.Samples``).

    Particles and specks to paste are cut out of single images: those are real ones.
    """

    def __init__(self, pictures: Sequence[Picture], recipe: Recipe) -> None:
        self.pictures, self.recipe = list(pictures), recipe
        self._order = _balanced(self.pictures, recipe.stills_share)
        self._particles: list[Stamp] = []
        self._specks: list[Stamp] = []
        for picture in self.pictures:
            if "particle" not in picture.truth or not picture.is_still:
                continue
            frame, truth = full_scale(picture.frame), picture.truth["particle"]
            if recipe.augment.paste:
                self._particles += cut_stamps(frame, truth)
            if recipe.augment.paste_specks:
                self._specks += cut_stamps(frame, find_specks(frame, truth))

    def __len__(self) -> int:
        return len(self._order)

    def draw(self, index: int, rng: np.random.Generator) -> Sample:
        """Return a crop of a picture, varied by chance."""
        recipe = self.recipe
        picture = self.pictures[self._order[index]]
        mirrored = recipe.beyond == "mirrored"
        views, truth, known = _cropped(
            picture, recipe.crop_px, recipe.classes, rng, mirrored=mirrored
        )
        if "particle" in recipe.classes:
            everywhere = [views.frame, *views.company.values()]
            particle = recipe.classes.index("particle")
            centre = recipe.classes.index("centre") if "centre" in recipe.classes else None
            for stamps, mean, images, are_particles in (
                (self._particles, recipe.augment.paste, everywhere[:1], True),
                (self._specks, recipe.augment.paste_specks, everywhere, False),
            ):
                n = int(rng.poisson(mean)) if stamps else 0
                chosen = [_new_stamp(stamps, recipe.augment, rng) for _ in range(n)]
                paste(
                    images,
                    truth[particle],
                    ~known[particle],
                    chosen,
                    rng,
                    centres=None if centre is None else truth[centre],
                    are_particles=are_particles,
                )
        views, truth, known = _varied(views, truth, known, recipe.augment, rng)
        channels = make_channels(recipe.channels, views)
        return Sample(*_placed((channels, truth, known), recipe.crop_px, rng))


def truth_of(picture: Picture, classes: Sequence[str]) -> tuple[Mask, Mask]:
    """Return the masks of the classes, and where they are known, (classes, height, width) each."""
    whole = slice(None), slice(None)
    return _truth_in(picture, classes, whole)


def _truth_in(
    picture: Picture, classes: Sequence[str], here: tuple[slice, slice]
) -> tuple[Mask, Mask]:
    side = picture.frame[here].shape
    truth = np.zeros((len(classes), *side), dtype=bool)
    known = np.zeros_like(truth)
    for place, name in enumerate(classes):
        if name in picture.truth:
            truth[place] = picture.truth[name][here]
            known[place] = True if picture.known is None else picture.known[here]
    return truth, known


def _balanced(pictures: Sequence[Picture], share: float | None) -> list[int]:
    """Return positions of pictures, the rarer kind repeated until stills make up ``share``."""
    stills = [place for place, picture in enumerate(pictures) if picture.is_still]
    moving = [place for place, picture in enumerate(pictures) if not picture.is_still]
    if share is None or not stills or not moving:
        return list(range(len(pictures)))
    wanted = share / (1 - share)
    if len(stills) < wanted * len(moving):
        return moving + _repeated(stills, round(wanted * len(moving)))
    return stills + _repeated(moving, round(len(stills) / wanted))


def _repeated(places: Sequence[int], n: int) -> list[int]:
    return [places[k % len(places)] for k in range(n)]


def _cropped(
    picture: Picture,
    side: int,
    classes: Sequence[str],
    rng: np.random.Generator,
    *,
    mirrored: bool,
) -> tuple[Views, Mask, Mask]:
    """Cut out a square, around a particle every other time.

    Of a picture smaller than that, what there is; ``mirrored`` adds its mirror image beyond the
    border, where nothing is known.
    """
    height, width = picture.frame.shape
    corner = [int(rng.integers(max(size - side, 0) + 1)) for size in (height, width)]
    aimed = rng.random() < _AIMED
    if aimed and max(height, width) > side and picture.marked.size:
        pick = divmod(int(picture.marked[rng.integers(picture.marked.size)]), width)
        inside = rng.integers(side // 4, 3 * side // 4, 2)
        corner = [
            int(np.clip(at - offset, 0, max(size - side, 0)))
            for at, offset, size in zip(pick, inside, (height, width), strict=True)
        ]
    here = slice(corner[0], corner[0] + side), slice(corner[1], corner[1] + side)
    truth, known = _truth_in(picture, classes, here)
    beyond = [max(side - size, 0) if mirrored else 0 for size in (height, width)]

    def cut(image: npt.NDArray[Any]) -> Floats:
        return np.pad(full_scale(image[here]), [(0, beyond[0]), (0, beyond[1])], mode="reflect")

    def cut_masks(masks: Mask) -> Mask:
        return np.pad(masks, [(0, 0), (0, beyond[0]), (0, beyond[1])])

    company = {name: cut(image) for name, image in picture.company.items()}
    return Views(cut(picture.frame), company), cut_masks(truth), cut_masks(known)


def _placed(
    maps: Sequence[npt.NDArray[Any]], side: int, rng: np.random.Generator
) -> Iterator[npt.NDArray[Any]]:
    """Yield maps (..., height, width) of a picture somewhere in a square with nothing around it."""
    height, width = maps[0].shape[-2:]
    top, left = (int(rng.integers(side - size + 1)) for size in (height, width))
    around = (top, side - height - top), (left, side - width - left)
    for one in maps:
        yield np.pad(one, [(0, 0), *around])


def _new_stamp(stamps: Sequence[Stamp], augment: AugmentConfig, rng: np.random.Generator) -> Stamp:
    """Return one of the stamps, or a few stuck together, in another size and shape."""
    n = int(rng.integers(2, 5)) if rng.random() < augment.paste_clump else 1
    parts = []
    for place in rng.integers(len(stamps), size=n):
        scale = augment.paste_scale ** rng.uniform(-1, 1)
        stretch = augment.paste_stretch ** rng.random()
        parts.append(warped(stamps[place], scale, stretch, rng.uniform(0, 180)))
    return parts[0] if n == 1 else clump(parts, rng)


def _each(views: Views, function: Callable[[Floats], Floats]) -> Views:
    company = {name: function(image) for name, image in views.company.items()}
    return Views(function(views.frame), company)


def _varied(
    views: Views, truth: Mask, known: Mask, augment: AugmentConfig, rng: np.random.Generator
) -> tuple[Views, Mask, Mask]:
    """Vary the light and the sharpness as another recording would, and turn everything alike.

    Background and neighbours share the light of the frame, not its noise; the background is a
    median and has next to none.
    """
    gain = 1 + augment.gain * rng.uniform(-1, 1)
    offset = augment.offset * rng.uniform(-1, 1)
    blur = augment.blur_px * rng.random()
    noise = augment.noise * rng.random()

    def lit(image: Floats) -> Floats:
        if blur > 0.2:
            image = cv2.GaussianBlur(image, (0, 0), blur)
        return image * np.float32(gain) + np.float32(offset)

    def noisy(image: Floats) -> Floats:
        grain = rng.standard_normal(image.shape, np.float32)
        return np.maximum(image + np.float32(noise) * grain, 0)

    views = _each(views, lit)
    if noise > 0:
        company = {
            name: image if name == "background" else noisy(image)
            for name, image in views.company.items()
        }
        views = Views(noisy(views.frame), company)

    quarter, mirrored = 0, False
    if augment.dihedral:
        quarter, mirrored = int(rng.integers(4)), bool(rng.integers(2))

    def turned(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        image = np.rot90(image, quarter, (-2, -1))
        return np.ascontiguousarray(image[..., ::-1] if mirrored else image)

    return _each(views, turned), turned(truth), turned(known)
