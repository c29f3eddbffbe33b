"""What a potentiostat would have measured: the current that dissolves the pits, and its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]

_FARADAY = 96485.33
_CHARGES, _MOLAR_G, _G_PER_CM3 = 2.19, 55.9, 7.95
"""316L: mean charge of its ions, mean molar mass, density (ASTM G102)."""
_PASSIVE_A = 2e-9
_PASSIVE_DECAY_S = 5.0
_NOISE_A = 2e-11
_POTENTIAL_V = 0.35
_SAMPLES_PER_FRAME = 3


def potentiostat_table(
    growth: pd.DataFrame, n_frames: int, *, fps: float, um_per_px: float, rng: np.random.Generator
) -> pd.DataFrame:
    """Return ``time_s``, ``potential_v`` and ``current_a`` at three times the frame rate.

    Pits are half spheres; what one gains between two frames has dissolved evenly in between. A
    passive current that decays, and noise, are added.

    Parameters
    ----------
    growth:
        ``pit``, ``frame`` and ``area_px`` of every pit from its onset on.
    """
    charge = np.zeros(n_frames)
    for _, pit in growth.groupby("pit"):
        radius_cm = np.sqrt(pit["area_px"].to_numpy() / np.pi) * um_per_px * 1e-4
        volume = 2.0 / 3.0 * np.pi * radius_cm**3
        dissolved = _CHARGES * _FARADAY * _G_PER_CM3 / _MOLAR_G * np.diff(volume, prepend=0.0)
        charge[pit["frame"].to_numpy(dtype=np.int64)] += dissolved
    n = n_frames * _SAMPLES_PER_FRAME
    time_s = np.arange(n) / (fps * _SAMPLES_PER_FRAME)
    # A frame shows what has dissolved since the one before.
    frame = np.minimum(np.ceil(time_s * fps - 1e-9).astype(np.int64), n_frames - 1)
    current = charge[frame] * fps + _PASSIVE_A * np.exp(-time_s / _PASSIVE_DECAY_S)
    return pd.DataFrame(
        {
            "time_s": time_s,
            "potential_v": _POTENTIAL_V + rng.normal(0, 1e-4, n),
            "current_a": current + rng.normal(0, _NOISE_A, n),
        }
    )


def write_potentiostat(table: pd.DataFrame, path: Path) -> None:
    """Write the table as a text file, as a potentiostat exports it."""
    table.to_csv(path, index=False, float_format="%.9g", lineterminator="\n")
