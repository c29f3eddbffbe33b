"""Claims: bursts of speed are found, few are invented, and their clustering is told from chance."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pitflow.measure.velocity import KNOWN_BEFORE, clustering_test, foreign_pits_near
from pitflow.simulate.config import SimulateConfig
from pitflow.simulate.world import simulate_world
from pitflow.validate.claim import Claim, Finding, Study
from pitflow.validate.judge import judge_at_least, judge_level, show_share
from pitflow.validate.recording import Recording

_APART_FRAMES = 3
"""A burst is found if an outlier of its particle lies at most so far from it."""
_LEAST_EVENTS = 5
_SEEN = 12
"""Detections of a track under the null hypothesis: few, so that its start is a large part of it."""


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
    """Return p of the clustering test for true bursts, and for random moments of other tracks.

    Those are short and lead to a foreign pit; the moments come after as many detections as an
    event needs before it.
    """
    tables = simulate_world(_SMALL, int(rng.integers(1 << 30))).tables
    particles, pits = tables["particles"], tables["pits"]
    bursts = tables["outliers"].drop_duplicates("particle")
    headed = _headed_for_pits(particles, pits)
    if min(len(bursts), headed["particle"].nunique()) < _LEAST_EVENTS:
        return pd.DataFrame({"kind": [], "n": [], "p": []})
    moments = headed[headed.groupby("particle").cumcount() >= KNOWN_BEFORE]
    moments = moments.sample(frac=1.0, random_state=int(rng.integers(1 << 30)))
    chance = moments.drop_duplicates("particle")
    rows = [
        (kind, len(events), clustering_test(events, seen, pits, draws=199)[2])
        for kind, events, seen in (("burst", bursts, particles), ("chance", chance, headed))
    ]
    return pd.DataFrame(rows, columns=["kind", "n", "p"])


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
    p = {kind: trials.loc[trials["kind"] == kind, "p"] for kind in ("burst", "chance")}
    return [
        judge_level("clustering at foreign pits, events at random moments", p["chance"]),
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
