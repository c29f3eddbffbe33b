"""Every study of `pitflow validate`, in the order in which its claims are printed."""

from __future__ import annotations

from pitflow.validate import coverage, ejection, lag, levels, power, uniform
from pitflow.validate.claim import AnyStudy, Study
from pitflow.validate.recording import record_growth, record_uniform

STUDIES: tuple[AnyStudy, ...] = (
    levels.STUDY,
    lag.INDEPENDENT,
    Study("uniform", record_uniform, (uniform.CLAIM, lag.ABSENT), seeds=60, quick_seeds=4),
    power.STUDY,
    coverage.STUDY,
    Study("growth", record_growth, (ejection.CLAIM, lag.PLANTED), seeds=40, quick_seeds=4),
)
