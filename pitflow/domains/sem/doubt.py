"""Where what a model found in a micrograph may be no pits."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from pitflow.report.words import listing

Labels = npt.NDArray[np.uint16]

_SURE = 0.5
"""Where the median score of what was found is lower, most of it may be texture. Of 140 particle
micrographs six are so (mean precision 0.47, else 0.85), of 12 sections without a pit ten."""

_FEW = 5
"""Of fewer finds, the median says little."""

_NAMED = 5
"""Images named in a warning; the others are counted."""

_TILED = 0.76
"""Median share of an outline that is beside another one, as of grains. Rendered grains have 0.78 to
0.91, packed particles up to 0.75, pits that cover six tenths of the image 0.3: set on these; ..."""

_COVERED = 0.6
"""... and grains cover at least this share of the image."""

_BESIDE, _BESIDE_PX = 0.06, 3
"""Outlines are beside one another within this share of the median diameter, or so many px."""


def unsure_images(pits: pd.DataFrame) -> list[str]:
    """Return the images in which the model is not sure of most of what it found."""
    scores = pits.groupby("image", sort=False)["score"].agg(["count", "median"])
    return scores.index[(scores["count"] >= _FEW) & (scores["median"] < _SURE)].tolist()


def looks_like_grains(labels: Labels, pits: pd.DataFrame) -> bool:
    """Return whether finds tile an image: side by side, and brighter than what is between them.

    Parameters
    ----------
    labels:
        (height, width): 0 surface, every find a number of its own.
    pits:
        The table ``MICROGRAPH_PITS`` of them.
    """
    if len(pits) < _FEW or (labels > 0).mean() < _COVERED or pits["contrast"].median() >= 0:
        return False
    reach = max(_BESIDE_PX, round(_BESIDE * float(pits["diameter_px"].median())))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    inside = labels > 0
    # The largest and the smallest number within reach: where one is another's, that is beside.
    most, least = cv2.dilate(labels, kernel), cv2.erode(np.where(inside, labels, 65535), kernel)
    beside = (most != labels) | (least != labels)
    edge = inside & (cv2.erode(labels, None) != cv2.dilate(labels, None))
    shares = pd.Series(beside[edge]).groupby(labels[edge]).mean()
    return float(shares.median()) >= _TILED


def doubts(unsure: Sequence[str], tiled: Sequence[str]) -> tuple[str, ...]:
    """Return a remark about the images of each kind of doubt, where there are some."""
    remarks = []
    if unsure:
        remarks.append(
            f"the model is not sure of most of what it found in {_named(unsure)} (median score "
            f"below {_SURE:g}): it may be texture that is no pit. Look at the overlays first"
        )
    if tiled:
        remarks.append(
            f"what was found in {_named(tiled)} lies side by side and is brighter than what is "
            "between, as grains with dark boundaries are: it may be no pits. Look at the overlays"
        )
    return tuple(remarks)


def _named(images: Sequence[str]) -> str:
    more = len(images) - _NAMED
    return listing([*images[:_NAMED], f"{more} more"] if more > 1 else images)
