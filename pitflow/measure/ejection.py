"""Ejections: departure of each particle from its pit's rim, in place, time and direction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pitflow.config import EjectionConfig
from pitflow.measure.centre import Paths
from pitflow.measure.circular import direction_of
from pitflow.measure.motion import EarlyMotion, fit_early_motion
from pitflow.measure.rim import Rim
from pitflow.measure.sighting import delayed_distance
from pitflow.measure.source import (
    Candidates,
    choose_source,
    find_candidates,
    learn_sources,
)
from pitflow.measure.tracks import Floats, Ints, Tracks
from pitflow.schema import EJECTIONS, empty_table, validate_table

_RIM_ERROR_PX, _RIM_ERROR_SHARE = 1.0, 0.15
"""How well the radius of a pit's ragged rim is known: its pixels, and a share of the radius."""
_UNSEEN_ERROR = 0.5
"""How well the time is known that a particle took before it was seen, as a share."""
_BEND_ERROR = 0.5
"""How well the inclination of a path is known nearer to the pit than it was seen, as a share."""
_UNSEEN_TURN = 0.2
"""Inclination of the unseen way that the seen one does not tell, as a share of the spread that the
recording's paths have about the outward direction. Set on rendered recordings, so that the error is
true whatever the gap (docs/validation.md)."""

_CENTRE_ERROR_PX = 0.5
"""Standard error, per axis, of the centre that angles refer to. A rim placed to within 1 px, with
errors that are alike over an eighth of the way round, gives ``sqrt(2 / 8)`` px; joins of found and
true pits on rendered recordings give 0.53 px."""


@dataclass(frozen=True)
class Departures:
    """The tracks that left a pit.

    Parameters
    ----------
    motion:
        How every track starts.
    pairs:
        The starts, each with every pit that it may have left.
    spread:
        Of the departures about the outward direction, rad.
    track, rim:
        (n,) indices of those that left a pit into the tracks and into the list of rims.
    probability:
        (n,) that each left this pit, against other pits and the open field.
    """

    motion: EarlyMotion
    pairs: Candidates
    spread: float
    track: Ints
    rim: Ints
    probability: Floats


def find_departures(
    tracks: Tracks, rims: list[Rim], *, config: EjectionConfig, shape: tuple[int, int]
) -> Departures | None:
    """Return the tracks that left a pit; None where there are no tracks or no pits.

    `pitflow.measure.source` says from which pit each track started, if any. A track that does not
    get ``early_px`` away from its start is not told from the flicker of a growing rim, and is no
    ejection.

    Parameters
    ----------
    shape:
        (height, width) of a frame, px.
    """
    if tracks.n_tracks == 0 or not rims:
        return None
    reach = config.rim_distance_px
    away = _travel(tracks) > config.early_px
    # Particles slow down as they leave a pit; others, far out or found again, hardly do. So those
    # that left one tell how they slow down, and all are judged once more.
    alike: Ints | None = None
    for _ in range(2):
        motion = fit_early_motion(tracks, length_px=config.early_px, reach_px=reach, alike=alike)
        pairs = find_candidates(motion, rims, reach_px=reach, admitted=away)
        spread, chance = learn_sources(
            pairs, n_rims=len(rims), reach_px=reach, field_px2=float(shape[0] * shape[1])
        )
        track, rim, probability = choose_source(pairs, chance, reach_px=reach)
        alike = track
    return Departures(motion, pairs, spread, track, rim, probability)


def compute_ejections(
    tracks: Tracks,
    rims: list[Rim],
    pits: pd.DataFrame,
    departures: Departures | None,
    *,
    config: EjectionConfig,
    um_per_px: float,
    fps: float,
) -> pd.DataFrame:
    """Return the ejections table: one row per particle that left a pit.

    The start of its track is fitted by decelerating straight motion, whose direction is drawn
    towards the outward one as far as the recording's own spread about it says: a short track tells
    little of its direction, a long one is left as it is. It is followed back to the rim as it was
    then for the distance and the time of departure. For the angle it is followed back at a
    constant inclination ``delta`` to the outward direction,
    ``angle = angle_1 - tan(delta) ln(r_1 / r_rim)``: the flow from the pit is the stronger the
    nearer, so a path straightens towards its pit, and a straight line would overshoot.

    Positions are in reference geometry. Further columns: ``frame_err`` (frames, standard error of
    the departure), ``gap_px`` (first detection back to the rim) and ``pit_probability`` (of this
    pit, against other pits and the open field).

    Parameters
    ----------
    pits:
        ``pit``, ``x``, ``y``, ``onset_x``, ``onset_y``, ``onset_chance``: the centres that angles
        refer to, see `pitflow.measure.centre.find_centres`; by what an angle would be another if
        the onset were the centre, the error holds as often as that may be.
    departures:
        From these rims.
    """
    if departures is None:
        return empty_table(EJECTIONS)
    reach = config.rim_distance_px
    motion, pairs, spread = departures.motion, departures.pairs, departures.spread
    track, rim = departures.track, departures.rim

    lookup = pd.Series(np.arange(pairs.track.size), index=[pairs.track, pairs.rim])
    pair = lookup.loc[pd.MultiIndex.from_arrays([track, rim])].to_numpy(dtype=np.int64)
    keep = spread**2 / (spread**2 + pairs.deviation_err[pair] ** 2)
    heading = np.arctan2(motion.vy[track], motion.vx[track])
    heading = heading - (1.0 - keep) * pairs.deviation[pair]
    heading_err = np.sqrt(keep) * pairs.deviation_err[pair]
    ux, uy = np.cos(heading), np.sin(heading)

    # The line runs through the fit's middle, where position and direction are independent.
    ahead = motion.speed[track] * motion.middle[track]
    middle_x = motion.x[track] + motion.vx[track] * motion.middle[track]
    middle_y = motion.y[track] + motion.vy[track] * motion.middle[track]
    start_x, start_y = middle_x - ux * ahead, middle_y - uy * ahead
    back = _distance_back(rims, rim, start_x, start_y, ux, uy, motion.frame[track], reach)
    # A path that passes the pit by is taken to come straight from its centre.
    missed = np.isnan(back)
    outward = np.arctan2(motion.vy[track], motion.vx[track]) - pairs.deviation[pair]
    ux, uy = np.where(missed, np.cos(outward), ux), np.where(missed, np.sin(outward), uy)
    gap = np.where(missed, pairs.gap_px[pair], back)
    # In its first frame outside, a particle has come from under the cover and up to a step further.
    step = float(np.median(motion.speed[track])) if track.size else 0.0
    cover = np.array([one.cover for one in rims])
    back = delayed_distance(gap, rim, longest_px=cover + step, reach_px=reach)
    from_x = np.where(missed, motion.x[track], start_x)
    from_y = np.where(missed, motion.y[track], start_y)

    own = pits.set_index("pit").loc[[rims[k].pit for k in rim]]
    centre, onset = (
        own[names].to_numpy(dtype=np.float64).T for names in (["x", "y"], ["onset_x", "onset_y"])
    )
    first = np.array([motion.x[track], motion.y[track]])
    first_r, seen_at, outward_part, bend = _bearing(first - centre, ux, uy)
    _, from_onset, _, onset_bend = _bearing(first - onset, ux, uy)
    # A young pit may lie beside its later centre: no departure is nearer to that than it is wide.
    size = _radius_of(rims, rim, motion.frame[track])
    at_rim, radius = (
        np.maximum(
            np.hypot(from_x - ux * way - centre[0], from_y - uy * way - centre[1]),
            np.minimum(size, first_r),
        )
        for way in (gap, back)
    )
    way = np.log(first_r / radius)
    angle = seen_at - bend * way
    dx, dy = at_rim * np.cos(angle), at_rim * np.sin(angle)
    bend_err = np.hypot(heading_err / outward_part**2, _BEND_ERROR * bend)
    unseen = np.log(np.maximum(first_r / at_rim, 1.0))
    # By this the angle would be another if the onset were the centre.
    turn = np.angle(np.exp(1j * (from_onset - seen_at - (onset_bend - bend) * way)))
    angle_err = np.sqrt(
        (np.hypot(motion.middle_err_px[track], _CENTRE_ERROR_PX) / first_r) ** 2
        + (way * bend_err) ** 2
        + (bend * (_RIM_ERROR_PX / radius + _RIM_ERROR_SHARE)) ** 2
        + (_UNSEEN_TURN * spread * unseen) ** 2
        + np.where(missed, _passing_error(pairs.deviation[pair]), 0.0) ** 2
        + own["onset_chance"].to_numpy(dtype=np.float64) * turn**2
    )
    early = motion.frames_before(back, track)
    left_at = tracks.clock.frame_at(tracks.moment[tracks.start[track]] - early)
    speed = np.maximum(motion.later_speed[track] + motion.gamma * back, 0.0)
    along = np.hypot(
        np.hypot(motion.middle_err_px[track], _RIM_ERROR_PX),
        early * motion.velocity_err[track],
    )
    # A pit may be seen late, but not so late that its particles are seen before it.
    earliest = np.minimum([rims[k].onset for k in rim], motion.frame[track])
    table = pd.DataFrame(
        {
            "particle": tracks.particle[track],
            "pit": [rims[k].pit for k in rim],
            # It left between two frames; the later is the first that can show it outside.
            "frame": np.maximum(np.ceil(left_at), earliest).astype(np.int64),
            "x": centre[0] + dx,
            "y": centre[1] + dy,
            "angle_deg": direction_of(dx, dy),
            "speed_um_s": speed * um_per_px * fps,
            "angle_err_deg": np.minimum(np.degrees(angle_err), 180.0 / np.sqrt(3.0)),
            # It left at any time in the frame before, too.
            "frame_err": np.sqrt(
                (along / np.maximum(speed, 1e-6)) ** 2 + (_UNSEEN_ERROR * early) ** 2 + 1.0 / 3.0
            ),
            "gap_px": gap,
            "pit_probability": departures.probability,
        }
    )
    return validate_table(table, EJECTIONS)


def trace_paths(departures: Departures | None, rims: list[Rim]) -> Paths:
    """Return the straight ways of the particles that left a pit; arguments as above."""
    if departures is None:
        nothing = np.empty(0)
        return Paths(np.empty(0, dtype=np.int64), *[nothing] * 6)
    motion, track = departures.motion, departures.track
    speed = np.maximum(motion.speed[track], 1e-6)
    middle = motion.middle[track]
    return Paths(
        np.array([one.pit for one in rims])[departures.rim],
        motion.x[track] + motion.vx[track] * middle,
        motion.y[track] + motion.vy[track] * middle,
        motion.vx[track] / speed,
        motion.vy[track] / speed,
        motion.middle_err_px[track],
        motion.velocity_err[track] / speed,
    )


def _bearing(away: Floats, ux: Floats, uy: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return how particles (2, n) away from a place, on their way along (ux, uy), are seen there.

    Distance (px, 1 at least) and direction (rad), the part of the way that leads outwards, and the
    tangent of the way's inclination to the outward direction.
    """
    x, y = away
    r = np.maximum(np.hypot(x, y), 1.0)
    outward_part = np.maximum((x * ux + y * uy) / r, 0.3)
    return r, np.arctan2(y, x), outward_part, (x * uy - y * ux) / r / outward_part


def _passing_error(deviation: Floats) -> Floats:
    """Return the error of the angle of a path that passes its pit by, rad.

    Its particle left the pit anywhere between the direction in which it was first seen and the one
    in which the path came nearest, which lies ``deviation`` back: a uniform law, its deviation
    taken about the former.
    """
    return np.asarray(np.minimum(np.abs(deviation), np.pi / 2.0) / np.sqrt(3.0))


def _travel(tracks: Tracks) -> Floats:
    """Return how far from its first detection each track gets, px."""
    first = tracks.start[tracks.track]
    distance = np.hypot(tracks.x - tracks.x[first], tracks.y - tracks.y[first])
    return np.asarray(np.maximum.reduceat(distance, tracks.start))


def _radius_of(rims: list[Rim], rim: Ints, frame: Ints) -> Floats:
    """Return the radius that each of the given pits had in the given frame."""
    radius = np.empty(rim.size)
    for number, one in enumerate(rims):
        i = np.flatnonzero(rim == number)
        radius[i] = one.radius[np.clip(frame[i] - one.onset, 0, one.radius.size - 1)]
    return radius


def _distance_back(
    rims: list[Rim],
    rim: Ints,
    x: Floats,
    y: Floats,
    ux: Floats,
    uy: Floats,
    frame: Ints,
    reach: float,
) -> Floats:
    """Return the distance back to the rim along each path; NaN where the path passes it by."""
    back = np.full(x.size, np.nan)
    for number, one in enumerate(rims):
        i = np.flatnonzero(rim == number)
        length = np.full(i.size, 2.0 * reach)
        back[i] = one.distance_along(x[i], y[i], ux[i], uy[i], frame[i], length)
    return back
