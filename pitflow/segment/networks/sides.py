"""Which image sizes a network that halves its resolution accepts."""

from __future__ import annotations

import torch


def check_sides(images: torch.Tensor, multiple: int) -> None:
    """Refuse images whose sides are not multiples of ``multiple``.

    Raises
    ------
    ValueError
        Naming the size to pad to.
    """
    height, width = images.shape[-2:]
    if height % multiple or width % multiple:
        wanted = f"{-(-height // multiple) * multiple} x {-(-width // multiple) * multiple}"
        raise ValueError(
            f"images of {height} x {width} px: sides must be multiples of {multiple}; "
            f"pad to {wanted}"
        )
