"""Task-aligned assignment, and the loss of instances."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pitflow.segment.networks.gelan import Answer
from pitflow.segment.networks.instance_head import Predictions
from pitflow.segment.training.assignment import assign
from pitflow.segment.training.instance_loss import (
    InstanceLoss,
    InstanceLossConfig,
    loss_terms,
    mask_cross_entropy,
)
from pitflow.segment.training.instance_samples import (
    InstanceSample,
    collate,
    collate_with_truth,
    numbered,
)


def a_grid(side: int = 8, stride: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    steps = (torch.arange(side) + 0.5) * stride
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    return torch.stack([x, y], -1).reshape(-1, 2), torch.full((side * side,), float(stride))


def around(points: torch.Tensor, half: float) -> torch.Tensor:
    return torch.cat([points - half, points + half], dim=1)


def test_the_measure_is_score_to_the_half_times_overlap_to_the_sixth() -> None:
    points, strides = a_grid()
    boxes = around(points, 12.0)
    truth = torch.tensor([[8.0, 8.0, 32.0, 32.0]])
    scores = torch.full((64, 1), 0.04)
    scores[18] = 0.64
    found = assign(scores, boxes, points, strides, truth, torch.zeros(1), top=10)
    from torchvision.ops import box_iou

    overlap = box_iou(truth, boxes)[0]
    measure = scores[:, 0] ** 0.5 * overlap**6
    inside = ((points > 8) & (points < 32)).all(dim=1)
    expected = torch.where(inside, measure, torch.zeros(())) / measure[inside].max()
    weights = torch.zeros(64)
    weights[found.positions] = found.weights
    torch.testing.assert_close(weights, expected * overlap[inside].max())
    assert len(found.positions) == 9, "positions outside the box learn nothing"


def test_only_the_best_positions_learn_an_object() -> None:
    points, strides = a_grid()
    truth = torch.tensor([[0.0, 0.0, 64.0, 64.0]])
    boxes = around(points, 20.0)
    found = assign(torch.full((64, 1), 0.5), boxes, points, strides, truth, torch.zeros(1), top=10)
    assert len(found.positions) == 10
    middle = (points[found.positions] - 32).abs().max()
    assert middle <= 20


def test_a_position_in_two_boxes_learns_the_one_it_overlaps_most() -> None:
    points, strides = a_grid(4)
    truth = torch.tensor([[0.0, 0.0, 32.0, 32.0], [8.0, 8.0, 16.0, 16.0]])
    boxes = around(points, 4.0)
    found = assign(torch.full((16, 1), 0.5), boxes, points, strides, truth, torch.zeros(2))
    assert len(set(found.positions.tolist())) == len(found.positions)
    assert found.objects[found.positions == 5].tolist() == [1]


def test_an_object_smaller_than_the_grid_is_learned_too() -> None:
    points, strides = a_grid(4)
    truth = torch.tensor([[7.0, 7.0, 9.0, 9.0]])
    found = assign(
        torch.full((16, 1), 0.5), around(points, 8.0), points, strides, truth, torch.zeros(1)
    )
    assert len(found.positions) > 0


def test_the_class_of_the_object_counts() -> None:
    points, strides = a_grid(4)
    truth = torch.tensor([[0.0, 0.0, 32.0, 32.0]])
    scores = torch.full((16, 2), 0.1)
    scores[5, 1] = 0.9
    found = assign(scores, around(points, 16.0), points, strides, truth, torch.ones(1), top=1)
    assert found.positions.tolist() == [5]


def test_without_objects_nothing_is_assigned() -> None:
    points, strides = a_grid(4)
    found = assign(
        torch.rand(16, 1), around(points, 4.0), points, strides, torch.zeros(0, 4), torch.zeros(0)
    )
    assert len(found.positions) == len(found.objects) == len(found.weights) == 0


def perfect(labels: np.ndarray) -> tuple[Predictions, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Predictions that are right for the first object of a 64 px image, everywhere inside it."""
    batch = collate([InstanceSample(np.zeros((1, 64, 64), np.float32), labels)])
    boxes, kinds, numbers = batch.targets
    points, strides = a_grid()
    inside = numbers[0, points[:, 1].long(), points[:, 0].long()] > 0
    scores = torch.where(inside, 20.0, -20.0)[None, :, None]
    cells = numbers[:, 2::4, 2::4].float()
    return (
        Predictions(
            scores=scores,
            boxes=boxes[:, :1].expand(1, 64, 4).clone(),
            coefficients=torch.ones(1, 64, 1),
            prototypes=(cells[:, None] > 0).float() * 40 - 20,
            points=points,
            strides=strides,
        ),
        boxes,
        kinds,
        numbers.float(),
    )


def test_a_perfect_prediction_costs_nothing() -> None:
    labels = np.zeros((64, 64), np.uint16)
    labels[16:32, 8:24] = 7
    predictions, *truth = perfect(labels)
    terms = loss_terms(predictions, *truth)
    assert terms.tolist() == pytest.approx([0, 0, 0], abs=1e-4)


@pytest.mark.parametrize("wrong", ["scores", "boxes", "prototypes"])
def test_each_error_raises_its_own_term(wrong: str) -> None:
    labels = np.zeros((64, 64), np.uint16)
    labels[16:32, 8:24] = 7
    predictions, *truth = perfect(labels)
    changed = {
        "scores": -predictions.scores,
        "boxes": predictions.boxes + torch.tensor([0.0, 0.0, 6.0, 0.0]),
        "prototypes": -predictions.prototypes,
    }[wrong]
    terms = loss_terms(predictions._replace(**{wrong: changed}), *truth)
    place = ["scores", "boxes", "prototypes"].index(wrong)
    assert terms[place] > 0.05
    if wrong == "prototypes":
        assert terms[:2].tolist() == pytest.approx([0, 0], abs=1e-4)


def test_an_image_without_objects_costs_what_is_claimed_in_it() -> None:
    labels = np.zeros((64, 64), np.uint16)
    labels[16:32, 8:24] = 7
    predictions, *_ = perfect(labels)
    nothing = collate([InstanceSample(np.zeros((1, 64, 64), np.float32), 0 * labels)]).targets
    terms = loss_terms(predictions, nothing[0], nothing[1], nothing[2].float())
    assert terms[0] > 1
    assert terms[1:].tolist() == [0, 0]


def test_the_mask_term_is_the_mean_over_the_box() -> None:
    cells = torch.zeros(8, 8)
    cells[2:4, 2:6] = 3
    box = torch.tensor([[8.0, 8.0, 24.0, 16.0]])
    found = mask_cross_entropy(
        torch.ones(1, 1), torch.full((1, 8, 8), 2.0), cells, box, torch.tensor([3])
    )
    # Everything inside is the object, and predicted with a logit of 2.
    assert found.item() == pytest.approx(math.log1p(math.exp(-2)))
    other = mask_cross_entropy(
        torch.ones(1, 1), torch.full((1, 8, 8), 2.0), cells, box, torch.tensor([4])
    )
    assert other.item() == pytest.approx(math.log1p(math.exp(2)))


def test_auxiliary_terms_count_a_quarter() -> None:
    labels = np.zeros((64, 64), np.uint16)
    labels[16:32, 8:24] = 7
    predictions, *truth = perfect(labels)
    worse = predictions._replace(scores=0 * predictions.scores)
    config = InstanceLossConfig(score=2.0, box=3.0, mask=5.0)
    terms = InstanceLoss(config)(Answer(worse, worse), *truth)
    plain = loss_terms(worse, *truth)
    torch.testing.assert_close(terms[:3], plain * torch.tensor([2.0, 3.0, 5.0]))
    torch.testing.assert_close(terms[3], 0.25 * terms[:3].sum())
    assert InstanceLoss(config)(Answer(worse, None), *truth)[3] == 0
    assert len(InstanceLoss.terms) == 4


def test_samples_become_boxes_and_numbers() -> None:
    one, two = np.zeros((8, 8), np.uint16), np.zeros((8, 8), np.uint16)
    one[1:3, 2:7] = 40
    one[5:8, 0:1] = 9
    images = [InstanceSample(np.zeros((1, 8, 8), np.float32), labels) for labels in (one, two)]
    batch = collate(images)
    boxes, kinds, labels = batch.targets
    assert boxes.tolist()[0] == [[0, 5, 1, 8], [2, 1, 7, 3]]
    assert kinds.tolist() == [[0, 0], [-1, -1]]
    assert labels[0, 1, 2] == 2
    assert len(collate_with_truth(images).inputs) == 4
    assert collate_with_truth(images).targets == ()
    everywhere, boxes_of = numbered(np.full((2, 3), 5))
    assert (everywhere == 1).all()
    assert boxes_of.tolist() == [[0, 0, 3, 2]]
