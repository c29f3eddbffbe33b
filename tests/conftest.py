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
