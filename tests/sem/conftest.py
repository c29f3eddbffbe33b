"""Rendered micrographs: dark discs on a noisy surface."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

SIDE = 96


def a_micrograph(rng: np.random.Generator, n: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Image (uint8) and labels (uint16) of ``n`` dark discs that do not touch."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    labels = np.zeros((SIDE, SIDE), np.uint16)
    cells = rng.permutation(9)[:n]
    for number, cell in enumerate(cells, start=1):
        y, x = (np.array(divmod(int(cell), 3)) + 0.5) * 32 + rng.uniform(-4, 4, 2)
        labels[(rows - y) ** 2 + (columns - x) ** 2 <= rng.uniform(6, 11) ** 2] = number
    image = 160 - 90 * (labels > 0) + rng.normal(0, 5, labels.shape)
    return image.clip(0, 255).astype(np.uint8), labels


def write_micrographs(folder: Path, names: list[str], seed: int = 0) -> None:
    """Write micrographs with label images beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for name in names:
        image, labels = a_micrograph(rng)
        cv2.imwrite(str(folder / f"{name}.png"), image)
        cv2.imwrite(str(folder / f"{name}_labels.png"), labels)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Many small networks are slower on many threads."""
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(1)


@pytest.fixture(name="write_micrographs", scope="session")
def _write_micrographs() -> Callable[..., None]:
    return write_micrographs


@pytest.fixture(name="a_micrograph", scope="session")
def _a_micrograph() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    return a_micrograph
