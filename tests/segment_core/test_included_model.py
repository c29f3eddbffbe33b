"""The model that comes with the program does what its card says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pitflow.domains.included import INCLUDED
from pitflow.domains.particles.channels import COMPANY
from pitflow.domains.particles.clips import read_clip
from pitflow.domains.particles.evaluate import evaluate
from pitflow.domains.particles.model import STILLS, ParticleModel, curves, load_model
from pitflow.domains.particles.ranges import with_ranges
from pitflow.segment.checkpoint import WEIGHTS
from pitflow.segment.threshold import nothing
from pitflow.simulate.config import SimulateConfig
from pitflow.simulate.simulate import simulate


@pytest.fixture(scope="module")
def model() -> ParticleModel:
    return load_model("particles")


def test_it_is_small_and_says_how_it_was_made(model: ParticleModel) -> None:
    weights = [INCLUDED / "particles" / WEIGHTS, INCLUDED / "particles" / STILLS / WEIGHTS]
    assert sum(path.stat().st_size for path in weights) < 15e6
    assert model.card.channels == ("frame", *COMPANY)
    assert model.card.classes == ("particle", "pit", "centre")
    assert "particles-model.sh" in model.card.command
    assert len(model.card.weights_sha256) == 64


def test_it_does_without_what_other_networks_bring_along() -> None:
    """torchvision takes seconds to import, and does not work beside every build of torch."""
    code = (
        "import sys\n"
        "sys.modules['torchvision'] = None\n"
        "from pitflow.domains.particles.segmenter import model_here\n"
        "model_here('particles', 'cpu', 'auto')\n"
        "print('loaded', {'torch._dynamo', 'matplotlib', 'dask'} & set(sys.modules) or 'nothing')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded nothing"


def test_single_images_have_a_network_of_their_own() -> None:
    card = load_model("particles", stills=True).card
    assert (card.channels, card.classes) == (("frame",), ("particle",))
    assert card.command == load_model("particles").card.command
    assert card.scores["out of fold"]["stills"]["n_images"] == 70


def test_it_finds_particles_and_pits_in_a_recording(model: ParticleModel, tmp_path: Path) -> None:
    config = SimulateConfig(frames=40, height=256, width=288, pits=1, rate=1.0)
    simulate(tmp_path / "clip.mkv", config, tmp_path / "truth", seed=1234)
    pictures = read_clip(tmp_path / "truth", n_frames=4)
    f1 = {}
    for name, of_class in zip(
        model.card.classes, zip(*curves(model, pictures), strict=True), strict=True
    ):
        place = model.card.classes.index(name)
        steps = sum(of_class, nothing()).f1()
        f1[name] = steps[int(np.ceil(200 * model.card.thresholds[place]))]
    assert f1["centre"] > 0.8
    assert f1["pit"] > 0.8
    assert f1["particle"] > 0.6
    # What features reach in a few pictures is less than in all that it has learned from.
    everywhere = model.card.ranges
    here = with_ranges(model, pictures).ranges
    assert here.keys() == everywhere.keys()
    assert here != everywhere
    adapted = with_ranges(model, pictures, everywhere).ranges
    for name, (low, high) in adapted.items():
        assert low == min(here[name][0], everywhere[name][0])
        assert high == max(here[name][1], everywhere[name][1])


def test_it_knows_the_tiles_that_it_was_trained_on(shared_data: Path) -> None:
    scores = evaluate("particles", [shared_data / "particles-30mM"], device="cpu", flips=False)
    assert scores["pixel"]["f1"] > 0.7
