"""Where networks run and in which precision."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from pitflow.errors import UserError

Precision = Literal["auto", "float32", "float16", "bfloat16"]


@dataclass(frozen=True, slots=True)
class Execution:
    """A device, the number format of the network on it, and the memory layout of images."""

    device: torch.device
    dtype: torch.dtype = torch.float32

    @property
    def is_gpu(self) -> bool:
        """True on anything but the processor."""
        return bool(self.device.type != "cpu")

    def place(self, network: nn.Module) -> nn.Module:
        """Move a network to the device, channels last (the faster layout of convolutions)."""
        return network.to(device=self.device, dtype=self.dtype, memory_format=torch.channels_last)

    def send(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return a tensor of the processor on the device.

        CUDA does not wait for what is under way there; other devices do not promise to read a
        tensor before it is gone.
        """
        return tensor.to(self.device, non_blocking=self.device.type == "cuda")


CPU = Execution(torch.device("cpu"))


def fetched(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor of the device, or of one that was left, where the processor reads it.

    CUDA writes by itself into memory that is kept in place; the thread sleeps until it has.
    """
    if tensor.device.type != "cuda":
        return tensor.cpu()
    try:
        here = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    except RuntimeError:
        # There is a limit to such memory; any other is only slower.
        return tensor.cpu()
    here.copy_(tensor, non_blocking=True)
    arrived = torch.cuda.Event(blocking=True)
    arrived.record(torch.cuda.current_stream(tensor.device))
    arrived.synchronize()
    return here


def choose_device(name: str = "auto") -> torch.device:
    """Return the device called ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    ``auto`` is the first of CUDA, MPS and the processor that is there.

    Raises
    ------
    UserError
        If the name is none of these, or this machine has no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, _, number = name.partition(":")
    numbered = kind == "cuda" and number.isdecimal()
    if kind not in ("cpu", "cuda", "mps") or (":" in name and not numbered):
        raise UserError(
            f"no device is called {name!r}", where="--device", hint="auto, cpu, cuda, cuda:N or mps"
        )
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise UserError(
            f"{name} is not there: this machine has {torch.cuda.device_count()} CUDA devices",
            where="--device",
            hint="use --device auto",
        )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise UserError(
            "mps is not there on this machine", where="--device", hint="use --device auto"
        )
    return torch.device(name)


def choose_execution(device: str = "auto", precision: Precision = "auto") -> Execution:
    """Return where and how to run a trained network.

    ``auto`` precision is half on a GPU. On the processor it is ``bfloat16`` where there are
    instructions for it (two to four times as fast), and single elsewhere.

    Raises
    ------
    UserError
        If the device is unknown or missing, or the processor is asked for float16.
    """
    where = choose_device(device)
    if precision == "auto":
        processor: Precision = "bfloat16" if has_bfloat16() else "float32"
        precision = processor if where.type == "cpu" else "float16"
    if precision == "float16" and where.type == "cpu":
        raise UserError(
            "float16 is not for the processor", where="precision", hint="use bfloat16 or float32"
        )
    return Execution(where, getattr(torch, precision))


def has_bfloat16() -> bool:
    """Return whether the processor has instructions for bfloat16 (AMX or AVX-512)."""
    # Older versions of torch do not tell; single precision is right there too.
    tells = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, name, bool)() for name in tells)


def all_devices(name: str) -> list[torch.device]:
    """Return the devices that a name stands for: every GPU where it names none of several.

    Raises
    ------
    UserError
        As ``choose_device``.
    """
    device = choose_device(name)
    if device.type == "cuda" and device.index is None:
        return [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    return [device]


class _Threads:
    """Counts who wants one thread per network, and remembers how many there were before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users, self._before = 0, 1

    def take(self) -> None:
        with self._lock:
            if self._users == 0:
                self._before = torch.get_num_threads()
            self._users += 1
            # The number is kept per calling thread as well as globally.
            torch.set_num_threads(1)

    def give_back(self) -> None:
        with self._lock:
            self._users -= 1
            torch.set_num_threads(1 if self._users else self._before)


_THREADS = _Threads()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let networks compute on the calling thread alone: tasks side by side fill the cores."""
    _THREADS.take()
    try:
        yield
    finally:
        _THREADS.give_back()
