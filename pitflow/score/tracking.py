"""Track scores of the ISBI Particle Tracking Challenge.

Source: Chenouard et al., "Objective comparison of particle tracking methods", Nature Methods 11
(2014) 281-289, Online Methods. X is the set of true tracks, Y the set of found ones. At each time
two tracks are ``min(distance, gate)`` apart, ``gate`` if only one of them exists and 0 if neither
does; the distance d(.,.) of two tracks is the sum over time. Each true track is paired with one
found track, or with an empty (dummy) one, so that the total distance d(X, Y) is smallest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pitflow.score.assignment import Floats, Ints, best_pairs, pairs_within
from pitflow.score.values import ratio_of


@dataclass(frozen=True, slots=True)
class TrackScore:
    """How well the found tracks agree with the true ones.

    Parameters
    ----------
    alpha:
        1 - d(X, Y) / d(X, empty), in [0, 1]: pairing alone, blind to spurious tracks.
    beta:
        (d(X, empty) - d(X, Y)) / (d(X, empty) + d(spurious, empty)), in [0, alpha].
    jsc:
        TP / (TP + FN + FP) over positions of paired tracks.
    jsc_theta:
        TP / (TP + FN + FP) over tracks.
    rmse_px:
        Root mean square distance of the matching positions, px; NaN without any.
    n_true, n_found, n_paired:
        True tracks, found tracks, and pairs of one of each.
    """

    alpha: float
    beta: float
    jsc: float
    jsc_theta: float
    rmse_px: float
    n_true: int
    n_found: int
    n_paired: int


def score_tracks(true: pd.DataFrame, found: pd.DataFrame, gate_px: float = 5.0) -> TrackScore:
    """Score linked particles against the truth.

    Parameters
    ----------
    true, found:
        Tables with ``particle``, ``frame``, ``x``, ``y``; rows with particle -1 are in no track.
        A track is at one place at a time: of several rows of it in a frame the first counts.
    gate_px:
        Distance from which two positions do not match at all (5 px in the challenge).

    Returns
    -------
    TrackScore
        All four agreements are NaN when there are neither true nor found tracks.
    """
    x_track, x_frame, x_xy = _tracks(true)
    y_track, y_frame, y_xy = _tracks(found)
    n_true, n_found = _count(x_track), _count(y_track)
    x_length = np.bincount(x_track, minlength=n_true)
    y_length = np.bincount(y_track, minlength=n_found)

    i, j, distance = pairs_within(x_frame, x_xy, y_frame, y_xy, gate_px)
    key, member = np.unique(x_track[i] * max(n_found, 1) + y_track[j], return_inverse=True)
    a, b = key // max(n_found, 1), key % max(n_found, 1)
    closeness = np.bincount(member, weights=gate_px - distance, minlength=len(key))
    lonely = y_length[b] - _common_frames(a, b, x_track, x_frame, y_track, y_frame)
    # A pair lowers d(X, Y) below that of the dummy by its closeness, less what the found track
    # costs in the frames where the true one does not exist.
    gain = closeness - gate_px * lonely
    paired = best_pairs(a, b, gain)

    points = paired[member]
    n_paired, n_match = int(paired.sum()), int(points.sum())
    empty = gate_px * len(x_track)
    saved = float(gain[paired].sum())
    spurious = gate_px * float(y_length.sum() - y_length[b[paired]].sum())
    return TrackScore(
        alpha=ratio_of(saved, empty),
        beta=ratio_of(saved, empty + spurious),
        jsc=ratio_of(n_match, int(x_length.sum()) + int(y_length.sum()) - n_match),
        jsc_theta=ratio_of(n_paired, n_true + n_found - n_paired),
        rmse_px=float(np.sqrt(np.mean(distance[points] ** 2))) if n_match else float("nan"),
        n_true=n_true,
        n_found=n_found,
        n_paired=n_paired,
    )


def _tracks(table: pd.DataFrame) -> tuple[Ints, Ints, Floats]:
    rows = table.loc[table["particle"] >= 0, ["particle", "frame", "x", "y"]]
    rows = rows.drop_duplicates(["particle", "frame"])
    _, track = np.unique(rows["particle"].to_numpy(np.int64), return_inverse=True)
    return (
        track.astype(np.int64),
        rows["frame"].to_numpy(np.int64),
        rows[["x", "y"]].to_numpy(np.float64),
    )


def _count(track: Ints) -> int:
    return int(track.max()) + 1 if len(track) else 0


def _common_frames(
    a: Ints, b: Ints, x_track: Ints, x_frame: Ints, y_track: Ints, y_frame: Ints
) -> Ints:
    """Count, for each pair of a true and a found track, the frames in which both exist."""
    if len(a) == 0:
        return np.zeros(0, np.int64)
    n_frames = int(max(x_frame.max(), y_frame.max())) + 1
    present = np.sort(x_track * n_frames + x_frame)
    order = np.argsort(y_track, kind="stable")
    length = np.bincount(y_track)
    start = np.cumsum(length) - length
    pair = np.repeat(np.arange(len(a)), length[b])
    within = np.arange(len(pair)) - np.repeat(np.cumsum(length[b]) - length[b], length[b])
    wanted = a[pair] * n_frames + y_frame[order[start[b[pair]] + within]]
    place = np.minimum(np.searchsorted(present, wanted), len(present) - 1)
    return np.bincount(pair[present[place] == wanted], minlength=len(a)).astype(np.int64)
