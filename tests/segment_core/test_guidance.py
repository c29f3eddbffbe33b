"""Edge guidance: equations 2 to 6 of paper 000 and the traps in them."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pitflow.segment.networks.edge import EdgeUNet, EdgeUNetConfig
from pitflow.segment.networks.guided import Guided
from pitflow.segment.networks.unet import UNetConfig
from pitflow.segment.training import losses
from pitflow.segment.training.guidance import (
    EDGE,
    MASK,
    MASK_EDGE,
    WEIGHT,
    Guidance,
    GuidedLoss,
    as_logits,
    canny_edges,
    guidance_weight,
    soft_edge,
)
from pitflow.segment.training.losses import LossTerm

DICE = (LossTerm(name="bce"), LossTerm(name="dice"))
FTL = (LossTerm(name="bce"), LossTerm(name="focal_tversky", alpha=0.88, beta=1.5))
ET, GUIDED = Guidance(), Guidance(mask_edge=1.0)


def a_disc(side: int = 24, radius: float = 7.0) -> torch.Tensor:
    rows, columns = np.mgrid[:side, :side] - side / 2
    return torch.from_numpy((rows**2 + columns**2 <= radius**2).astype(np.float32))[None, None]


def a_prediction(seed: int = 0, batch: int = 2, side: int = 24) -> Guided:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(2, batch, 1, side, side, generator=generator)
    return Guided(maps[0].requires_grad_(), maps[1].requires_grad_())


def evaluated(
    terms: tuple[LossTerm, ...],
    setting: Guidance,
    prediction: Guided,
    truth: torch.Tensor,
    known: torch.Tensor | None = None,
    first: float | None = None,
) -> tuple[torch.Tensor, dict[str, float]]:
    """The sum that is to fall, and every entry by name."""
    loss = GuidedLoss(terms, setting, first)
    values = loss(prediction, truth, known)
    names = (*loss.terms, *loss.notes)
    assert values.shape == (len(names),)
    named = dict(zip(names, values.detach().tolist(), strict=True))
    return values[: len(loss.terms)].sum(), named


def some_truth(batch: int = 2) -> torch.Tensor:
    return torch.cat([a_disc(radius=4.0 + 3 * index) for index in range(batch)])


def test_the_weight_is_one_at_and_below_theta_and_falls_above() -> None:
    mask_losses = torch.tensor([0.0, 2.9, 3.0, 4.0, 6.0])
    expected = torch.tensor([1.0, 1.0, 1.0, 1 / 2, 1 / 4])
    torch.testing.assert_close(guidance_weight(mask_losses, 3.0), expected)
    torch.testing.assert_close(guidance_weight(mask_losses, None, 0.7), torch.full((5,), 0.7))
    torch.testing.assert_close(guidance_weight(mask_losses, 3.0, 0.5), 0.5 * expected)


def test_the_weight_is_detached() -> None:
    mask_loss = torch.tensor(5.0, requires_grad=True)
    assert not guidance_weight(mask_loss, 3.0).requires_grad
    # The gradient of the total is that with the weight as a plain number.
    truth, prediction, same = some_truth(), a_prediction(), a_prediction()
    total, parts = evaluated(DICE, Guidance(mask_edge=1.0, theta=0.0), prediction, truth)
    total.backward()
    assert 0 < parts[WEIGHT] < 1
    evaluated(DICE, Guidance(mask_edge=parts[WEIGHT]), same, truth)[0].backward()
    torch.testing.assert_close(prediction.mask.grad, same.mask.grad)


@pytest.mark.parametrize("terms", [DICE, FTL], ids=["dice", "ftl"])
def test_s_guided_with_theta_3_is_guided_with_gamma_1_below_3(terms: tuple[LossTerm, ...]) -> None:
    truth, prediction, same = some_truth(), a_prediction(), a_prediction()
    soft, parts = evaluated(terms, Guidance(mask_edge=1.0, theta=3.0), prediction, truth)
    hard, _ = evaluated(terms, GUIDED, same, truth)
    assert parts[MASK] < 3
    assert parts[WEIGHT] == 1
    assert torch.equal(soft, hard)
    soft.backward()
    hard.backward()
    assert torch.equal(prediction.mask.grad, same.mask.grad)


def test_equations_2_to_6_add_up() -> None:
    truth, prediction = some_truth(), Guided(*(part.detach() for part in a_prediction()))
    compare = losses.build_loss(DICE)
    mask = float(compare(prediction.mask, truth, None))
    edge = float(compare(prediction.edges, canny_edges(truth), None))
    outline = as_logits(soft_edge(prediction.mask.sigmoid()))
    mask_edge = float(compare(outline, soft_edge(truth), None))
    et, parts = evaluated(DICE, ET, prediction, truth)
    assert parts == pytest.approx({MASK: mask, EDGE: 0.5 * edge})
    assert float(et) == pytest.approx(mask + 0.5 * edge)
    guided, _ = evaluated(DICE, GUIDED, prediction, truth)
    assert float(guided) == pytest.approx(float(et) + mask_edge)
    soft, _ = evaluated(DICE, Guidance(mask_edge=1.0, theta=0.5), prediction, truth)
    assert float(soft) == pytest.approx(float(et) + mask_edge / (max(mask - 0.5, 0) + 1))


def test_theta_relative_to_the_first_epoch() -> None:
    truth, prediction = some_truth(), a_prediction()
    share = Guidance(mask_edge=1.0, theta_share=0.5)
    _, unknown = evaluated(DICE, share, prediction, truth)
    mask = unknown[MASK]
    assert unknown[WEIGHT] == pytest.approx(1 / (mask + 1))
    _, known = evaluated(DICE, share, prediction, truth, first=mask)
    assert known[WEIGHT] == pytest.approx(1 / (0.5 * mask + 1))
    _, later = evaluated(DICE, share, prediction, truth, first=4 * mask)
    assert later[WEIGHT] == 1
    with pytest.raises(ValidationError, match="exclude"):
        Guidance(theta=3.0, theta_share=0.5)


def test_canny_is_opencvs_and_lies_in_the_soft_edge_of_the_truth() -> None:
    rng = np.random.default_rng(0)
    blobs = cv2.GaussianBlur(rng.normal(size=(60, 70)), (0, 0), 4) > 0.02
    truth = torch.from_numpy(blobs.astype(np.float32))[None, None]
    line, band = canny_edges(truth), soft_edge(truth)
    oracle = cv2.Canny(blobs.astype(np.uint8) * 255, 100, 200) > 0
    assert np.array_equal(line[0, 0].numpy() > 0, oracle)
    assert 0 < line.sum() < band.sum()
    assert bool((band >= line).all())
    assert set(band.unique().tolist()) == {0.0, 1.0}


def test_the_soft_edge_of_a_step_is_its_two_sides_and_the_border_is_none() -> None:
    step = torch.zeros(1, 1, 4, 6)
    step[..., 3:] = 0.8
    expected = torch.tensor([0, 0, 0.8, 0.8, 0, 0]).expand(1, 1, 4, 6)
    torch.testing.assert_close(soft_edge(step), expected)
    assert soft_edge(torch.ones(1, 1, 4, 4)).sum() == 0


@pytest.mark.parametrize("shape", [(2, 1, 9, 7), (1, 3, 1, 5), (1, 1, 1, 1)])
def test_the_soft_edge_is_the_range_of_the_3_x_3_neighbourhood(shape: tuple[int, ...]) -> None:
    maps = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    largest = torch.nn.functional.max_pool2d(maps, 3, stride=1, padding=1)
    smallest = -torch.nn.functional.max_pool2d(-maps, 3, stride=1, padding=1)
    torch.testing.assert_close(soft_edge(maps), largest - smallest)


def test_a_perfect_mask_has_no_loss_of_its_edges() -> None:
    truth = some_truth()
    perfect = Guided(40 * (2 * truth - 1), 40 * (2 * canny_edges(truth) - 1))
    total, parts = evaluated(DICE, GUIDED, perfect, truth)
    assert float(total) < 0.01
    blurred = Guided(4 * (2 * truth - 1), perfect.edges)
    assert evaluated(DICE, GUIDED, blurred, truth)[1][MASK_EDGE] > 10 * parts[MASK_EDGE]


@pytest.mark.parametrize("terms", [DICE, FTL], ids=["dice", "ftl"])
@pytest.mark.parametrize("setting", [ET, GUIDED, Guidance(mask_edge=1.0, theta=3.0)], ids=str)
def test_an_empty_target_is_finite_and_best_answered_with_nothing(
    terms: tuple[LossTerm, ...], setting: Guidance
) -> None:
    truth = torch.zeros(1, 1, 24, 24)
    nothing = Guided(*(torch.full((1, 1, 24, 24), -9.0).requires_grad_() for _ in range(2)))
    total, _ = evaluated(terms, setting, nothing, truth)
    total.backward()
    assert nothing.mask.grad.isfinite().all()
    assert total.item() < 0.3
    assert evaluated(terms, setting, a_prediction(batch=1), truth)[0].item() > 1


def test_the_gradient_reaches_the_network_through_the_edges_of_its_mask_alone() -> None:
    torch.manual_seed(0)
    config = EdgeUNetConfig(unet=UNetConfig(widths=(4, 8, 8)), width=8)
    network = EdgeUNet(config, 3, 1).train()
    answer = network(torch.randn(1, 3, 32, 32))
    outline = soft_edge(answer.mask.sigmoid())
    logits = as_logits(outline)
    losses.build_loss(DICE)(logits, soft_edge(a_disc(32)), None).backward()
    reached = {
        name for name, value in network.named_parameters()
        if value.grad is not None and value.grad.abs().sum() > 0
    }  # fmt: skip
    assert {"encoder.0.0.weight", "encoder.2.0.weight", "wam.head.weight"} <= reached
    assert not any(name.startswith("egm.head") for name in reached)


def test_a_flat_answer_still_has_a_gradient() -> None:
    flat = Guided(torch.full((1, 1, 24, 24), -4.6).requires_grad_(), torch.zeros(1, 1, 24, 24))
    evaluated(DICE, GUIDED, flat, a_disc())[0].backward()
    assert flat.mask.grad.isfinite().all()
    assert flat.mask.grad.abs().sum() > 0


def test_unknown_pixels_and_the_edge_of_the_known_count_nowhere() -> None:
    truth, known = some_truth(), torch.ones(2, 1, 24, 24)
    known[..., 16:] = 0
    prediction = a_prediction()
    lied, changed = truth.clone(), Guided(*(part.detach().clone() for part in prediction))
    lied[..., 17:] = 1.0
    changed.mask[..., 17:] = 9.0
    changed.edges[..., 17:] = 9.0
    torch.testing.assert_close(
        evaluated(FTL, GUIDED, prediction, truth, known)[0],
        evaluated(FTL, GUIDED, changed, lied, known)[0],
    )


def test_ftl_names_its_weights_as_the_paper_does() -> None:
    """FTL = (1 - TI)^(1 / beta), alpha on misses, per image and kept off 0."""
    truth = torch.tensor([[[[1.0, 1, 1, 0]]], [[[1.0, 0, 0, 0]]]])
    predicted = 40 * (2 * torch.tensor([[[[1.0, 0, 0, 0]]], [[[1.0, 1, 1, 1]]]]) - 1)
    misses = 1 - (1 + 1) / (1 + 0.9 * 2 + 1)
    false = 1 - (1 + 1) / (1 + 0.1 * 3 + 1)
    value = losses.focal_tversky(predicted, truth, alpha=0.9, beta=1.5)
    expected = (misses ** (1 / 1.5) + false ** (1 / 1.5)) / 2
    assert value.item() == pytest.approx(expected, rel=1e-5)
    assert math.isfinite(losses.focal_tversky(40 * (2 * truth - 1), truth, beta=2.0).item())
