"""Photographs as training images: whole, brought to the recipe's size, varied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from pitflow.domains.panels.pictures import Colours, LabelledPanel, Mask
from pitflow.domains.recipe import AugmentConfig, Recipe
from pitflow.segment.training.learn import Sample

Floats = npt.NDArray[np.float32]


class PanelSamples:
    """Labelled photographs as training images (``pitflow.segment.training.learn.Samples``).

    They are held in memory at the recipe's size.
    """

    def __init__(self, panels: Sequence[LabelledPanel], recipe: Recipe) -> None:
        self.recipe = recipe
        self._held = [_scaled(*panel.read(), recipe.tile_px) for panel in panels]

    def __len__(self) -> int:
        return len(self._held)

    def draw(self, index: int, rng: np.random.Generator) -> Sample:
        """Return photograph ``index``, varied by chance."""
        image, mask = self._held[index]
        sample = self._as_sample(_relit(image, self.recipe.augment, rng), mask)
        if not self.recipe.augment.dihedral:
            return sample
        quarter, mirrored = int(rng.integers(4)), bool(rng.integers(2))

        def turned(maps: npt.NDArray[Any]) -> npt.NDArray[Any]:
            maps = np.rot90(maps, quarter, (-2, -1))
            return np.ascontiguousarray(maps[..., ::-1] if mirrored else maps)

        return Sample(turned(sample.channels), turned(sample.truth), turned(sample.known))

    def plain(self, index: int) -> Sample:
        """Return photograph ``index`` as it is."""
        image, mask = self._held[index]
        return self._as_sample(in_unit_range(image), mask)

    def _as_sample(self, image: Floats, mask: Mask) -> Sample:
        """Return a square sample; beside a photograph that is none, nothing is known."""
        side = self.recipe.tile_px
        beyond = [(0, side - mask.shape[0]), (0, side - mask.shape[1])]
        channels = np.pad(as_channels(image), [(0, 0), *beyond], mode="symmetric")
        known = np.pad(np.ones((1, *mask.shape), dtype=bool), [(0, 0), *beyond])
        return Sample(channels, np.pad(mask[None], [(0, 0), *beyond]), known)


def in_unit_range(image: Colours) -> Floats:
    """Return an image in [0, 1]."""
    result: Floats = image.astype(np.float32) / np.float32(255)
    return result


def as_channels(image: Floats) -> Floats:
    """Return what the network sees of an RGB image in [0, 1]: (3, height, width) about 0."""
    centred = np.float32(4) * (image - np.float32(0.5))
    return np.ascontiguousarray(centred.transpose(2, 0, 1))


def scaled_size(shape: tuple[int, int], side: int) -> tuple[int, int]:
    """Return the (height, width) of an image whose longer side is brought to ``side`` px."""
    factor = side / max(shape)
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


def scaled(image: Colours, side: int) -> Colours:
    """Return an image whose longer side is brought to ``side`` px, averaged if made smaller."""
    height, width = scaled_size(image.shape[:2], side)
    smaller = height < image.shape[0]
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    result: Colours = cv2.resize(image, (width, height), interpolation=method)
    return result


def _scaled(image: Colours, mask: Mask, side: int) -> tuple[Colours, Mask]:
    # The share of a coarse pixel that is corroded decides, so that areas are kept.
    share = scaled((mask * np.uint8(255)).astype(np.uint8), side)
    return scaled(image, side), share >= 128


def _relit(image: Colours, augment: AugmentConfig, rng: np.random.Generator) -> Floats:
    """Return the image in [0, 1] in another light, from another camera."""
    gain = 1 + augment.gain * rng.uniform(-1, 1)
    tint = 1 + 0.25 * augment.gain * rng.uniform(-1, 1, 3)
    offset, blur = augment.offset * rng.uniform(-1, 1), augment.blur_px * rng.random()
    noise = augment.noise * rng.random()
    varied = in_unit_range(image)
    if blur > 0.2:
        varied = cv2.GaussianBlur(varied, (0, 0), blur)
    varied *= (gain * tint).astype(np.float32)
    varied += np.float32(offset)
    if noise > 0:
        varied += np.float32(noise) * rng.standard_normal(varied.shape, np.float32)
    return np.clip(varied, 0, 1)
