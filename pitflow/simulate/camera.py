"""Light and stage over time: brightness that drifts and flickers, a stage that creeps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pitflow.simulate.config import SimulateConfig

Floats = npt.NDArray[np.float64]

SHIFT_STEP_PX = 1 / 16
"""Shifts are multiples of this, so that a still stage gives the same steel in every frame."""


@dataclass(frozen=True, slots=True)
class Light:
    """Brightness and stage in each of t frames, relative to the first.

    Parameters
    ----------
    gain:
        (t,) brightness, 1 in the first frame.
    shift:
        (t, 2) how far the scene has moved right and down, px.
    """

    gain: Floats
    shift: Floats


def light_and_stage(config: SimulateConfig, rng: np.random.Generator) -> Light:
    """Draw the drift of light and stage over the recording."""
    camera, frames = config.camera, config.frames
    slow = _creep(frames, 1, rng)[:, 0]
    gain = (1 + camera.gain_drift * slow) * (1 + camera.flicker * rng.normal(0, 1, frames))
    shift = camera.drift_px * _creep(frames, 2, rng)
    shift = shift + camera.shake_px * rng.normal(0, 1, (frames, 2))
    shift = np.round((shift - shift[0]) / SHIFT_STEP_PX) * SHIFT_STEP_PX
    return Light(gain / gain[0], shift)


def _creep(frames: int, axes: int, rng: np.random.Generator) -> Floats:
    """Return (frames, axes) smooth curves from 0 that move by about 1 over the recording."""
    share = np.linspace(0, 1, frames)[:, None]
    turns, phase = rng.uniform(0.3, 1.2, axes), rng.uniform(0, 2 * np.pi, axes)
    slope, swing = rng.uniform(-1, 1, axes), rng.uniform(0.2, 0.5, axes)
    wave = np.sin(2 * np.pi * turns * share + phase) - np.sin(phase)
    result: Floats = slope * share + swing * wave
    return result
