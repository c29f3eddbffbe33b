"""How good a segmentation is: counts first, scores from counts.

Counts add up over images, so a pooled score is the score of the sum. A score without anything to
score (no truth and no prediction) is NaN.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Mask = npt.NDArray[np.bool_]

SIZE_EDGES_PX = (0.0, 10.0, 30.0, 100.0, float("inf"))
"""Classes of object area, px^2; half of all labelled particles are below 20."""

BOUNDARY_TOLERANCES_PX = (1.0, 2.0, 5.0)

_EIGHT = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True, slots=True)
class Counts:
    """True and false, positives and negatives: of pixels, objects or boundary pixels.

    ``hit_truth`` and ``hit_predicted`` differ only where a match is not one to one (boundaries).
    """

    hit_truth: float = 0
    truth: float = 0
    hit_predicted: float = 0
    predicted: float = 0
    total: float = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.hit_truth + other.hit_truth,
            self.truth + other.truth,
            self.hit_predicted + other.hit_predicted,
            self.predicted + other.predicted,
            self.total + other.total,
        )

    @property
    def precision(self) -> float:
        """Share of what is predicted that is true."""
        return _ratio(self.hit_predicted, self.predicted)

    @property
    def recall(self) -> float:
        """Share of what is true that is predicted."""
        return _ratio(self.hit_truth, self.truth)

    @property
    def f1(self) -> float:
        """Harmonic mean 2 P R / (P + R); 0 if only one of truth and prediction is empty."""
        if self.truth == 0 or self.predicted == 0:
            return float("nan") if self.truth == self.predicted else 0.0
        precision, recall = self.precision, self.recall
        return _ratio(2 * precision * recall, precision + recall) if precision + recall else 0.0

    @property
    def iou(self) -> float:
        """Intersection over union."""
        return _ratio(self.hit_truth, self.truth + self.predicted - self.hit_truth)

    @property
    def accuracy(self) -> float:
        """Share of all pixels that are right, (TP + TN) / all."""
        wrong = self.truth - self.hit_truth + self.predicted - self.hit_predicted
        return _ratio(self.total - wrong, self.total)


def pixel_counts(predicted: Mask, truth: Mask, known: Mask | None = None) -> Counts:
    """Count pixels of two masks of the same shape; where ``known`` is false they do not count."""
    if known is not None:
        predicted, truth = predicted & known, truth & known
    hit = int(np.count_nonzero(predicted & truth))
    total = truth.size if known is None else int(np.count_nonzero(known))
    return Counts(hit, int(np.count_nonzero(truth)), hit, int(np.count_nonzero(predicted)), total)


@dataclass(frozen=True, slots=True)
class Objects:
    """Objects of truth and prediction: their areas (px^2) and which of them found each other."""

    truth_area: npt.NDArray[np.int64]
    truth_hit: Mask
    predicted_area: npt.NDArray[np.int64]
    predicted_hit: Mask

    def counts(self, low: float = 0.0, high: float = float("inf")) -> Counts:
        """Count objects of area in [low, high); each is put in a class by its own area."""
        true = (self.truth_area >= low) & (self.truth_area < high)
        found = (self.predicted_area >= low) & (self.predicted_area < high)
        return Counts(
            int(np.count_nonzero(self.truth_hit & true)),
            int(np.count_nonzero(true)),
            int(np.count_nonzero(self.predicted_hit & found)),
            int(np.count_nonzero(found)),
        )


def match_objects(predicted: Mask, truth: Mask, min_iou: float = 0.3) -> Objects:
    """Pair the 8-connected objects of two masks one to one, best overlap first.

    Parameters
    ----------
    min_iou:
        Least intersection over union of a pair. Objects are small: one of 20 px whose outline is
        off by one pixel all around has an overlap of about 0.4.
    """
    labels_p, n_p = ndimage.label(predicted, _EIGHT)
    labels_t, n_t = ndimage.label(truth, _EIGHT)
    area_p = np.bincount(labels_p.ravel(), minlength=n_p + 1)[1:]
    area_t = np.bincount(labels_t.ravel(), minlength=n_t + 1)[1:]
    both = predicted & truth
    pairs, shared = np.unique(
        np.stack([labels_p[both], labels_t[both]]) - 1, axis=1, return_counts=True
    )
    iou = shared / (area_p[pairs[0]] + area_t[pairs[1]] - shared)
    hit_p, hit_t = np.zeros(n_p, dtype=bool), np.zeros(n_t, dtype=bool)
    for index in np.argsort(-iou, kind="stable"):
        p, t = pairs[0, index], pairs[1, index]
        if iou[index] >= min_iou and not hit_p[p] and not hit_t[t]:
            hit_p[p] = hit_t[t] = True
    return Objects(area_t, hit_t, area_p, hit_p)


def boundary_counts(predicted: Mask, truth: Mask, tolerance_px: float) -> Counts:
    """Count boundary pixels that have one of the other boundary within ``tolerance_px``.

    The boundary of a mask is its pixels that touch the outside by an edge; the border of the image
    is not outside.
    """
    edge_p, edge_t = _boundary(predicted), _boundary(truth)
    return Counts(
        _near(edge_t, edge_p, tolerance_px),
        int(np.count_nonzero(edge_t)),
        _near(edge_p, edge_t, tolerance_px),
        int(np.count_nonzero(edge_p)),
    )


def bootstrap_interval(
    items: Sequence[Any],
    statistic: Callable[[Sequence[Any]], float],
    *,
    n: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the 95 % percentile interval of a statistic over resampled ``items``.

    Items must be independent of each other: images that share pixels belong in one item. With
    fewer than two items, or where the statistic is never defined, there is no interval, and both
    ends are NaN.
    """
    if len(items) < 2:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    draws = rng.integers(len(items), size=(n, len(items)))
    values = [statistic([items[index] for index in draw]) for draw in draws]
    if np.isnan(values).all():
        return float("nan"), float("nan")
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def pooled(counts: Sequence[Counts]) -> Counts:
    """Return the sum of counts."""
    return sum(counts, Counts())


def score_masks(
    predicted: Sequence[Mask],
    truth: Sequence[Mask],
    groups: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Return all scores of a set of masks, pooled over the set, ready for JSON.

    Parameters
    ----------
    groups:
        One name per mask; masks of one group depend on each other and are resampled together.
        Default: every mask is its own group.
    """
    groups = groups or [str(index) for index in range(len(truth))]
    pairs = list(zip(predicted, truth, strict=True))
    pixels = [pixel_counts(*pair) for pair in pairs]
    by_group: dict[str, Counts] = {}
    for group, counts in zip(groups, pixels, strict=True):
        by_group[group] = by_group.get(group, Counts()) + counts
    objects = [match_objects(*pair) for pair in pairs]
    whole = pooled(pixels)
    interval = bootstrap_interval(list(by_group.values()), lambda drawn: pooled(drawn).f1)
    edges = itertools.pairwise(SIZE_EDGES_PX)
    return {
        "n_images": len(pairs),
        "n_groups": len(by_group),
        "pixel": _scores(whole) | {"iou": _finite(whole.iou), "accuracy": _finite(whole.accuracy)},
        "pixel_f1_interval_95": [_finite(end) for end in interval],
        "object": _scores(pooled([found.counts() for found in objects])),
        "object_by_area_px2": {
            f"{low:g} to {high:g}": _scores(pooled([found.counts(low, high) for found in objects]))
            for low, high in edges
        },
        "boundary_f1": {
            f"{tolerance:g} px": _finite(
                pooled([boundary_counts(*pair, tolerance) for pair in pairs]).f1
            )
            for tolerance in BOUNDARY_TOLERANCES_PX
        },
    }


def _scores(counts: Counts) -> dict[str, Any]:
    return {
        "f1": _finite(counts.f1),
        "precision": _finite(counts.precision),
        "recall": _finite(counts.recall),
        "n_truth": int(counts.truth),
        "n_predicted": int(counts.predicted),
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _boundary(mask: Mask) -> Mask:
    inside: Mask = ndimage.binary_erosion(mask, border_value=1)
    return mask & ~inside


def _near(these: Mask, those: Mask, tolerance_px: float) -> int:
    if not these.any() or not those.any():
        return 0
    distance = ndimage.distance_transform_edt(~those)
    return int(np.count_nonzero(distance[these] <= tolerance_px))
