"""Velocity along tracks, how each step departs from the smooth trend, and where bursts lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pitflow.measure.classes import learn_by_class
from pitflow.measure.tracks import Floats, Ints, Tracks, local_line
from pitflow.schema import CLUSTERING, empty_table, validate_table

_SMOOTH = 2
"""Half width, detections, of the velocity reported: five positions, which keep a short burst."""
_TREND = 10
"""Half width, detections, of the trend that a burst is held against."""
_MIN_LENGTH = 6
"""Shortest track, detections, that has a trend of its own."""
_PRIOR_STEPS = 10.0
KNOWN_BEFORE = 3
"""A step has this many detections of its track before it, or there is no trend to leave."""
_DECILE, _FRAME_STEPS = 0.9, 20


def compute_velocity(
    tracks: Tracks, bursting: npt.NDArray[np.bool_] | None = None
) -> tuple[Floats, Floats]:
    """Return each linked detection's velocity (px/frame): the slope of a local straight line.

    The line is fitted to the detections within two before and after (Savitzky and Golay 1964 on a
    full grid), weighted down with their distance in time, so that missed frames do no harm. No line
    reaches over the start or the end of a burst: it would spread it over the frames on either side.
    NaN for a track of one detection.

    Parameters
    ----------
    bursting:
        (n,) whether the step that leads to each detection is part of a burst; None: of none.
    """
    part = np.zeros(tracks.frame.size, dtype=np.int64)
    if bursting is not None and bursting.size:
        part[1:] = np.cumsum(np.diff(bursting.astype(np.int64)) != 0)
    ones = np.ones(tracks.frame.size)
    (vx, vy), _ = local_line(tracks, np.stack([tracks.x, tracks.y]), _SMOOTH, ones, part)
    return vx, vy


@dataclass(frozen=True)
class VelocityScore:
    """How each step between detections departs from its track's trend, by the step's last one.

    Parameters
    ----------
    forward:
        (n,) residual along the trend (positive: faster), in robust scales.
    step_px:
        (n,) speed of the step, px/frame.
    x_px, y_px:
        (n,) what the step is off the trend's, px; NaN where there is none.
    scale_px:
        (n,) what such a residual of score 1 is, px.
    trend_x, trend_y:
        (n,) velocity of the trend, px/frame.
    gap:
        (n,) frames of the step.
    """

    forward: Floats
    step_px: Floats
    x_px: Floats
    y_px: Floats
    scale_px: Floats
    trend_x: Floats
    trend_y: Floats
    gap: Floats

    @property
    def trend_px(self) -> Floats:
        """(n,) speed of the trend, px/frame."""
        return np.asarray(np.hypot(self.trend_x, self.trend_y))


def score_velocity(tracks: Tracks, contrast: Floats | None = None) -> VelocityScore:
    """Score how far each step between detections departs from the track's own trend.

    The trend is a robust local line (Cleveland 1979) through the steps' velocity, 21 steps wide.
    Residuals count in their robust scale: the track's own, drawn towards that of all tracks, and
    more where the particle is fainter than in the rest of its track, for then its place is known
    the worse. (Not less where it is sharper: what displaces a sharp one, touching another or a
    scratch, does so by pixels.) It is also more in frames in which a tenth of all particles are off
    by more than is usual: the camera or the detection did that, not one of them. A single misplaced
    detection makes two residuals that cancel, a real burst does not: so a step scores the least of
    itself and of its sums with either neighbour and with both, each of which has the same variance
    (the positions between drop out), and nothing where those differ in sign. The last step of a
    track has no later one to undo it. It counts, for many bursts end a track, at the rim of the pit
    that draws the particle; but of chance events more lie there than elsewhere, so no test rests on
    it.

    Parameters
    ----------
    contrast:
        (n,) of each detection; None: not known.

    Returns
    -------
    VelocityScore
        NaN at the first detection of a track, at one that is no later than that before it, and in
        tracks shorter than 6 detections.
    """
    before, has_before = tracks.neighbours(-1)
    gap = tracks.moment - tracks.moment[before]
    # A step in no time, between equal time stamps, has no speed.
    has_before &= (tracks.count[tracks.track] >= _MIN_LENGTH) & (gap > 0)
    gap = np.where(has_before, gap, 1.0)
    place = np.stack([tracks.x, tracks.y])
    step = np.where(has_before, (place - place[:, before]) / gap, np.nan)
    weights = has_before.astype(np.float64)
    trend = residual = np.full(step.shape, np.nan)
    scale = np.ones(tracks.frame.size)
    # A line is drawn to a burst near its end, a level is less so; of a short track a burst is too
    # large a part for either.
    short = tracks.count[tracks.track] <= _TREND
    for turn in range(4):
        if turn == 0:
            trend = np.stack([_start(tracks, own, has_before, short) for own in step])
        else:
            trend = _redrawn(tracks, np.where(has_before, step, 0.0), weights, trend)
        # Noise is that of two positions, whatever the gap between them.
        residual = (step - trend) * gap
        length = np.hypot(*residual)
        usual = _usual(length, contrast, before, has_before)
        own = _scale(tracks, length, has_before)
        scale = np.maximum(own, usual * _scale(tracks, length / usual, has_before))
        reach = np.nan_to_num(length / (4.685 * scale))
        weights = np.where(has_before, np.clip(1.0 - reach**2, 0.0, None) ** 2, 0.0)
    scale = scale * _unrest(tracks, np.hypot(*residual) / scale, has_before)
    (rx, ry), (tx, ty) = residual, trend
    ux, uy = trend / np.maximum(np.hypot(tx, ty), 1e-9)
    return VelocityScore(
        _lasting(tracks, rx * ux + ry * uy, has_before) / scale,
        np.hypot(*step),
        rx,
        ry,
        scale,
        tx,
        ty,
        gap,
    )


def _start(
    tracks: Tracks, step: Floats, known: npt.NDArray[np.bool_], short: npt.NDArray[np.bool_]
) -> Floats:
    """Return a first trend: the local mean of the steps, of a short track their median."""
    total, count = np.zeros(step.size), np.zeros(step.size)
    for offset in range(-_TREND, _TREND + 1):
        index, valid = tracks.neighbours(offset)
        seen = valid & known[index]
        total += np.where(seen, step[index], 0.0)
        count += seen
    mean = total / np.maximum(count, 1.0)
    return np.where(short, tracks.median(np.where(known, step, np.nan)), mean)


def _redrawn(tracks: Tracks, step: Floats, weights: Floats, trend: Floats) -> Floats:
    """Return local lines through the weighted steps; where none has weight, the trend so far."""
    line = local_line(tracks, step, _TREND, weights)[1]
    return np.where(np.isfinite(line), line, trend)


def _unrest(tracks: Tracks, score: Floats, known: npt.NDArray[np.bool_]) -> Floats:
    """Return by which factor, 1 or more, residuals are larger in each detection's frame than usual.

    Of their ninth deciles; 1 in frames of fewer than 20 steps.
    """
    steps = np.flatnonzero(known & np.isfinite(score))
    factor = np.ones(score.size)
    if steps.size == 0:
        return factor
    usual = max(float(np.quantile(score[steps], _DECILE)), 1e-6)
    place = np.unique(tracks.frame[steps], return_inverse=True)[1]
    ordered = score[steps][np.lexsort((score[steps], place))]
    count = np.bincount(place)
    first = np.cumsum(count) - count
    decile = ordered[first + (_DECILE * (count - 1)).astype(np.int64)]
    of_frame = np.where(count >= _FRAME_STEPS, np.maximum(decile / usual, 1.0), 1.0)
    factor[steps] = of_frame[place]
    return factor


def _lasting(tracks: Tracks, residual: Floats, known: npt.NDArray[np.bool_]) -> Floats:
    """Return the part of each step's residual that a neighbouring one does not undo."""
    beside = []
    for offset in (-1, 1):
        index, valid = tracks.neighbours(offset)
        beside.append(np.where(valid & known[index], residual[index], 0.0))
    return keep_lasting(residual, beside)


def keep_lasting(residual: Floats, beside: Sequence[Floats]) -> Floats:
    """Return the part of each residual that those beside it do not undo.

    The least of it and of its sums with each and with all; nothing where those differ in sign. Of
    two misplaced detections, one is undone before and the other after a step.
    """
    lasting = residual
    for other in (*beside, np.sum(beside, axis=0)):
        together = residual + other
        lesser = np.where(np.abs(together) < np.abs(lasting), together, lasting)
        lasting = np.where(together * lasting > 0, lesser, 0.0 * lasting)
    return np.asarray(lasting)


def _usual(
    length: Floats, contrast: Floats | None, before: Ints, has_before: npt.NDArray[np.bool_]
) -> Floats:
    """Return the scale (per coordinate) usual at the contrast of each step's fainter end, px."""
    steps = np.flatnonzero(has_before)
    if contrast is None or steps.size == 0:
        return np.ones(length.size)
    faintest = np.maximum(np.fmin(contrast, contrast[before]), 1e-4)
    usual = learn_by_class(length, faintest, steps, lambda own: float(np.median(own)) / 1.1774)
    return np.maximum(usual, 1e-3)


def _scale(tracks: Tracks, length: Floats, has_before: npt.NDArray[np.bool_]) -> Floats:
    """Return the robust scale (per coordinate) of residual lengths, by track, per detection.

    The median length of a two-dimensional normal residual is 1.1774 standard deviations.
    """
    steps = np.flatnonzero(has_before)
    if steps.size == 0:
        return np.ones(length.size)
    track = tracks.track[steps]
    order = np.lexsort((length[steps], track))
    counts = np.bincount(track, minlength=tracks.n_tracks)
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    ranked = length[steps][order]
    middle = np.minimum(first + counts // 2, ranked.size - 1)
    own = ranked[middle] / 1.1774
    common = max(float(np.median(ranked)) / 1.1774, 1e-3)
    both = np.sqrt((_PRIOR_STEPS * common**2 + counts * own**2) / (_PRIOR_STEPS + counts))
    return np.asarray(both[tracks.track])


def nearest_foreign_pit(
    x: Floats, y: Floats, frame: Ints, source: Ints, pits: pd.DataFrame
) -> tuple[Ints, Floats]:
    """Return the nearest pit that exists and is not the source, and the distance to its centre.

    -1 and NaN where there is none.
    """
    nearest = np.full(x.size, -1, dtype=np.int64)
    best = np.full(x.size, np.inf)
    for pit, px, py, onset in pits[["pit", "x", "y", "onset_frame"]].itertuples(index=False):
        distance = np.hypot(x - px, y - py)
        nearer = (distance < best) & (source != pit) & (frame >= onset)
        nearest[nearer] = pit
        best[nearer] = distance[nearer]
    return nearest, np.where(nearest >= 0, best, np.nan)


def foreign_pits_near(detections: pd.DataFrame, pits: pd.DataFrame) -> tuple[Ints, Floats]:
    """Return `nearest_foreign_pit` of rows with ``x``, ``y``, ``frame`` and ``pit``, the source."""
    x, y = (detections[name].to_numpy(dtype=np.float64) for name in ("x", "y"))
    frame, source = (detections[name].to_numpy(dtype=np.int64) for name in ("frame", "pit"))
    return nearest_foreign_pit(x, y, frame, source, pits)


def can_hold_event(detections: pd.DataFrame) -> pd.Series:
    """Return at which detections an event can be tested: three come before it and one after.

    Of rows with ``particle``, in order of frame within each.
    """
    track = detections.groupby("particle")
    return (track.cumcount() >= KNOWN_BEFORE) & (track.cumcount(ascending=False) > 0)


def clustering_test(
    outliers: pd.DataFrame,
    particles: pd.DataFrame,
    pits: pd.DataFrame,
    *,
    draws: int = 999,
    seed: int = 0,
) -> tuple[float, float, float, int]:
    """Test whether velocity outliers lie nearer to foreign pits than chance.

    Under the null hypothesis an event happens at any moment of its own track at which one can be
    tested, for which three detections come before it and one after. That keeps where particles fly,
    how long they are seen, and that no event is found where they have only just left their source.
    Events at other moments are left out: in its last detection, which tends to lie at the rim of
    another pit, a misplaced position looks like a burst.

    Parameters
    ----------
    outliers, particles, pits:
        The tables of those names.

    Returns
    -------
    median, expected, p, n:
        Median distance of the events to the nearest foreign pit, its mean under the null
        hypothesis (both px) and the one-sided p, NaN without an event or a foreign pit; number of
        events tested.
    """
    events = outliers[outliers["nearest_pit"] >= 0]
    moments = particles[particles["particle"].isin(events["particle"])]
    _, distance = foreign_pits_near(moments, pits)
    moments = moments.assign(distance=distance).sort_values(["particle", "frame"], kind="stable")
    moments = moments[can_hold_event(moments)].dropna(subset="distance")
    number, first, count = np.unique(
        moments["particle"].to_numpy(), return_index=True, return_counts=True
    )
    events = events.merge(moments[["particle", "frame"]])
    if events.empty:
        return np.nan, np.nan, np.nan, 0
    which = np.searchsorted(number, events["particle"].to_numpy())
    rng = np.random.default_rng(seed)
    drawn = first[which] + (rng.random((draws, which.size)) * count[which]).astype(np.int64)
    chance = np.median(moments["distance"].to_numpy()[drawn], axis=1)
    seen = float(np.median(events["distance_px"]))
    p = (1 + np.count_nonzero(chance <= seen)) / (1 + draws)
    return seen, float(chance.mean()), float(p), len(events)


def compute_clustering(
    outliers: pd.DataFrame, particles: pd.DataFrame, pits: pd.DataFrame, *, seed: int
) -> pd.DataFrame:
    """Return the clustering table: the outcome of `clustering_test`; no row where it says nothing.

    Positions of all three are in reference geometry.
    """
    median, expected, p, n = clustering_test(outliers, particles, pits, seed=seed)
    if n == 0:
        return empty_table(CLUSTERING)
    table = pd.DataFrame({"n": [n], "median_px": median, "expected_px": expected, "p": p})
    return validate_table(table, CLUSTERING)
