"""The network as a segmenter: where it looks, what it says of that, and on which device."""

from __future__ import annotations

import pickle
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from pitflow.config import ChangeConfig, PitConfig, SegmentConfig, UNetConfig
from pitflow.domains.particles import segmenter as module
from pitflow.domains.particles.model import load_model
from pitflow.domains.particles.segmenter import UNetSegmenter
from pitflow.errors import UserError
from pitflow.segment.checkpoint import load_checkpoint, save_checkpoint
from pitflow.segment.devices import Execution, one_thread
from pitflow.segment.networks import fold_batch_norm
from pitflow.segment.networks.quantised import can_quantise
from pitflow.segment.pits import find_pits
from pitflow.segmenters import check_segmenter


@pytest.fixture(scope="module", autouse=True)
def _never_crowded():
    """The frames of these tests are so small that all of one is less work than a few patches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.RunningModel, "work_px", lambda self, shape: 10**9)
        yield


@pytest.fixture(scope="module")
def segmenter(recording, model):
    pits = find_pits(recording, PitConfig(), recording.read()[-5:])

    def make(**config):
        return UNetSegmenter(
            UNetConfig(**{"model": model, "device": "cpu"} | config), ChangeConfig(), pits
        )

    return make


def found(results, recording):
    near = 0
    for row in recording.truth.itertuples():
        table = results[row.frame].particles
        near += bool((np.hypot(table["x"] - row.x, table["y"] - row.y) < 2).any())
    return near / len(recording.truth)


@pytest.fixture(scope="module")
def gated(segmenter, recording):
    return list(segmenter(full_every=30, gate_rim_px=4).segment(recording.read(), recording))


def test_the_gate_spares_most_of_the_frame_and_loses_nothing(segmenter, recording, gated):
    everywhere = list(segmenter(gate=False).segment(recording.read(), recording))
    assert found(gated, recording) == pytest.approx(found(everywhere, recording), abs=0.01)
    searches = [result.search for result in gated]
    assert np.mean([search.share for search in searches]) < 0.4
    full = [result.frame for result in gated if result.search.found is not None]
    assert full == [0, 30, 60]
    assert all(result.search.found is not None for result in everywhere)


def test_where_the_gate_would_pass_much_the_whole_frame_is_searched(
    segmenter, recording, monkeypatch
):
    shares = {}
    for work_px in (10**9, 0):
        monkeypatch.setattr(module.RunningModel, "work_px", lambda self, shape, px=work_px: px)
        results = segmenter(full_every=1000).segment(recording.read(1, 24), recording)
        searches = [result.search for result in results]
        assert all((search.found is not None) == (work_px == 0) for search in searches)
        shares[work_px] = [search.share for search in searches]
    # What the gate would have proposed is told all the same.
    assert shares[0] == shares[10**9]
    assert min(shares[0]) > 0


def test_what_the_gate_passes_over_is_counted(segmenter, recording):
    blind = segmenter(gate_threshold=1e6, gate_rim_px=0, full_every=24)
    results = list(blind.segment(recording.read(0, 26), recording))
    assert results[0].search.lost == results[0].search.found == len(results[0].particles) > 0
    assert results[24].search.lost > 0
    assert results[1].search.found is results[25].search.found is None


def test_what_was_found_is_followed_to_the_end_of_its_window(segmenter, recording):
    blind = segmenter(gate_threshold=1e6, gate_rim_px=0, full_every=1000)
    results = list(blind.segment(recording.read(0, 30), recording))
    for row in recording.truth[recording.truth["y"] == 20].itertuples():
        if row.frame < len(results):
            table = results[row.frame].particles
            near = (np.hypot(table["x"] - row.x, table["y"] - row.y) < 2).any()
            assert near == (row.frame < 24)


def test_a_pickled_segmenter_is_the_same(segmenter, recording, gated):
    again = pickle.loads(pickle.dumps(segmenter(full_every=30, gate_rim_px=4)))
    for one, two in zip(again.segment(recording.read(0, 24), recording), gated, strict=False):
        assert one.particles.equals(two.particles)


def test_a_higher_threshold_finds_fewer(segmenter, recording, gated):
    strict = list(segmenter(threshold=0.97).segment(recording.read(0, 24), recording))
    assert sum(len(r.particles) for r in strict) < sum(len(r.particles) for r in gated[:24])


def test_a_model_without_centres_tells_particles_apart_by_their_blobs(
    segmenter, recording, model_without_centres
):
    plain = segmenter(model=model_without_centres)
    results = list(plain.segment(recording.read(), recording))
    assert found(results, recording) > 0.6


def test_several_gpus_are_shared_out_among_the_threads(monkeypatch, model):
    cpu = torch.device("cpu")
    monkeypatch.setattr(module, "all_devices", lambda name: [cpu, cpu])
    module._models_of.cache_clear()
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as pool:
        import threading

        both = threading.Barrier(2)

        def here(_):
            both.wait()
            return module.model_here(model, "cpu", "auto")

        one, two = pool.map(here, range(2))
    module._models_of.cache_clear()
    assert one is not two


def test_a_model_that_was_trained_anew_is_loaded_anew(model, tmp_path):
    folder = shutil.copytree(model, tmp_path / "model")
    before = module.model_here(str(folder), "cpu", "auto")
    assert module.model_here(str(folder), "cpu", "auto") is before
    network, card = load_checkpoint(folder)
    for weights in network.parameters():
        weights.data *= 0.5
    save_checkpoint(folder, network, card)
    assert module.model_here(str(folder), "cpu", "auto") is not before


class Gpu(Execution):
    """The processor in the role of a GPU."""

    @property
    def is_gpu(self):
        return True


@pytest.fixture
def on_gpu(model, monkeypatch):
    running = module.RunningModel(model, Gpu(torch.device("cpu")))
    monkeypatch.setattr(module, "model_here", lambda *what: running)
    return running


def test_a_gpu_searches_whole_frames_and_finds_what_the_processor_does(
    segmenter, recording, on_gpu, monkeypatch
):
    there = list(segmenter(gate="auto").segment(recording.read(0, 6), recording))
    assert all(result.search is None for result in there)
    gated = list(segmenter(gate=True).segment(recording.read(0, 6), recording))
    assert [result.search is None for result in gated] == [False] * 6
    monkeypatch.undo()
    here = list(segmenter(gate=False).segment(recording.read(0, 6), recording))
    for one, two in zip(there, here, strict=True):
        assert len(one.particles) == len(two.particles) > 0
        np.testing.assert_allclose(one.particles[["x", "y"]], two.particles[["x", "y"]], atol=0.05)


def test_out_of_memory_is_noted_with_the_frame(segmenter, recording, on_gpu, monkeypatch):
    class Full(torch.nn.Module):
        calls = 0

        def __init__(self, network):
            super().__init__()
            self.network = network

        def forward(self, images):
            self.calls += 1
            if self.calls == 1:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return self.network(images)

    monkeypatch.setattr(on_gpu._dense, "_network", Full(on_gpu._dense._network))
    results = list(segmenter().segment(recording.read(1, 4), recording))
    notes = [note for result in results for note in result.notes]
    assert len(notes) == 1
    assert "out of memory" in notes[0]
    assert not on_gpu.on_gpu


def test_networks_compute_on_one_thread_and_leave_the_number_as_it_was():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model": "nothing-of-this-name"}, "no model of this name or path"),
        ({"device": "cuda:77"}, "cuda:77 is not there"),
        ({"device": "gpu"}, "no device is called 'gpu'"),
    ],
)
def test_what_is_not_there_is_refused_before_any_work(model, config, said):
    with pytest.raises(UserError, match=said):
        check_segmenter(SegmentConfig(segmenter="unet", unet={"model": model} | config))


def test_in_whole_numbers_the_included_model_finds_the_same_particles(recording):
    included = load_model("particles")
    if not can_quantise(fold_batch_norm(included.network), included.card.ranges):
        assert included.card.ranges, "the card tells what the features reach"
        pytest.skip("this processor or torch has no convolution of whole numbers")
    pits = find_pits(recording, PitConfig(), recording.read()[-5:])
    tables = []
    for precision in ("auto", "float32"):
        config = UNetConfig(device="cpu", precision=precision)
        segmenter = UNetSegmenter(config, ChangeConfig(), pits)
        tables.append([r.particles for r in segmenter.segment(recording.read(0, 40), recording)])
    n_exact = sum(len(table) for table in tables[1])
    same = sum(
        int((np.hypot(one["x"].to_numpy()[:, None] - two["x"].to_numpy(),
                      one["y"].to_numpy()[:, None] - two["y"].to_numpy()) < 1).any(axis=0).sum())
        for one, two in zip(*tables, strict=True)
        if len(one) and len(two)
    )  # fmt: skip
    assert n_exact > 30
    assert same >= 0.97 * n_exact
    assert sum(len(table) for table in tables[0]) <= 1.03 * n_exact


def test_each_frame_is_looked_at_with_those_around_it_in_its_window(monkeypatch):
    def look(window, place):
        return SimpleNamespace(window=window, place=place, index=10 * window.block + place)

    given, yielded = [], []
    monkeypatch.setattr(module, "_blobs", lambda look, faintest: look.index)

    def looks():
        for window in (SimpleNamespace(block=1, n=3), SimpleNamespace(block=2, n=1)):
            for place in range(window.n):
                given.append(10 * window.block + place)
                yield look(window, place)

    for scan in module._scans(looks(), 3.5):
        yielded.append((scan.look.index, scan.around, given[-1]))
    # A window's last frame does not wait for the next window.
    assert yielded == [(10, (11,), 11), (11, (10, 12), 12), (12, (11,), 12), (20, (), 20)]


def test_what_is_too_unsure_to_be_a_particle_is_glimpsed(segmenter, recording, gated):
    """With a threshold that nothing reaches, all that was found is glimpsed in the same places."""
    none_sure = list(
        segmenter(threshold=0.9999, full_every=30, gate_rim_px=4).segment(
            recording.read(), recording
        )
    )
    moved = []
    for sure, unsure in zip(gated, none_sure, strict=True):
        glimpses = unsure.glimpses
        assert tuple(glimpses.columns) == tuple(sure.particles.columns)
        assert (glimpses["score"] < 0.9999).all()
        seen = pd.concat([unsure.particles, glimpses])
        for row in sure.particles.itertuples():
            moved.append(np.hypot(seen["x"] - row.x, seen["y"] - row.y).min())
    assert np.quantile(moved, 0.9) < 0.5


def test_glimpses_lie_apart_from_the_particles(segmenter, recording):
    nearest = []
    for result in segmenter(gate=False).segment(recording.read(0, 24), recording):
        for row in result.glimpses.itertuples():
            away = np.hypot(result.particles["x"] - row.x, result.particles["y"] - row.y)
            nearest.append(away.min())
    assert len(nearest) > 0
    assert min(nearest) > 1


def test_nothing_is_glimpsed_in_a_wide_dark_particle():
    def table(*rows):
        return pd.DataFrame(rows, columns=["x", "y", "diameter_px", "contrast"])

    particles = table((50.0, 50.0, 16.0, 0.3), (150.0, 50.0, 16.0, 0.05), (250.0, 50.0, 6.0, 0.3))
    near, far = [(x + 4.0, 50.0, 5.0, 0.1) for x in (50, 150, 250)], (61.0, 50.0, 5.0, 0.1)
    left = module._not_within(table(*near, far), particles)
    assert left["x"].tolist() == [154, 254, 61]
    assert len(module._not_within(table(), particles)) == 0
    assert len(module._not_within(table(far), table())) == 1


def test_a_lower_threshold_of_the_gate_looks_at_more(segmenter, recording):
    def share(threshold):
        results = segmenter(gate_threshold=threshold, gate_rim_px=4).segment(
            recording.read(1, 5), recording
        )
        return np.mean([result.search.share for result in results])

    assert share(5.0) < share(3.5) < share(2.5)
