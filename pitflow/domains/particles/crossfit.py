"""Testing a recipe on every picture by models that were not trained on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pitflow.domains.particles.evaluate import score_particles
from pitflow.domains.particles.fit import How, fit
from pitflow.domains.particles.model import curves_of
from pitflow.domains.particles.picture import Picture
from pitflow.domains.recipe import Recipe
from pitflow.domains.splits import folds
from pitflow.segment.score import Mask
from pitflow.segment.threshold import Curve, nothing


def fold_parts(pictures: Sequence[Picture], n: int) -> list[list[int]]:
    """Return ``n`` folds of positions by whole groups, single images and recordings each alike.

    Of fewer recordings than folds none is in any: they are trained on, never tested on.

    Raises
    ------
    UserError
        If the single images, or all there are, make fewer groups than folds.
    """
    stills = [place for place, picture in enumerate(pictures) if picture.is_still]
    moving = [place for place, picture in enumerate(pictures) if not picture.is_still]
    parts: list[list[int]] = [[] for _ in range(n)]
    for places in (stills, moving):
        groups = [pictures[place].group for place in places]
        if not places or (places is moving and stills and len(set(groups)) < n):
            continue
        weights = [float(pictures[place].truth["particle"].sum()) for place in places]
        for part, chosen in zip(parts, folds(groups, weights, n), strict=True):
            part += [places[index] for index in chosen]
    return parts


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """What models say of pictures that they were not trained on.

    Parameters
    ----------
    recipe:
        Of the models.
    pictures, fold:
        The pictures and the fold of each.
    curves:
        Per picture, one over thresholds for each class.
    stills:
        Per picture, the probability of a particle (float16); None for a frame of a recording.
    """

    recipe: Recipe
    pictures: tuple[Picture, ...]
    fold: tuple[int, ...]
    curves: tuple[tuple[Curve, ...], ...]
    stills: tuple[npt.NDArray[np.float16] | None, ...]

    def thresholds(self, without: int | None = None) -> tuple[float, ...]:
        """Return the best threshold per class, of all folds or all but one.

        That of particles is set on single images where there are any, that of the other classes on
        recordings: those are what each is used for, and where its truth is known best.
        """
        chosen = []
        for place, name in enumerate(self.recipe.classes):
            kinds = (True, False) if name == "particle" else (False, True)
            for stills in kinds:
                total = sum(
                    (
                        curve[place]
                        for curve, picture, fold in zip(
                            self.curves, self.pictures, self.fold, strict=True
                        )
                        if picture.is_still == stills and fold != without
                    ),
                    nothing(),
                )
                if total.truth:
                    break
            chosen.append(total.best()[0])
        return tuple(chosen)

    def masks(self) -> tuple[list[Picture], list[Mask]]:
        """Return the single images and their masks, by thresholds that other folds set."""
        cut = {
            fold: self.thresholds(without=fold)[self.recipe.classes.index("particle")]
            for fold in set(self.fold)
        }
        shown = [place for place, still in enumerate(self.stills) if still is not None]
        masks = [np.asarray(self.stills[place]) >= cut[self.fold[place]] for place in shown]
        return [self.pictures[place] for place in shown], masks

    def scores(self) -> dict[str, Any]:
        """Return the scores of the single images, and the best F1 of each class, for JSON."""
        pictures, masks = self.masks()
        scores: dict[str, Any] = {"stills": score_particles(None, pictures, masks)} if masks else {}
        for place, name in enumerate(self.recipe.classes):
            for title, stills in (("stills", True), ("recordings", False)):
                of_kind = [
                    curve[place]
                    for curve, picture in zip(self.curves, self.pictures, strict=True)
                    if picture.is_still == stills
                ]
                threshold, f1 = sum(of_kind, nothing()).best()
                if f1:
                    scores[f"best F1 of {name}, {title}"] = {"f1": f1, "threshold": threshold}
        return scores


def cross_fit(
    pictures: Sequence[Picture],
    parts: Sequence[Sequence[int]],
    recipe: Recipe,
    folder: Path,
    how: How,
    *,
    flips: bool = True,
) -> OutOfFold:
    """Test each fold by a model that was trained on the others, for all epochs.

    No picture of a fold chooses anything that the fold is tested with: training takes as long as
    the recipe says, and thresholds come from the other folds.

    Parameters
    ----------
    parts:
        Positions of the pictures of each fold.
    folder:
        Gets a folder for each fold.
    flips:
        Average over the eight symmetries of the square on single images.
    """
    found: dict[int, tuple[int, tuple[Curve, ...], npt.NDArray[np.float16] | None]] = {}
    for number, part in enumerate(parts):
        rest = [picture for place, picture in enumerate(pictures) if place not in set(part)]
        model = fit(rest, (), recipe, folder / f"fold-{number}", how)
        for stills in (True, False):
            places = [place for place in part if pictures[place].is_still == stills]
            shown = model.flipped() if stills and flips else model
            answers = shown.probabilities(pictures[place].views for place in places)
            for place, answer in zip(places, answers, strict=True):
                still = None
                if stills:
                    still = answer[recipe.classes.index("particle")].astype(np.float16)
                found[place] = number, curves_of(answer, pictures[place], recipe.classes), still
    order = sorted(found)
    return OutOfFold(
        recipe,
        tuple(pictures[place] for place in order),
        tuple(found[place][0] for place in order),
        tuple(found[place][1] for place in order),
        tuple(found[place][2] for place in order),
    )
