"""A trained panel model at work: photographs in, corroded masks out."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator

import cv2
from torch import nn

from pitflow.domains.included import find_model
from pitflow.domains.panels.pictures import Colours, Mask
from pitflow.domains.panels.recipes import DOMAIN
from pitflow.domains.panels.samples import Floats, as_channels, in_unit_range, scaled
from pitflow.errors import UserError
from pitflow.segment.checkpoint import Card, load_checkpoint
from pitflow.segment.dense import DensePredictor
from pitflow.segment.devices import CPU, Execution


class PanelModel:
    """A network with its card.

    A photograph is brought to the size that the network was trained on, and the probability back
    to that of the photograph, so a mask is as large as its image.
    """

    def __init__(
        self,
        network: nn.Module,
        card: Card,
        *,
        execution: Execution = CPU,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.network, self.card = network, card
        self._dense = DensePredictor.of(network, card, execution=execution, note=note)

    def with_card(self, card: Card) -> PanelModel:
        """Return the same network with another card, such as one with its threshold set."""
        model = copy.copy(self)
        model.card = card
        return model

    def probabilities(self, images: Iterable[Colours]) -> Iterator[Floats]:
        """Yield the (height, width) probability of corrosion of each RGB image."""
        for image in images:
            small = in_unit_range(scaled(image, self.card.tile_px))
            probability = self._dense.predict(as_channels(small))[0]
            full: Floats = cv2.resize(
                probability, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR
            )
            yield full

    def mask(self, image: Colours) -> Mask:
        """Return where an RGB image is corroded, (height, width)."""
        found: Mask = next(self.probabilities([image])) >= self.card.thresholds[0]
        return found


def load_panel_model(
    name: str, *, execution: Execution = CPU, note: Callable[[str], None] = lambda _: None
) -> PanelModel:
    """Load a panel model by the path of its folder, or by name if it comes with the program.

    Raises
    ------
    UserError
        If there is no such model, its files are damaged, or it is for something else.
    """
    path = find_model(
        name, "give a folder that `pitflow train panel` wrote, or colour (needs no model)"
    )
    network, card = load_checkpoint(path)
    if card.domain != DOMAIN:
        raise UserError(f"is a model for {card.domain}, not for panels", where=path)
    return PanelModel(network, card, execution=execution, note=note)
