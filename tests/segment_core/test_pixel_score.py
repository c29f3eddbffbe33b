"""Scores of masks against cases counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pitflow.segment import score


def disk(radius: float, x: float = 20, y: float = 20, side: int = 41) -> np.ndarray:
    rows, columns = np.mgrid[:side, :side]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def test_pixel_scores_are_those_of_the_confusion_matrix() -> None:
    truth = np.array([[1, 1, 1, 0, 0, 0, 0, 0]], bool)
    predicted = np.array([[1, 1, 0, 1, 0, 0, 0, 0]], bool)
    counts = score.pixel_counts(predicted, truth)
    assert counts.precision == pytest.approx(2 / 3)
    assert counts.recall == pytest.approx(2 / 3)
    assert counts.f1 == pytest.approx(2 / 3)
    assert counts.iou == pytest.approx(2 / 4)
    assert counts.accuracy == pytest.approx(6 / 8)


def test_f1_has_its_factor_two_and_pools_counts() -> None:
    perfect = score.pixel_counts(disk(5), disk(5))
    assert perfect.f1 == 1
    missed = score.pixel_counts(np.zeros_like(disk(5)), disk(5))
    assert missed.f1 == 0
    assert score.pooled([perfect, missed]).f1 == pytest.approx(2 * 1 * 0.5 / 1.5)


def test_unknown_pixels_do_not_count() -> None:
    truth = np.array([[1, 1, 0, 0]], bool)
    predicted = np.array([[1, 0, 1, 0]], bool)
    counts = score.pixel_counts(predicted, truth, np.array([[1, 0, 0, 1]], bool))
    assert (counts.f1, counts.accuracy, counts.total) == (1, 1, 2)


def test_nothing_to_score_is_nan_and_none_in_json() -> None:
    nothing = np.zeros((5, 5), bool)
    assert math.isnan(score.pixel_counts(nothing, nothing).f1)
    scores = score.score_masks([nothing], [nothing])
    assert scores["pixel"]["f1"] is None
    assert scores["object"]["recall"] is None
    assert scores["boundary_f1"]["1 px"] is None
    assert scores["pixel"]["accuracy"] == 1


def test_objects_match_one_to_one() -> None:
    truth = disk(4, x=10) | disk(2, x=30) | disk(1, x=20, y=35)
    predicted = disk(4, x=11) | disk(2, x=30) | disk(1, x=5, y=5)
    found = score.match_objects(predicted, truth)
    assert found.counts().truth == found.counts().predicted == 3
    assert found.counts().hit_truth == found.counts().hit_predicted == 2
    small = found.counts(0, 10)
    assert (small.truth, small.hit_truth, small.predicted, small.hit_predicted) == (1, 0, 1, 0)
    assert found.counts(10, 30).f1 == 1


def test_two_halves_do_not_both_find_one_object() -> None:
    truth = np.zeros((20, 20), bool)
    truth[5:15, 5:15] = True
    predicted = truth.copy()
    predicted[:, 10] = False
    counts = score.match_objects(predicted, truth).counts()
    assert (counts.hit_truth, counts.hit_predicted, counts.predicted) == (1, 1, 2)


@pytest.mark.parametrize(("off", "hits"), [(4, 1), (5, 0)])
def test_objects_that_hardly_overlap_do_not_find_each_other(off: int, hits: int) -> None:
    """Two bars of 9 px that share 5 have an overlap of 5 / 13, of 4 one of 4 / 14."""
    truth, predicted = np.zeros((2, 1, 30), bool)
    truth[0, 5:14] = predicted[0, 5 + off : 14 + off] = True
    assert score.match_objects(predicted, truth).counts().hit_truth == hits


def test_an_object_is_in_the_class_that_begins_with_its_area() -> None:
    bar = np.zeros((4, 30), bool)
    bar[1, 5:15] = True
    found = score.match_objects(bar, bar)
    assert (found.counts(0, 10).truth, found.counts(0, 10).predicted) == (0, 0)
    assert (found.counts(10, 30).truth, found.counts(10, 30).predicted) == (1, 1)


def test_objects_touch_by_corners() -> None:
    assert score.match_objects(np.eye(6, dtype=bool), np.eye(6, dtype=bool)).counts().truth == 1


def test_boundaries_within_the_tolerance() -> None:
    truth, shifted = disk(8), disk(8, x=23)
    assert score.boundary_counts(truth, truth, 1).f1 == 1
    assert score.boundary_counts(shifted, truth, 5).f1 == 1
    assert 0.2 < score.boundary_counts(shifted, truth, 1).f1 < 0.8
    wider = disk(10)
    assert score.boundary_counts(wider, truth, 1).f1 < 0.1
    assert score.boundary_counts(wider, truth, 2.5).f1 == 1


def test_the_border_of_the_image_is_no_boundary() -> None:
    everything = np.ones((9, 9), bool)
    assert score.boundary_counts(everything, everything, 1).truth == 0


def test_the_bootstrap_covers_a_known_mean() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(60):
        low, high = score.bootstrap_interval(
            rng.normal(size=40).tolist(), lambda x: float(np.mean(x)), n=200, seed=trial
        )
        covered += low <= 0 <= high
    assert 50 <= covered <= 60


def test_one_group_has_no_interval() -> None:
    masks = [disk(5), disk(6)]
    scores = score.score_masks(masks, masks, groups=["a", "a"])
    assert scores["pixel_f1_interval_95"] == [None, None]
    assert scores["n_groups"] == 1
    assert score.score_masks(masks, masks)["pixel_f1_interval_95"] == [1, 1]


def test_of_what_is_never_defined_there_is_no_interval() -> None:
    empty = [np.zeros((4, 4), bool)] * 3
    assert score.score_masks(empty, empty)["pixel_f1_interval_95"] == [None, None]
