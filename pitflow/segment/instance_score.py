"""How well instances were found: matched one by one, and COCO's average precision.

The average precisions are computed by pycocotools, over all images together, as COCO does. The
paper (001) averages over images instead; ``per_image`` of ``score_instances`` is that.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pitflow.segment.instance import Instance

Labels = npt.NDArray[np.integer]
Doubles = npt.NDArray[np.float64]

MIN_IOU = 0.5
_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True, slots=True)
class Matches:
    """Which instances of one or more images are true.

    Parameters
    ----------
    scores:
        (n,) score of each instance that was found.
    hits:
        (n,) whether an object is matched to it.
    truth:
        Number of objects.
    """

    scores: Doubles
    hits: npt.NDArray[np.bool_]
    truth: int

    def __add__(self, other: Matches) -> Matches:
        return Matches(
            np.concatenate([self.scores, other.scores]),
            np.concatenate([self.hits, other.hits]),
            self.truth + other.truth,
        )

    def precision(self, threshold: float) -> float:
        """Share of the instances of at least this score that are true; NaN without any."""
        counted = self.scores >= threshold
        return float(self.hits[counted].mean()) if counted.any() else float("nan")

    def recall(self, threshold: float) -> float:
        """Share of the objects that an instance of at least this score matches."""
        hits = np.count_nonzero(self.hits & (self.scores >= threshold))
        return hits / self.truth if self.truth else float("nan")

    def best_threshold(self) -> tuple[float, float]:
        """Return the score with the best F1 = 2 TP / (found + truth), and that F1.

        Halfway to the next lower score; 0.5 and 0 if nothing true was found.
        """
        if not self.hits.any():
            return 0.5, 0.0
        order = np.argsort(-self.scores, kind="stable")
        scores, hits = self.scores[order], np.cumsum(self.hits[order])
        f1 = 2 * hits / (np.arange(len(hits)) + 1 + self.truth)
        # Equal scores stand or fall together.
        last_of_its_score = np.append(scores[1:] < scores[:-1], True)
        best = int(np.argmax(np.where(last_of_its_score, f1, -1)))
        below = scores[best + 1] if best + 1 < len(scores) else 0.0
        return float((scores[best] + below) / 2), float(f1[best])

    def average_precision(self) -> float:
        """Return the area under precision over recall, at 101 recalls as COCO does."""
        if self.truth == 0:
            return float("nan")
        order = np.argsort(-self.scores, kind="stable")
        hits = np.cumsum(self.hits[order])
        precision = hits / np.arange(1, len(hits) + 1)
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        place = np.searchsorted(hits / self.truth, _RECALLS, side="left")
        reached = place < len(hits)
        values = np.zeros(len(_RECALLS))
        values[reached] = envelope[place[reached]]
        return float(values.mean())


def match_instances(found: Sequence[Instance], labels: Labels, min_iou: float = MIN_IOU) -> Matches:
    """Match instances to the objects of a label image, best score first, each to one at most.

    An instance takes the free object it overlaps most, if by ``min_iou`` at least. What a low score
    matches does not change what a higher one does, so the result holds for every threshold.
    """
    areas = np.bincount(labels.ravel())
    free = areas > 0
    free[0] = False
    truth = int(np.count_nonzero(free))
    ordered = sorted(found, key=lambda one: -one.score)
    hits = np.zeros(len(ordered), dtype=bool)
    for place, one in enumerate(ordered):
        window = labels[one.top : one.bottom, one.left : one.right]
        shared = np.bincount(window[one.mask], minlength=len(areas))
        iou = shared / (np.count_nonzero(one.mask) + areas - shared)
        iou[~free] = 0
        best = int(np.argmax(iou))
        if iou[best] >= min_iou:
            hits[place] = True
            free[best] = False
    return Matches(np.array([one.score for one in ordered], dtype=np.float64), hits, truth)


def score_instances(
    found: Sequence[Sequence[Instance]], truth: Sequence[Labels], threshold: float
) -> dict[str, Any]:
    """Return all scores of some images, ready for JSON; a score of nothing is None.

    Precision, recall and F1 are at ``threshold`` and an IoU of 0.5; the average precisions look at
    all instances, so these should reach down to low scores.
    """
    each = [match_instances(*pair) for pair in zip(found, truth, strict=True)]
    together = sum(each, Matches(np.zeros(0), np.zeros(0, dtype=bool), 0))
    precision, recall = together.precision(threshold), together.recall(threshold)
    ap = coco_average_precision(found, truth)
    per_image = [matches.average_precision() for matches in each if matches.truth]
    hits = np.count_nonzero(together.hits & (together.scores >= threshold))
    counted = np.count_nonzero(together.scores >= threshold)
    f1 = 2 * hits / (counted + together.truth) if counted + together.truth else float("nan")
    return {
        "n_images": len(each),
        "n_truth": together.truth,
        "n_found": int(counted),
        "threshold": threshold,
        "precision": _finite(precision),
        "recall": _finite(recall),
        "f1": _finite(f1),
        "ap50": _finite(ap[0]),
        "ap50_95": _finite(float(np.mean(ap))),
        "per_image_ap50": _finite(float(np.mean(per_image)) if per_image else float("nan")),
    }


def coco_average_precision(found: Sequence[Sequence[Instance]], truth: Sequence[Labels]) -> Doubles:
    """Return COCO's average precision of masks at IoU 0.50, 0.55, ... 0.95 (NaN without truth).

    Unlike COCO's summary, which looks at 100 instances per image, all of them count: micrographs
    hold more.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    if not any(labels.any() for labels in truth):
        return np.full(10, np.nan)
    images: list[dict[str, Any]] = []
    objects: list[dict[str, Any]] = []
    detections: list[dict[str, Any]] = []
    for number, (instances, labels) in enumerate(zip(found, truth, strict=True), start=1):
        images.append({"id": number, "height": labels.shape[0], "width": labels.shape[1]})
        for value in np.unique(labels[labels > 0]):
            mask = labels == value
            shape = _coco(mask, number) | {"id": len(objects) + 1, "iscrowd": 0}
            objects.append(shape | {"area": int(np.count_nonzero(mask))})
        for instance in instances:
            mask = instance.part(0, 0, *labels.shape)
            detections.append(
                _coco(mask, number)
                | {
                    "id": len(detections) + 1,
                    "score": instance.score,
                    "area": int(np.count_nonzero(mask)),
                }
            )
    with contextlib.redirect_stdout(io.StringIO()):
        expected, given = COCO(), COCO()
        for side, shapes in ((expected, objects), (given, detections)):
            side.dataset = {
                "images": images,
                "annotations": shapes,
                "categories": [{"id": 1, "name": "instance"}],
            }
            side.createIndex()
        evaluation = COCOeval(expected, given, "segm")
        most = max(1, *(len(instances) for instances in found))
        evaluation.params.maxDets = [most]
        evaluation.params.areaRng = evaluation.params.areaRng[:1]
        evaluation.params.areaRngLbl = evaluation.params.areaRngLbl[:1]
        evaluation.evaluate()
        evaluation.accumulate()
    precision: Doubles = evaluation.eval["precision"][:, :, 0, 0, 0].mean(axis=1)
    return precision


def _coco(mask: npt.NDArray[np.bool_], image: int) -> dict[str, Any]:
    from pycocotools import mask as rle

    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    box = [0, 0, 0, 0]
    if rows.size:
        width, height = columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1
        box = [int(columns[0]), int(rows[0]), int(width), int(height)]
    return {
        "image_id": image,
        "category_id": 1,
        "segmentation": rle.encode(np.asfortranarray(mask, dtype=np.uint8)),
        "bbox": box,
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
