"""A frame with its truth: what is learned from, and tested on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from pitflow.domains.particles.channels import Views
from pitflow.domains.particles.relative import full_scale
from pitflow.frame import Image


@dataclass(frozen=True)
class Picture:
    """A frame with its truth.

    Parameters
    ----------
    name:
        File name, or recording and frame number.
    group:
        Pictures of one group share pixels or a recording, and belong on one side of a split.
    frame:
        (height, width) uint8 or uint16.
    truth:
        Class name to (height, width) mask. A class that is missing is not known.
    company:
        What the frame may be compared with (``channels.COMPANY``), by name, (height, width) uint8
        or uint16; nothing where there is a single image.
    known:
        (height, width) False where nobody knows the truth; None: it is known everywhere.
    """

    name: str
    group: str
    frame: Image
    truth: dict[str, npt.NDArray[np.bool_]]
    company: Mapping[str, Image] = field(default_factory=dict)
    known: npt.NDArray[np.bool_] | None = None

    @property
    def is_still(self) -> bool:
        """True for a single image, without background, past and future."""
        return not self.company

    @cached_property
    def marked(self) -> npt.NDArray[np.intp]:
        """Flat positions where something is to be seen: near centres, else in any class."""
        chosen = [self.truth["centre"]] if "centre" in self.truth else list(self.truth.values())
        return np.flatnonzero(np.logical_or.reduce(chosen))

    @property
    def views(self) -> Views:
        """The frame and its company, full scale 1."""
        company = {name: full_scale(image) for name, image in self.company.items()}
        return Views(full_scale(self.frame), company)
