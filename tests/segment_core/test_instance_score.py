"""Scores of instances."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pitflow.segment.instance import Instance
from pitflow.segment.instance_score import (
    Matches,
    coco_average_precision,
    match_instances,
    score_instances,
)

SHAPE = (20, 40)


def a_square(top: int, left: int, side: int, score: float) -> Instance:
    return Instance(top, left, np.ones((side, side), bool), score)


def labels_of(*squares: tuple[int, int, int]) -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint16)
    for number, (top, left, side) in enumerate(squares, start=1):
        labels[top : top + side, left : left + side] = 3 * number
    return labels


def test_the_best_score_takes_the_object() -> None:
    truth = labels_of((2, 2, 10), (2, 20, 10))
    found = [a_square(2, 2, 10, 0.6), a_square(2, 3, 10, 0.9), a_square(12, 30, 5, 0.5)]
    matches = match_instances(found, truth)
    assert matches.scores.tolist() == [0.9, 0.6, 0.5]
    assert matches.hits.tolist() == [True, False, False]
    assert matches.truth == 2
    assert matches.precision(0.0) == pytest.approx(1 / 3)
    assert matches.precision(0.7) == 1
    assert math.isnan(matches.precision(0.95))
    assert matches.recall(0.0) == 0.5
    assert matches.best_threshold() == (0.75, pytest.approx(2 / 3))


def test_an_overlap_below_half_is_no_match() -> None:
    truth = labels_of((0, 0, 10))
    # 10 x 5 of 10 x 10 in common: IoU 50 / 150.
    assert not match_instances([a_square(0, 5, 10, 0.9)], truth).hits.any()
    assert match_instances([a_square(0, 3, 10, 0.9)], truth).hits.all()
    assert match_instances([a_square(0, 5, 10, 0.9)], truth, min_iou=0.33).hits.all()


def test_equal_scores_stand_or_fall_together() -> None:
    matches = Matches(np.array([0.5, 0.5, 0.2]), np.array([True, False, True]), 2)
    threshold, f1 = matches.best_threshold()
    assert threshold < 0.2
    assert f1 == pytest.approx(4 / 5)


def test_average_precision_is_that_of_pycocotools() -> None:
    rng = np.random.default_rng(0)
    truths, founds = [], []
    for _ in range(6):
        squares = [
            (int(rng.integers(2)), left, int(rng.integers(4, 9))) for left in (0, 10, 20, 30)
        ]
        truths.append(labels_of(*squares))
        found = [
            a_square(top + int(rng.integers(3)), left, side, float(rng.random()))
            for top, left, side in squares
            if rng.random() < 0.8
        ]
        founds.append([*found, a_square(12, int(rng.integers(30)), 6, float(rng.random()))])
    expected = coco_average_precision(founds, truths)
    for place, min_iou in enumerate(np.linspace(0.5, 0.95, 10)):
        pooled = Matches(np.zeros(0), np.zeros(0, bool), 0)
        for found, truth in zip(founds, truths, strict=True):
            pooled += match_instances(found, truth, float(min_iou))
        assert pooled.average_precision() == pytest.approx(expected[place], abs=1e-9)
    assert 0.2 < expected[0] < 1


def test_perfect_and_empty() -> None:
    truth = labels_of((2, 2, 10), (2, 20, 10))
    perfect = [[a_square(2, 2, 10, 0.9), a_square(2, 20, 10, 0.8)]]
    scores = score_instances(perfect, [truth], 0.5)
    for name in ("precision", "recall", "f1", "ap50", "ap50_95", "per_image_ap50"):
        assert scores[name] == pytest.approx(1), name
    nothing = score_instances([[]], [truth], 0.5)
    assert nothing["ap50"] == nothing["recall"] == nothing["f1"] == 0
    assert nothing["precision"] is None
    blank = score_instances([[]], [0 * truth], 0.5)
    assert blank["ap50"] is None
    assert blank["n_truth"] == 0


def test_more_than_a_hundred_instances_count() -> None:
    labels = np.arange(1, 145, dtype=np.uint16).reshape(12, 12).repeat(4, 0).repeat(4, 1)
    found = [a_square(4 * row, 4 * col, 4, 0.9) for row in range(12) for col in range(12)]
    assert coco_average_precision([found], [labels])[0] == pytest.approx(1)
