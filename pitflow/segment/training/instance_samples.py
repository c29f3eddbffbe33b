"""Training images with instances, and how they become a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from pitflow.segment.training.learn import Batch


@dataclass(frozen=True, slots=True)
class InstanceSample:
    """One training image.

    Parameters
    ----------
    channels:
        (channels, height, width) float32.
    labels:
        (height, width) integers: 0 background, every instance a number of its own.
    """

    channels: npt.NDArray[np.float32]
    labels: npt.NDArray[np.integer]


def collate(samples: Sequence[InstanceSample]) -> Batch:
    """Put samples into a batch; targets as ``instance_loss`` takes them."""
    images, targets = _tensors(samples)
    return Batch((images,), targets)


def collate_with_truth(samples: Sequence[InstanceSample]) -> Batch:
    """Put samples into a batch for a network that takes the truth and gives its own loss."""
    images, targets = _tensors(samples)
    return Batch((images, *targets), ())


def numbered(
    labels: npt.NDArray[np.integer],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Return the labels renumbered from 1 without gaps, and the box of each.

    Boxes are (k, 4) left, top, right, bottom in px; a pixel covers [i, i + 1).
    """
    _, order = np.unique(labels, return_inverse=True)
    dense = order.reshape(labels.shape).astype(np.int32)
    if labels.size and labels.min() > 0:
        dense += 1
    boxes = [
        (columns.start, rows.start, columns.stop, rows.stop)
        for rows, columns in ndimage.find_objects(dense)
    ]
    return dense, np.asarray(boxes, dtype=np.float32).reshape(-1, 4)


def _tensors(
    samples: Sequence[InstanceSample],
) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    found = [numbered(sample.labels) for sample in samples]
    most = max(len(boxes) for _, boxes in found)
    all_boxes = np.zeros((len(found), most, 4), dtype=np.float32)
    kinds = np.full((len(found), most), -1, dtype=np.int64)
    for index, (_, boxes) in enumerate(found):
        all_boxes[index, : len(boxes)] = boxes
        kinds[index, : len(boxes)] = 0
    return torch.from_numpy(np.stack([sample.channels for sample in samples])), (
        torch.from_numpy(all_boxes),
        torch.from_numpy(kinds),
        torch.from_numpy(np.stack([labels for labels, _ in found])),
    )
