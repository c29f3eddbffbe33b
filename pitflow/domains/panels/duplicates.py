"""Which photographs are copies of one: turned, mirrored, shifted a little, lit anew.

A copy in training and its original in the test would test memory. The perceptual hash (signs of
the lowest cosine waves about their median; Zauner 2010) finds candidates among all symmetries of
the square. Their fine structure decides: panels are laid out alike, but no two have the same
texture. A copy that is cropped or scaled by more than a few percent is not recognised.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.uint8]

_WAVES = 8
_HASH_PX = 32
_CANDIDATE_BITS = 16
_FINE_PX = 2.0
_SHIFT_PX = 8
_SAME = 0.5


def duplicate_groups(thumbnails: Sequence[Grey], known: Sequence[str] = ()) -> list[int]:
    """Return for each image the index of the first image of its group.

    Parameters
    ----------
    thumbnails:
        Square grey images of the same size, about 64 px.
    known:
        Names of groups that are known; images of one name are one group, "" says nothing.
    """
    n = len(thumbnails)
    first = list(range(n))

    def root(index: int) -> int:
        while first[index] != index:
            index = first[index]
        return index

    def join(one: int, other: int) -> None:
        low, high = sorted((root(one), root(other)))
        first[high] = low

    named: dict[str, int] = {}
    for index, name in enumerate(known):
        if name:
            join(named.setdefault(name, index), index)
    views = [_symmetries(image) for image in thumbnails]
    hashes = np.array([[_hash(view) for view in turned] for turned in views])
    for index in range(n - 1):
        bits = (hashes[index + 1 :] != hashes[index, 0]).sum(axis=-1)
        for other, turn in np.argwhere(bits <= _CANDIDATE_BITS):
            view = views[index + 1 + int(other)][int(turn)]
            if _correlation(thumbnails[index], view) >= _SAME:
                join(index, index + 1 + int(other))
    return [root(index) for index in range(n)]


def _symmetries(image: Grey) -> list[Grey]:
    return [
        np.ascontiguousarray(np.rot90(side, quarter))
        for side in (image, image[:, ::-1])
        for quarter in range(4)
    ]


def _hash(image: Grey) -> npt.NDArray[np.bool_]:
    small = cv2.resize(image, (_HASH_PX, _HASH_PX), interpolation=cv2.INTER_AREA)
    waves = cv2.dct(small.astype(np.float32))[:_WAVES, :_WAVES].ravel()[1:]
    signs: npt.NDArray[np.bool_] = waves > np.median(waves)
    return signs


def _correlation(one: Grey, other: Grey) -> float:
    """Return the correlation of the fine structure of two images, at the shift where it is most."""
    inner = _fine(one)[_SHIFT_PX:-_SHIFT_PX, _SHIFT_PX:-_SHIFT_PX]
    if inner.std() < 1e-3:
        return 1.0 if np.array_equal(one, other) else 0.0
    return float(cv2.matchTemplate(_fine(other), inner, cv2.TM_CCOEFF_NORMED).max())


def _fine(image: Grey) -> npt.NDArray[np.float32]:
    plane = image.astype(np.float32)
    fine: npt.NDArray[np.float32] = plane - cv2.GaussianBlur(plane, (0, 0), _FINE_PX)
    return fine
