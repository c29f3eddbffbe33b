"""Sides and folds of a data set, by whole groups of pictures that depend on each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pitflow.errors import UserError


def split(
    groups: Sequence[str], weights: Sequence[float], share: float, seed: int
) -> tuple[list[int], list[int]]:
    """Split items into two sides by whole groups; returns their positions.

    The second side gets about ``share`` of the total weight, and of the groups that weigh nothing
    (pictures on which there is nothing) about the same share: both sides are to learn or to be
    tested on those too. Groups are taken in random order while they fit.

    Raises
    ------
    UserError
        If all items are of one group, which cannot be split.
    """
    names = sorted(set(groups))
    if len(names) < 2:
        raise UserError(
            "all images share pixels, or are of one recording, place or specimen: none can be kept "
            "aside to validate on",
            hint="add images of another",
        )
    total = dict.fromkeys(names, 0.0)
    for group, weight in zip(groups, weights, strict=True):
        total[group] += weight
    wanted = share * sum(total.values())
    order = [names[index] for index in np.random.default_rng(seed).permutation(len(names))]
    held = 0.0
    empty = [name for name in order if total[name] == 0]
    aside = set(empty[: min(round(share * len(empty)), len(names) - 1)])
    for name in order:
        if total[name] > 0 and held + total[name] <= wanted:
            aside.add(name)
            held += total[name]
    holding = sorted((name for name in names if total[name] > 0), key=total.__getitem__)
    if len(holding) > 1 and held == 0:
        # Nothing that holds truth fits. The lightest is nearest to the share.
        aside.add(holding[0])
    if not aside:
        # A single one that holds truth is needed for training.
        aside = {empty[0]}
    first = [index for index, group in enumerate(groups) if group not in aside]
    second = [index for index, group in enumerate(groups) if group in aside]
    return first, second


def folds(groups: Sequence[str], weights: Sequence[float], n: int) -> list[list[int]]:
    """Return ``n`` folds of positions, whole groups each, of about the same weight.

    Raises
    ------
    UserError
        If there are fewer groups than folds.
    """
    total: dict[str, float] = {}
    for group, weight in zip(groups, weights, strict=True):
        total[group] = total.get(group, 0.0) + weight
    if len(total) < n:
        raise UserError(f"{len(total)} groups of pictures do not make {n} folds")
    load = [(0.0, 0, fold) for fold in range(n)]
    chosen: dict[str, int] = {}
    for name in sorted(total, key=lambda name: (-total[name], name)):
        weight, count, fold = min(load)
        load[load.index((weight, count, fold))] = (weight + total[name], count + 1, fold)
        chosen[name] = fold
    return [
        [index for index, group in enumerate(groups) if chosen[group] == fold] for fold in range(n)
    ]
