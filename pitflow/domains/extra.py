"""The libraries that only learning and learned models need, and which may not be installed."""

from __future__ import annotations

from importlib.util import find_spec

from pitflow.errors import UserError

PACKAGES = ("torch", "torchvision", "segmentation_models_pytorch", "safetensors", "tensorboard")


def require_learning() -> None:
    """Refuse to go on without the packages of ``pitflow[learn]``; loads none of them.

    Call it before anything of ``pitflow.segment.learn`` or of a domain is imported.

    Raises
    ------
    UserError
        Naming what is missing and how to install it.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise UserError(
            f"learned models need {', '.join(missing)}", hint="pip install 'pitflow[learn]'"
        )
