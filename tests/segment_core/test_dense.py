"""A tiled network gives what the network gives on the whole image, and survives little memory."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from pitflow.errors import UserError
from pitflow.segment import dense
from pitflow.segment.dense import DensePredictor, eightfold
from pitflow.segment.devices import Execution, choose_device, choose_execution, has_bfloat16
from pitflow.segment.networks import build_network
from pitflow.segment.networks.smp import SmpConfig
from pitflow.segment.networks.unet import UNetConfig
from pitflow.segment.prefetch import prefetch


class Identity(torch.nn.Module):
    """The logits of the image itself, so that the probabilities are the image again."""

    def __init__(self, multiple: int = 8, halo: int = 5, fits: int = 10**9) -> None:
        super().__init__()
        self.multiple, self.halo, self.fits = multiple, halo, fits
        self.batches: list[int] = []
        self.moves = 0

    def to(self, *args: object, **kwargs: object) -> Identity:
        self.moves += 1
        return self

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert images.shape[-2] % self.multiple == images.shape[-1] % self.multiple == 0
        if images.shape[0] > self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.batches.append(images.shape[0])
        return images.logit()


def image(height: int, width: int, channels: int = 2) -> np.ndarray:
    random = np.random.default_rng(3).random((channels, height, width), dtype=np.float32)
    return 0.01 + 0.98 * random


@pytest.mark.parametrize("shape", [(1, 1), (7, 40), (64, 64), (129, 250), (33, 513)])
@pytest.mark.parametrize("flips", [False, True])
def test_identity_in_identity_out(shape: tuple[int, int], flips: bool) -> None:
    predictor = DensePredictor(Identity(), 64, overlap=10, flips=flips, batch_px=3 * 64 * 64)
    given = image(*shape)
    np.testing.assert_allclose(predictor.predict(given), given, atol=1e-5)


def test_tiles_with_the_networks_halo_give_the_answer_of_the_whole_image() -> None:
    torch.manual_seed(1)
    network = build_network(UNetConfig(widths=(4, 6, 8)), 1, 1).eval()
    given = image(180, 244, 1)
    whole = DensePredictor(network, 320).predict(given)
    tiled = DensePredictor(network, 96).predict(given)
    assert len(DensePredictor(network, 96).plan((180, 244))) > 10
    np.testing.assert_allclose(tiled, whole, atol=1e-5)


class Neighbourhood(torch.nn.Module):
    """The logit of the mean over 9 x 9 px, nothing beyond a tile."""

    multiple, halo = 8, 4

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        mean = torch.nn.functional.avg_pool2d(images, 9, stride=1, padding=4)
        return mean.clamp(1e-6, 1 - 1e-6).logit()


@pytest.mark.parametrize("tile", [32, 64, 256])
@pytest.mark.parametrize("flips", [False, True])
def test_a_network_may_see_nothing_beyond_the_border(tile: int, flips: bool) -> None:
    """Whatever the tiling, nothing is what it sees there, and only there."""
    given = np.full((1, 90, 130), 0.5, np.float32)
    bare = DensePredictor(Neighbourhood(), tile, overlap=4, flips=flips, beyond="nothing")
    answer = bare.predict(given)[0]
    np.testing.assert_allclose(answer[8:-8, 8:-8], 0.5, atol=1e-5)
    assert answer[0, 60] == pytest.approx(0.5 * 5 / 9, abs=1e-5)
    assert answer[45, -1] == pytest.approx(0.5 * 5 / 9, abs=1e-5)
    assert answer[0, 0] == pytest.approx(0.5 * 25 / 81, abs=1e-5)
    mirrored = DensePredictor(Neighbourhood(), tile, overlap=4, flips=flips)
    np.testing.assert_allclose(mirrored.predict(given), given, atol=1e-5)


def test_the_papers_tiles_of_200_px_may_overlap() -> None:
    network = build_network(SmpConfig(resize=(200, 224)), 1, 1)
    plan = DensePredictor(network, 200, overlap=100).plan((2240, 2252))
    assert plan.rows.starts[:3] == (0, 100, 200)
    assert plan.tile_shape == (200, 200)


def test_only_chosen_tiles_are_looked_at() -> None:
    network = Identity()
    predictor = DensePredictor(network, 64)
    given = image(200, 200)
    answer = predictor.predict(given, [(1, 0)])
    row = predictor.plan((200, 200)).rows.starts[1] + 32
    assert answer[0, row, 20] == pytest.approx(given[0, row, 20], abs=1e-5)
    assert not answer[:, :, 150:].any()
    assert not predictor.predict(given, []).any()


def test_the_batch_is_halved_until_it_fits_and_it_says_so() -> None:
    notes: list[str] = []
    given = image(250, 250)
    network = Identity(fits=2)
    predictor = DensePredictor(network, 64, batch_px=9 * 64 * 64, note=notes.append)
    # The predictor works on a copy of the network, whose record of batches it keeps.
    np.testing.assert_allclose(predictor.predict(given), given, atol=1e-5)
    assert [note.split()[4] for note in notes] == ["8", "4"]
    predictor.predict(given)
    assert len(notes) == 2


@pytest.mark.parametrize(("n", "batches"), [(13, [8, 4, 1]), (7, [8]), (1, [1]), (40, [16, 16, 8])])
def test_few_tiles_are_looked_at_in_few_sizes_of_batches(n: int, batches: list[int]) -> None:
    predictor = DensePredictor(Identity(halo=0), 64, batch_px=16 * 64 * 64)
    given = image(64, 64 * n)
    np.testing.assert_allclose(predictor.predict(given), given, atol=1e-5)
    assert predictor._network.batches == batches


class Gpu(Execution):
    """The processor in the role of a GPU."""

    @property
    def is_gpu(self) -> bool:
        return True


class NothingFitsTheGpu(Identity):
    """Out of memory until it is moved to the processor, which is the second move."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.moves < 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().forward(images)


def test_without_gpu_memory_it_goes_on_with_the_processor() -> None:
    notes: list[str] = []
    predictor = DensePredictor(
        NothingFitsTheGpu(), 64, execution=Gpu(torch.device("cpu")), note=notes.append
    )
    given = image(100, 100)
    np.testing.assert_allclose(predictor.predict(given), given, atol=1e-5)
    assert "going on with the processor" in notes[-1]
    assert not predictor.execution.is_gpu


def test_an_image_that_does_not_fit_the_gpu_goes_to_the_processor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Full(dense.Work):
        def __init__(
            self, image: Any, plan: Any, execution: Execution, *, bare: bool, few: bool
        ) -> None:
            if execution.is_gpu:
                raise torch.OutOfMemoryError("CUDA out of memory")
            super().__init__(image, plan, execution, bare=bare, few=few)

    monkeypatch.setattr(dense, "Work", Full)
    notes: list[str] = []
    predictor = DensePredictor(
        Identity(), 64, execution=Gpu(torch.device("cpu")), note=notes.append
    )
    given = image(100, 100)
    np.testing.assert_allclose(predictor.predict(given), given, atol=1e-5)
    assert len(notes) == 1


@pytest.mark.parametrize("tiles_at_a_time", [1, 4])
def test_want_of_memory_just_after_another_thread_left_the_gpu(
    monkeypatch: pytest.MonkeyPatch, tiles_at_a_time: int
) -> None:
    """What does not fit the GPU is done once more where the work is now, and with its batches."""
    notes: list[str] = []
    predictor = DensePredictor(
        Identity(),
        64,
        execution=Gpu(torch.device("cpu")),
        batch_px=tiles_at_a_time * 64 * 64,
        note=notes.append,
    )
    read = dense.Work.read

    def left_meanwhile(self: dense.Work, chosen: Any) -> torch.Tensor:
        if predictor.execution.is_gpu:
            predictor._leave_gpu()
            raise torch.OutOfMemoryError("CUDA out of memory")
        return read(self, chosen)

    monkeypatch.setattr(dense.Work, "read", left_meanwhile)
    given = image(100, 100)
    np.testing.assert_allclose(predictor.predict(given), given, atol=1e-5)
    assert len(notes) == 1
    assert predictor._batch_px == dense.BATCH_PX["cpu"]


def test_an_image_that_does_not_fit_just_after_another_thread_left_the_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    predictor = DensePredictor(Identity(), 64, execution=Gpu(torch.device("cpu")))

    class Full(dense.Padded):
        def __init__(self, image: Any, plan: Any, execution: Execution) -> None:
            if execution.is_gpu:
                predictor._leave_gpu()
                raise torch.OutOfMemoryError("CUDA out of memory")
            super().__init__(image, plan, execution)

    monkeypatch.setattr(dense, "Padded", Full)
    given = image(100, 100)
    np.testing.assert_allclose(predictor.predict(given), given, atol=1e-5)


def test_a_batch_that_fails_while_it_is_blended_is_not_added_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weighted, calls = dense.tiles.weighted, []

    def full(*given: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return weighted(*given)

    monkeypatch.setattr(dense.tiles, "weighted", full)
    predictor = DensePredictor(Identity(), 64, batch_px=8 * 64 * 64)
    given = image(150, 150)
    np.testing.assert_allclose(predictor.predict(given), given, atol=1e-5)


def test_a_network_that_does_not_fit_the_gpu_goes_to_the_processor() -> None:
    class TooLarge(Identity):
        def to(self, *args: object, **kwargs: object) -> Identity:
            if super().to().moves == 1:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return self

    predictor = DensePredictor(TooLarge(), 64, execution=Gpu(torch.device("cpu")))
    assert not predictor.execution.is_gpu


def test_a_tile_too_large_for_the_processor_is_the_users_matter() -> None:
    with pytest.raises(UserError, match="smaller tiles"):
        DensePredictor(Identity(fits=0), 64).predict(image(64, 64))


def test_other_errors_are_not_taken_for_want_of_memory() -> None:
    class Broken(Identity):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("wrong shape")

    with pytest.raises(RuntimeError, match="wrong shape"):
        DensePredictor(Broken(), 64).predict(image(64, 64))


@pytest.mark.parametrize(
    "words", ["MPS backend out of memory", "DefaultCPUAllocator: can't allocate memory: 9 bytes"]
)
def test_all_devices_words_for_it_are_known(words: str) -> None:
    class Full(Identity):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if images.shape[0] > 1:
                raise RuntimeError(words)
            return super().forward(images)

    given = image(250, 250)
    np.testing.assert_allclose(DensePredictor(Full(), 64).predict(given), given, atol=1e-5)


def test_a_stream_keeps_its_order() -> None:
    images = [image(40, 40 + extra) for extra in range(5)]
    answers = list(DensePredictor(Identity(), 64).predict_all(iter(images)))
    for given, answer in zip(images, answers, strict=True):
        np.testing.assert_allclose(answer, given, atol=1e-5)


def test_eight_symmetries_are_turned_back() -> None:
    images = torch.randn(1, 1, 6, 6)
    torch.testing.assert_close(eightfold(lambda x: x, images), images)
    ramp = torch.arange(6.0).expand(1, 1, 6, 6)
    # A function that adds a gradient in its own coordinates averages to a constant.
    torch.testing.assert_close(eightfold(lambda x: ramp, images), torch.full((1, 1, 6, 6), 2.5))


def test_prefetch_raises_where_the_error_was_and_can_be_left_early() -> None:
    def items():
        yield 1
        raise OSError("gone")

    iterator = prefetch(items())
    assert next(iterator) == 1
    with pytest.raises(OSError, match="gone"):
        next(iterator)
    endless = prefetch(itertools.count())
    assert [next(endless), next(endless)] == [0, 1]
    endless.close()


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cpu:0", "cuda:99", ""])
def test_an_unknown_or_missing_device_is_refused(name: str) -> None:
    with pytest.raises(UserError):
        choose_device(name)


def test_devices_and_precision() -> None:
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    assert choose_execution("cpu", "float32").dtype is torch.float32
    native = torch.bfloat16 if has_bfloat16() else torch.float32
    assert choose_execution("cpu").dtype is native
    assert choose_execution("cpu", "bfloat16").dtype is torch.bfloat16
    with pytest.raises(UserError, match="bfloat16"):
        choose_execution("cpu", "float16")
