"""Small labelled photographs of panels."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from small_panels import write_panels


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve labelled photographs, only to be read."""
    return write_panels(tmp_path_factory.mktemp("labelled"), 12)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(1)


@pytest.fixture
def tiny_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipes with networks that train in no time."""
    from pitflow.domains.panels import recipes
    from pitflow.segment.networks.axial import MedTConfig
    from pitflow.segment.networks.edge import EdgeUNetConfig
    from pitflow.segment.networks.unet import UNetConfig

    unet = UNetConfig(widths=(4, 8))
    small = {
        "unet": unet,
        "medt": MedTConfig(width=4, heads=1, local_blocks=1, grid=2, span=4, global_blocks=1),
    }
    for name, values in recipes.ARCHITECTURES.items():
        network = small.get(name, EdgeUNetConfig(unet=unet, width=4))
        monkeypatch.setitem(recipes.ARCHITECTURES, name, values | {"network": network})
