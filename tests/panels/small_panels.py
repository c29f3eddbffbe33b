"""Small rendered panels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from pitflow.simulate.panel import PanelConfig, RenderedPanel, render_panel


def a_panel(seed: int, side: int = 96) -> RenderedPanel:
    """A rendered panel of its own coating, scribe and creep."""
    rng = np.random.default_rng(seed)
    config = PanelConfig(
        height=side,
        width=side - 16,
        mm_per_px=0.5,
        scribe=(rng.uniform(0.35, 0.65), 0.15, rng.uniform(0.35, 0.65), 0.85),
        creep_left_mm=rng.uniform(1, 6),
        creep_right_mm=rng.uniform(1, 6),
        coating=tuple(int(value) for value in rng.integers(90, 210, 3)),
        spots=2,
        stains=1,
    )
    return render_panel(config, seed)


def write_panels(folder: Path, n: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(n):
        panel = a_panel(seed)
        white = panel.mask.astype(np.uint8) * 255
        cv2.imwrite(str(folder / f"p{seed:02}.png"), panel.image[..., ::-1])
        cv2.imwrite(str(folder / f"p{seed:02}_mask.png"), white)
    return folder
