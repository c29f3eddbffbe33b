"""Training one particle model on pictures that are given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from pitflow.compute import Progress, Silent
from pitflow.domains import training
from pitflow.domains.particles.model import ParticleModel, calibrated, load_model
from pitflow.domains.particles.picture import Picture
from pitflow.domains.particles.samples import ParticleSamples
from pitflow.domains.recipe import Recipe
from pitflow.domains.training import new_card, new_network, train_with
from pitflow.errors import UserError
from pitflow.segment.devices import choose_execution
from pitflow.segment.training.losses import build_loss


@dataclass(frozen=True, slots=True)
class How:
    """Where a training begins and where it runs: what does not belong to the recipe."""

    initial: str | None = None
    device: str = "auto"
    workers: int = 1
    progress: Progress = field(default_factory=Silent)


def fit(
    pictures: Sequence[Picture],
    aside: Sequence[Picture],
    recipe: Recipe,
    folder: Path,
    how: How,
) -> ParticleModel:
    """Train on some pictures; ``aside`` ones choose the epoch and set the thresholds.

    Without any aside, the last weights are kept and thresholds are 0.5. ``folder`` gets the state
    and log of the training.
    """
    execution = choose_execution(how.device)
    network, card = new_network(recipe), new_card(recipe)
    key = identity(recipe, pictures, aside)
    if how.initial is not None:
        key += start_from(how.initial, network, recipe)

    def validate(candidate: nn.Module) -> tuple[float, dict[str, float]]:
        found = calibrated(ParticleModel(candidate, card, execution=execution), aside)
        details = {f"F1 {name}": f1 for name, (_, f1) in zip(recipe.classes, found, strict=True)}
        return details["F1 particle"], details

    samples = ParticleSamples(pictures, recipe)
    title = f"train {folder.name}" if folder.name.startswith("fold-") else "train"
    trained = train_with(
        how.progress,
        title,
        network,
        samples,
        build_loss(recipe.loss),
        validate if aside else None,
        recipe.training,
        folder,
        identity=key,
        device=execution.device,
        workers=how.workers,
    )
    model = ParticleModel(trained.network, card, execution=execution)
    if not aside:
        return model
    thresholds = tuple(threshold for threshold, _ in calibrated(model, aside))
    return model.with_card(card.model_copy(update={"thresholds": thresholds}))


def identity(recipe: Recipe, pictures: Sequence[Picture], aside: Sequence[Picture]) -> str:
    """Return a hash of all that decides a training: recipe, and pictures on both sides."""
    return training.identity(recipe, _parts(pictures), _parts(aside))


def _parts(pictures: Sequence[Picture]) -> Iterator[bytes]:
    for picture in pictures:
        yield picture.name.encode()
        for image in (picture.frame, *picture.truth.values()):
            yield image.tobytes()


def start_from(initial: str, network: nn.Module, recipe: Recipe) -> str:
    """Give the network the weights of a model; returns their hash.

    Raises
    ------
    UserError
        If there is no such model, or it is of another network, channels or classes.
    """
    model = load_model(initial)
    same = (model.card.channels, model.card.classes) == (recipe.channels, recipe.classes)
    try:
        network.load_state_dict(model.network.state_dict() if same else {})
    except RuntimeError as error:
        raise UserError(
            f"is a model of another network, channels or classes than the recipe {recipe.name}",
            where=initial,
            hint="train with the recipe on the model's card",
        ) from error
    return model.card.weights_sha256
