"""Going on with a track where a segmenter is unsure: towards the pit it came from, and in its gaps.

A particle is hardest to see where it matters most, next to the pit that it has just left: in the
mixed light of the rim, under its neighbours, out of focus. There a segmenter sees something in most
frames but is too unsure to call it a particle, and to believe all of that would fill the rims with
false ones. Once a particle is followed, more is known: where it must have been. What the segmenter
glimpsed there, and nowhere else, is taken for it.

Source: Zhang et al., "ByteTrack: Multi-object tracking by associating every detection box", ECCV
2022 (detections of low confidence are offered to the tracks that are left over, after the others).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.spatial import cKDTree

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_WHERE = ["frame", "x", "y"]
_STEPS = 5
"""Steps at the start of a track that tell its velocity there..."""
_LEAST_STEPS = 2
"""...and at least so many; a shorter track leads nowhere."""
_MISSES = 2
"""Frames in a row that it may be unseen on the way."""
_WIDER_PX = 0.5
"""After each of them it is looked for in a circle so much wider."""
_UNDER_PX = 4.0
"""As near as this to another particle it is under it, and not missed."""


class PitTimes:
    """When each pixel became pit, of a recording.

    Parameters
    ----------
    x, y, frame:
        (n,) pixels of the pits in reference geometry, and the first frame of each as pit.
    """

    def __init__(self, x: Ints, y: Ints, frame: Ints) -> None:
        self._left, self._top = (int(at.min()) if at.size else 0 for at in (x, y))
        width, height = (int(at.max() - at.min()) + 1 if at.size else 1 for at in (x, y))
        self._since = np.full((height, width), np.iinfo(np.int64).max)
        self._since[y - self._top, x - self._left] = frame

    def covers(self, position: Floats, frame: int) -> Bools:
        """Return (n,) whether each (n, 2) x and y lies in a pit, in a frame."""
        column, row = np.rint(position - [self._left, self._top]).astype(np.int64).T
        height, width = self._since.shape
        on = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        since = self._since[np.where(on, row, 0), np.where(on, column, 0)]
        covered: Bools = on & (since <= frame)
        return covered


def take_up_glimpses(
    particles: pd.DataFrame,
    glimpses: pd.DataFrame,
    pits: PitTimes,
    *,
    reach_px: float,
    lost_frames: Collection[int] = (),
) -> pd.DataFrame:
    """Add to tracks what was glimpsed before their first detection, and in their gaps.

    Parameters
    ----------
    particles:
        Detections with ``frame``, ``x``, ``y`` (px, reference geometry), ``particle``. Those in no
        track (-1) are glimpses too.
    glimpses:
        The same columns but ``particle``.
    pits:
        No track is followed into a pit.
    reach_px:
        How near to where a track leads a glimpse continues it; more after frames without one.
    lost_frames:
        Frames whose image could not be trusted: nothing can be seen in them, or be missed.

    Returns
    -------
    pandas.DataFrame
        The particles and the glimpses that were taken up, by frame, with a fresh index and a column
        ``is_glimpse`` that tells them apart. A glimpse belongs to one track, the nearest.

    Notes
    -----
    All tracks go back in time together, frame by frame, along straight lines with the velocity of
    their start.
    """
    is_linked = particles["particle"].to_numpy() >= 0
    linked = particles.loc[is_linked, [*_WHERE, "particle"]].sort_values(
        ["particle", "frame"], kind="stable"
    )
    alone = particles[~is_linked]
    tables = [table for table in (alone, glimpses) if len(table)]
    if not len(linked) or not tables:
        return particles.assign(is_glimpse=False)
    # Of most glimpses nothing but the place is ever needed.
    offered = pd.concat([table[_WHERE] for table in tables], ignore_index=True)
    there, others = _ByFrame(offered), _ByFrame(linked)
    starts, gaps = _Starts.of(linked), _Gaps(linked)
    lost = frozenset(lost_frames)
    owner = np.full(len(offered), -1, np.int64)
    for frame in range(int(linked["frame"].max()), int(offered["frame"].min()) - 1, -1):
        back = starts.back_to(frame, pits)
        if frame in lost:
            continue
        rows, places = there.at(frame)
        gap = gaps.at(frame)
        which, taken = _nearest_pairs(
            np.concatenate([starts.position[back], gaps.place[gap]]),
            np.concatenate(
                [reach_px + _WIDER_PX * starts.misses[back], np.full(gap.size, reach_px)]
            ),
            places,
        )
        owner[rows[taken]] = np.concatenate([starts.particle[back], gaps.particle[gap]])[which]
        of_start = which < back.size
        starts.seen(back[which[of_start]], places[taken[of_start]])
        unseen = np.delete(back, which[of_start])
        under = _distance_to(starts.position[unseen], others.at(frame)[1]) <= _UNDER_PX
        starts.unseen(unseen, under)
    # Of the glimpses only those in a track are kept; detections were there before.
    kept = [particles[is_linked].assign(is_glimpse=False)]
    for table, track in zip(tables, np.split(owner, [len(tables[0])]), strict=False):
        chosen = (track >= 0) | (table is alone)
        kept.append(table[chosen].assign(particle=track[chosen], is_glimpse=track[chosen] >= 0))
    joined = pd.concat(kept, ignore_index=True)
    return joined.sort_values("frame", kind="stable", ignore_index=True)


@dataclass(slots=True)
class _Starts:
    """The starts of tracks on their way back: (n,) or (n, 2) each, px and px/frame."""

    particle: Ints
    first: Ints
    position: Floats
    velocity: Floats
    misses: Ints
    left: Bools

    @classmethod
    def of(cls, linked: pd.DataFrame) -> _Starts:
        """Return the starts of all tracks, sorted by track and frame, that lead somewhere."""
        start = linked.groupby("particle").head(_STEPS + 1)
        track, index = np.unique(start["particle"].to_numpy(np.int64), return_inverse=True)
        count = np.bincount(index)
        time = start["frame"].to_numpy(np.float64)
        time -= (np.bincount(index, time) / count)[index]
        xy = start[["x", "y"]].to_numpy(np.float64)
        spread = np.maximum(np.bincount(index, time**2), 1e-9)
        velocity = np.column_stack(
            [np.bincount(index, time * xy[:, axis]) / spread for axis in (0, 1)]
        )
        begin = start.groupby("particle").head(1)
        leads = count > _LEAST_STEPS
        n = int(leads.sum())
        return cls(
            particle=track[leads],
            first=begin["frame"].to_numpy(np.int64)[leads],
            position=begin[["x", "y"]].to_numpy(np.float64)[leads],
            velocity=velocity[leads],
            misses=np.zeros(n, np.int64),
            left=np.zeros(n, bool),
        )

    def back_to(self, frame: int, pits: PitTimes) -> Ints:
        """Go back by one frame, to this one; return the starts that are still followed there."""
        followed = np.flatnonzero((frame < self.first) & ~self.left)
        self.position[followed] -= self.velocity[followed]
        gone = pits.covers(self.position[followed], frame)
        self.left[followed] = gone
        return followed[~gone]

    def seen(self, which: Ints, places: Floats) -> None:
        """Take over where some of them were glimpsed."""
        self.position[which] = places
        self.misses[which] = 0

    def unseen(self, which: Ints, under: Bools) -> None:
        """Note that some were not seen, and which of them were under another particle."""
        self.misses[which] = np.where(under, 0, self.misses[which] + 1)
        self.left[which] = self.misses[which] > _MISSES


class _ByFrame:
    """The rows of a table and their places, by frame."""

    def __init__(self, table: pd.DataFrame) -> None:
        frame = table["frame"].to_numpy(np.int64)
        self._order = np.argsort(frame, kind="stable")
        self._frame = frame[self._order]
        self._place = table[["x", "y"]].to_numpy(np.float64)

    def at(self, frame: int) -> tuple[Ints, Floats]:
        """Return (n,) rows of a frame and (n, 2) their x and y."""
        first, stop = np.searchsorted(self._frame, [frame, frame + 1])
        rows = self._order[first:stop]
        return rows, self._place[rows]


class _Gaps:
    """Where particles must have been in the frames in which their tracks lack them."""

    def __init__(self, linked: pd.DataFrame) -> None:
        particle = linked["particle"].to_numpy(np.int64)
        frame = linked["frame"].to_numpy(np.int64)
        place = linked[["x", "y"]].to_numpy(np.float64)
        lacking = np.where(np.diff(particle) == 0, np.diff(frame) - 1, 0)
        before = np.repeat(np.arange(lacking.size), lacking)
        # The how manieth frame of its gap each is, from 1.
        step = np.arange(before.size) - np.repeat(np.cumsum(lacking) - lacking, lacking) + 1
        share = (step / (lacking[before] + 1))[:, None]
        self.particle = particle[before]
        self.place = (1 - share) * place[before] + share * place[before + 1]
        self._by_frame = _ByFrame(
            pd.DataFrame(
                {"frame": frame[before] + step, "x": self.place[:, 0], "y": self.place[:, 1]}
            )
        )

    def at(self, frame: int) -> Ints:
        """Return (n,) which of them are in a frame."""
        return self._by_frame.at(frame)[0]


def _nearest_pairs(expected: Floats, reach: Floats, places: Floats) -> tuple[Ints, Ints]:
    """Return pairs of expected and actual places within reach, nearest first, each place once."""
    away = np.hypot(*(expected[:, None] - places[None]).transpose(2, 0, 1)) / reach[:, None]
    pairs = np.argwhere(away <= 1)
    pairs = pairs[np.argsort(away[pairs[:, 0], pairs[:, 1]], kind="stable")]
    chosen: list[tuple[int, int]] = []
    expecting, offered = set(range(len(expected))), set(range(len(places)))
    for one, other in pairs.tolist():
        if one in expecting and other in offered:
            chosen.append((one, other))
            expecting.remove(one)
            offered.remove(other)
    which, taken = np.array(chosen, np.int64).reshape(-1, 2).T
    return which, taken


def _distance_to(positions: Floats, places: Floats) -> Floats:
    """Return (n,) how far each position is from the nearest of some places; inf without any."""
    if not len(positions) or not len(places):
        return np.full(len(positions), np.inf)
    away: Floats = cKDTree(places).query(positions)[0]
    return away
