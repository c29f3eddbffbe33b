"""Convolutions with their weights laid out once: the same answers."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from pitflow.segment.devices import CPU, Execution
from pitflow.segment.networks import QuickReLU, build_network, fold_batch_norm, packed
from pitflow.segment.networks.axial import MedTConfig
from pitflow.segment.networks.edge import EdgeUNetConfig
from pitflow.segment.networks.packed import PackedConvolution, placed
from pitflow.segment.networks.smp import SmpConfig
from pitflow.segment.networks.unet import UNetConfig

SHORT = Execution(torch.device("cpu"), torch.bfloat16)


def convolutions(network: nn.Module) -> tuple[int, int]:
    """Return how many are packed and how many are not."""
    parts = list(network.modules())
    return (
        sum(isinstance(part, PackedConvolution) for part in parts),
        sum(isinstance(part, nn.Conv2d) for part in parts),
    )


@pytest.mark.parametrize("execution", [CPU, SHORT])
@pytest.mark.parametrize(
    "config",
    [
        UNetConfig(widths=(8, 16, 24), stem="space_to_depth"),
        UNetConfig(widths=(8, 16, 24), sides=4),
        EdgeUNetConfig(unet=UNetConfig(widths=(4, 8, 16)), width=8),
        MedTConfig(width=8, heads=2, local_blocks=2, grid=2, span=4),
        SmpConfig(architecture="Unet", encoder="timm-efficientnet-b0"),
    ],
)
def test_a_packed_network_answers_alike(config, execution) -> None:
    torch.manual_seed(1)
    network = fold_batch_norm(build_network(config, 3, 2).eval())
    plain = execution.place(copy.deepcopy(network))
    ready = placed(copy.deepcopy(network), execution)
    n_packed, _ = convolutions(ready)
    if execution.dtype is torch.float32 or packed._has_kernels(torch.bfloat16):
        assert n_packed > 5
    with torch.inference_mode():
        for n, side in ((1, 64), (3, 32)):
            images = torch.randn(n, 3, side, side).to(execution.dtype)
            images = images.contiguous(memory_format=torch.channels_last)
            expected, found = plain(images).float(), ready(images).float()
            scale = float(expected.abs().max())
            share = 1e-5 if execution.dtype is torch.float32 else 0.03
            torch.testing.assert_close(found, expected, atol=share * scale, rtol=0)


def test_the_rectifier_behind_is_part_of_it_and_another_function_is_not() -> None:
    torch.manual_seed(2)
    network = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.Identity(),
        QuickReLU(),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.Sigmoid(),
        QuickReLU(),
        nn.Conv2d(4, 2, 1),
    )
    plain, images = copy.deepcopy(network), torch.randn(1, 2, 8, 8)
    ready = placed(network, CPU)
    assert convolutions(ready) == (3, 0)
    assert [type(part) for part in ready[2:6:3]] == [nn.Identity, QuickReLU]
    with torch.inference_mode():
        torch.testing.assert_close(ready(images), plain(images))


def test_convolutions_of_other_kinds_are_left_as_they_are() -> None:
    class Own(nn.Conv2d):
        pass

    mirrored = nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect")
    network = nn.Sequential(mirrored, nn.Conv2d(2, 2, 3, padding="same"), Own(2, 2, 1))
    assert convolutions(placed(network, CPU)) == (0, 3)


def test_where_the_kernels_answer_wrongly_nothing_is_packed(monkeypatch) -> None:
    monkeypatch.setattr(PackedConvolution, "forward", lambda self, features: features.new_zeros(()))
    packed._has_kernels.cache_clear()
    assert convolutions(placed(nn.Sequential(nn.Conv2d(2, 2, 1)), CPU)) == (0, 1)
    monkeypatch.undo()
    packed._has_kernels.cache_clear()
