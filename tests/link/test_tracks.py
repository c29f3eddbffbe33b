from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

from pitflow.config import LinkConfig
from pitflow.link import tracks
from pitflow.link.subnets import SubnetSolver
from pitflow.link.tracks import crowded_range, link_detections
from pitflow.score import score_tracks

CONFIG = LinkConfig()


def moving(
    particle: int, start: int, n: int, x: float, y: float, vx: float, vy: float
) -> pd.DataFrame:
    """A particle at a constant velocity, px/frame."""
    t = np.arange(n)
    return pd.DataFrame({"true": particle, "frame": start + t, "x": x + vx * t, "y": y + vy * t})


def agree(linked: pd.DataFrame) -> bool:
    """Whether found tracks and true ones are the same sets of rows."""
    pairs = linked[["true", "particle"]].drop_duplicates()
    return bool(pairs["true"].is_unique and pairs["particle"].is_unique)


def truth(detections: pd.DataFrame) -> pd.DataFrame:
    return detections.rename(columns={"true": "particle"})


def test_crossing_particles_keep_their_identity():
    """
    Two particles meet between frames 10 and 11, where each is nearest to the other's last place.

        1 \\   / 2
            x
        2 /   \\ 1
    """
    detections = pd.concat([moving(1, 0, 21, 100, 100, 5, 5), moving(2, 0, 21, 204, 100, -5, 5)])
    assert agree(link_detections(detections, CONFIG).particles)


def test_the_order_in_which_tracks_begin_changes_nothing(monkeypatch):
    """trackpy keeps points in sets, whose order differs from call to call."""
    rng = np.random.default_rng(0)
    starts = rng.uniform([0, 0, -6, -6], [150, 150, 6, 6], (40, 4))
    # Time runs backwards in linking: it begins tracks where they end here.
    detections = pd.concat([moving(k, 0, 8 + 3 * (k % 3), *starts[k]) for k in range(40)])
    detections[["x", "y"]] += rng.normal(0, 0.3, (len(detections), 2))

    class Reversed(SubnetSolver):
        def __call__(self, *what, **how):
            sources, targets = super().__call__(*what, **how)
            return sources[::-1], targets[::-1]

    before = link_detections(detections, CONFIG)
    monkeypatch.setattr(tracks, "SubnetSolver", Reversed)
    after = link_detections(detections, CONFIG)
    pd.testing.assert_frame_equal(after.particles, before.particles, check_exact=True)
    assert np.array_equal(after.knowledge.events, before.knowledge.events)
    assert after.knowledge.noise == before.knowledge.noise


def test_two_threads_do_not_link_at_once(monkeypatch):
    """trackpy numbers tracks in state that all linkers of a process share."""
    learn, running, most = tracks._learn, [], []

    def learned(*what):
        running.append(1)
        most.append(len(running))
        time.sleep(0.05)
        running.pop()
        return learn(*what)

    monkeypatch.setattr(tracks, "_learn", learned)
    one = pd.concat([moving(k, 0, 21, 100, 40 * k, 5, 0) for k in range(4)])
    with ThreadPoolExecutor(3) as threads:
        results = list(threads.map(link_detections, [one] * 3, [CONFIG] * 3))
    assert max(most) == 1
    for result in results:
        assert agree(result.particles)


def test_missed_frames_are_bridged():
    """Seen in frames 0 to 9 and, three misses later, 13 to 20; four misses end a track."""
    track = moving(1, 0, 21, 100, 100, 6, 0)
    bridged = link_detections(track.query("frame < 10 or frame > 12"), CONFIG).particles
    assert bridged["particle"].tolist() == [0] * 18
    broken = link_detections(track.query("frame < 10 or frame > 13"), CONFIG).particles
    assert set(broken["particle"]) == {0, 1}


def test_lost_frames_are_no_misses():
    """Nobody can be seen in frames 5 to 7, which cost nothing; then three true misses."""
    track = moving(1, 0, 21, 100, 100, 3, 0)
    seen = track.query("frame < 5 or frame > 10")
    assert set(link_detections(seen, CONFIG).particles["particle"]) == {0, 1}
    linked = link_detections(seen, CONFIG, lost_frames={5, 6, 7})
    assert set(linked.particles["particle"]) == {0}


def test_fast_ejecta(ejecta):
    """The first step is 10 px; plain nearest neighbours within 12 px do worse."""
    linked = link_detections(ejecta, CONFIG).particles
    score = score_tracks(truth(ejecta), linked)
    assert score.jsc_theta > 0.95
    assert score.jsc > 0.97


def test_clutter_stays_unlinked(ejecta):
    """False alarms all over the frame, as many as a third of the detections."""
    rng = np.random.default_rng(1)
    n = len(ejecta) // 3
    clutter = pd.DataFrame(
        {
            "true": -1,
            "frame": rng.integers(0, 160, n),
            "x": rng.uniform(0, 600, n),
            "y": rng.uniform(0, 600, n),
        }
    )
    linked = link_detections(pd.concat([ejecta, clutter]), CONFIG).particles
    assert score_tracks(truth(ejecta), linked).jsc_theta > 0.9
    assert (linked.loc[linked["true"] == -1, "particle"] >= 0).mean() < 0.05


def test_order_index_and_columns_are_kept(ejecta):
    mixed = ejecta.sample(frac=1, random_state=3)
    linked = link_detections(mixed, CONFIG).particles
    pd.testing.assert_frame_equal(linked[mixed.columns], mixed.reset_index(drop=True))
    assert linked["particle"].dtype == np.int64
    straight = link_detections(ejecta, CONFIG).particles
    back = linked.assign(row=mixed.index).sort_values("row")["particle"].to_numpy()
    assert (back == straight["particle"].to_numpy()).all()
    first = straight[straight["particle"] >= 0].groupby("particle")["frame"].min()
    assert first.index.tolist() == list(range(len(first)))
    assert first.is_monotonic_increasing


def test_short_tracks_are_unlinked():
    detections = pd.concat([moving(1, 0, 2, 10, 10, 2, 0), moving(2, 0, 9, 300, 10, 2, 0)])
    linked = link_detections(detections, LinkConfig(min_length=3)).particles
    assert linked.loc[linked["true"] == 1, "particle"].tolist() == [-1, -1]
    assert linked.loc[linked["true"] == 2, "particle"].tolist() == [0] * 9


@pytest.mark.parametrize("n", [0, 1, 2])
def test_next_to_nothing(n):
    detections = moving(1, 5, n, 10, 10, 2, 0)
    result = link_detections(detections, CONFIG)
    assert result.particles["particle"].tolist() == [-1] * n
    assert result.notes == []


def test_unmeasured_positions_are_left_alone():
    detections = moving(1, 0, 9, 10, 10, 2, 0)
    detections.loc[4, "x"] = np.nan
    particle = link_detections(detections, CONFIG).particles["particle"]
    assert particle.tolist() == [0, 0, 0, 0, -1, 0, 0, 0, 0]


def test_progress_reaches_the_end(ejecta):
    seen: list[tuple[int, int]] = []
    link_detections(ejecta, CONFIG, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (158, 158)


def test_crowded_frames_neither_fail_nor_stall():
    """4,000 detections without any order in 400 x 400 px: 40 px^2 for each, range 25 px."""
    rng = np.random.default_rng(2)
    n = 4000
    detections = pd.DataFrame(
        {
            "frame": np.repeat(np.arange(4), n),
            "x": rng.uniform(0, 400, 4 * n),
            "y": rng.uniform(0, 400, 4 * n),
        }
    )
    result = link_detections(detections, CONFIG)
    assert len(result.particles) == 4 * n
    # From the last to the first, the last has nothing to be linked to.
    assert result.notes[0].startswith("the search range was narrowed")
    assert result.notes[0].endswith("in 3 crowded frames between 0 and 2")


def test_crowded_range():
    """On a square grid of pitch 2 the sixth of six (with itself) is 2 sqrt(2) px away."""
    grid = np.stack(np.meshgrid(np.arange(40), np.arange(40)), axis=-1).reshape(-1, 2) * 2.0
    assert crowded_range(grid, 25.0) == pytest.approx(2 * np.sqrt(2) * np.sqrt(3 / 5))
    assert crowded_range(grid * 100, 25.0) == 25.0
    assert crowded_range(grid[:10], 25.0) == 25.0
