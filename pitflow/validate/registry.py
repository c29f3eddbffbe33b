"""Every study of `pitflow validate`, in the order in which its claims are printed."""

from __future__ import annotations

import numpy as np

from pitflow.validate import (
    comparisons,
    coverage,
    ejection,
    height,
    lag,
    levels,
    modes,
    power,
    uniform,
    velocity,
)
from pitflow.validate.claim import AnyStudy, Study
from pitflow.validate.recording import record_growth, record_uniform

_GROWTH = (ejection.CLAIM, lag.PLANTED, velocity.CLAIM, height.CLAIM)

STUDIES: tuple[AnyStudy, ...] = (
    Study(
        "levels",
        np.random.default_rng,
        (levels.CLAIM, comparisons.CLAIM),
        seeds=60,
        quick_seeds=6,
    ),
    lag.INDEPENDENT,
    Study("uniform", record_uniform, (uniform.CLAIM, lag.ABSENT), seeds=60, quick_seeds=4),
    power.STUDY,
    coverage.STUDY,
    modes.STUDY,
    Study("growth", record_growth, _GROWTH, seeds=40, quick_seeds=4),
    velocity.STUDY,
)
