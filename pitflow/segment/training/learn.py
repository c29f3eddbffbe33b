"""The one training loop, for every network and domain.

It is given samples, a loss and a way to validate; it knows nothing of where they come from. After
every epoch all of its state is on disk, so a training that was stopped goes on with the same call
and ends with the same weights as one that was not (on the same kind of processor).
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.torch
import torch
from pydantic import Field
from torch import nn

from pitflow.config import Model
from pitflow.errors import UserError
from pitflow.segment.devices import has_bfloat16
from pitflow.segment.prefetch import prefetch

STATE = "training.safetensors"


@dataclass(frozen=True, slots=True)
class Batch:
    """Some samples: what the network is called with, and what the loss gets after its answer."""

    inputs: tuple[torch.Tensor, ...]
    targets: tuple[torch.Tensor, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """One training image.

    Parameters
    ----------
    channels:
        (channels, height, width) float32.
    truth:
        (classes, height, width), 0 or 1.
    known:
        (classes, height, width), False where the truth is not known.
    """

    channels: npt.NDArray[np.float32]
    truth: npt.NDArray[np.bool_]
    known: npt.NDArray[np.bool_]


class Samples(Protocol):
    """Training images, drawn anew (cropped, augmented) every time."""

    def __len__(self) -> int: ...

    def draw(self, index: int, rng: np.random.Generator) -> Any:
        """Return sample ``index``, as ``collate`` takes it; all chance comes from ``rng``."""
        ...


def stack(samples: Sequence[Sample]) -> Batch:
    """Put samples of dense prediction into a batch."""
    channels, truth, known = (
        torch.from_numpy(np.stack([getattr(sample, name) for sample in samples]))
        for name in ("channels", "truth", "known")
    )
    return Batch((channels,), (truth, known))


class TrainConfig(Model):
    """How a network is trained."""

    epochs: int = Field(100, ge=1, description="times every sample is seen, at most")
    samples_per_epoch: int | None = Field(
        None, ge=1, description="samples that make an epoch; None: each once"
    )
    batch: int = Field(8, ge=1, description="samples per step")
    learning_rate: float = Field(1e-3, gt=0, description="of Adam, at its peak")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay (AdamW)")
    schedule: Literal["constant", "cosine"] = Field(
        "constant", description="cosine: rise over the first 5 % of steps, fall to 0 at the end"
    )
    clip_norm: float | None = Field(None, gt=0, description="largest norm of a step's gradient")
    ema: float = Field(
        0.0, ge=0, lt=1, description="decay per step of the weights' moving average; 0: none"
    )
    validate_every: int = Field(1, ge=1, description="epochs between validations")
    patience: int | None = Field(
        None, ge=1, description="validations without a better score before it stops; None: never"
    )
    keep: Literal["best", "last"] = Field("best", description="weights kept, by validation score")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="of the forward pass; auto: bfloat16 on CUDA and on processors that have "
        "instructions for it, float32 elsewhere",
    )
    seed: int = Field(0, ge=0, description="of initial weights, order and augmentation")


@dataclass(frozen=True, slots=True)
class Epoch:
    """What an epoch gave."""

    epoch: int
    loss: float
    learning_rate: float
    score: float | None = None
    details: dict[str, float] = field(default_factory=dict)
    terms: dict[str, float] = field(default_factory=dict)
    notes: dict[str, float] = field(default_factory=dict)


Validate = Callable[[nn.Module], tuple[float, dict[str, float]]]
"""The score of a network, higher is better, and further numbers worth a look."""


@dataclass(frozen=True, slots=True)
class Trained:
    """The network with the weights that were kept, and how it came to them."""

    network: nn.Module
    history: tuple[Epoch, ...]
    best_epoch: int | None


def train(
    network: nn.Module,
    samples: Samples,
    loss: Callable[..., torch.Tensor],
    validate: Validate | None,
    config: TrainConfig,
    folder: Path,
    *,
    collate: Callable[[Sequence[Any]], Batch] = stack,
    loss_after: Callable[[Sequence[Epoch]], Callable[..., torch.Tensor]] | None = None,
    identity: str = "",
    device: torch.device | None = None,
    workers: int = 1,
    advance: Callable[[int], None] = lambda _: None,
    report: Callable[[Epoch], None] = lambda _: None,
) -> Trained:
    """Train a network, or go on with its training.

    Parameters
    ----------
    network:
        Trained in place; the initial weights are its own.
    loss:
        Takes the network's answer and the batch's targets. It gives a scalar, or a vector of terms
        whose sum is to fall; ``loss.terms`` then names them. Entries after those, named by
        ``loss.notes``, are only logged.
    validate:
        Called with the averaged network after epochs; None: the last weights are kept.
    folder:
        Gets the state of the training and a TensorBoard log.
    collate:
        Makes a batch of samples.
    loss_after:
        Gives the loss of the next epoch from the epochs so far, where it depends on them; None:
        always ``loss``.
    identity:
        Says what is trained on what. A training is only continued under the same identity.
    workers:
        Threads that prepare samples.
    advance, report:
        Called after every step with 1, and after every epoch with its result.

    Raises
    ------
    UserError
        If there are no samples, or ``folder`` holds a damaged or another training.
    """
    if len(samples) == 0:
        raise UserError("there is nothing to train on", where=folder)
    device = device or torch.device("cpu")
    network.to(device=device, memory_format=torch.channels_last)
    steps = -(-(config.samples_per_epoch or len(samples)) // config.batch)
    run = _Run(network, config, steps * config.epochs, identity, folder, device)
    advance(len(run.history) * steps)
    with (
        torch.random.fork_rng(),
        torch.backends.cudnn.flags(deterministic=True, benchmark=False),
        _Log(folder / "log", len(run.history)) as log,
        ThreadPoolExecutor(workers) as pool,
    ):
        while not run.is_over():
            number = len(run.history)
            torch.manual_seed(_epoch_seed(config.seed, number))
            batches = prefetch(_batches(samples, collate, config, number, pool))
            current = loss if loss_after is None else loss_after(run.history)
            means = run.epoch(batches, current, device, advance)
            rate = learning_rate_at(run.step - 1, run.steps, config)
            epoch = _epoch_of(number, means, rate, current)
            due = (number + 1) % config.validate_every == 0 or number + 1 == config.epochs
            if validate is not None and due:
                score, details = validate(run.averaged())
                epoch = replace(epoch, score=score, details=details)
            run.close_epoch(epoch)
            log.write(epoch)
            report(epoch)
    return Trained(run.kept(), tuple(run.history), run.best_epoch)


def learning_rate_at(step: int, steps: int, config: TrainConfig) -> float:
    """Return the learning rate of a step (from 0) out of ``steps``."""
    if config.schedule == "constant":
        return config.learning_rate
    rise = max(1, round(0.05 * steps))
    if step < rise:
        return config.learning_rate * (step + 1) / rise
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - rise) / (steps - rise)))


class OtherTrainingError(UserError):
    """The state in a folder cannot be gone on with: it is of another training, or damaged."""

    @classmethod
    def of(cls, folder: Path) -> OtherTrainingError:
        """Return the error of a folder in which something else was trained."""
        return cls(
            "holds a training of something else",
            where=folder,
            hint="choose another folder, or --overwrite",
        )


class DivergedError(UserError):
    """The loss of a training is not finite any more."""


class _Run:
    """All state of a training; it can be written and read back between epochs."""

    def __init__(
        self,
        network: nn.Module,
        config: TrainConfig,
        steps: int,
        identity: str,
        folder: Path,
        device: torch.device,
    ) -> None:
        self.network, self.config, self.steps = network, config, steps
        self.identity, self.path = identity, folder / STATE
        self.optimizer = torch.optim.AdamW(
            network.parameters(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            # One kernel instead of a dozen per parameter, a fifth of a step of small networks.
            fused=device.type in ("cpu", "cuda"),
        )
        self.average = _copied(network)
        self.best: dict[str, torch.Tensor] = {}
        self.best_epoch: int | None = None
        self.history: list[Epoch] = []
        self.step = 0
        folder.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            self._read()

    def is_over(self) -> bool:
        """Return True after the last epoch, or when patience has run out."""
        if len(self.history) >= self.config.epochs:
            return True
        if self.config.patience is None or self.best_epoch is None:
            return False
        later = self.history[self.best_epoch + 1 :]
        return sum(epoch.score is not None for epoch in later) >= self.config.patience

    def epoch(
        self,
        batches: Iterator[Batch],
        loss: Callable[..., torch.Tensor],
        device: torch.device,
        advance: Callable[[int], None],
    ) -> list[float]:
        """Go through the batches of one epoch; returns the mean of each entry of the loss."""
        self.network.train()
        n_notes = len(getattr(loss, "notes", ()))
        losses = []
        for batch in batches:
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate_at(self.step, self.steps, self.config)
            with autocast(device, self.config.precision):
                answer = self.network(
                    *(
                        part.to(device, memory_format=_layout(part), non_blocking=True)
                        for part in batch.inputs
                    )
                )
            value = loss(
                in_single_precision(answer),
                *(part.to(device, torch.float32, non_blocking=True) for part in batch.targets),
            ).reshape(-1)
            self.optimizer.zero_grad(set_to_none=True)
            value[: value.numel() - n_notes].sum().backward()
            if self.config.clip_norm is not None:
                nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip_norm)
            self.optimizer.step()
            self.step += 1
            self._update_average()
            losses.append(value.detach())
            advance(1)
        means: list[float] = torch.stack(losses).mean(dim=0).tolist()
        if not math.isfinite(sum(means)):
            raise DivergedError(
                f"the loss is {sum(means)} in epoch {len(self.history)}: the training has diverged",
                hint="choose a smaller learning rate",
            )
        return means

    def averaged(self) -> nn.Module:
        """Return a copy of the network with the averaged weights, for inference."""
        return self._with(self.average)

    def kept(self) -> nn.Module:
        """Return the network with the weights that training settled on, for inference."""
        return self._with(self.best or self.average)

    def close_epoch(self, epoch: Epoch) -> None:
        """Take an epoch into the history, remember the weights if they are the best, save all."""
        self.history.append(epoch)
        if epoch.score is not None and self.config.keep == "best":
            best = None if self.best_epoch is None else self.history[self.best_epoch].score
            if best is None or epoch.score > best:
                self.best_epoch = epoch.epoch
                self.best = {name: value.clone() for name, value in self.average.items()}
        self._write()

    def _update_average(self) -> None:
        # A young average must not remember the random initial weights for long.
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        state = self.network.state_dict()
        smooth = [name for name, value in state.items() if value.is_floating_point()]
        averages, values = ([of[name] for name in smooth] for of in (self.average, state))
        torch._foreach_lerp_(averages, values, 1 - decay)
        for name in state.keys() - set(smooth):
            self.average[name].copy_(state[name])

    def _with(self, weights: dict[str, torch.Tensor]) -> nn.Module:
        network = copy.deepcopy(self.network)
        network.load_state_dict(weights)
        return network.eval()

    def _write(self) -> None:
        tensors = {
            f"{part}/{name}": _plain(value)
            for part, values in (
                ("now", self.network.state_dict()),
                ("average", self.average),
                ("best", self.best),
            )
            for name, value in values.items()
        }
        for index, state in self.optimizer.state_dict()["state"].items():
            for name, value in state.items():
                tensors[f"optimizer/{index}/{name}"] = _plain(torch.as_tensor(value))
        about = {
            "identity": self.identity,
            "step": self.step,
            "best_epoch": self.best_epoch,
            "history": [asdict(epoch) for epoch in self.history],
        }
        partial = self.path.with_name(self.path.name + ".partial")
        try:
            # Not by the library: it says in its own way that the disk is full.
            partial.write_bytes(safetensors.torch.save(tensors, {"training": json.dumps(about)}))
            partial.replace(self.path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise

    def _read(self) -> None:
        try:
            with safetensors.safe_open(self.path, "pt") as file:
                about = json.loads((file.metadata() or {})["training"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, safetensors.SafetensorError, KeyError, ValueError) as error:
            raise OtherTrainingError(
                "damaged state of a training", where=self.path, hint="remove it, or --overwrite"
            ) from error
        if about["identity"] != self.identity:
            raise OtherTrainingError.of(self.path.parent)
        device = next(iter(self.average.values())).device
        parts: dict[str, dict[str, torch.Tensor]] = {"now": {}, "average": {}, "best": {}}
        state: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in tensors.items():
            part, name = key.split("/", 1)
            if part == "optimizer":
                index, name = name.split("/", 1)
                state.setdefault(int(index), {})[name] = value
            else:
                parts[part][name] = value.to(device)
        self.network.load_state_dict(parts["now"])
        self.average, self.best = parts["average"], parts["best"]
        groups = self.optimizer.state_dict()["param_groups"]
        for index, parameter in enumerate(self.network.parameters()):
            for name, value in state.get(index, {}).items():
                # The optimizer's kernel walks through memory: all must be laid out as the weight.
                if value.shape == parameter.shape:
                    state[index][name] = torch.empty_like(parameter).copy_(value)
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        self.history = [Epoch(**epoch) for epoch in about["history"]]
        self.best_epoch, self.step = about["best_epoch"], about["step"]


class _Log:
    """A TensorBoard log of the epochs."""

    def __init__(self, folder: Path, n_past: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=n_past)

    def __enter__(self) -> _Log:
        return self

    def __exit__(self, *error: object) -> None:
        self._writer.close()

    def write(self, epoch: Epoch) -> None:
        numbers = {"loss": epoch.loss, "learning rate": epoch.learning_rate}
        numbers |= {f"loss: {name}": value for name, value in epoch.terms.items()}
        numbers |= epoch.notes | epoch.details
        if epoch.score is not None:
            numbers["validation score"] = epoch.score
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, epoch.epoch)


def in_single_precision(answer: Any) -> Any:
    """Return a network's answer, a tensor or a (named) tuple of such, as float32."""
    if isinstance(answer, torch.Tensor):
        return answer.float()
    if isinstance(answer, tuple):
        parts = [in_single_precision(part) for part in answer]
        return type(answer)(*parts) if hasattr(answer, "_fields") else tuple(parts)
    return answer


def _epoch_of(number: int, means: list[float], rate: float, loss: Callable[..., Any]) -> Epoch:
    """Return the epoch whose loss has these mean entries: terms, then notes."""
    terms, notes = getattr(loss, "terms", ()), getattr(loss, "notes", ())
    summed, noted = means[: len(means) - len(notes)], means[len(means) - len(notes) :]
    return Epoch(
        number,
        sum(summed),
        rate,
        terms=dict(zip(terms, summed, strict=bool(terms))),
        notes=dict(zip(notes, noted, strict=True)),
    )


def _layout(part: torch.Tensor) -> torch.memory_format:
    return torch.channels_last if part.ndim == 4 else torch.preserve_format


def _batches(
    samples: Samples,
    collate: Callable[[Sequence[Any]], Batch],
    config: TrainConfig,
    epoch: int,
    pool: ThreadPoolExecutor,
) -> Iterator[Batch]:
    """Yield the batches of an epoch: all chance comes from seed, epoch and place in the epoch."""
    n = config.samples_per_epoch or len(samples)
    rng = np.random.default_rng([config.seed, epoch])
    rounds = -(-n // len(samples))
    order = np.concatenate([rng.permutation(len(samples)) for _ in range(rounds)])[:n]
    for start in range(0, n, config.batch):
        places = range(start, min(start + config.batch, n))
        drawn = list(
            pool.map(
                lambda place: samples.draw(
                    int(order[place]), np.random.default_rng([config.seed, epoch, place])
                ),
                places,
            )
        )
        yield collate(drawn)


def _epoch_seed(seed: int, epoch: int) -> int:
    """Return a seed that depends on seed and epoch alone, not on how many epochs there will be."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])


def _copied(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    """Return a copy on the processor, rows by columns whatever the layout was."""
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)


def autocast(device: torch.device, precision: str = "auto") -> AbstractContextManager[Any]:
    """Return the context in which a network in training answers, in the configured precision.

    In bfloat16 the weights stay float32; convolutions are two to five times as fast where there are
    instructions for them.
    """
    fast = device.type == "cuda" or (device.type == "cpu" and has_bfloat16())
    context: AbstractContextManager[Any] = nullcontext()
    if precision == "bfloat16" or (precision == "auto" and fast):
        context = torch.autocast(device.type, torch.bfloat16)
    return context
