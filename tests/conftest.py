"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images, where there is one (``PITFLOW_DATA`` or ../shared/data)."""
    root = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("PITFLOW_DATA", root.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set PITFLOW_DATA to the folder that holds it")
    return folder


@pytest.fixture(scope="session")
def small_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of 30 small frames with a pit and particles, in ``truth`` what is in it."""
    from pitflow.simulate.config import SimulateConfig
    from pitflow.simulate.simulate import simulate

    folder = tmp_path_factory.mktemp("small")
    config = SimulateConfig(frames=30, height=160, width=200, pits=1, rate=1.0)
    simulate(folder / "small.avi", config, folder / "truth", seed=2)
    return folder / "small.avi"


@pytest.fixture(scope="session")
def small_run(small_clip: Path) -> Path:
    """A finished run of ``small_clip``, only to be read."""
    from pitflow.compute import Compute
    from pitflow.config import Config
    from pitflow.run import run

    config = Config.model_validate({"report": {"svg": False}})
    run(small_clip, small_clip.parent / "small.pitflow", config, Compute(2))
    return small_clip.parent / "small.pitflow"
