"""The per-pixel median of a few images, by a sorting network."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from pitflow.frame import Image

_BAND_BYTES = 1 << 18
"""Samples of one band of rows fit the processor's cache."""


def median_image(images: Sequence[Image]) -> Image:
    """Return the per-pixel median of images of one shape and type.

    Parameters
    ----------
    images:
        (height, width) each; at least one.

    Returns
    -------
    Image
        (height, width), of the images' type. With an even number of images, the mean of the two
        middle values, rounded down for integers.

    Raises
    ------
    ValueError
        If there is no image.
    """
    n = len(images)
    if n == 0:
        raise ValueError("the median of no images: give at least one")
    height, width = images[0].shape
    rows = max(1, _BAND_BYTES // (n * width * images[0].itemsize))
    out = np.empty_like(images[0])
    for top in range(0, height, rows):
        band = np.stack([image[top : top + rows] for image in images])
        out[top : top + rows] = _median_in_place(band)
    return out


def _median_in_place(band: Image) -> Image:
    n = band.shape[0]
    spare = np.empty_like(band[0])
    for low, high in _median_network(n):
        np.minimum(band[low], band[high], out=spare)
        np.maximum(band[low], band[high], out=band[high])
        band[low] = spare
    middle: Image = band[n // 2]
    if n % 2:
        return middle
    below = band[n // 2 - 1]
    # No sum of the two, which could overflow the type.
    middle -= below
    if np.issubdtype(middle.dtype, np.integer):
        middle //= 2
    else:
        middle *= 0.5
    middle += below
    return middle


@cache
def _median_network(n: int) -> tuple[tuple[int, int], ...]:
    """Compare-exchange pairs that leave the middle of ``n`` values in place.

    Batcher's odd-even merge sort (1968) for the next power of two without the pairs that reach
    beyond ``n``, then without those that no middle element depends on.
    """
    size = 1 << (n - 1).bit_length()
    pairs: list[tuple[int, int]] = []
    merge = 1
    while merge < size:
        step = merge
        while step >= 1:
            for start in range(step % merge, size - step, 2 * step):
                for i in range(start, min(start + step, size - step)):
                    if i // (2 * merge) == (i + step) // (2 * merge) and i + step < n:
                        pairs.append((i, i + step))
            step //= 2
        merge *= 2
    needed = {n // 2} if n % 2 else {n // 2 - 1, n // 2}
    kept = []
    for pair in reversed(pairs):
        if needed.intersection(pair):
            needed.update(pair)
            kept.append(pair)
    return tuple(reversed(kept))
