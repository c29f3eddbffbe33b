"""Fixtures of the measure tests."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from small_worlds import disc_pit


@pytest.fixture
def radial_world():
    """One disc of radius 20 at (180, 210) that is full from frame 50 on, and 60 particles.

    Each leaves the rim at a frame of its own and at 6 degrees times its number, radially at 3
    px/frame, and is first seen 3 frames (9 px) later.
    """
    pits = disc_pit(0, 180, 210, 20, grows_until=50)
    number = np.arange(60)
    angle = np.radians(6.0 * number)
    rim = 20.5 + 9.0
    starts = [
        (
            k,
            60 + k + 3,
            30,
            180 + rim * np.cos(a),
            210 + rim * np.sin(a),
            3 * np.cos(a),
            3 * np.sin(a),
        )
        for k, a in zip(number, angle, strict=True)
    ]
    truth = pd.DataFrame({"particle": number, "frame": 60 + number, "angle_deg": 6.0 * number})
    return pits, starts, truth
