"""Losses against hand-computed cases."""

from __future__ import annotations

import math

import pytest
import torch

from pitflow.segment.training import losses

SURE = 40.0


def maps(*rows: list[float]) -> torch.Tensor:
    """One image, one class."""
    return torch.tensor(rows, dtype=torch.double)[None, None]


def logit(probability: torch.Tensor) -> torch.Tensor:
    return (2 * probability - 1) * SURE


def test_cross_entropy_of_a_coin_is_log_2() -> None:
    truth = maps([1, 0], [0, 1])
    value = losses.binary_cross_entropy(torch.zeros_like(truth), truth)
    assert value.item() == pytest.approx(math.log(2))


def test_tversky_counts_with_alpha_on_misses() -> None:
    truth = maps([1, 1, 1, 0, 0, 0])
    predicted = logit(maps([1, 1, 0, 1, 1, 0]))  # 2 hits, 1 missed, 2 false
    value = losses.tversky(predicted, truth, alpha=0.9)
    assert value.item() == pytest.approx(1 - (2 + 1) / (2 + 0.9 * 1 + 0.1 * 2 + 1))
    focal = losses.focal_tversky(predicted, truth, alpha=0.9, beta=4 / 3)
    assert focal.item() == pytest.approx(value.item() ** 0.75)


def test_dice_is_tversky_with_both_errors_alike() -> None:
    generator = torch.Generator().manual_seed(0)
    predicted = torch.randn(2, 3, 5, 5, generator=generator)
    truth = (torch.rand(2, 3, 5, 5, generator=generator) < 0.3).float()
    torch.testing.assert_close(
        losses.dice(predicted, truth), losses.tversky(predicted, truth, alpha=0.5)
    )


def test_more_alpha_punishes_misses_more() -> None:
    truth = maps([1, 1, 0, 0])
    missing, false = logit(maps([1, 0, 0, 0])), logit(maps([1, 1, 1, 0]))
    assert losses.tversky(missing, truth, alpha=0.9) > losses.tversky(missing, truth, alpha=0.1)
    assert losses.tversky(false, truth, alpha=0.9) < losses.tversky(false, truth, alpha=0.1)


def test_an_image_without_truth_is_perfect_when_nothing_is_predicted() -> None:
    truth = maps([0, 0, 0, 0])
    assert losses.dice(logit(truth), truth).item() == pytest.approx(0, abs=1e-5)
    assert losses.dice(logit(maps([1, 0, 0, 0])), truth).item() == pytest.approx(1 - 1 / 1.5)


def test_a_perfect_prediction_has_a_finite_gradient() -> None:
    truth = maps([1, 1, 0, 0])
    predicted = (0.1 * logit(truth)).requires_grad_()
    losses.focal_tversky(predicted, truth, beta=2.0).backward()
    assert predicted.grad.isfinite().all()
    exact = logit(truth).requires_grad_()
    losses.focal_tversky(exact, truth, beta=2.0).backward()
    assert exact.grad.isfinite().all()


ALL = [
    losses.LossTerm(name="bce"),
    losses.LossTerm(name="dice"),
    losses.LossTerm(name="tversky", alpha=0.7),
    losses.LossTerm(name="focal_tversky", alpha=0.7, beta=2),
]


@pytest.mark.parametrize("term", ALL, ids=lambda term: term.name)
def test_unknown_pixels_count_nowhere(term: losses.LossTerm) -> None:
    loss = losses.build_loss([term])
    generator = torch.Generator().manual_seed(1)
    predicted = torch.randn(2, 2, 6, 6, generator=generator)
    truth = (torch.rand(2, 2, 6, 6, generator=generator) < 0.3).float()
    known = torch.ones_like(truth)
    known[..., 4:] = 0
    changed, lied = predicted.clone(), truth.clone()
    changed[..., 4:], lied[..., 4:] = 7.0, 1.0
    torch.testing.assert_close(loss(predicted, truth, known), loss(changed, lied, known))
    # A class that is known in no image does not dilute the mean of the others.
    known[:, 1] = 0
    torch.testing.assert_close(
        loss(predicted, truth, known), loss(predicted[:, :1], truth[:, :1], known[:, :1])
    )
    assert loss(predicted, truth, torch.zeros_like(known)).item() == 0


@pytest.mark.parametrize("term", ALL, ids=lambda term: term.name)
def test_losses_are_means_over_images(term: losses.LossTerm) -> None:
    loss = losses.build_loss([term])
    generator = torch.Generator().manual_seed(2)
    predicted = torch.randn(3, 1, 6, 6, generator=generator)
    truth = (torch.rand(3, 1, 6, 6, generator=generator) < 0.3).float()
    alone = [loss(predicted[i : i + 1], truth[i : i + 1], None) for i in range(3)]
    torch.testing.assert_close(loss(predicted, truth, None), torch.stack(alone).mean())


def test_terms_add_up_with_their_weights() -> None:
    predicted, truth = torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
    both = [losses.LossTerm(name="bce", weight=2), losses.LossTerm(name="dice", weight=0.5)]
    expected = 2 * losses.binary_cross_entropy(predicted, truth)
    expected = expected + 0.5 * losses.dice(predicted, truth)
    torch.testing.assert_close(losses.build_loss(both)(predicted, truth, None), expected)
