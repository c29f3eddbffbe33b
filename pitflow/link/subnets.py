"""Solving trackpy's subnets, the groups of tracks and detections that compete for each other.

trackpy's own solvers try every combination, so a group of more than a few dozen raises
SubnetOversizeException. Here a group is an assignment problem with its exact optimum in
polynomial time, and the worth of a link is its log odds instead of minus its squared distance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

Worth = Callable[[Any, Any], float]
"""What linking a track's point to a detection's point is worth; not positive: better not."""

LARGEST_TABLE = 250_000
"""Tracks times detections solved at once; a denser group is thinned first."""


class SubnetSolver:
    """A trackpy link strategy: the most likely set of links in each subnet.

    Parameters
    ----------
    worth:
        Worth of a link, compared with none.

    Attributes
    ----------
    thinned:
        Groups too crowded to be solved as they were, whose least likely links were left out.
    """

    def __init__(self, worth: Worth) -> None:
        self._worth = worth
        self.thinned = 0

    def __call__(
        self, sources: set[Any], targets: set[Any], search_range: float, **_: Any
    ) -> tuple[list[Any], list[Any]]:
        """Return linked points as two lists; None stands for a lost track or a new one."""
        if not sources:
            return [None] * len(targets), list(targets)
        if len(sources) == 1 and len(targets) == 1:
            (source,), (target,) = sources, targets
            if self._worth(source, target) > 0:
                return [source], [target]
            return [source, None], [None, target]
        # Sets of points have no order of their own; equal choices must fall the same way each time.
        links = [
            (source, target, worth)
            for source in sorted(sources, key=_number)
            for target, _ in source.forward_cands
            if (worth := self._worth(source, target)) > 0
        ]
        pairs = self._choose(links)
        taken = {id(point) for pair in pairs for point in pair}
        lost = [source for source in sources if id(source) not in taken]
        new = [target for target in targets if id(target) not in taken]
        return (
            [source for source, _ in pairs] + lost + [None] * len(new),
            [target for _, target in pairs] + [None] * len(lost) + new,
        )

    def _choose(self, links: list[tuple[Any, Any, float]]) -> list[tuple[Any, Any]]:
        rows: dict[int, int] = {}
        columns: dict[int, int] = {}
        i = [rows.setdefault(id(source), len(rows)) for source, _, _ in links]
        j = [columns.setdefault(id(target), len(columns)) for _, target, _ in links]
        if len(rows) == len(links) == len(columns):  # no two links compete
            return [(source, target) for source, target, _ in links]
        if len(rows) == 1 or len(columns) == 1:  # all compete for one
            return [max(links, key=lambda link: link[2])[:2]]
        worth = np.array([value for _, _, value in links])
        chosen, thinned = choose_links(np.array(i), np.array(j), worth)
        self.thinned += thinned
        return [links[k][:2] for k in chosen.tolist()]


def _number(point: Any) -> int:
    number: int = point.uuid
    return number


def choose_links(i: Ints, j: Ints, worth: Floats) -> tuple[Ints, int]:
    """Choose links, each i and each j at most once, of the largest total worth.

    Parameters
    ----------
    i, j:
        (n,) the ends of each possible link, numbered from 0.
    worth:
        (n,) positive.

    Returns
    -------
    chosen:
        Indices of the chosen links.
    thinned:
        How often a connected group was larger than `LARGEST_TABLE` and lost the less likely half
        of its links, in which case the choice is no longer the very best one.
    """
    n_rows, n_columns = int(i.max()) + 1, int(j.max()) + 1
    if n_rows * n_columns <= 64:
        return _solve(i, j, worth, np.arange(len(i))), 0
    graph = coo_array((np.ones(len(i)), (i, n_rows + j)), shape=(n_rows + n_columns,) * 2)
    _, group = connected_components(graph, directed=False)
    order = np.argsort(group[i], kind="stable")
    starts = np.flatnonzero(np.diff(group[i][order], prepend=-1))
    chosen, thinned = [np.zeros(0, np.int64)], 0
    for members in np.split(order, starts[1:]):
        if len(np.unique(i[members])) * len(np.unique(j[members])) <= LARGEST_TABLE:
            chosen.append(_solve(i, j, worth, members))
            continue
        better = members[worth[members] > np.median(worth[members])]
        if len(better) == 0:  # all alike: any half will do
            better = members[: len(members) // 2]
        _, r = np.unique(i[better], return_inverse=True)
        _, c = np.unique(j[better], return_inverse=True)
        part, more = choose_links(r, c, worth[better])
        chosen.append(better[part])
        thinned += 1 + more
    return np.concatenate(chosen), thinned


def _solve(i: Ints, j: Ints, worth: Floats, members: Ints) -> Ints:
    rows, r = np.unique(i[members], return_inverse=True)
    columns, c = np.unique(j[members], return_inverse=True)
    table = np.zeros((len(rows), len(columns)))
    link = np.full(table.shape, -1)
    table[r, c] = worth[members]
    link[r, c] = members
    picked: Ints = link[linear_sum_assignment(table, maximize=True)]
    return picked[picked >= 0]
