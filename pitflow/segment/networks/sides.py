"""Networks that halve their resolution: the image sizes they accept, and the way back up."""

from __future__ import annotations

import torch
from torch.nn import functional


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


def doubled(features: torch.Tensor) -> torch.Tensor:
    """Return features at twice the resolution, bilinear."""
    return functional.interpolate(features, scale_factor=2.0, mode="bilinear", align_corners=False)
