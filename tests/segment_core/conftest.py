"""Small labelled pictures for the tests of the particle domain."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

SIDE = 64


def a_picture(rng: np.random.Generator, n: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Noisy steel with ``n`` clear particles of 3 px radius; image and mask, uint8."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    mask = np.zeros((SIDE, SIDE), bool)
    for x, y in rng.uniform(6, SIDE - 6, (n, 2)):
        mask |= (rows - y) ** 2 + (columns - x) ** 2 <= 9
    image = 180 * (1 - 0.5 * mask) + rng.normal(0, 2, mask.shape)
    return image.round().astype(np.uint8), mask.astype(np.uint8) * 255


def write_pictures(folder: Path, names: list[str], seed: int = 0) -> None:
    """Write labelled pictures under names (without suffix)."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for name in names:
        image, mask = a_picture(rng)
        cv2.imwrite(str(folder / f"{name}.png"), image)
        cv2.imwrite(str(folder / f"{name}_mask.png"), mask)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Many small networks are slower on many threads, above all beside other tests."""
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(1)


@pytest.fixture(name="write_pictures", scope="session")
def _write_pictures() -> Callable[..., None]:
    return write_pictures
