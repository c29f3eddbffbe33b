"""The source of each track: which pit's rim it starts from, if any, as a probability.

A start near pit ``j`` is one of four things, each with a density over place and direction:

- an ejection from ``j``: the gap ``g`` back to the rim is exponential with mean ``lambda`` (the
  particle is first seen some way out), and the motion points away from the pit's centre to within
  ``s``;
- a lost track found again: it points away from the pit too, but starts anywhere along the way;
- a track of a crowd about the pit, which is denser there than elsewhere: it starts anywhere along
  the way and points anywhere;
- a track of the open field: it starts anywhere in the frame and points anywhere.

``lambda``, ``s`` and the shares of the four are learnt from the recording itself by expectation
maximisation, so that no distance is tuned to one microscope. Two pits compete by the same
densities.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pitflow.measure.motion import EarlyMotion
from pitflow.measure.rim import Rim
from pitflow.measure.tracks import Floats, Ints

_ONSET_SLACK = 5
"""Frames by which a pit may be seen late: a particle cannot leave before the pit is there."""
_SEARCH = 3.0
"""How far beyond the admitted gap starts are looked at, to learn what tracks found again are."""
_LARGEST_SPREAD = 1.0
_ROUNDS, _SETTLED = 400, 1e-4
"""Most steps of learning; it ends when the log-likelihood changes by less."""


@dataclass(frozen=True)
class Candidates:
    """Pairs of a track's start and a pit it may have left.

    Parameters
    ----------
    track, rim:
        (n,) indices into the tracks and into the list of rims.
    gap_px:
        (n,) distance from the start back to the rim, towards the pit's centre.
    radius_px:
        (n,) distance from the start to the pit's centre as it was then.
    deviation, deviation_err:
        (n,) angle from the outward direction to the motion, rad, and its standard error.
    """

    track: Ints
    rim: Ints
    gap_px: Floats
    radius_px: Floats
    deviation: Floats
    deviation_err: Floats


def find_candidates(
    motion: EarlyMotion,
    rims: list[Rim],
    *,
    reach_px: float,
    admitted: npt.NDArray[np.bool_],
) -> Candidates:
    """Return every pair of a moving, admitted track's start and a pit within reach of it."""
    parts: list[tuple[Ints, Ints, Floats, Floats, Floats, Floats]] = []
    moving = motion.is_moving & admitted
    speed = np.maximum(motion.speed, 1e-9)
    for number, rim in enumerate(rims):
        centre_x, centre_y = rim.centre(motion.frame)
        radius = np.hypot(motion.x - centre_x, motion.y - centre_y)
        alive = motion.frame >= rim.onset - _ONSET_SLACK
        i = np.flatnonzero(moving & alive & (radius < _SEARCH * reach_px + rim.reach))
        outward_x = (motion.x[i] - centre_x[i]) / np.maximum(radius[i], 1e-9)
        outward_y = (motion.y[i] - centre_y[i]) / np.maximum(radius[i], 1e-9)
        gap = rim.distance_along(
            motion.x[i], motion.y[i], outward_x, outward_y, motion.frame[i], radius[i]
        )
        gap = np.maximum(np.where(np.isnan(gap), radius[i], gap), 0.0)
        along = motion.vx[i] * outward_x + motion.vy[i] * outward_y
        across = outward_x * motion.vy[i] - outward_y * motion.vx[i]
        # Near the centre of the pit the outward direction itself is uncertain.
        error = np.hypot(
            motion.velocity_err[i] / speed[i],
            motion.middle_err_px[i] / np.maximum(radius[i], 1.0),
        )
        near = gap <= _SEARCH * reach_px
        parts.append(
            (
                i[near],
                np.full(int(near.sum()), number),
                gap[near],
                np.maximum(radius[i][near], 1.0),
                np.arctan2(across, along)[near],
                error[near],
            )
        )
    if not parts:
        none, nothing = np.empty(0, dtype=np.int64), np.empty(0)
        return Candidates(none, none, nothing, nothing, nothing, nothing)
    track, rim_index, gap, radius, deviation, error = (
        np.concatenate([part[k] for part in parts]) for k in range(6)
    )
    return Candidates(
        track.astype(np.int64), rim_index.astype(np.int64), gap, radius, deviation, error
    )


def learn_sources(
    pairs: Candidates, *, n_rims: int, reach_px: float, field_px2: float
) -> tuple[float, Floats]:
    """Learn the model from the pairs.

    Weak priors (worth a few tracks) hold the parameters where there is little to learn from: a
    mean gap of a quarter of ``reach_px`` and a spread of 0.35 rad.

    Returns
    -------
    tuple
        Spread of ejections about the outward direction, rad, and (n,) the probability that each
        pair is an ejection from that pit.
    """
    size = int(pairs.track.max()) + 1 if pairs.track.size else 0
    starts = np.unique(pairs.track)
    gap, spread = reach_px / 4.0, 0.35
    ejected, refound, around, field = 0.6, 0.15, 0.1, 0.15
    pit_share = np.full(n_rims, 1.0 / max(n_rims, 1))
    posterior = np.zeros(pairs.track.size)
    ring = 2.0 * np.pi * pairs.radius_px
    likelihood = -np.inf
    for _ in range(_ROUNDS):
        share = pit_share[pairs.rim] / ring
        pointing = _pointing(pairs, spread)
        as_ejected = ejected * share * pointing * np.exp(-pairs.gap_px / gap) / gap
        as_refound = refound * share * pointing / (_SEARCH * reach_px)
        as_around = around * share / (2.0 * np.pi) / (_SEARCH * reach_px)
        as_field = field / (2.0 * np.pi * field_px2)
        of_pairs = as_ejected + as_refound + as_around
        evidence = np.bincount(pairs.track, of_pairs, minlength=size) + as_field
        posterior, again, about = (
            part / evidence[pairs.track] for part in (as_ejected, as_refound, as_around)
        )
        before, likelihood = likelihood, float(np.log(evidence[starts]).sum())
        if abs(likelihood - before) < _SETTLED:
            break
        outward = posterior + again
        by_field = float(np.sum(as_field / evidence[starts]))
        total = 15.0 + starts.size
        ejected = (6.0 + posterior.sum()) / total
        refound = (3.0 + again.sum()) / total
        around = (3.0 + about.sum()) / total
        field = (3.0 + by_field) / total
        gap = (4.0 * reach_px / 4.0 + posterior @ pairs.gap_px) / (4.0 + posterior.sum())
        excess = np.maximum(pairs.deviation**2 - pairs.deviation_err**2, 0.0)
        spread = np.sqrt((4.0 * 0.35**2 + outward @ excess) / (4.0 + outward.sum()))
        spread = float(np.clip(spread, 0.03, _LARGEST_SPREAD))
        pit_share = 1.0 + np.bincount(pairs.rim, outward + about, minlength=n_rims)
        pit_share = pit_share / pit_share.sum()
    return spread, posterior


def _pointing(pairs: Candidates, spread: float) -> Floats:
    """Return the density of the motion's direction about the outward one, 1/rad."""
    variance = spread**2 + pairs.deviation_err**2
    return np.asarray(
        np.exp(-(pairs.deviation**2) / (2.0 * variance)) / np.sqrt(2.0 * np.pi * variance)
    )


def choose_source(
    pairs: Candidates, probability: Floats, *, reach_px: float
) -> tuple[Ints, Ints, Floats]:
    """Return track, rim and probability of every track that left a pit more likely than not.

    Of competing pits the likelier is chosen. The gap to its rim is at most ``reach_px``.
    """
    table = pd.DataFrame(
        {
            "track": pairs.track,
            "rim": pairs.rim,
            "p": np.where(pairs.gap_px <= reach_px, probability, 0.0),
        }
    )
    together = table.groupby("track")["p"].transform("sum")
    table = table[together > 0.5].sort_values("p", ascending=False, kind="stable")
    table = table.drop_duplicates("track").sort_values("track")
    return (
        table["track"].to_numpy(dtype=np.int64),
        table["rim"].to_numpy(dtype=np.int64),
        table["p"].to_numpy(dtype=np.float64),
    )
