"""From a micrograph and its label image to one row of measures per pit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import ndimage
from scipy.spatial import cKDTree

from pitflow.frame import Image
from pitflow.measure.fissures import Morphology, compute_morphology, noise_sigma
from pitflow.measure.shapes import compute_shape
from pitflow.schema import MICROGRAPH_PITS, MICROGRAPHS, empty_table, validate_table

Labels = npt.NDArray[np.integer]

_RING_SHARE = 0.25
_MIN_RING_PX = 3
_RIM_PX = 1.5


def compute_micrograph_pits(
    image: Image,
    labels: Labels,
    *,
    name: str = "",
    um_per_px: float | None = None,
    scores: Mapping[int, float] | None = None,
) -> pd.DataFrame:
    """Measure every pit of a micrograph.

    Parameters
    ----------
    image:
        (height, width) grey levels.
    labels:
        (height, width): 0 surface, every pit a number of its own.
    name:
        For the column ``image``.
    um_per_px:
        Size of a pixel; without it, the columns in um are empty.
    scores:
        Confidence of each number.

    Returns
    -------
    The table ``MICROGRAPH_PITS``, in the order of the numbers.

    Raises
    ------
    ValueError
        If image and labels differ in size.
    """
    if image.shape != labels.shape:
        raise ValueError(f"image {image.shape} and labels {labels.shape} differ in size")
    windows = ndimage.find_objects(labels.astype(np.int32, copy=False))
    noise = noise_sigma(image)
    rows = [
        _measure(image, labels, number, window, noise)
        for number, window in enumerate(windows, start=1)
        if window is not None
    ]
    if not rows:
        return empty_table(MICROGRAPH_PITS)
    scale = math.nan if um_per_px is None else um_per_px
    table = pd.DataFrame(rows)
    table["image"] = name
    table["score"] = [float((scores or {}).get(int(pit), math.nan)) for pit in table["pit"]]
    table["nearest_px"] = _nearest(table[["x", "y"]].to_numpy())
    table["area_um2"] = table["area_px"] * scale**2
    table["diameter_um"] = table["diameter_px"] * scale
    table["nearest_um"] = table["nearest_px"] * scale
    return validate_table(table, MICROGRAPH_PITS)


def summarise_micrograph(
    pits: pd.DataFrame,
    shape: tuple[int, ...],
    *,
    name: str = "",
    um_per_px: float | None = None,
    searched_px: int | None = None,
) -> pd.DataFrame:
    """Return the one row of a micrograph in the table ``MICROGRAPHS``.

    Parameters
    ----------
    pits:
        The table ``MICROGRAPH_PITS`` of its pits.
    shape:
        (height, width) of what was searched, px.
    name, um_per_px:
        See ``compute_micrograph_pits``.
    searched_px:
        Number of pixels that were searched; None: all.
    """
    height, width = shape[:2]
    area_px = searched_px or height * width
    scale = math.nan if um_per_px is None else um_per_px
    diameter = float(pits["diameter_px"].median()) if len(pits) else math.nan
    row = {
        "image": name,
        "width_px": width,
        "height_px": height,
        "n_pits": len(pits),
        "n_at_border": int(pits["touches_border"].sum()),
        "covered_percent": 100.0 * float(pits["area_px"].sum()) / area_px,
        "pits_per_mm2": len(pits) / (area_px * (scale / 1000.0) ** 2),
        "median_diameter_px": diameter,
        "median_diameter_um": diameter * scale,
    }
    return validate_table(pd.DataFrame([row]), MICROGRAPHS)


def surroundings(
    image: Image, labels: Labels, number: int, window: tuple[slice, slice]
) -> tuple[float, float]:
    """Return the median grey of a pit, and of the surface in a ring around it (NaN: no surface).

    The ring is a quarter of the pit's diameter wide, 3 px at least, and leaves out other pits.
    """
    inside = labels[window] == number
    diameter = 2 * math.sqrt(np.count_nonzero(inside) / math.pi)
    ring = max(_MIN_RING_PX, round(_RING_SHARE * diameter))
    wide = _grown(window, ring, labels.shape)
    pit = labels[wide] == number
    away = cv2.distanceTransform((~pit).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # The pixels next to it are partly pit.
    around = (away > _RIM_PX) & (away <= ring) & (labels[wide] == 0)
    grey = image[wide]
    outer = float(np.median(grey[around])) if around.any() else math.nan
    return float(np.median(grey[pit])), outer


def _contrast(inner: float, outer: float) -> float:
    """Return how much darker the inside is, over the brighter of both: -1 to 1, NaN if unknown."""
    brighter = max(inner, outer)
    return (outer - inner) / brighter if brighter > 0 else math.nan


def _measure(
    image: Image, labels: Labels, number: int, window: tuple[slice, slice], noise: float
) -> dict[str, Any]:
    mask = labels[window] == number
    shape = compute_shape(mask)
    inner, outer = surroundings(image, labels, number, window)
    lines = _lines(image, labels, number, window, noise, outer - inner)
    rows, columns = window
    height, width = labels.shape
    edges = (rows.start == 0, columns.start == 0, rows.stop == height, columns.stop == width)
    return {
        "pit": number,
        "x": columns.start + shape.x,
        "y": rows.start + shape.y,
        "area_px": shape.area_px,
        "diameter_px": shape.diameter_px,
        "circularity": shape.circularity,
        "aspect": shape.aspect,
        "solidity": shape.solidity,
        "orientation_deg": shape.orientation_deg,
        "contrast": _contrast(inner, outer),
        "touches_border": any(edges),
        "line_share": lines.line_share,
        "line_deg": lines.line_deg,
        "crossing_deg": lines.crossing_deg,
        "morphology": lines.name,
        "is_flagged": lines.name in ("fissured", "crosshatch"),
    }


def _lines(
    image: Image,
    labels: Labels,
    number: int,
    window: tuple[slice, slice],
    noise: float,
    step: float,
) -> Morphology:
    """Judge the lines of a pit on a crop with some margin, so that its border disturbs nothing."""
    wide = _grown(window, 8, labels.shape)
    return compute_morphology(
        image[wide], labels[wide] == number, noise, 0.0 if math.isnan(step) else step
    )


def _grown(window: tuple[slice, slice], by: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    rows, columns = (
        slice(max(side.start - by, 0), min(side.stop + by, size))
        for side, size in zip(window, shape, strict=True)
    )
    return rows, columns


def _nearest(centres: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    if len(centres) < 2:
        return np.full(len(centres), np.nan)
    distance: npt.NDArray[np.float64] = cKDTree(centres).query(centres, k=2)[0][:, 1]
    return distance
