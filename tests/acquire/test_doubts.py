"""What the stage that reads a recording warns of."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pitflow.stages.acquire import _doubts


def test_frames_at_fault_are_told_in_words() -> None:
    frames = pd.DataFrame(
        {
            "frame": np.arange(8),
            "time_s": np.arange(8) / 15,
            "quality": ["ok", "gap", "gap", "ok", "damaged", "ok", "ok", "ok"],
            "shift_x_px": 0.0,
            "shift_y_px": 0.0,
        }
    )
    assert _doubts(frames, np.full((4, 4), 100, np.uint8)) == [
        "2 frames are lost: nothing is looked for there",
        "1 frame is damaged: nothing is looked for there",
    ]
