"""Optimal one-to-one pairing from a sparse list of candidate pairs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def pairs_within(
    frame_a: npt.ArrayLike,
    xy_a: npt.ArrayLike,
    frame_b: npt.ArrayLike,
    xy_b: npt.ArrayLike,
    gate: float,
) -> tuple[Ints, Ints, Floats]:
    """Return every pair of points of the same frame no further apart than ``gate``.

    Parameters
    ----------
    frame_a, frame_b:
        (n,) and (m,) frame indices.
    xy_a, xy_b:
        (n, 2) and (m, 2) positions, px.
    gate:
        Largest distance, px.

    Returns
    -------
    i, j, distance:
        Indices into a and into b, and the distance in px, one entry per pair.
    """
    a, b = np.reshape(xy_a, (-1, 2)).astype(float), np.reshape(xy_b, (-1, 2)).astype(float)
    # Frames lie further apart than the gate along a third axis, so one tree serves all of them.
    lift = 2.0 * gate + 1.0
    tree_a = cKDTree(np.column_stack([a, np.asarray(frame_a, dtype=float) * lift]))
    tree_b = cKDTree(np.column_stack([b, np.asarray(frame_b, dtype=float) * lift]))
    found = tree_a.sparse_distance_matrix(tree_b, gate, output_type="ndarray")
    i, j = found["i"].astype(np.int64), found["j"].astype(np.int64)
    return i, j, np.hypot(*(a[i] - b[j]).T)


def best_pairs(i: Ints, j: Ints, gain: Floats) -> npt.NDArray[np.bool_]:
    """Choose candidate pairs, each i and each j at most once, so that the summed gain is largest.

    Pairs without a positive gain are never chosen. Every connected group of candidates is solved
    by itself, exactly (Jonker-Volgenant, `scipy.optimize.linear_sum_assignment`).

    Parameters
    ----------
    i, j:
        (n,) the two members of each candidate pair.
    gain:
        (n,) what choosing the pair is worth.

    Returns
    -------
    chosen:
        (n,) True for the chosen pairs.
    """
    chosen = np.zeros(len(i), dtype=bool)
    useful = np.flatnonzero(gain > 0)
    if len(useful) == 0:
        return chosen
    _, row = np.unique(i[useful], return_inverse=True)
    _, column = np.unique(j[useful], return_inverse=True)
    n_rows, n = int(row.max()) + 1, int(row.max()) + int(column.max()) + 2
    graph = coo_array((np.ones(len(useful)), (row, n_rows + column)), shape=(n, n))
    _, group = connected_components(graph, directed=False)
    group_of = group[row]
    order = np.argsort(group_of, kind="stable")
    starts = np.flatnonzero(np.diff(group_of[order], prepend=-1))
    sizes = np.diff(starts, append=len(order))
    chosen[useful[order[starts[sizes == 1]]]] = True
    for start, size in zip(starts[sizes > 1], sizes[sizes > 1], strict=True):
        members = order[start : start + size]
        rows, r = np.unique(row[members], return_inverse=True)
        columns, c = np.unique(column[members], return_inverse=True)
        table = np.zeros((len(rows), len(columns)))
        edge = np.full(table.shape, -1)
        table[r, c] = gain[useful[members]]
        edge[r, c] = members
        picked = edge[linear_sum_assignment(table, maximize=True)]
        chosen[useful[picked[picked >= 0]]] = True
    return chosen


def match_points(
    frame_a: npt.ArrayLike,
    xy_a: npt.ArrayLike,
    frame_b: npt.ArrayLike,
    xy_b: npt.ArrayLike,
    gate: float,
) -> tuple[Ints, Ints, Floats]:
    """Pair the points of a and b one to one, frame by frame, inside the gate.

    The pairing has the smallest sum of distances when a point of a left alone costs ``gate``, and
    one of b nothing. Parameters and results as in `pairs_within`.
    """
    i, j, distance = pairs_within(frame_a, xy_a, frame_b, xy_b, gate)
    chosen = best_pairs(i, j, gate - distance)
    return i[chosen], j[chosen], distance[chosen]
