"""The contract that every network keeps."""

from __future__ import annotations

import pytest
import torch

from pitflow.errors import UserError
from pitflow.segment.networks import QuickReLU, build_network, fold_batch_norm
from pitflow.segment.networks.axial import MedTConfig
from pitflow.segment.networks.edge import EdgeUNetConfig
from pitflow.segment.networks.guided import Guided
from pitflow.segment.networks.smp import SmpConfig
from pitflow.segment.networks.unet import ChannelDropout, UNetConfig, averaged

CHANNELS, CLASSES = 3, 2

CLASSIFIER = {f"inner.encoder.{name}" for name in ("conv_head.weight", "bn2.weight", "bn2.bias")}
"""Parameters of efficientnet that only its use as a classifier needs."""

CONFIGS = {
    "unet": UNetConfig(widths=(4, 8, 16)),
    "unet, space to depth": UNetConfig(widths=(4, 8), stem="space_to_depth"),
    "unet, sides": UNetConfig(widths=(4, 8, 16), stem="space_to_depth", sides=3),
    "unet, channel dropout": UNetConfig(widths=(4, 8), channel_dropout=0.5),
    "edge-guided unet": EdgeUNetConfig(unet=UNetConfig(widths=(4, 8, 16)), width=8),
    "edge-guided unet, space to depth": EdgeUNetConfig(
        unet=UNetConfig(widths=(4, 8), stem="space_to_depth"), width=8
    ),
    "medt": MedTConfig(width=8, heads=2, local_blocks=2, grid=2, span=4),
    "smp resnet18": SmpConfig(encoder="resnet18"),
    "smp of paper 002": SmpConfig(resize=(200, 224)),
}


@pytest.fixture(params=CONFIGS.values(), ids=CONFIGS.keys(), scope="module")
def network(request: pytest.FixtureRequest) -> torch.nn.Module:
    """A network whose batch norms have seen data, so that they are not the identity."""
    torch.manual_seed(0)
    network = build_network(request.param, CHANNELS, CLASSES)
    network.train()
    with torch.no_grad():
        for _ in range(2):
            network(torch.randn(2, CHANNELS, *_sides(network)))
    return network.eval()


def _sides(network: torch.nn.Module, rows: int = 2, columns: int = 3) -> tuple[int, int]:
    if network.multiple > 100:
        return network.multiple, network.multiple
    return rows * network.multiple, columns * network.multiple


def test_one_logit_per_class_and_pixel(network: torch.nn.Module) -> None:
    images = torch.randn(2, CHANNELS, *_sides(network))
    with torch.no_grad():
        logits = network(images)
    assert logits.shape == (2, CLASSES, *images.shape[-2:])
    assert logits.isfinite().all()


def test_a_wrong_size_is_refused_with_the_right_one(network: torch.nn.Module) -> None:
    height, width = _sides(network)
    with pytest.raises(ValueError, match=f"pad to {height} x {width + network.multiple}"):
        network(torch.zeros(1, CHANNELS, height, width + 1))


def test_an_image_is_judged_alone(network: torch.nn.Module) -> None:
    images = torch.randn(3, CHANNELS, *_sides(network))
    with torch.no_grad():
        together, alone = network(images)[1], network(images[1:2])[0]
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-4)


def test_it_can_train_on_a_single_image(network: torch.nn.Module) -> None:
    network.train()
    try:
        answer = network(torch.randn(1, CHANNELS, *_sides(network)))
        parts = [*answer] if isinstance(answer, Guided) else [answer]
        torch.stack(parts).square().mean().backward()
        grads = {name: parameter.grad for name, parameter in network.named_parameters()}
        unused = {name for name, grad in grads.items() if grad is None}
        assert unused <= CLASSIFIER
        assert all(grads[name].isfinite().all() for name in grads.keys() - unused)
    finally:
        network.zero_grad(set_to_none=True)
        network.eval()


def test_folding_batch_norm_changes_nothing_but_their_number(network: torch.nn.Module) -> None:
    images = torch.randn(1, CHANNELS, *_sides(network))
    folded = fold_batch_norm(network)
    with torch.no_grad():
        torch.testing.assert_close(folded(images), network(images), rtol=1e-3, atol=1e-4)

    def norms(module: torch.nn.Module) -> int:
        return sum(isinstance(part, torch.nn.BatchNorm2d) for part in module.modules())

    assert norms(folded) < norms(network)


def test_bfloat16_is_close(network: torch.nn.Module) -> None:
    images = torch.randn(1, CHANNELS, *_sides(network))
    half = fold_batch_norm(network).to(torch.bfloat16)
    with torch.no_grad():
        exact, rounded = network(images), half(images.to(torch.bfloat16)).float()
    assert (exact.sigmoid() - rounded.sigmoid()).abs().mean() < 0.03


@pytest.mark.parametrize(
    "config",
    [
        UNetConfig(widths=(4, 4, 4)),
        UNetConfig(widths=(4, 4, 4, 4)),
        UNetConfig(widths=(4, 4, 4), stem="space_to_depth"),
        UNetConfig(widths=(8, 8, 8), stem="space_to_depth", sides=4),
    ],
    ids=str,
)
def test_the_halo_of_the_unet_is_its_receptive_field(config: UNetConfig) -> None:
    torch.manual_seed(0)
    network = build_network(config, 1, 1).double().eval()
    side = (2 * network.halo // network.multiple + 4) * network.multiple
    reach = 0
    for offset in range(network.multiple):
        images = torch.randn(1, 1, side, side, dtype=torch.double, requires_grad=True)
        middle = side // 2 // network.multiple * network.multiple + offset
        (grad,) = torch.autograd.grad(network(images)[0, 0, middle, middle], images)
        touched = torch.nonzero(grad[0, 0].abs().sum(dim=0))
        reach = max(reach, middle - int(touched.min()), int(touched.max()) - middle)
    assert network.halo - network.multiple <= reach <= network.halo


def test_an_untrained_unet_expects_little() -> None:
    torch.manual_seed(0)
    network = build_network(UNetConfig(), 1, 1).eval()
    with torch.no_grad():
        assert network(torch.randn(1, 1, 64, 64)).sigmoid().mean() < 0.03


def test_channel_dropout_keeps_the_first_channel_and_scales_nothing() -> None:
    torch.manual_seed(0)
    dropout = ChannelDropout(0.6).train()
    kept = dropout(torch.ones(4000, 3, 1, 1))[:, :, 0, 0]
    assert (kept[:, 0] == 1).all()
    assert set(kept.unique().tolist()) == {0.0, 1.0}
    # Dropped with chance 0.6 x (1/2 with the other + 1/2 x 1/2 alone) = 0.45.
    torch.testing.assert_close(kept[:, 1:].mean(dim=0), torch.full((2,), 0.55), rtol=0, atol=0.04)
    assert (dropout.eval()(torch.ones(9, 3, 1, 1)) == 1).all()
    one_at_a_time = ChannelDropout(1.0, lonely_share=0.0).train()(torch.ones(200, 3, 1, 1))
    assert (one_at_a_time.sum(dim=(1, 2, 3)) == 2).all()


@pytest.mark.parametrize(
    "config",
    [SmpConfig(encoder="no such"), SmpConfig(architecture="no such"), SmpConfig(resize=(200, 225))],
)
def test_an_unknown_network_is_refused(config: SmpConfig) -> None:
    with pytest.raises(UserError):
        build_network(config, 1, 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_the_quick_rectifier_is_one(dtype: torch.dtype) -> None:
    numbers = torch.linspace(-3, 3, 4 * 5 * 6 * 7).reshape(4, 5, 6, 7).to(dtype)
    numbers[0, 0, 0, :3] = torch.tensor([-0.0, torch.inf, -torch.inf], dtype=dtype)
    for form in (torch.contiguous_format, torch.channels_last):
        given = numbers.clone(memory_format=form)
        expected = torch.relu(given)
        assert torch.equal(QuickReLU()(given), expected)
        assert given.is_contiguous(memory_format=form)


def test_sides_see_averages_of_the_image() -> None:
    images = torch.arange(2 * 64.0).reshape(1, 2, 8, 8)
    half, quarter = averaged(images, 1, 2)
    torch.testing.assert_close(half[0, 0, 0, 0], images[0, 0, :2, :2].mean())
    torch.testing.assert_close(quarter[0, 1, 1, 1], images[0, 1, 4:, 4:].mean())
    (blocks,) = averaged(images, 2, 1)
    torch.testing.assert_close(blocks, quarter)
