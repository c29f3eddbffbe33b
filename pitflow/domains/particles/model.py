"""A trained particle model at work: pictures in, probabilities and masks out."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from torch import nn

from pitflow.domains.particles.channels import Floats, Views, make_channels
from pitflow.domains.particles.pictures import Picture
from pitflow.domains.particles.samples import truth_of
from pitflow.errors import UserError
from pitflow.segment.checkpoint import Card, load_checkpoint
from pitflow.segment.dense import DensePredictor
from pitflow.segment.devices import CPU, Execution
from pitflow.segment.score import Mask

PACKAGED = Path(__file__).parents[2] / "models"
"""Models that come with the program, one folder each."""

_BINS = 200


class ParticleModel:
    """A network with its channels, classes and thresholds.

    Parameters
    ----------
    execution, flips, batch_px, note:
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
        self._dense = DensePredictor(
            network,
            card.tile_px,
            overlap=card.overlap_px,
            halo=card.halo_px,
            execution=execution,
            flips=flips,
            note=note,
        )

    def with_card(self, card: Card) -> ParticleModel:
        """Return the same network with another card, such as one with thresholds set."""
        model = copy.copy(self)
        model.card = card
        return model

    def probabilities(self, views: Iterable[Views]) -> Iterator[Floats]:
        """Yield (classes, height, width) probabilities of each frame."""
        return self._dense.predict_all(make_channels(self.card.channels, view) for view in views)

    def masks(self, views: Iterable[Views], name: str = "particle") -> Iterator[Mask]:
        """Yield the (height, width) mask of one class of each frame."""
        place = self.card.classes.index(name)
        for probability in self.probabilities(views):
            yield probability[place] >= self.card.thresholds[place]


def load_model(
    name: str,
    *,
    execution: Execution = CPU,
    flips: bool = False,
    note: Callable[[str], None] = lambda _: None,
) -> ParticleModel:
    """Load a particle model by the path of its folder, or by name if it comes with the program.

    Raises
    ------
    UserError
        If there is no such model, its files are damaged, or it is for something else.
    """
    path = Path(name)
    if not path.exists():
        known = sorted(folder.name for folder in PACKAGED.glob("*") if folder.is_dir())
        if name not in known:
            raise UserError(
                "no model of this name or path",
                where=name,
                hint=f"give the folder that `pitflow train` wrote; included: {known or 'none'}",
            )
        path = PACKAGED / name
    network, card = load_checkpoint(path)
    if card.domain != "particles" or "particle" not in card.classes:
        raise UserError(f"is a model for {card.domain}, not for particles", where=path)
    return ParticleModel(network, card, execution=execution, flips=flips, note=note)


def best_threshold(
    probabilities: Iterable[Floats], truth: Iterable[Mask], known: Iterable[Mask]
) -> tuple[float, float]:
    """Return the threshold with the best pooled pixel F1, and that F1 (0 without any truth).

    Looks at thresholds in steps of 1 / 200. Without any truth there is nothing to choose by, and
    the threshold is 0.5.
    """
    edges = np.linspace(0, 1, _BINS + 1)
    inside = np.zeros(_BINS)
    everything = np.zeros(_BINS)
    for probability, true, counted in zip(probabilities, truth, known, strict=True):
        everything += np.histogram(probability[counted], edges)[0]
        inside += np.histogram(probability[counted & true], edges)[0]
    hits = np.cumsum(inside[::-1])[::-1]
    predicted = np.cumsum(everything[::-1])[::-1]
    if inside.sum() == 0:
        return 0.5, 0.0
    f1 = 2 * hits / (predicted + inside.sum())
    best = int(np.argmax(f1[1:])) + 1
    return float(edges[best]), float(f1[best])


def calibrated(model: ParticleModel, pictures: Sequence[Picture]) -> list[tuple[float, float]]:
    """Return the best threshold and its F1 for each class of a model, on some pictures."""
    classes = model.card.classes
    maps = [
        probability.astype(np.float16)
        for probability in model.probabilities(picture.views for picture in pictures)
    ]
    labels = [truth_of(picture, classes) for picture in pictures]
    return [
        best_threshold(
            (probability[place] for probability in maps),
            (truth[place] for truth, _ in labels),
            (known[place] for _, known in labels),
        )
        for place in range(len(classes))
    ]
