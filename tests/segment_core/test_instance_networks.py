"""The contract of networks that find instances."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch import nn

from pitflow.segment.devices import CPU
from pitflow.segment.instance import Limits
from pitflow.segment.networks import build_network, fold_batch_norm
from pitflow.segment.networks.elan import SPPELAN, ADown, RepConv, RepNCSPELAN4
from pitflow.segment.networks.gelan import Answer, Gelan, GelanConfig
from pitflow.segment.networks.instance_head import Predictions, mask_logits
from pitflow.segment.networks.mask_rcnn import MaskRcnn, MaskRcnnConfig
from pitflow.segment.networks.packed import PackedConvolution, placed
from pitflow.segment.networks.reversible import CBFuse, CBLinear
from pitflow.segment.networks.suppression import best_instances
from pitflow.segment.networks.texture import TextureRefinement
from pitflow.segment.training.instance_loss import _at_prototypes

SMALL_MASK_RCNN = MaskRcnnConfig(backbone="resnet18", maps=8, hidden=8)
SMALL = GelanConfig(stem=(8, 8), widths=(8, 8, 12), prototypes=4)


def used(network: nn.Module) -> nn.Module:
    """A network whose batch norms are not the identity."""
    generator = torch.Generator().manual_seed(1)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor in (part.weight.data, part.running_var):
                tensor.uniform_(0.5, 1.5, generator=generator)
            for tensor in (part.bias.data, part.running_mean):
                tensor.normal_(generator=generator)
    return network.eval()


@pytest.fixture(params=["spatial", "channel", "none"])
def network(request: pytest.FixtureRequest) -> Gelan:
    torch.manual_seed(0)
    made = build_network(SMALL.model_copy(update={"texture": request.param}), 2, 3)
    used(made)
    return made


def close(one: Predictions, other: Predictions) -> None:
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


def test_packed_for_a_processor_it_answers_alike(network: Gelan) -> None:
    bare = fold_batch_norm(network.without_auxiliary())
    images = torch.randn(1, 2, 64, 96).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        plain = CPU.place(copy.deepcopy(bare))(images)
        packed = placed(bare, CPU)
        assert sum(isinstance(part, PackedConvolution) for part in packed.modules()) > 20
        close(packed(images), plain)


def test_every_position_of_three_scales_is_answered(network: Gelan) -> None:
    predictions = network(torch.randn(2, 2, 64, 96))
    n = 8 * 12 + 4 * 6 + 2 * 3
    assert predictions.scores.shape == (2, n, 3)
    assert predictions.boxes.shape == (2, n, 4)
    assert predictions.coefficients.shape == (2, n, 4)
    assert predictions.prototypes.shape == (2, 4, 16, 24)
    assert predictions.strides.tolist() == [8.0] * 96 + [16.0] * 24 + [32.0] * 6
    assert predictions.points[0].tolist() == [4, 4]
    assert predictions.points[96].tolist() == [8, 8]
    assert predictions.points[-1].tolist() == [80, 48]
    left, top, right, bottom = predictions.boxes.unbind(-1)
    assert (left < right).all()
    assert (top < bottom).all()


def test_folding_and_dropping_the_auxiliary_branch_change_no_answer(network: Gelan) -> None:
    images = torch.randn(1, 2, 64, 64)
    with torch.no_grad():
        expected = network(images)
        bare = network.without_auxiliary()
        close(bare(images), expected)
        folded = fold_batch_norm(bare)
        close(folded(images), expected)
    assert network.auxiliary is not None, "the network itself stays as it was"
    kinds = {type(part) for part in folded.modules()}
    assert RepConv not in kinds
    assert nn.BatchNorm2d not in kinds


def test_the_auxiliary_branch_speaks_in_training_only(network: Gelan) -> None:
    answer = network.train()(torch.randn(2, 2, 64, 64))
    assert isinstance(answer, Answer)
    assert answer.auxiliary is not None
    assert answer.auxiliary.scores.shape == answer.main.scores.shape
    assert isinstance(network.eval()(torch.randn(1, 2, 64, 64)), Predictions)
    answer = network.without_auxiliary().train()(torch.randn(1, 2, 64, 64))
    assert answer.auxiliary is None


def test_the_auxiliary_loss_reaches_the_main_backbone(network: Gelan) -> None:
    answer = network.train()(torch.randn(1, 2, 64, 64))
    sum(part.square().mean() for part in answer.auxiliary[:4]).backward()
    assert network.backbone.stem[0][0].weight.grad.abs().sum() > 0
    assert network.neck.up[0].join[0].weight.grad is None


def test_it_can_train_on_a_single_image_and_every_weight_learns(network: Gelan) -> None:
    answer = network.train()(torch.randn(1, 2, 64, 64))
    parts = (*answer.main[:4], *answer.auxiliary[:4])
    sum(part.square().mean() for part in parts).backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name


def test_an_image_is_judged_alone(network: Gelan) -> None:
    images = torch.randn(3, 2, 64, 64)
    with torch.no_grad():
        together, alone = network(images), network(images[1:2])
    torch.testing.assert_close(together.boxes[1], alone.boxes[0], rtol=1e-3, atol=1e-3)


def test_bfloat16_is_close(network: Gelan) -> None:
    images = torch.randn(1, 2, 64, 64)
    half = fold_batch_norm(network.without_auxiliary()).to(torch.bfloat16)
    with torch.no_grad():
        exact, rounded = network(images), half(images.to(torch.bfloat16))
    assert rounded.boxes.dtype == torch.float32
    assert (exact.scores.sigmoid() - rounded.scores.float().sigmoid()).abs().mean() < 0.03


@pytest.mark.parametrize("config", [SMALL, SMALL_MASK_RCNN], ids=str)
def test_a_wrong_size_is_refused_with_the_right_one(config: GelanConfig | MaskRcnnConfig) -> None:
    network = build_network(config, 1, 1).eval()
    with pytest.raises(ValueError, match="pad to 64 x 96"):
        network(torch.zeros(1, 1, 64, 65))


def test_the_smallest_width_is_that_of_the_papers() -> None:
    network = build_network(GelanConfig(), 1, 1)
    widths = [stage[1].join[0].out_channels for stage in network.backbone.stages]
    assert widths == [64, 96, 128]
    assert [stage[1].second[1][0].out_channels for stage in network.backbone.stages] == [32, 48, 64]
    assert network.backbone.stem[0][0].out_channels == 16
    assert network.backbone.stem[1][0].out_channels == 32
    untrained = network.eval()(torch.randn(1, 1, 64, 64))
    assert untrained.scores.sigmoid().mean() < 0.05


@pytest.mark.parametrize("over", ["spatial", "channel"])
def test_texture_refinement_starts_as_the_identity_and_can_leave_it(over: str) -> None:
    torch.manual_seed(0)
    refine = TextureRefinement(6, over)
    features = torch.randn(2, 6, 9, 7)
    for mode in (True, False):
        torch.testing.assert_close(refine.train(mode)(features), features)
    step = torch.optim.SGD(refine.parameters(), lr=0.1)
    for _ in range(2):
        step.zero_grad()
        (refine.train()(features) - 2 * features.abs()).square().mean().backward()
        step.step()
    assert (refine(features) - features).abs().max() > 1e-3
    assert all(weight.grad.abs().sum() > 0 for weight in refine.parameters())


def test_with_texture_refinement_a_new_network_answers_as_without() -> None:
    with_it = build_network(SMALL, 1, 1).eval()
    without = build_network(SMALL.model_copy(update={"texture": "none"}), 1, 1).eval()
    shared = {n: w for n, w in with_it.state_dict().items() if not n.startswith("texture.")}
    without.load_state_dict(shared)
    images = torch.randn(1, 1, 64, 64)
    with torch.no_grad():
        close(with_it(images), without(images))


def test_a_foldable_convolution_folds_into_one() -> None:
    torch.manual_seed(0)
    unit = used(RepConv(3, 5))
    folded = unit.folded()
    assert [type(part) for part in folded] == [nn.Conv2d, nn.SiLU]
    features = torch.randn(2, 3, 6, 7)
    with torch.no_grad():
        torch.testing.assert_close(folded(features), unit(features))


def test_blocks_keep_or_halve_the_size() -> None:
    features = torch.randn(1, 8, 12, 10)
    assert RepNCSPELAN4(8, 6, 8, 4, 2)(features).shape == (1, 6, 12, 10)
    assert SPPELAN(8, 6, 4)(features).shape == (1, 6, 12, 10)
    assert ADown(8, 6)(features).shape == (1, 6, 6, 5)


def test_pieces_are_split_by_channel_and_summed_at_one_size() -> None:
    linear = CBLinear(3, [2, 4])
    features = torch.randn(1, 3, 2, 2)
    small, large = linear(features)
    assert small.shape == (1, 2, 2, 2)
    torch.testing.assert_close(torch.cat([small, large], 1), linear.conv(features))
    base = torch.randn(1, 2, 4, 4)
    fused = CBFuse()(base, [small])
    torch.testing.assert_close(fused[0, 0, 3, 3], base[0, 0, 3, 3] + small[0, 0, 1, 1])


def test_mask_logits_of_a_box_are_those_of_the_whole_image() -> None:
    torch.manual_seed(0)
    coefficients, prototypes = torch.randn(3), torch.randn(3, 8, 10)
    whole = mask_logits(coefficients, prototypes, (0, 0, 40, 32))
    assert whole.shape == (32, 40)
    part = mask_logits(coefficients, prototypes, (9, 6, 23, 31))
    torch.testing.assert_close(part, whole[6:31, 9:23])
    # Cell j learns the label of pixel 4 j + 2.
    ramp = torch.arange(10.0).expand(1, 8, 10)
    across = mask_logits(torch.ones(1), ramp, (0, 0, 40, 32))[5]
    expected = (torch.arange(40.0) - 2) / 4
    torch.testing.assert_close(across, expected.clamp(0, 9))


def test_a_mask_comes_out_where_its_label_was_learned() -> None:
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    off = []
    for across, down in itertools.product(range(4), range(4)):
        disc = (x - 30 - across) ** 2 + (y - 32 - down) ** 2 < 15**2
        learned = 2.0 * _at_prototypes(disc[None].long(), torch.Size((16, 16))) - 1
        mask = mask_logits(torch.ones(1), learned, (0, 0, 64, 64)) > 0
        off.append([float(place[mask].mean() - place[disc].mean()) for place in (x, y)])
    assert torch.tensor(off).mean(dim=0).tolist() == pytest.approx([0, 0], abs=0.1)


def test_of_many_boxes_on_an_object_the_best_stays() -> None:
    boxes = torch.tensor([[0, 0, 16, 16], [1, 0, 17, 16], [20, 4, 44, 28], [5, 5, 5.2, 9]])
    predictions = Predictions(
        scores=torch.tensor([[[2.0], [3.0], [1.0], [9.0]]]),
        boxes=boxes[None].float(),
        coefficients=torch.tensor([[[1.0], [1.0], [1.0], [1.0]]]),
        prototypes=torch.ones(1, 1, 8, 8),
        points=torch.zeros(4, 2),
        strides=torch.ones(4),
    )
    found = best_instances(predictions, 0, (32, 32), Limits(0.5, 0.5, 10))
    assert [(one.left, one.top, one.right, one.bottom) for one in found] == [
        (1, 0, 17, 16),
        (20, 4, 32, 28),
    ]
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert len(best_instances(predictions, 0, (32, 32), Limits(0.9, 0.5, 10))) == 1
    assert best_instances(predictions, 0, (32, 32), Limits(0.5, 0.5, 0)) == []


def test_mask_rcnn_gives_its_losses_in_training_and_instances_after() -> None:
    torch.manual_seed(0)
    network = build_network(SMALL_MASK_RCNN, 1, 1)
    assert isinstance(network, MaskRcnn)
    labels = torch.zeros(1, 64, 64)
    labels[0, 8:40, 10:50] = 1
    boxes = torch.tensor([[[10.0, 8.0, 50.0, 40.0], [0.0, 0.0, 0.0, 0.0]]])
    kinds = torch.tensor([[0, -1]])
    losses = network.train()(torch.randn(1, 1, 64, 64), boxes, kinds, labels)
    assert losses.shape == (5,)
    assert losses.isfinite().all()
    with torch.no_grad():
        found = network.eval().detect(torch.randn(2, 1, 64, 64), Limits(min_score=0.0, most=3))
    assert len(found) == 2
    assert all(one.mask.any() and one.kind == 0 for image in found for one in image)
