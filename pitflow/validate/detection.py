"""Detecting a simulated world as imperfectly as the segmenter does on rendered recordings.

The numbers below were measured with `pitflow score` and joins of its matches on a rendered
recording of 2240 x 2252 px and 300 frames (`change` segmenter, camera noise 2.6 grey levels):
positions err by 0.06 px for dark particles and 0.9 px for faint ones, nearly as 1 / contrast, with
one in twelve much further off, where particles touch or cross texture; a particle is missed the
more often the fainter it is, for some six frames at a time; one in five just after it has left the
rim. Every fiftieth detection is false, at a growing rim.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit

from pitflow.segment.protocol import DETECTION_COLUMNS

Floats = npt.NDArray[np.float64]

_POSITION_PX = 0.0175
"""Error per axis of a position, times contrast."""
_LEAST_PX, _MOST_PX = 0.05, 1.2
_WILD_SHARE, _WILD_FACTOR = 0.08, 5.0
_MEMORY = 0.3
"""Correlation of the error from one frame to the next."""
_SEEN_AT, _SEEN_SLOPE = 5.2, 1.45
"""Logit of the chance to be seen: the first plus the second times log contrast."""
_FORGET = 0.17
"""Chance per frame that whether a particle is seen is decided anew."""
_RIM_MISS, _RIM_FRAMES = 0.18, 1.5
_BODY_SHARE = 0.14
"""Variance of a particle's own outline over its mass; it adds to that of the blur."""
_BODY_SPREAD = 0.2
"""Spread of its logarithm: opacity and outline differ between particles."""
_BLUR_ERROR = 0.1
_MASS_ERROR, _MOST_MASS_ERROR = 0.014, 0.3
"""Error of the logarithm of the mass, times contrast; its largest."""
_FALSE_SHARE = 0.02
_BIRTH_FRAMES, _BIRTH_TAIL = 1.6, 1.5
_PIT_SHIFT_PX = 0.5


def detect_particles(
    particles: pd.DataFrame,
    frames: pd.DataFrame,
    pits: pd.DataFrame,
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, npt.NDArray[np.int64]]:
    """Return the detections in the frames' own geometry, and the true particle of each (-1 none).

    Parameters
    ----------
    particles, frames, pits:
        The truth of a world.
    """
    true = particles.sort_values(["particle", "frame"], kind="stable").reset_index(drop=True)
    number = true["particle"].to_numpy(dtype=np.int64)
    contrast = np.maximum(true["contrast"].to_numpy(dtype=np.float64), 1e-3)
    age = true.groupby("particle").cumcount().to_numpy(dtype=np.float64)
    chance = expit(_SEEN_AT + _SEEN_SLOPE * np.log(contrast))
    chance = chance * (1.0 - _RIM_MISS * np.exp(-age / _RIM_FRAMES))
    seen = _persisting(age == 0, rng) < chance
    scale = np.clip(_POSITION_PX / contrast, _LEAST_PX, _MOST_PX)
    scale = scale * np.where(rng.random(len(true)) < _WILD_SHARE, _WILD_FACTOR, 1.0)
    error = _remembering(age == 0, rng) * np.minimum(scale, 2.0 * _MOST_PX)
    mass = true["mass"].to_numpy(dtype=np.float64)
    outline = rng.normal(0.0, _BODY_SPREAD, int(number.max(initial=0)) + 1)[number]
    body = np.sqrt(_BODY_SHARE * mass * np.exp(outline))
    blur = np.hypot(true["blur_px"].to_numpy(dtype=np.float64), body)
    mass_error = np.clip(_MASS_ERROR / contrast, 0.045, _MOST_MASS_ERROR)
    found = true.assign(
        x=true["x"] + error[0],
        y=true["y"] + error[1],
        mass=mass * np.exp(rng.normal(0.0, mass_error)),
        blur_px=blur * np.exp(rng.normal(0.0, _BLUR_ERROR, len(true))),
    )[seen]
    origin = number[seen]
    false = _false_detections(found, pits, rng)
    both = pd.concat([found, false], ignore_index=True)[list(DETECTION_COLUMNS)]
    origin = np.concatenate([origin, np.full(len(false), -1)])
    shift = frames.set_index("frame")[["shift_x_px", "shift_y_px"]].loc[both["frame"]].to_numpy()
    both["x"] += shift[:, 0]
    both["y"] += shift[:, 1]
    order = np.argsort(both["frame"].to_numpy(), kind="stable")
    return both.iloc[order].reset_index(drop=True), origin[order]


def detect_pits(pit_pixels: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Return the pits' pixels as a segmenter finds them: a little off, and too early or late."""
    found = pit_pixels.copy()
    first = int(found["frame"].min()) if len(found) else 0
    last = int(found["frame"].max()) if len(found) else 0
    parts = []
    for _, pixels in found.groupby("pit", sort=True):
        off = np.rint(rng.normal(0.0, _PIT_SHIFT_PX, 2)).astype(np.int64)
        # Neighbouring pixels err together.
        block = pixels["x"] // 2 + 100_003 * (pixels["y"] // 2)
        _, index = np.unique(block.to_numpy(), return_inverse=True)
        late = _BIRTH_FRAMES * rng.standard_t(_BIRTH_TAIL, int(index.max()) + 1)[index]
        # The onset is what the pit is first seen by; nothing of it comes earlier.
        onset = int(pixels["frame"].min())
        frame = np.clip(pixels["frame"] + np.rint(late).astype(np.int64), max(onset, first), last)
        parts.append(pixels.assign(x=pixels["x"] + off[0], y=pixels["y"] + off[1], frame=frame))
    return pd.concat(parts, ignore_index=True) if parts else found


def _persisting(starts: npt.NDArray[np.bool_], rng: np.random.Generator) -> Floats:
    """Return uniform variates that stay the same until drawn anew, track by track."""
    anew = starts | (rng.random(starts.size) < _FORGET)
    drawn = rng.random(starts.size)
    return np.asarray(drawn[np.maximum.accumulate(np.where(anew, np.arange(starts.size), 0))])


def _remembering(starts: npt.NDArray[np.bool_], rng: np.random.Generator) -> Floats:
    """Return (2, n) unit normal variates of a first-order moving average, track by track."""
    noise = rng.normal(0.0, 1.0, (2, starts.size))
    before = np.where(starts, rng.normal(0.0, 1.0, (2, starts.size)), np.roll(noise, 1, axis=1))
    # A moving average with weights (1, b) has the correlation b / (1 + b^2) at one step.
    b = (1.0 - np.sqrt(1.0 - 4.0 * _MEMORY**2)) / (2.0 * _MEMORY)
    return np.asarray((noise + b * before) / np.sqrt(1.0 + b**2))


def _false_detections(
    found: pd.DataFrame, pits: pd.DataFrame, rng: np.random.Generator
) -> pd.DataFrame:
    """Return detections of nothing at the rims of the pits, with the looks of faint particles."""
    n = int(rng.poisson(_FALSE_SHARE * len(found))) if len(pits) else 0
    if n == 0 or found.empty:
        return found.iloc[:0]
    looks = found.iloc[rng.integers(0, len(found), n)].reset_index(drop=True)
    pit = rng.integers(0, len(pits), n)
    radius = np.sqrt(pits["area_px"].to_numpy(dtype=np.float64)[pit] / np.pi)
    turn = rng.uniform(0.0, 2.0 * np.pi, n)
    off = radius + rng.exponential(4.0, n)
    return looks.assign(
        x=pits["x"].to_numpy(dtype=np.float64)[pit] + off * np.cos(turn),
        y=pits["y"].to_numpy(dtype=np.float64)[pit] + off * np.sin(turn),
    )
