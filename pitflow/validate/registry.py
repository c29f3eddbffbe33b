"""Every study of `pitflow validate`, in the order in which its claims are printed."""

from __future__ import annotations

from pitflow.validate import coverage, ejection, height, lag, levels, power, uniform, velocity
from pitflow.validate.claim import AnyStudy, Study
from pitflow.validate.recording import record_growth, record_uniform

_GROWTH = (ejection.CLAIM, lag.PLANTED, velocity.CLAIM, height.CLAIM)

STUDIES: tuple[AnyStudy, ...] = (
    levels.STUDY,
    lag.INDEPENDENT,
    Study("uniform", record_uniform, (uniform.CLAIM, lag.ABSENT), seeds=60, quick_seeds=4),
    power.STUDY,
    coverage.STUDY,
    Study("growth", record_growth, _GROWTH, seeds=40, quick_seeds=4),
    velocity.STUDY,
)
