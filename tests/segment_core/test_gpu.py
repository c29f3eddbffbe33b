"""On a GPU the networks give what they give on the processor. Skipped where there is none."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from pitflow.domains.particles.channels import TileChannels
from pitflow.domains.particles.recipes import MOVING, PAPER, SINGLE
from pitflow.domains.recipe import Recipe
from pitflow.segment.dense import DensePredictor
from pitflow.segment.devices import CPU, Execution, choose_execution
from pitflow.segment.networks import build_network
from pitflow.segment.patches import Patch, Patches
from pitflow.segment.tiles import plan_tiles
from pitflow.segment.training.learn import Sample, TrainConfig, train
from pitflow.segment.training.losses import build_loss
from pitflow.translation import Translated, seen_part

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is here")

SHAPE = (300, 420)
RECIPES = pytest.mark.parametrize("recipe", [MOVING, SINGLE, PAPER], ids=lambda one: one.name)


def network_of(recipe: Recipe) -> torch.nn.Module:
    torch.manual_seed(1)
    return build_network(recipe.network, len(recipe.channels), len(recipe.classes)).eval()


def predictors(recipe: Recipe, **options: object) -> list[DensePredictor]:
    network = network_of(recipe)
    here = CPU, Execution(torch.device("cuda")), choose_execution("cuda")
    assert here[2].dtype == torch.float16
    side = -(-128 // network.multiple) * network.multiple
    halo = min(int(network.halo), 16)
    return [DensePredictor(network, side, halo=halo, execution=each, **options) for each in here]


@RECIPES
@pytest.mark.parametrize("flips", [False, True])
def test_single_precision_is_the_processors_and_half_is_near(recipe: Recipe, flips: bool) -> None:
    image = np.random.default_rng(2).normal(0, 1, (len(recipe.channels), *SHAPE))
    given = image.astype(np.float32)
    processor, single, half = (one.predict(given) for one in predictors(recipe, flips=flips))
    np.testing.assert_allclose(single, processor, atol=5e-3)
    np.testing.assert_allclose(half, processor, atol=3e-2)


def test_tiles_and_patches_are_those_of_the_processor_from_any_thread() -> None:
    frame = np.random.default_rng(3).integers(90, 190, SHAPE).astype(np.uint8)
    channels = TileChannels(MOVING.channels, frame)
    patches = Patches(SHAPE, 16, (Patch(-4, 396, 16), Patch(40, 60, 32), Patch(52, 72, 32)))
    processor, single, _ = predictors(MOVING)
    whole, some = processor.predict_tiles(channels), processor.predict_patches(channels, patches, 2)
    with ThreadPoolExecutor(8) as pool:
        wholes = list(pool.map(lambda _: single.predict_tiles(channels), range(16)))
        parts = list(pool.map(lambda _: single.predict_patches(channels, patches, 2), range(40)))
    for found in wholes:
        np.testing.assert_allclose(found, whole, atol=5e-3)
    for found in parts:
        np.testing.assert_allclose(found, some, atol=5e-3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_channels_made_there_are_those_made_tile_by_tile(dtype: type) -> None:
    rng = np.random.default_rng(6)
    factor = np.iinfo(dtype).max // 255
    frame, *others = ((rng.integers(90, 190, SHAPE) * factor).astype(dtype) for _ in range(3))
    company = {
        "background": (rng.uniform(90, 190, SHAPE) * factor).astype(np.float32),
        "previous": Translated(others[0], 0.4, -3.3),
        "later": Translated(others[1], 2.0, 0.0),
    }
    seen = {"previous": company["previous"].seen, "background": seen_part(9, 0, SHAPE)}
    channels = TileChannels(MOVING.channels, frame, company, seen)
    plan = plan_tiles(SHAPE, 432)
    (expected,) = channels.cut(plan, list(plan))
    found = channels.staged().on(Execution(torch.device("cuda"))).cpu().numpy()
    # A value half-way between two grey levels may be rounded to either.
    np.testing.assert_allclose(found, expected[:, : SHAPE[0], : SHAPE[1]], atol=0.08)


def test_a_stream_of_images_keeps_its_order() -> None:
    images = [np.full((1, 64, 64), value, np.float32) for value in np.linspace(-2, 2, 9)]
    processor, single, _ = predictors(SINGLE)
    for found, image in zip(single.predict_all(iter(images)), images, strict=True):
        np.testing.assert_allclose(found, processor.predict(image), atol=5e-3)


def test_what_does_not_fit_is_done_in_smaller_batches_or_by_the_processor() -> None:
    """A limit on this process's share of the memory stands for a small GPU."""
    total = torch.cuda.get_device_properties(0).total_memory
    notes: list[str] = []
    network = network_of(MOVING)
    given = np.random.default_rng(4).normal(0, 1, (len(MOVING.channels), 1024, 1024))
    image = given.astype(np.float32)
    expected = DensePredictor(network, 512).predict(image)
    torch.cuda.empty_cache()
    try:
        torch.cuda.set_per_process_memory_fraction(400e6 / total)
        gpu = Execution(torch.device("cuda"))
        predictor = DensePredictor(network, 512, execution=gpu, note=notes.append)
        found = predictor.predict(image)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()
    assert notes
    assert all(note.startswith("out of memory") for note in notes)
    np.testing.assert_allclose(found, expected, atol=5e-3)


class Samples:
    """Noise, with dark squares to be found."""

    def __len__(self) -> int:
        return 16

    def draw(self, index: int, rng: np.random.Generator) -> Sample:
        truth = np.zeros((1, 64, 64), bool)
        row, column = rng.integers(8, 48, 2)
        truth[0, row : row + 8, column : column + 8] = True
        image = rng.normal(0, 0.2, truth.shape) - truth
        return Sample(image.astype(np.float32), truth, np.ones_like(truth))


def test_training_learns_and_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    def trained(folder: str, *epochs: int) -> list[float]:
        for n in epochs:
            done = train(
                network_of(SINGLE),
                Samples(),
                build_loss(SINGLE.loss),
                None,
                TrainConfig(epochs=n, batch=4, learning_rate=2e-3, ema=0.9),
                tmp_path / folder,
                device=torch.device("cuda"),
            )
        return [epoch.loss for epoch in done.history]

    whole, stopped = trained("whole", 8), trained("stopped", 3, 8)
    assert whole[-1] < 0.6 * whole[0]
    np.testing.assert_allclose(stopped, whole, rtol=0.05)
