"""Motions whose tracks are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest


@pytest.fixture
def ejecta() -> pd.DataFrame:
    """
    Particles that leave a pit at (300, 300) in all directions, one in every other frame.

                \\  |  /
               -- pit --        |v| = 2 + 8 exp(-t / 10) px/frame, for 40 frames,
                /  |  \\         seen with a noise of 0.3 px
    """
    rng = np.random.default_rng(0)
    parts = []
    for particle in range(60):
        angle, t = rng.uniform(0, 2 * np.pi), np.arange(40)
        r = 20 + 2 * t + 80 * (1 - np.exp(-t / 10))
        parts.append(
            pd.DataFrame(
                {
                    "true": particle,
                    "frame": 2 * particle + t,
                    "x": 300 + r * np.cos(angle) + rng.normal(0, 0.3, 40),
                    "y": 300 + r * np.sin(angle) + rng.normal(0, 0.3, 40),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)
