"""A trained particle model at work: pictures in, probabilities and masks out."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from torch import nn

from pitflow.domains.included import find_model
from pitflow.domains.particles.channels import Views, make_channels
from pitflow.domains.particles.picture import Picture
from pitflow.domains.particles.relative import Floats
from pitflow.domains.particles.samples import truth_of
from pitflow.errors import UserError
from pitflow.segment.checkpoint import Card, load_checkpoint, read_card
from pitflow.segment.dense import DensePredictor
from pitflow.segment.devices import CPU, Execution
from pitflow.segment.score import Mask
from pitflow.segment.threshold import Curve, centre_curve, nothing, pixel_curve

STILLS = "stills"
"""Folder in that of a model for recordings: the network for single images, where there is one."""


class ParticleModel:
    """A network with its channels, classes and thresholds.

    Parameters
    ----------
    execution, flips, note:
        See ``pitflow.segment.dense.DensePredictor``.
    """

    def __init__(
        self,
        network: nn.Module,
        card: Card,
        *,
        execution: Execution = CPU,
        flips: bool = False,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.network, self.card = network, card
        self._execution, self._note = execution, note
        self._dense = DensePredictor.of(network, card, execution=execution, flips=flips, note=note)

    def with_card(self, card: Card) -> ParticleModel:
        """Return the same network with another card, such as one with thresholds set."""
        model = copy.copy(self)
        model.card = card
        return model

    def flipped(self) -> ParticleModel:
        """Return the same model, averaging over the eight symmetries."""
        return ParticleModel(
            self.network, self.card, execution=self._execution, flips=True, note=self._note
        )

    def probabilities(self, views: Iterable[Views]) -> Iterator[Floats]:
        """Yield (classes, height, width) probabilities of each frame."""
        return self._dense.predict_all(make_channels(self.card.channels, view) for view in views)

    def masks(self, views: Iterable[Views], name: str = "particle") -> Iterator[Mask]:
        """Yield the (height, width) mask of one class of each frame."""
        place = self.card.classes.index(name)
        for probability in self.probabilities(views):
            yield probability[place] >= self.card.thresholds[place]


def model_folder(name: str, *, stills: bool = False) -> Path:
    """Return the folder of a model's network: the one for single images if there is one.

    A model may hold two networks. What tells a moving particle from a landed one is time; a network
    that has to do without learns other things, and both are worse for learning in one.

    Raises
    ------
    UserError
        If there is no such model.
    """
    folder = find_model(name)
    return folder / STILLS if stills and (folder / STILLS).is_dir() else folder


def check_model(name: str) -> None:
    """Refuse what is no particle model, by its card alone.

    Raises
    ------
    UserError
        If there is no such model, its card is damaged, or it is for something else.
    """
    path = model_folder(name)
    _check_kind(read_card(path), path)


def _check_kind(card: Card, path: Path) -> None:
    if card.domain != "particles" or "particle" not in card.classes:
        raise UserError(
            f"is a model for {card.domain}, not for particles",
            where=path,
            hint=f"`pitflow {card.domain.removesuffix('s')} --model` uses it",
        )


def load_network(name: str, *, stills: bool = False) -> tuple[nn.Module, Card]:
    """Load a particle network and its card.

    The model is given by the path of its folder, or by its name if it comes with the program.

    Parameters
    ----------
    stills:
        It is for single images, not for the frames of a recording.

    Raises
    ------
    UserError
        If there is no such model, its files are damaged, or it is for something else.
    """
    path = model_folder(name, stills=stills)
    network, card = load_checkpoint(path)
    _check_kind(card, path)
    return network, card


def load_model(
    name: str,
    *,
    stills: bool = False,
    execution: Execution = CPU,
    flips: bool = False,
    note: Callable[[str], None] = lambda _: None,
) -> ParticleModel:
    """Load a particle model, by path or name as ``load_network``."""
    network, card = load_network(name, stills=stills)
    return ParticleModel(network, card, execution=execution, flips=flips, note=note)


def curves(model: ParticleModel, pictures: Iterable[Picture]) -> Iterator[tuple[Curve, ...]]:
    """Yield the curves over thresholds of each picture, one per class of the model."""
    pictures, shown = itertools.tee(pictures)
    classes = model.card.classes
    found = model.probabilities(picture.views for picture in shown)
    for picture, probability in zip(pictures, found, strict=True):
        yield curves_of(probability, picture, classes)


def curves_of(probability: Floats, picture: Picture, classes: Sequence[str]) -> tuple[Curve, ...]:
    """Return the curve of each class: of pixels, or of objects for centres."""
    truth, known = truth_of(picture, classes)
    return tuple(
        (centre_curve if name == "centre" else pixel_curve)(*maps)
        for name, *maps in zip(classes, probability, truth, known, strict=True)
    )


def calibrated(model: ParticleModel, pictures: Sequence[Picture]) -> list[tuple[float, float]]:
    """Return the best threshold and its F1 for each class of a model, on some pictures."""
    return [
        sum(of_class, nothing()).best() for of_class in zip(*curves(model, pictures), strict=True)
    ]
