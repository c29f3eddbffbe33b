"""Which particles leave which pit, when and in which direction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pitflow.simulate.config import Law, SimulateConfig
from pitflow.simulate.pits import Pits, front_radius

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_OFF_RIM_PX = 1.5


@dataclass(frozen=True, slots=True)
class Departures:
    """One entry per particle, in order of departure.

    Parameters
    ----------
    pit:
        Source pit, -1 for a particle from out of view.
    frame:
        First frame in which it moves.
    position:
        (n, 2) x and y in that frame.
    angle_deg:
        Direction of departure; for a pit's particles also that of ``position`` from its centre.
    """

    pit: Ints
    frame: Ints
    position: Floats
    angle_deg: Floats


def departures(
    config: SimulateConfig, pits: Pits, centre: Floats, rng: np.random.Generator
) -> Departures:
    """Draw the departures from all pits by the configured law.

    Parameters
    ----------
    centre:
        (pits, 2) centre of each final pit; angles are about it.
    """
    counts = rng.poisson(config.rate * pits.activity)
    pit, frame = np.nonzero(counts)
    times = counts[pit, frame]
    pit, frame = np.repeat(pit, times), np.repeat(frame, times)
    order = np.lexsort((pit, frame))
    pit, frame = pit[order].astype(np.int64), frame[order].astype(np.int64)
    preferred: Floats = preferred_directions(
        config.law, config.preferred_deg, pits.direction_deg, rng
    )
    spread: Floats = np.degrees(np.atleast_1d(rng.vonmises(0.0, config.preference, pit.size)))
    if config.law == "uniform":
        spread = rng.uniform(0, 360, pit.size)
    angle = (preferred[pit, frame] + spread) % 360.0
    return Departures(pit, frame, _on_rim(pits, pit, frame, centre, angle), angle)


def preferred_directions(
    law: Law, preferred_deg: float | None, direction_deg: Floats, rng: np.random.Generator
) -> Floats:
    """Return (pits, t) the direction about which each pit ejects in each frame, deg."""
    if law == "growth":
        return direction_deg
    fixed = np.asarray(rng.uniform(0, 360, direction_deg.shape[0]))
    if preferred_deg is not None:
        fixed = np.full(fixed.shape, preferred_deg % 360.0)
    return np.broadcast_to(fixed[:, None], direction_deg.shape)


def arrivals_from_outside(config: SimulateConfig, rng: np.random.Generator) -> Departures:
    """Draw the particles that drift into view over the frame's edge, headed inward."""
    mean = config.motion.field_particles / config.motion.flight_frames
    # Those already under way when the recording starts stand anywhere in the frame.
    present = int(rng.poisson(config.motion.field_particles))
    entering = rng.poisson(mean, config.frames)
    entering[0] = 0
    frame = np.concatenate(
        [np.zeros(present, dtype=np.int64), np.repeat(np.arange(config.frames), entering)]
    )
    size = np.array([config.width - 1.0, config.height - 1.0])
    position = rng.uniform(0, 1, (frame.size, 2)) * size
    angle = rng.uniform(0, 360, frame.size)
    side = rng.integers(0, 4, frame.size)
    inward = rng.uniform(-70, 70, frame.size)
    for edge, (axis, at, facing) in enumerate(
        ((0, 0.0, 0.0), (1, 0.0, 90.0), (0, size[0], 180.0), (1, size[1], 270.0))
    ):
        here = (side == edge) & (np.arange(frame.size) >= present)
        position[here, axis] = at
        angle[here] = (facing + inward[here]) % 360.0
    return Departures(np.full(frame.size, -1, dtype=np.int64), frame, position, angle)


def _on_rim(pits: Pits, pit: Ints, frame: Ints, centre: Floats, angle_deg: Floats) -> Floats:
    """Return where the ray from a pit's final centre leaves that frame's front.

    A young pit need not reach the ray: then the point of the ray nearest to the front counts.
    """
    if pit.size == 0:
        return np.empty((0, 2))
    turn = np.radians(angle_deg)
    heading = np.column_stack([np.cos(turn), np.sin(turn)])
    reach = 2.0 * float(pits.front.max()) + 2.0
    steps = np.arange(1.0, reach, 0.5)
    offset = centre[pit] - pits.onset[pit]
    x = offset[:, :1] + steps * heading[:, :1]
    y = offset[:, 1:] + steps * heading[:, 1:]
    front = front_radius(pits.front, pit[:, None], frame[:, None], np.arctan2(y, x))
    outside = np.hypot(x, y) - front
    inside = outside <= 0
    last_inside = steps.size - 1 - np.argmax(inside[:, ::-1], axis=1)
    nearest = np.argmin(outside, axis=1)
    at = steps[np.where(inside.any(axis=1), last_inside, nearest)] + _OFF_RIM_PX
    position: Floats = centre[pit] + at[:, None] * heading
    return position
