"""Small known worlds: discs that grow, and particles that leave them along straight paths."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pitflow.measure.tracks import sort_tracks
from pitflow.segment.protocol import DETECTION_COLUMNS


def disc_pit(pit, x, y, radius, *, onset=0, grows_until=200, towards=None):
    """A disc filled from (x, y) outwards; ``towards`` (deg) makes that side come first."""
    side = np.arange(-radius, radius + 1)
    dx, dy = (grid.ravel() for grid in np.meshgrid(side, side))
    r = np.hypot(dx, dy)
    inside = r <= radius
    dx, dy, r = dx[inside], dy[inside], r[inside]
    order = r / radius
    if towards is not None:
        turn = np.radians(towards)
        order = order * (1.0 - 0.5 * (dx * np.cos(turn) + dy * np.sin(turn)) / np.maximum(r, 1.0))
    frame = onset + np.floor(order / order.max() * (grows_until - onset)).astype(int)
    frame[r <= 1.5] = onset
    return pd.DataFrame({"pit": pit, "frame": frame, "x": x + dx, "y": y + dy})


def straight_tracks(starts, *, noise=0.0, seed=0):
    """Tracks at constant velocity: rows of (particle, first frame, n, x, y, vx, vy)."""
    rng = np.random.default_rng(seed)
    parts = []
    for particle, first, n, x, y, vx, vy in starts:
        t = np.arange(n)
        parts.append(
            pd.DataFrame(
                {
                    "particle": particle,
                    "frame": first + t,
                    "x": x + vx * t + rng.normal(0.0, 1.0, n) * noise,
                    "y": y + vy * t + rng.normal(0.0, 1.0, n) * noise,
                }
            )
        )
    return as_detections(pd.concat(parts, ignore_index=True))


def as_detections(table):
    """Fill in what a segmenter would measure besides."""
    rest = [name for name in DETECTION_COLUMNS if name not in table.columns]
    return table.assign(**dict.fromkeys(rest, 1.0))


def still_frames(n, *, shift=(0.0, 0.0)):
    """The frames table of ``n`` good frames whose stage moves by ``shift`` per frame."""
    frame = np.arange(n)
    return pd.DataFrame(
        {
            "frame": frame,
            "time_s": frame / 15.0,
            "quality": "ok",
            "gain": 1.0,
            "n_particles": 0,
            "shift_x_px": shift[0] * frame,
            "shift_y_px": shift[1] * frame,
        }
    )


def tracks_of(particles):
    return sort_tracks(particles, still_frames(400))


def bursting(n_tracks=20, *, noise=0.3, at=60, factor=5.0, length=3, seed=0):
    """Tracks along +x at 2 px/frame; number 7 is ``factor`` times as fast for ``length`` frames."""
    rng = np.random.default_rng(seed)
    parts = []
    for particle in range(n_tracks):
        speed = np.full(100, 2.0)
        if particle == 7:
            speed[at : at + length] *= factor
        x = np.cumsum(speed)
        parts.append(
            pd.DataFrame(
                {
                    "particle": particle,
                    "frame": np.arange(100),
                    "x": x + rng.normal(0, noise, 100),
                    "y": 40.0 * particle + rng.normal(0, noise, 100),
                }
            )
        )
    return as_detections(pd.concat(parts, ignore_index=True))
