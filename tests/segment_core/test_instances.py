"""Instances of tiled images: each object comes out once, whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from pitflow.segment.instance import Instance, Limits, paint_labels, trimmed
from pitflow.segment.instances import InstancePredictor

MASK = np.ndarray


class Bright(torch.nn.Module):
    """Finds the connected bright parts of a tile: a network whose right answer is known."""

    multiple = 32
    single_precision = False

    def __init__(self, margin: int = 0) -> None:
        super().__init__()
        self.margin = margin
        self.sizes: list[tuple[int, ...]] = []

    def without_auxiliary(self) -> Bright:
        return self

    def detect(self, images: torch.Tensor, limits: Limits) -> list[list[Instance]]:
        self.sizes.append(tuple(images.shape))
        answers = []
        for image in images:
            labels, n = ndimage.label(image[0].numpy() > 0.5)
            found = [trimmed(0, 0, labels == value, 0.9) for value in range(1, n + 1)]
            answers.append([one for one in found if one is not None])
        return answers


def as_channels(part: MASK) -> MASK:
    return part[None].astype(np.float32) / 255


def a_disc(shape: tuple[int, int], y: float, x: float, radius: float) -> MASK:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def found_in(mask: MASK, tile: int = 64, overlap: int = 16) -> list[Instance]:
    predictor = InstancePredictor(Bright(), tile, overlap=overlap)
    return predictor.predict(mask.astype(np.uint8) * 255, as_channels)


@pytest.mark.parametrize("radius", [5, 14, 40, 75])
@pytest.mark.parametrize("place", [(100, 100), (92, 131), (3, 60)])
def test_an_object_that_crosses_tiles_comes_out_once_and_whole(
    radius: float, place: tuple[int, int]
) -> None:
    mask = a_disc((200, 230), *place, radius)
    (found,) = found_in(mask)
    np.testing.assert_array_equal(found.part(0, 0, 200, 230), mask)


def test_touching_tiles_do_not_join_neighbours() -> None:
    shape = (150, 150)
    discs = [a_disc(shape, y, x, 7) for y in range(10, 150, 18) for x in range(10, 150, 18)]
    found = found_in(np.any(discs, axis=0))
    assert len(found) == len(discs)
    labels, kept = paint_labels(found, shape)
    assert len(kept) == len(discs)
    for disc in discs:
        assert len(np.unique(labels[disc])) == 1
        assert labels[disc].min() > 0


@pytest.mark.parametrize("shape", [(1, 1), (20, 300), (64, 64), (65, 63)])
def test_images_of_any_size_are_covered(shape: tuple[int, int]) -> None:
    (found,) = found_in(np.ones(shape, bool))
    assert found.mask.shape == shape
    assert found.mask.all()
    assert found_in(np.zeros(shape, bool)) == []


def test_what_is_found_beyond_a_small_image_is_dropped() -> None:
    class Everywhere(Bright):
        def detect(self, images: torch.Tensor, limits: Limits) -> list[list[Instance]]:
            return [[Instance(y, x, np.ones((4, 4), bool), 0.9) for y, x in ((8, 8), (8, 52))]]

    predictor = InstancePredictor(Everywhere(), 64, overlap=16)
    (found,) = predictor.predict(np.zeros((40, 50), np.uint8), as_channels)
    assert (found.top, found.left) == (8, 8)


def test_no_tile_is_larger_than_asked() -> None:
    network = Bright()
    predictor = InstancePredictor(network, 64, overlap=16)
    predictor.predict(np.zeros((500, 300), np.uint8), as_channels)
    sizes = predictor._network.sizes
    assert set(sizes) == {(1, 1, 64, 64)}


def test_a_cut_piece_belongs_to_what_covers_it() -> None:
    """One tile sees an object whole, the other a poor piece of it at its border."""
    from pitflow.segment.instances import Rectangle, Seen, merge

    left, right = Rectangle(0, 0, 64, 64), Rectangle(0, 48, 64, 112)
    whole = Seen(Instance(10, 40, np.ones((20, 22), bool), 0.8), left)
    piece = Seen(Instance(10, 48, np.ones((5, 6), bool), 0.9), right)
    (joined,) = merge([whole, piece], (64, 112))
    assert joined.score == 0.9
    assert np.count_nonzero(joined.mask) == 440
    aside = Seen(Instance(40, 52, np.ones((5, 6), bool), 0.9), right)
    assert len(merge([whole, aside], (64, 112))) == 2


def test_where_tiles_disagree_the_one_that_sees_more_around_decides() -> None:
    from pitflow.segment.instances import Rectangle, Seen, merge

    left, right = Rectangle(0, 0, 64, 64), Rectangle(0, 32, 64, 96)
    one = Seen(Instance(0, 20, np.ones((64, 44), bool), 0.8), left)
    other = Seen(Instance(0, 36, np.ones((64, 40), bool), 0.8), right)
    (joined,) = merge([one, other], (64, 96))
    covered = joined.part(0, 0, 64, 96)
    assert covered[0, 20:76].all(), "columns 32 to 35 are at the border of the right tile"
    assert not covered[:, 76:].any()


def test_other_classes_are_other_objects() -> None:
    from pitflow.segment.instances import Rectangle, Seen, merge

    mask = np.ones((20, 10), bool)
    left, right = Rectangle(0, 0, 64, 64), Rectangle(0, 32, 64, 96)
    both = [Seen(Instance(5, 40, mask, 0.8, 0), left), Seen(Instance(5, 40, mask, 0.8, 1), right)]
    assert len(merge(both, (64, 96))) == 2


def test_better_instances_have_the_pixels_they_share() -> None:
    mask = np.ones((4, 4), bool)
    weak, strong = Instance(0, 0, mask, 0.5), Instance(1, 3, mask, 0.9)
    hidden = Instance(1, 4, np.ones((2, 3), bool), 0.4)
    labels, kept = paint_labels([weak, hidden, strong], (6, 8))
    assert kept == [strong, weak]
    assert labels.dtype == np.uint16
    assert labels[1, 3] == 1
    assert labels[0, 3] == 2
    assert np.count_nonzero(labels == 2) == 13
