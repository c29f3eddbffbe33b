"""Detections to tracks, with trackpy.

Frames are linked from the last to the first. A particle leaves its pit fast, in a direction that
nobody knows beforehand, and ends slowly, where the flow is even; so going backwards a track begins
where it is easy, and by the time it nears the rim its velocity is known.

trackpy streams the frames, finds the candidates and keeps the tracks; ours are the predictor
(`pitflow.link.motion`), what a link is worth (`pitflow.link.likelihood`) and the solver of crowded
groups (`pitflow.link.subnets`). Two passes over a part of the recording learn how particles move
there, the first from nothing; the last, over all of it, links with that knowledge.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.spatial import cKDTree
from trackpy.linking import Linker

from pitflow.config import LinkConfig
from pitflow.link.gaps import Evidence, close_gaps
from pitflow.link.likelihood import Habits, LinkScore, log_density
from pitflow.link.looks import LookScore, describe
from pitflow.link.motion import MotionModel, MotionNoise, estimate_noise
from pitflow.link.position_noise import PositionNoise
from pitflow.link.subnets import SubnetSolver
from pitflow.link.velocity_prior import VelocityPrior

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

Progress = Callable[[int, int], None]
"""Called with the frames done and the frames in all."""

_LEARN_DETECTIONS = 25_000
_LEARN_STRETCHES = 4
_LEAST_STRETCH = 25
_RELIABLE = 5
_CROWDING = 3.0
_LINKING = Lock()
"""trackpy counts its tracks in state of its classes, so that two threads must not link at once."""
_FIRST_NOISE = MotionNoise(position_px=0.5, acceleration_px=0.7)


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What a recording tells of how its particles move, look and come and go."""

    noise: MotionNoise
    position: PositionNoise
    prior: VelocityPrior
    habits: Habits
    looks: LookScore
    events: Floats
    event_frames: int
    event_share: float


@dataclass(frozen=True, slots=True)
class LinkResult:
    """Linked detections.

    Parameters
    ----------
    particles:
        The detections in their order, with ``particle``: tracks numbered from 0 in order of their
        first detection, -1 for a detection in no track.
    notes:
        What was adapted to the data, one sentence each; empty if nothing was.
    knowledge:
        What was learnt about the particles; None without detections.
    """

    particles: pd.DataFrame
    notes: list[str]
    knowledge: Knowledge | None


class _Frames:
    """Detections sorted by frame, with the rows of any frame at hand."""

    def __init__(
        self, frame: Ints, positions: Floats, looks: Floats, lost: Collection[int]
    ) -> None:
        self.frame, self.positions, self.looks = frame, positions, looks
        self.lost = frozenset(lost)
        self.first, self.last = (int(frame[0]), int(frame[-1])) if len(frame) else (0, -1)

    def rows(self, frame: int) -> slice:
        a, b = np.searchsorted(self.frame, [frame, frame + 1])
        return slice(int(a), int(b))

    def part(self, start: int, stop: int) -> _Frames:
        rows = slice(self.rows(start).start, self.rows(stop).start)
        return _Frames(self.frame[rows], self.positions[rows], self.looks[rows], self.lost)


def link_detections(
    detections: pd.DataFrame,
    config: LinkConfig,
    progress: Progress | None = None,
    lost_frames: Collection[int] = (),
) -> LinkResult:
    """Join detections of successive frames into tracks.

    Parameters
    ----------
    detections:
        Table with ``frame``, ``x``, ``y`` (px), in any order; further columns are kept.
    config:
        Search range, memory and shortest track.
    progress:
        Called after every frame of the last pass.
    lost_frames:
        Frames in which nothing was looked for: lost, damaged or delivered twice. Up to ``memory``
        of them in a row do not count as a miss.

    Returns
    -------
    LinkResult
        As many rows as ``detections``, in the same order.

    Notes
    -----
    The result depends on the detections and ``config`` only, not on chance. Besides the table,
    memory holds a few numbers per detection and the tracks still alive.
    """
    table = detections.reset_index(drop=True)
    # Time runs backwards in all that follows.
    time = -table["frame"].to_numpy(np.int64)
    positions = table[["x", "y"]].to_numpy(np.float64)
    usable = np.flatnonzero(np.isfinite(positions).all(axis=1))
    order = usable[np.argsort(time[usable], kind="stable")]
    track = np.full(len(table), -1, np.int64)
    notes: list[str] = []
    known = None
    if len(order):
        lost = [-frame for frame in lost_frames]
        data = _Frames(time[order], positions[order], describe(table)[order], lost)
        with _LINKING:
            known = _learn(data, config)
            pieces, notes = _link(data, config, known, progress)
        evidence = _evidence(known, data.looks, config)
        track[order] = close_gaps(pieces, data.frame, data.positions, data.looks, evidence)
    table["particle"] = _number(track, order[::-1], config.min_length)
    return LinkResult(table, notes, known)


def join_longer(
    tracks: pd.DataFrame, knowledge: Knowledge | None, config: LinkConfig
) -> pd.DataFrame:
    """Close gaps once more, after tracks have grown at their ends.

    Parameters
    ----------
    tracks:
        Table with ``frame``, ``x``, ``y`` (px), ``particle`` (-1: in no track).
    knowledge:
        Of the recording, from `link_detections`.
    config:
        Which gaps are closed.

    Returns
    -------
    pandas.DataFrame
        The same rows; ``particle`` is numbered anew in order of the first detections.
    """
    track = tracks["particle"].to_numpy(np.int64).copy()
    linked = np.flatnonzero(track >= 0)
    if knowledge is None or not len(linked):
        return tracks
    time = -tracks["frame"].to_numpy(np.int64)
    order = linked[np.argsort(time[linked], kind="stable")]
    positions = tracks[["x", "y"]].to_numpy(np.float64)[order]
    looks = describe(tracks)[order]
    evidence = _evidence(knowledge, looks, config)
    track[order] = close_gaps(track[order], time[order], positions, looks, evidence)
    return tracks.assign(particle=_number(track, order[::-1], 1))


def _evidence(known: Knowledge, looks: Floats, config: LinkConfig) -> Evidence:
    """Return what pieces of tracks with detections of some looks are joined by."""
    return Evidence(
        known.position.variance(looks),
        known.noise,
        known.prior,
        known.looks,
        config.gap_frames,
        config.gap_px,
    )


def _link(
    data: _Frames, config: LinkConfig, known: Knowledge, progress: Progress | None = None
) -> tuple[Ints, list[str]]:
    """Link all frames; return the track of each detection and what was adapted."""
    model = MotionModel(known.noise, known.prior, config.memory)
    log_new = log_density(
        known.events, data.positions, known.event_frames, known.event_share
    ).tolist()
    x, y = data.positions[:, 0].tolist(), data.positions[:, 1].tolist()
    score = LinkScore.of(model.prediction, known.habits, known.prior.spread_px)
    alike = known.looks.pairwise(data.looks)
    variance = known.position.variance(data.looks)

    def predict(frame: int, particles: Any) -> Floats:
        nonlocal score
        expected = model.predict(frame, particles)
        score = LinkScore.of(model.prediction, known.habits, known.prior.spread_px)
        return expected

    def worth(source: Any, target: Any) -> float:
        row = int(target.pos[2])
        log_odds = score(model.prediction.row[source.track.id], x[row], y[row])
        return log_odds - float(log_new[row]) + alike(int(source.pos[2]), row)

    solver = SubnetSolver(worth)
    linker = Linker(
        config.search_range_px,
        memory=config.memory,
        predictor=predict,
        link_strategy=solver,
        to_eucl=_position,
    )
    track = np.empty(len(data.frame), np.int64)
    narrowed: list[tuple[int, float]] = []
    unseen = 0
    total = data.last - data.first + 1
    for done, frame in enumerate(range(data.first, data.last + 1), start=1):
        unseen = unseen + 1 if frame in data.lost else 0
        if 0 < unseen <= config.memory:
            continue
        rows = data.rows(frame)
        here = data.positions[rows]
        # The detection's row travels along as a third coordinate, so that a link can be scored.
        points = np.column_stack([here, np.arange(rows.start, rows.stop)])
        if frame == data.first:
            linker.init_level(points, frame)
        else:
            linker.search_range = crowded_range(here, config.search_range_px)
            if linker.search_range < config.search_range_px:
                narrowed.append((frame, linker.search_range))
            linker.next_level(points, frame)
        track[rows] = linker.particle_ids
        model.observe(frame, track[rows], here, variance[rows])
        if progress is not None:
            progress(done, total)
    # trackpy numbers new tracks as they come out of sets, whose order differs from call to call.
    return _number(track, np.arange(len(track)), 1), _notes(narrowed, solver.thinned, config)


def crowded_range(positions: Floats, search_range_px: float) -> float:
    """Return the search range, less where so many detections share a frame that all compete.

    At 4.5 neighbours in range on average one group spans the frame (percolation of discs), and the
    work grows with its square. So a detection in a place denser than nine tenths of the others has
    at most three.

    Parameters
    ----------
    positions:
        (n, 2) detections of a frame, px.
    search_range_px:
        The configured range.
    """
    k = 5
    if len(positions) <= 20 * k:
        return search_range_px
    reach = cKDTree(positions).query(positions, k=[k + 1])[0][:, 0]
    crowded = float(np.quantile(reach, 0.1)) * math.sqrt(_CROWDING / k)
    return min(search_range_px, crowded)


def _learn(data: _Frames, config: LinkConfig) -> Knowledge:
    """Link a part of the recording without knowledge, and learn from it how particles move."""
    known = Knowledge(
        noise=_FIRST_NOISE,
        position=PositionNoise.even(_FIRST_NOISE.position_px),
        prior=VelocityPrior.unknown(config.search_range_px / 2),
        habits=Habits(),
        looks=LookScore.unknown(),
        events=data.positions,
        event_frames=data.last - data.first + 1,
        event_share=0.3,
    )
    parts = _stretches(data)
    for _ in range(2):
        tracks = [_link(part, config, known)[0] for part in parts]
        known = _lessons(parts, tracks, known, config)
    return known


def _stretches(data: _Frames) -> list[_Frames]:
    """Return the whole recording, or stretches spread over it if it holds too many detections."""
    n_frames = data.last - data.first + 1
    affordable = max(_LEARN_DETECTIONS * n_frames // len(data.frame), _LEAST_STRETCH)
    if affordable >= n_frames:
        return [data]
    n = min(affordable // _LEAST_STRETCH, _LEARN_STRETCHES)
    starts = data.first + (np.arange(n) + 0.5) / n * n_frames - affordable / n / 2
    parts = [data.part(start, start + affordable // n) for start in starts.astype(int).tolist()]
    return [part for part in parts if len(part.frame)] or [data]


def _lessons(
    parts: list[_Frames], tracks: list[Ints], known: Knowledge, config: LinkConfig
) -> Knowledge:
    offset = 0
    joined = []
    for track in tracks:
        joined.append(track + offset)
        offset += int(track.max()) + 1
    track = np.concatenate(joined)
    frame = np.concatenate([part.frame for part in parts])
    # What stands in a stretch's first frame was there before: it is not new.
    inside = np.concatenate([part.frame > part.first for part in parts])
    positions = np.concatenate([part.positions for part in parts])
    looks = np.concatenate([part.looks for part in parts])
    order = np.lexsort((frame, track))
    track, frame, positions, inside = track[order], frame[order], positions[order], inside[order]
    length = np.bincount(track)
    reliable = length[track] >= _RELIABLE
    n_frames = sum(part.last - part.first for part in parts)

    starts = np.flatnonzero(np.diff(track, prepend=-1))
    new = np.zeros(len(track), bool)
    new[starts] = True
    new |= length[track] < config.min_length
    after = np.flatnonzero(reliable[:-1] & (track[1:] == track[:-1]))
    gap = frame[after + 1] - frame[after]
    velocity = (positions[after + 1] - positions[after]) / gap[:, None]
    n_steps = max(int(gap.sum()), 1)
    n_long = max(int((length >= _RELIABLE).sum()), 1)
    habits = Habits(
        seen=float(np.clip(len(after) / n_steps, 0.5, 0.98)),
        ends=float(np.clip(n_long / n_steps, 0.005, 0.2)),
        real=float(np.clip(np.mean(length >= config.min_length), 0.1, 0.9)),
    )
    spread = known.prior.spread_px
    if len(velocity):
        spread = min(max(math.sqrt(float(np.mean(velocity**2))), 1.0), config.search_range_px / 2)
    thin = slice(None, None, max(1, math.ceil(len(after) / _LEARN_DETECTIONS)))
    linked = track[reliable], frame[reliable], positions[reliable]
    noise = estimate_noise(*linked, known.noise)
    return replace(
        known,
        noise=noise,
        position=PositionNoise.learned(*linked, looks[order][reliable], noise),
        prior=VelocityPrior.learned(spread, positions[after][thin], velocity[thin]),
        habits=habits,
        looks=LookScore.learned(track, frame, looks[order]),
        events=positions[new & inside],
        event_frames=n_frames,
        event_share=1.0,
    )


def _number(track: Ints, order: Ints, min_length: int) -> Ints:
    """Unlink tracks shorter than ``min_length``, number the others as they come in ``order``."""
    number = np.full(len(track), -1, np.int64)
    _, first, inverse, length = np.unique(
        track[order], return_index=True, return_inverse=True, return_counts=True
    )
    kept = length >= min_length
    rank = np.full(len(first), -1, np.int64)
    rank[np.flatnonzero(kept)[np.argsort(first[kept])]] = np.arange(int(kept.sum()))
    number[order] = rank[inverse]
    return number


def _notes(narrowed: list[tuple[int, float]], thinned: int, config: LinkConfig) -> list[str]:
    notes = []
    if narrowed:
        frames = [frame for frame, _ in narrowed]
        notes.append(
            f"the search range was narrowed from {config.search_range_px:g} px to "
            f"{min(width for _, width in narrowed):.1f} px or more in {len(narrowed)} crowded "
            f"frames between {-frames[-1]} and {-frames[0]}"
        )
    if thinned:
        notes.append(f"{thinned} crowded groups were linked without their least likely candidates")
    return notes


def _position(points: Floats) -> Floats:
    return points[:, :2]
