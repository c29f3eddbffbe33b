"""Claims: bursts of speed are found, few are invented, and their clustering is told from chance."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pitflow.config import VelocityConfig
from pitflow.measure.bursts import compute_outliers
from pitflow.measure.tracks import sort_tracks
from pitflow.measure.velocity import (
    can_hold_event,
    clustering_test,
    foreign_pits_near,
)
from pitflow.simulate.config import SimulateConfig
from pitflow.simulate.world import simulate_world
from pitflow.validate.claim import Claim, Finding, Study
from pitflow.validate.judge import judge_at_least, judge_at_most, judge_level, show_share
from pitflow.validate.recording import Recording

_APART_FRAMES = 3
"""A burst is found if an outlier of its particle lies at most so far from it."""
_LEAST_EVENTS = 5
_SEEN = 12
"""Detections of a track under the null hypothesis: few, so that its start is a large part of it."""
_MISPLACED_TRACKS = 120
_MISPLACED_SHARE, _MISPLACED_PX = 0.1, 3.0
_FOREIGN_X, _RIM_PX = 300.0, 20.0
"""Where the pit lies at which those tracks end, and the radius of its rim, px."""


def observe(recording: Recording) -> pd.DataFrame:
    """Return a row per true burst and per reported one, and whether it has its counterpart."""
    true = _bursts(recording.truth["outliers"])
    found = recording.tables["outliers"]
    particle = recording.particle_of().reindex(found["particle"]).fillna(-1).to_numpy()
    frame = found["frame"].to_numpy(dtype=np.int64)
    near = (
        (true["particle"].to_numpy()[:, None] == particle)
        & (true["first"].to_numpy()[:, None] - _APART_FRAMES <= frame)
        & (frame <= true["last"].to_numpy()[:, None] + 1 + _APART_FRAMES)
    )
    # A second report of the same burst is no find.
    first = near & (np.cumsum(near, axis=1) == 1)
    return pd.concat(
        [
            pd.DataFrame({"is_true": True, "has_other": near.any(axis=1)}),
            pd.DataFrame({"is_true": False, "has_other": first.any(axis=0)}),
        ],
        ignore_index=True,
    )


def judge(trials: pd.DataFrame) -> list[Finding]:
    """Return recall and precision over all bursts."""
    true, found = trials[trials["is_true"]], trials[~trials["is_true"]]
    return [
        judge_at_least("bursts of speed found", true["has_other"], share=0.9),
        judge_at_least("reported bursts that are one", found["has_other"], share=0.9),
    ]


def _bursts(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the particle and the first and last frame of each burst, from a row per frame."""
    ordered = rows.sort_values(["particle", "frame"])
    begins = (ordered["particle"].diff() != 0) | (ordered["frame"].diff() > _APART_FRAMES)
    return (
        ordered.assign(event=begins.cumsum())
        .groupby("event")
        .agg(particle=("particle", "first"), first=("frame", "min"), last=("frame", "max"))
    )


def observe_clustering(rng: np.random.Generator) -> pd.DataFrame:
    """Return p of the clustering test for bursts, for random moments and for misplaced positions.

    The tracks with random moments are short and lead to a foreign pit; the moments are those at
    which an event can be seen. Events of misplaced positions are those that are found.
    """
    tables = simulate_world(_SMALL, int(rng.integers(1 << 30))).tables
    particles, pits = tables["particles"], tables["pits"]
    bursts = tables["outliers"].drop_duplicates("particle")
    headed = _headed_for_pits(particles, pits)
    found = ("misplaced", *_clustering_of_misplaced(rng))
    if min(len(bursts), headed["particle"].nunique()) < _LEAST_EVENTS:
        return pd.DataFrame([found], columns=["kind", "n", "p"])
    moments = headed[can_hold_event(headed)]
    moments = moments.sample(frac=1.0, random_state=int(rng.integers(1 << 30)))
    chance = moments.drop_duplicates("particle")
    rows = [
        (kind, len(events), clustering_test(events, seen, pits, draws=199)[2])
        for kind, events, seen in (("burst", bursts, particles), ("chance", chance, headed))
    ]
    return pd.DataFrame([*rows, found], columns=["kind", "n", "p"])


def _misplaced_tracks(rng: np.random.Generator) -> pd.DataFrame:
    """Return tracks without a burst that end at the rim of a foreign pit, some positions far off.

    All come from pit 0 in the origin, some slower with the way, and most end at pit 1.
    """
    parts = []
    for particle in range(_MISPLACED_TRACKS):
        age = np.arange(int(rng.integers(25, 60)))
        speed = rng.uniform(3.2, 4.8) * (1.0 - 0.3 * age / age.size)
        way, angle = 20.0 + np.cumsum(speed), rng.normal(0.0, 0.15)
        off = rng.normal(0.0, 0.2, (2, age.size))
        off += rng.normal(0.0, _MISPLACED_PX, off.shape) * (rng.random(age.size) < _MISPLACED_SHARE)
        at = way * np.array([[np.cos(angle)], [np.sin(angle)]])
        arrived = np.flatnonzero(np.hypot(at[0] - _FOREIGN_X, at[1]) <= _RIM_PX)
        seen = age[: arrived[0]] if arrived.size else age
        x, y = (at + off)[:, seen]
        frame = int(rng.integers(0, 100)) + seen
        parts.append(pd.DataFrame({"particle": particle, "frame": frame, "x": x, "y": y}))
    return pd.concat(parts, ignore_index=True).assign(pit=0)


def _clustering_of_misplaced(rng: np.random.Generator) -> tuple[int, float]:
    """Return how many events are found where there is no burst, and p of their clustering."""
    tracks = _misplaced_tracks(rng)
    pits = pd.DataFrame({"pit": [0, 1], "x": [0.0, _FOREIGN_X], "y": 0.0, "onset_frame": 0})
    still = pd.DataFrame({"frame": np.arange(200), "shift_x_px": 0.0, "shift_y_px": 0.0})
    ordered = sort_tracks(tracks, still)
    source = np.zeros(ordered.n_tracks, dtype=np.int64)
    events, _ = compute_outliers(
        ordered, source, pits, config=VelocityConfig(), um_per_px=0.48, fps=15.0
    )
    return len(events), clustering_test(events, tracks, pits, draws=199)[2]


def _headed_for_pits(particles: pd.DataFrame, pits: pd.DataFrame) -> pd.DataFrame:
    """Return the first detections of every track that brings its particle nearer to a foreign pit.

    With ``nearest_pit`` and ``distance_px``, as of the outliers.
    """
    ordered = particles.sort_values(["particle", "frame"])
    seen = ordered.groupby("particle").head(_SEEN)
    nearest, distance = foreign_pits_near(seen, pits)
    seen = seen.assign(nearest_pit=nearest, distance_px=distance)
    tracks = seen.groupby("particle")["distance_px"]
    nearer = tracks.transform("last") < tracks.transform("first")
    return seen[nearer & (tracks.transform("count") == _SEEN)]


def judge_clustering(trials: pd.DataFrame) -> list[Finding]:
    """Return how often events are called clustered where they are not, and where they are."""
    p = {kind: trials.loc[trials["kind"] == kind, "p"] for kind in ("burst", "chance", "misplaced")}
    return [
        judge_level("clustering at foreign pits, events at random moments", p["chance"]),
        judge_at_most(
            "clustering at foreign pits, events found where positions are misplaced",
            p["misplaced"].dropna() <= 0.05,
        ),
        show_share("clustering (p <= 0.05), bursts just before foreign pits", p["burst"] <= 0.05),
    ]


_SMALL = SimulateConfig(frames=200, height=1126, width=1120, pits=5)

CLAIM: Claim[Recording] = Claim("velocity", observe, judge)
STUDY: Study[np.random.Generator] = Study(
    "clustering",
    np.random.default_rng,
    (Claim("clustering", observe_clustering, judge_clustering),),
    seeds=100,
    quick_seeds=10,
)
