"""In whole numbers, a network says nearly what it says in single precision."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from pitflow.segment.dense import DensePredictor
from pitflow.segment.devices import Execution
from pitflow.segment.networks import build_network, fold_batch_norm, quantised
from pitflow.segment.networks.quantised import (
    QuantisedUNet,
    _Numbers,
    can_quantise,
    measure_ranges,
)
from pitflow.segment.networks.unet import UNet, UNetConfig

MANY = torch.Generator().manual_seed(5)


def trained(stem: str, levels: int = 3, sides: int = 0) -> UNet:
    """A network whose features have seen images, with its batch norms folded."""
    torch.manual_seed(1)
    config = UNetConfig(widths=(8, 16, 24, 32)[:levels], stem=stem, sides=sides)
    network = build_network(config, 3, 2).train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    for _ in range(4):
        network(images(4, 32))
    nn.init.normal_(network.head.weight)
    return fold_batch_norm(network)


def images(number: int, side: int) -> torch.Tensor:
    return torch.randn(number, 3, side, side, generator=MANY)


def in_whole_numbers(network: UNet) -> QuantisedUNet:
    ranges = measure_ranges(network, (images(4, 32) for _ in range(4)))
    if not can_quantise(network, ranges):
        pytest.skip("this processor or torch has no convolution of whole numbers")
    return QuantisedUNet(network, ranges)


def both(network: UNet, rounded: QuantisedUNet, shown: torch.Tensor) -> list[np.ndarray]:
    with torch.inference_mode():
        return [one(shown).numpy() for one in (network, rounded)]


@pytest.mark.parametrize("stem", ["full", "space_to_depth"])
@pytest.mark.parametrize("levels", [2, 3, 4])
@pytest.mark.parametrize("shape", [(1, 16), (3, 48)])
@pytest.mark.parametrize("sides", [0, 6])
def test_it_says_nearly_the_same(
    stem: str, levels: int, shape: tuple[int, int], sides: int
) -> None:
    network = trained(stem, levels, sides)
    exact, rounded = both(network, in_whole_numbers(network), images(*shape))
    assert exact.shape == rounded.shape
    assert np.abs(rounded - exact).mean() < 0.12 * exact.std()
    assert np.corrcoef(exact.ravel(), rounded.ravel())[0, 1] > 0.985


def test_an_image_is_answered_alike_alone_and_among_others() -> None:
    network = trained("space_to_depth")
    rounded, shown = in_whole_numbers(network), images(4, 32)
    with torch.inference_mode():
        together = rounded(shown)
        for image, answer in zip(shown, together, strict=True):
            torch.testing.assert_close(rounded(image[None])[0], answer)


def test_threads_share_it() -> None:
    rounded, shown = in_whole_numbers(trained("full")), [images(n, 16 * n) for n in (1, 2, 3)]

    def answer(number: int) -> torch.Tensor:
        with torch.inference_mode():
            return rounded(shown[number % 3])

    alone = [answer(number) for number in range(3)]
    with ThreadPoolExecutor(4) as pool:
        for number, together in enumerate(pool.map(answer, range(60))):
            torch.testing.assert_close(together, alone[number % 3])


def test_what_lies_beyond_the_range_is_cut_off_and_does_not_wrap_around() -> None:
    numbers = _Numbers.holding((-1.0, 1.0), (0.0, 3.0))
    features = torch.tensor([-50.0, -1.0, 0.0, 1.004, 3.0, 900.0])
    read = numbers.read(numbers.store(features))
    np.testing.assert_allclose(read, [-1, -1, 0, 1.004, 3, 3], atol=numbers.step)
    assert read[2] == 0, "padding is exact"


def test_ranges_are_those_of_all_images() -> None:
    network = trained("full", 2)
    dim, bright = images(1, 16), 9 * images(1, 16)
    one, other = (measure_ranges(network, [shown]) for shown in (dim, bright))
    all_of_them = measure_ranges(network, [dim, bright, dim])
    for name, (low, high) in all_of_them.items():
        assert (low, high) == (min(one[name][0], other[name][0]), max(one[name][1], other[name][1]))
        assert low == 0 or name.startswith("reduce")
    assert not any(module._forward_hooks for module in network.modules())


def test_a_network_without_ranges_for_every_convolution_is_left_as_it_is() -> None:
    network = trained("full", 2)
    ranges = measure_ranges(network, [images(1, 16)])
    assert not can_quantise(network, {})
    assert not can_quantise(network, dict(list(ranges.items())[1:]))
    assert not can_quantise(nn.Conv2d(3, 2, 1), ranges)


def test_only_single_precision_on_the_processor_is_replaced() -> None:
    network = trained("full", 2)
    ranges = measure_ranges(network, [images(2, 32)])
    in_whole_numbers(network)
    shown = images(1, 40)[0].numpy()
    exact = DensePredictor(network, 32).predict(shown)
    rounded = DensePredictor(network, 32, ranges=ranges).predict(shown)
    assert 0 < np.abs(rounded - exact).mean() < 0.02
    short = Execution(torch.device("cpu"), torch.bfloat16)
    with_ranges, without = (
        DensePredictor(network, 32, execution=short, ranges=given).predict(shown)
        for given in (ranges, None)
    )
    np.testing.assert_array_equal(with_ranges, without)


def test_where_sums_do_not_fit_nothing_is_replaced(monkeypatch) -> None:
    network = trained("full", 2)
    ranges = measure_ranges(network, [images(1, 16)])
    in_whole_numbers(network)
    # As a kernel does whose sums of products are cut off.
    monkeypatch.setattr(quantised._Convolution, "__call__", lambda self, features: features // 2)
    quantised._has_kernels.cache_clear()
    assert not can_quantise(network, ranges)
    monkeypatch.undo()
    quantised._has_kernels.cache_clear()
    assert can_quantise(network, ranges)
