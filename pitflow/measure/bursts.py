"""Bursts: the moments at which a particle leaves its own smooth trend, told from errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pitflow.config import VelocityConfig
from pitflow.measure.tracks import Floats, Ints, Tracks
from pitflow.measure.velocity import (
    KNOWN_BEFORE,
    VelocityScore,
    keep_lasting,
    nearest_foreign_pit,
    score_velocity,
)
from pitflow.schema import OUTLIERS, empty_table, validate_table

Flags = npt.NDArray[np.bool_]
Vectors = npt.NDArray[np.complex128]
"""x + iy: a turn by an angle is a product."""

_LONGEST = 3
"""Steps whose residuals are summed, at most: a longer burst holds several such runs."""
_CONE = 0.5
"""What points one way is at most this much to the side, as a share."""
_EVEN = 0.5
"""Each step of a burst leaves the trend by this share of their mean, at least."""
_ALONE = 0.4
"""What the score of a single step counts: errors displace one, a burst more often several."""
_EVENT_FRAMES = 3
"""Outliers of a track no further apart than this are one event."""
_NEAR, _FAR = 3, 8
"""Detections whose median mass is that before or after a burst: both must stay alike."""


@dataclass(frozen=True)
class Runs:
    """Every run of some successive steps of a track, by the last of them.

    Parameters
    ----------
    length:
        Steps of each run.
    residual:
        (n,) what no neighbouring step undoes of the run's residual, in robust scales: the real part
        along the trend, the imaginary one across it. NaN where there is no such run.
    way, trend:
        (n,) displacement over the run and what the trend would have made of it, px.
    scale_px:
        (n,) what a residual of 1 is, px.
    """

    length: int
    residual: Vectors
    way: Vectors
    trend: Vectors
    scale_px: Floats

    @property
    def onward(self) -> Floats:
        """(n,) the residual's part along the displacement."""
        turned = self.residual * _unit(self.trend) * _unit(self.way).conj()
        return np.asarray(turned.real)


def sum_runs(tracks: Tracks, scored: VelocityScore, length: int) -> Runs:
    """Sum the residuals of every run of ``length`` steps.

    The positions between cancel in the sum, but changes of velocity add up: so it counts in the
    scale of a step times the root of their number. A run that is not one burst has no score: in one
    each step leaves the trend the same way, by half their mean or more.
    """
    steps = range(1 - length, 1)
    step = scored.x_px + 1j * scored.y_px
    each = [_at(tracks, step, offset) for offset in steps]
    total = np.sum(each, axis=0)
    pace = (scored.trend_x + 1j * scored.trend_y) * scored.gap
    trend = np.sum([_at(tracks, pace, offset) for offset in steps], axis=0)
    scale = np.sqrt(length) * np.max([_at(tracks, scored.scale_px, o).real for o in steps], axis=0)
    back = _unit(trend).conj()
    beside = [np.nan_to_num(_at(tracks, step, offset)) * back for offset in (-length, 1)]
    lasting = keep_lasting((total * back).real, [other.real for other in beside]) + 1j * (
        keep_lasting((total * back).imag, [other.imag for other in beside])
    )
    share = np.min([(own * total.conj()).real for own in each], axis=0)
    even = share >= _EVEN / length * np.abs(total) ** 2
    place = tracks.x + 1j * tracks.y
    return Runs(
        length,
        np.where(even, lasting * (1.0 / scale), np.nan),
        place - _at(tracks, place, -length),
        trend,
        scale,
    )


def _at(tracks: Tracks, values: npt.NDArray[Any], offset: int) -> Vectors:
    """Return the values of the detection ``offset`` further on in the track, NaN beyond it."""
    index, valid = tracks.neighbours(offset)
    return np.where(valid, values[index], np.nan).astype(np.complex128)


def _unit(vectors: Vectors) -> Vectors:
    """Return vectors of length 1; nothing has no direction and stays 0."""
    return np.asarray(vectors * (1.0 / np.maximum(np.abs(vectors), 1e-9)))


def _judge_runs(
    runs: Runs, to_pit: Vectors, usable: Flags, min_excess: float
) -> tuple[Floats, Floats, Floats]:
    """Return (n,) scores of each run as a burst, as an error beside the trend, and beside a pit.

    A burst leaves the trend forward, or takes the particle towards the nearest foreign pit, however
    far that turns it. 0 for what the run is not.

    Parameters
    ----------
    to_pit:
        (n,) from the run's start to the nearest foreign pit, 0 if there is none.
    """
    along, across = runs.residual.real, np.abs(runs.residual.imag)
    least = min_excess * np.abs(runs.trend) / runs.scale_px
    forward = _points(along, across) & (along > least)
    beside = _points(across, along) & (across > least)
    turned = runs.way * _unit(to_pit).conj()
    onward = runs.onward
    faster = (np.abs(runs.way) > (1.0 + min_excess) * np.abs(runs.trend)) & (onward > least)
    faster &= runs.length > 1
    drawn = faster & _points(turned.real, turned.imag)
    past = faster & _points(np.abs(turned.imag), turned.real)
    burst = usable & (forward | drawn)
    best = np.fmax(np.where(forward, along, 0.0), np.where(drawn, onward, 0.0))
    weight = _ALONE if runs.length == 1 else 1.0
    return (
        np.where(burst, weight * best, 0.0),
        np.where(usable & ~burst & beside, weight * across, 0.0),
        np.where(usable & ~burst & past, weight * onward, 0.0),
    )


def _points(along: Floats, across: Floats) -> Flags:
    """Return what points one way: forward, and at most half as far to the side."""
    return np.asarray((along > 0) & (np.abs(across) < _CONE * along))


def _any_of(tracks: Tracks, flags: Flags, length: int) -> Flags:
    """Return for each run, by its last step, whether the flag of any of its steps is set."""
    found = [_at(tracks, flags, offset) == 1 for offset in range(1 - length, 1)]
    return np.asarray(np.any(found, axis=0))


def _spread(tracks: Tracks, score: Floats, length: int) -> Floats:
    """Return for each step the highest score of the runs that hold it."""
    holding = [np.nan_to_num(_at(tracks, score, offset).real) for offset in range(length)]
    return np.asarray(np.max(holding, axis=0))


def choose_threshold(forward: Floats, decoys: Floats, *, least: float, false_share: float) -> float:
    """Return the lowest score, ``least`` or more, beyond which at most ``false_share`` is false.

    Errors of position and of linking point anywhere, bursts point forward: so as many false scores
    are expected forward as there are on the mean of the two sides. (Not backward, where particles
    that stop are.) Real errors have longer tails than any normal law, and this threshold rises with
    them. Infinite where no score suffices.

    Parameters
    ----------
    forward, decoys:
        Scores of what points forward, and of what points to either side.
    """
    targets = np.sort(forward[forward > least])
    others = np.sort(decoys[decoys > least])
    if targets.size == 0:
        return least
    n_targets = targets.size - np.arange(targets.size)
    n_false = (others.size - np.searchsorted(others, targets)) / 2.0
    passing = n_false <= false_share * n_targets
    if not passing.any():
        return np.inf
    return float(max(np.nextafter(targets[int(np.argmax(passing))], 0.0), least))


def _peaks(tracks: Tracks, score: Floats, chosen: Flags) -> Floats:
    """Return the highest score of each event: chosen steps of one track close to each other."""
    rows = np.flatnonzero(chosen)
    if rows.size == 0:
        return np.zeros(0)
    return np.asarray(np.maximum.reduceat(score[rows], np.flatnonzero(_begins(tracks, rows))))


def _whole_events(tracks: Tracks, score: Floats, steps: Flags, threshold: float) -> Flags:
    """Return the steps of the events whose highest score is beyond the threshold."""
    rows = np.flatnonzero(steps)
    chosen = np.zeros(score.size, dtype=bool)
    if rows.size:
        event = np.cumsum(_begins(tracks, rows)) - 1
        chosen[rows] = (_peaks(tracks, score, steps) > threshold)[event]
    return chosen


def _begins(tracks: Tracks, rows: Ints) -> Flags:
    """Return which of the rows begin an event: further than 3 frames from the row before."""
    begins = np.ones(rows.size, dtype=bool)
    begins[1:] = np.diff(tracks.track[rows]) != 0
    begins[1:] |= np.diff(tracks.frame[rows]) > _EVENT_FRAMES
    return begins


def _complete(tracks: Tracks, scored: VelocityScore, flagged: Flags, possible: Flags) -> Flags:
    """Return the flagged steps and, next to them, those of the same burst.

    Such a step leaves the trend the same way, by half as much or more; its mass need not be known.
    """
    step = scored.x_px + 1j * scored.y_px
    for _ in range(_LONGEST):
        for offset in (-1, 1):
            sure = _at(tracks, np.where(flagged, step / scored.gap, np.nan), offset)
            own = step / scored.gap * _unit(sure).conj()
            flagged = flagged | (
                possible & _points(own.real, own.imag) & (own.real >= _EVEN * np.abs(sure))
            )
    return flagged


def compute_outliers(
    tracks: Tracks,
    source: Ints,
    pits: pd.DataFrame,
    *,
    config: VelocityConfig,
    um_per_px: float,
    fps: float,
    mass: Floats | None = None,
    contrast: Floats | None = None,
) -> tuple[pd.DataFrame, Flags]:
    """Return the outliers table, one row per event, and which detections are part of one.

    A burst is one to three successive steps that together leave the trend by a score beyond
    ``threshold`` and by more than ``min_excess`` of the way that the trend would have made: forward
    or, if they are several and faster than the trend, towards the nearest foreign pit, whatever the
    turn. (Judged by the direction alone: as many errors point to it where it is near as where it is
    far.) A single step counts less. Steps do not count that are faster than ``max_speed_um_s`` or
    bridge more than 3 frames, nor runs of steps about which the particle's mass, which height and
    focus leave alone, changes by more than ``max_mass_change``: that is a wrong link or half a
    particle, not a motion. Outliers of one track within 3 frames of each other are one event, whose
    row is its highest score; events whose highest score is not beyond that of `choose_threshold`
    are dropped. The steps beside an outlier that leave the trend the same way are of the same
    burst, whatever their mass: it may lead through another particle.

    Positions are in reference geometry. Further columns: ``duration`` (frames from first to last
    outlier), ``trend_px`` (px/frame, the trend's speed) and ``threshold`` (the score of
    `choose_threshold`).

    Parameters
    ----------
    source:
        (n_tracks,) source pit of each track, -1 none.
    pits:
        ``pit``, ``x``, ``y``, ``onset_frame``.
    mass, contrast:
        (n,) darkening summed over each detection, and its contrast; None: not known.
    """
    scored = score_velocity(tracks, contrast)
    possible = np.nan_to_num(scored.step_px, nan=np.inf) * um_per_px * fps <= config.max_speed_um_s
    possible &= np.isfinite(scored.forward) & (scored.gap <= _EVENT_FRAMES)
    possible &= np.arange(tracks.frame.size) - tracks.start[tracks.track] >= KNOWN_BEFORE
    to_pit = _to_foreign_pit(tracks, source, pits)
    looks = None if mass is None else Looks.of(tracks, mass)
    score, beside, past = (np.zeros(tracks.frame.size) for _ in range(3))
    for length in range(1, _LONGEST + 1):
        runs = sum_runs(tracks, scored, length)
        usable = np.all(
            [_at(tracks, possible, offset) == 1 for offset in range(1 - length, 1)], axis=0
        )
        if looks is not None:
            usable &= looks.stay(tracks, length, config.max_mass_change)
        start = np.nan_to_num(_at(tracks, to_pit, -length))
        judged = _judge_runs(runs, start, usable, config.min_excess)
        score, beside, past = (
            np.maximum(best, _spread(tracks, own, length))
            for best, own in zip((score, beside, past), judged, strict=True)
        )
    threshold = choose_threshold(
        _peaks(tracks, score, score > config.threshold),
        np.concatenate(
            [
                _peaks(tracks, own, (own > config.threshold) & (own > score))
                for own in (beside, past)
            ]
        ),
        least=config.threshold,
        false_share=config.false_share,
    )
    flagged = _whole_events(tracks, score, score > config.threshold, threshold)
    flagged = _complete(tracks, scored, flagged, possible)
    if looks is not None:
        flagged &= ~_of_another_look(tracks, looks, flagged, config.max_mass_change)
    return _tabulate(tracks, source, pits, scored, score, threshold, flagged)


def _to_foreign_pit(tracks: Tracks, source: Ints, pits: pd.DataFrame) -> Vectors:
    """Return (n,) from each detection to the nearest pit that is not its source, 0 if none is."""
    nearest, _ = nearest_foreign_pit(tracks.x, tracks.y, tracks.frame, source[tracks.track], pits)
    centre = pits.set_index("pit")[["x", "y"]].reindex(nearest).to_numpy(dtype=np.float64)
    return np.nan_to_num(centre[:, 0] - tracks.x + 1j * (centre[:, 1] - tracks.y))


def _tabulate(
    tracks: Tracks,
    source: Ints,
    pits: pd.DataFrame,
    scored: VelocityScore,
    score: Floats,
    threshold: float,
    flagged: Flags,
) -> tuple[pd.DataFrame, Flags]:
    """Return the outliers table of the flagged steps, and those."""
    rows = np.flatnonzero(flagged)
    if rows.size == 0:
        return empty_table(OUTLIERS), flagged
    frame, step = tracks.frame[rows], scored.step_px
    new = _begins(tracks, rows)
    event = np.cumsum(new) - 1
    order = np.lexsort((-step[rows], -score[rows], event))
    peak = rows[order[np.searchsorted(event, np.arange(event[-1] + 1))]]
    last = np.append(np.flatnonzero(new)[1:] - 1, rows.size - 1)
    nearest, distance = nearest_foreign_pit(
        tracks.x[peak], tracks.y[peak], tracks.frame[peak], source[tracks.track[peak]], pits
    )
    table = pd.DataFrame(
        {
            "particle": tracks.particle[tracks.track[peak]],
            "frame": tracks.frame[peak],
            "x": tracks.x[peak],
            "y": tracks.y[peak],
            "speed_px": step[peak],
            "score": score[peak],
            "nearest_pit": nearest,
            "distance_px": distance,
            "duration": (frame[last] - frame[new] + 1).astype(np.float64),
            "trend_px": scored.trend_px[peak],
            "threshold": threshold,
        }
    )
    return validate_table(table, OUTLIERS), flagged


@dataclass(frozen=True)
class Looks:
    """The logarithm of each detection's mass, and of its medians.

    Parameters
    ----------
    own:
        (n,) of the detection.
    before, long_before:
        (n,) of up to 3 and up to 8 detections, the last of which is this.
    after, long_after:
        (n,) of up to 3 and up to 8 detections, the first of which is this.
    """

    own: Floats
    before: Floats
    long_before: Floats
    after: Floats
    long_after: Floats

    @classmethod
    def of(cls, tracks: Tracks, mass: Floats) -> Looks:
        """Look at the detections on either side of each."""
        own = np.log(np.where(mass > 0, mass, np.nan))
        return cls(
            own,
            _median_near(tracks, own, range(1 - _NEAR, 1)),
            _median_near(tracks, own, range(1 - _FAR, 1)),
            _median_near(tracks, own, range(_NEAR)),
            _median_near(tracks, own, range(_FAR)),
        )

    def stay(self, tracks: Tracks, length: int, most: float) -> Flags:
        """Return about which runs of steps the mass changes by a factor of ``most`` at most.

        Where a burst leads out of or into another particle, one of its steps suffices, if the mass
        is the same a longer time before and after.
        """
        away = _at(tracks, self.long_before, -length).real - self.long_after
        alike = np.exp(np.nan_to_num(np.abs(away))) <= most
        alike &= _any_of(tracks, self.change(tracks, 1) <= most, length)
        return np.asarray(alike | (self.change(tracks, length) <= most))

    def change(self, tracks: Tracks, length: int) -> Floats:
        """Return the factor, 1 or more, by which the mass differs about each run of steps.

        That after it is the median of some detections or that of the first of them, which is the
        likelier before a particle sinks into a pit or another. It is held against what was shortly
        before and against a longer time before, when the particle was not yet half hidden; and so
        is, against both sides, the last detection before. What is not known is 1.
        """
        last, near, far = (
            _at(tracks, value, -length).real for value in (self.own, self.before, self.long_before)
        )
        after = np.where(np.abs(self.own - near) < np.abs(self.after - near), self.own, self.after)
        off = np.abs([after - near, after - far, last - (far + after) / 2.0])
        return np.asarray(np.exp(np.max(np.nan_to_num(off), axis=0)))


def _of_another_look(tracks: Tracks, looks: Looks, flagged: Flags, most: float) -> Flags:
    """Return the flagged steps of events after which the mass is another than before, for long.

    It may be less where the track ends within eight detections, for the particle sinks into a pit.
    """
    rows = np.flatnonzero(flagged)
    dropped = np.zeros(flagged.size, dtype=bool)
    if rows.size == 0:
        return dropped
    new = _begins(tracks, rows)
    first, last = rows[new], rows[np.append(np.flatnonzero(new)[1:] - 1, rows.size - 1)]
    away = np.nan_to_num(looks.long_after[last] - looks.long_before[first - 1])
    goes_on = tracks.neighbours(_FAR)[1][last]
    away = np.where(goes_on, np.abs(away), np.maximum(away, 0.0))
    dropped[rows] = (np.exp(away) > most)[np.cumsum(new) - 1]
    return dropped


def _median_near(tracks: Tracks, values: Floats, offsets: Sequence[int]) -> Floats:
    """Return the median of the known values at these offsets from each detection, or NaN."""
    near = np.array([_at(tracks, values, offset).real for offset in offsets])
    known = np.isfinite(near).any(axis=0)
    median = np.full(values.size, np.nan)
    median[known] = np.nanmedian(near[:, known], axis=0)
    return median
