"""Trained models for micrographs at work: instances, or classes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from torch import nn

from pitflow.domains.included import find_model
from pitflow.domains.sem.channels import make_channels
from pitflow.domains.sem.scales import find_at_scales
from pitflow.errors import UserError
from pitflow.frame import Image
from pitflow.report.words import count
from pitflow.segment.checkpoint import Card, load_checkpoint
from pitflow.segment.dense import DensePredictor
from pitflow.segment.devices import CPU, Execution
from pitflow.segment.instance import Instance, Limits
from pitflow.segment.instances import InstancePredictor
from pitflow.segment.networks.gelan import GelanConfig
from pitflow.segment.networks.mask_rcnn import MaskRcnnConfig

SCORED_FROM = 0.05
"""Average precision looks at instances from this score on."""

DEFAULT_OVERLAP = 0.7


class InstanceModel:
    """A network that finds instances, with its card."""

    def __init__(self, network: nn.Module, card: Card, *, execution: Execution = CPU) -> None:
        self.network, self.card, self.execution = network, card, execution
        self._predictors: dict[Limits, InstancePredictor] = {}

    @property
    def threshold(self) -> float:
        """Score from which on an instance counts."""
        return self.card.thresholds[0]

    def with_card(self, card: Card) -> InstanceModel:
        """Return the same network with another card, such as one with the threshold set."""
        model = copy.copy(self)
        model.card = card
        return model

    def find(
        self,
        image: Image,
        min_score: float | None = None,
        advance: Callable[[int], None] = lambda _: None,
    ) -> list[Instance]:
        """Return the instances in a grey image of any size, best first.

        Parameters
        ----------
        min_score:
            Least score; None: the model's threshold.
        advance:
            Called with the number of tiles done.
        """
        least = self.threshold if min_score is None else min_score
        limits = Limits(
            min_score=least,
            max_overlap=float(self.card.recipe.get("max_overlap", DEFAULT_OVERLAP)),
        )
        if limits not in self._predictors:
            self._predictors[limits] = InstancePredictor(
                self.network,
                self.card.tile_px,
                overlap=self.card.overlap_px,
                execution=self.execution,
                limits=limits,
            )
        predictor = self._predictors[limits]

        def look(part: Image) -> list[Instance]:
            return predictor.predict(part, make_channels(part), advance)

        object_px = self.card.recipe.get("warp", {}).get("object_px")
        if not object_px:
            return look(image)
        return find_at_scales(look, image, float(object_px), least)


class ClassModel:
    """A network for classes, with its card."""

    def __init__(self, network: nn.Module, card: Card, *, execution: Execution = CPU) -> None:
        self.network, self.card = network, card
        self._dense = DensePredictor.of(network, card, execution=execution)

    def classify(self, image: Image) -> npt.NDArray[np.uint8]:
        """Return the class of each pixel, from 1 in the order of the card; 0 none of them."""
        probabilities = self._probabilities(image)
        thresholds = np.asarray(self.card.thresholds)[:, None, None]
        likely = np.where(probabilities >= thresholds, probabilities, 0.0)
        best: npt.NDArray[np.uint8] = (likely.argmax(axis=0) + 1).astype(np.uint8)
        best[~likely.any(axis=0)] = 0
        return best

    def _probabilities(self, image: Image) -> npt.NDArray[np.float32]:
        """Return (classes, height, width), seen from as far as the network learned."""
        zoom = float(self.card.recipe.get("look_from", 1.0))
        if zoom == 1:
            return self._dense.predict(make_channels(image)(image))
        height, width = image.shape
        size = max(round(width * zoom), 1), max(round(height * zoom), 1)
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        seen = self._dense.predict(make_channels(small)(small))
        return np.stack([cv2.resize(one, (width, height)) for one in seen])


def describe_card(card: Card) -> dict[str, str]:
    """Return what a reader of results should know of the model they come from, heading by text."""
    said = {"score from": f"{card.thresholds[0]:.2f}"}
    folders = dict.fromkeys(str(one.get("folder", "?")) for one in card.data)
    if card.note or folders:
        said["learned from"] = card.note or ", ".join(folders)
    for name, scores in card.scores.items():
        if numbers := describe_scores(scores):
            said[name] = numbers
    return said


def describe_scores(scores: Any) -> str:
    """Return the scores of a model's card in words; nothing if it holds none."""
    if not isinstance(scores, dict):
        return ""
    numbers = [
        f"{heading} {100 * scores[key]:.0f} %"
        for key, heading in (
            ("ap50", "AP50"),
            ("precision", "precision"),
            ("recall", "recall"),
            ("mean_iou", "mean IoU"),
        )
        if isinstance(scores.get(key), float)
    ]
    return ", ".join([*numbers, count(scores["n_images"], "image")]) if numbers else ""


def load_instance_model(name: str, *, execution: Execution = CPU) -> InstanceModel:
    """Load a model by the path of its folder, or by name if it comes with the program.

    Raises
    ------
    UserError
        If there is no such model, its files are damaged, or it finds no instances.
    """
    path = find_model(
        name, "give the folder that `pitflow train sem` wrote, or label images (--labels)"
    )
    network, card = load_checkpoint(path)
    if card.domain != "sem":
        raise UserError(f"is a model of {card.domain} that finds no instances", where=path)
    if not isinstance(card.network, GelanConfig | MaskRcnnConfig):
        hint = f"`pitflow segment --model {name}` draws its classes"
        raise UserError("finds classes and no instances", where=path, hint=hint)
    return InstanceModel(network, card, execution=execution)


def load_class_model(name: str, *, execution: Execution = CPU) -> ClassModel:
    """Load a model of classes by the path of its folder.

    Raises
    ------
    UserError
        If there is no such model, its files are damaged, or it finds no classes.
    """
    path = find_model(name)
    network, card = load_checkpoint(path)
    if card.domain != "sem" or isinstance(card.network, GelanConfig | MaskRcnnConfig):
        hint = f"`pitflow sem --model {name}` draws and measures them"
        raise UserError("finds instances and no classes", where=path, hint=hint)
    return ClassModel(network, card, execution=execution)
