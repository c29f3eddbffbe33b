"""Splitting labelled photographs: whole groups, and in every part its share of each stratum."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from pitflow.errors import UserError
from pitflow.report.words import count


def stratified_parts(
    groups: Sequence[str], strata: Sequence[str], shares: Sequence[float], seed: int
) -> list[list[int]]:
    """Split items into parts of given shares; returns the positions in each part.

    Groups are dealt out whole, the largest first and else in random order, each to the part that
    lacks most of what the group holds.

    Parameters
    ----------
    shares:
        Share of all items that each part should get; they sum to 1.

    Raises
    ------
    UserError
        If there are fewer groups than parts.
    """
    members: dict[str, list[int]] = {}
    for position, group in enumerate(groups):
        members.setdefault(group, []).append(position)
    if len(members) < len(shares):
        raise UserError(
            f"{count(len(members), 'independent photograph')} cannot be split into "
            f"{len(shares)} parts; near duplicates count as one",
            hint="label more" + (", or ask for fewer --folds" if len(shares) > 2 else ""),
        )
    names = sorted(members)
    order = [names[index] for index in np.random.default_rng(seed).permutation(len(names))]
    order.sort(key=lambda name: -len(members[name]))
    total = Counter(strata)
    wanted = [{stratum: share * n for stratum, n in total.items()} for share in shares]
    room = [share * len(groups) for share in shares]
    parts: list[list[int]] = [[] for _ in shares]
    for place, name in enumerate(order):
        inside = Counter(strata[position] for position in members[name])
        empty = [index for index, part in enumerate(parts) if not part]
        # The last groups go to parts that would else stay empty.
        open_parts = empty if len(order) - place <= len(empty) else list(range(len(parts)))
        best = max(
            open_parts,
            key=lambda index: (
                sum(n * wanted[index][stratum] for stratum, n in inside.items()),
                room[index],
                -index,
            ),
        )
        parts[best] += members[name]
        room[best] -= len(members[name])
        for stratum, n in inside.items():
            wanted[best][stratum] -= n
    return [sorted(part) for part in parts]
