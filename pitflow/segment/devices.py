"""Where networks run and in which precision."""

from __future__ import annotations

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


CPU = Execution(torch.device("cpu"))


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

    ``auto`` precision is half on a GPU and single on the processor, where ``bfloat16`` pays only on
    processors with instructions for it.

    Raises
    ------
    UserError
        If the device is unknown or missing, or the processor is asked for float16.
    """
    where = choose_device(device)
    if precision == "auto":
        precision = "float32" if where.type == "cpu" else "float16"
    if precision == "float16" and where.type == "cpu":
        raise UserError(
            "float16 is not for the processor", where="--precision", hint="use bfloat16 or float32"
        )
    return Execution(where, getattr(torch, precision))
