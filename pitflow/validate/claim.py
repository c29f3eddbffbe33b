"""What a claim is: one trial, what is seen of it, and what many trials say together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import pandas as pd

Subject = TypeVar("Subject")
"""What a trial looks at: a random generator, or a `pitflow.validate.recording.Recording`."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table: a claim, what was asked of it and what was found.

    Parameters
    ----------
    claim:
        What is claimed, in words.
    target:
        What is asked, in words; "" where nothing is and the number is shown to compare with.
    measured, low, high:
        The estimate and its 95 % interval.
    n:
        Trials or items behind it.
    passed:
        Whether the target is met; None without one, or without data.
    unit:
        "%" for shares (which are given as fractions), else the unit, "" for a pure number.
    """

    claim: str
    target: str
    measured: float
    low: float
    high: float
    n: int
    passed: bool | None
    unit: str = "%"

    @property
    def lacks_data(self) -> bool:
        """Whether something was asked, and no trial showed anything to judge it by."""
        return bool(self.target) and self.n == 0


@dataclass(frozen=True, slots=True)
class Claim(Generic[Subject]):
    """A claim that can fail.

    Parameters
    ----------
    name:
        Its name in files and figures.
    observe:
        Returns what one trial shows, a few rows of any columns.
    judge:
        Returns the findings from the rows of all trials, in order of their seeds.
    """

    name: str
    observe: Callable[[Subject], pd.DataFrame]
    judge: Callable[[pd.DataFrame], list[Finding]]


@dataclass(frozen=True, slots=True)
class Study(Generic[Subject]):
    """Claims that look at the same trials, and how many of those there are.

    Parameters
    ----------
    name:
        Its name while it runs.
    prepare:
        Makes the subject of a trial from its seed.
    claims:
        What is claimed of it.
    seeds, quick_seeds:
        Trials in full, and for a first look.
    """

    name: str
    prepare: Callable[[int], Subject]
    claims: tuple[Claim[Subject], ...]
    seeds: int
    quick_seeds: int

    def observe(self, seed: int) -> dict[str, pd.DataFrame]:
        """Return what one trial shows, by claim."""
        subject = self.prepare(seed)
        return {claim.name: claim.observe(subject).assign(seed=seed) for claim in self.claims}


AnyStudy = Study[Any]


@dataclass(frozen=True)
class Validation:
    """The findings in order of the studies, and the rows of all trials by claim."""

    findings: tuple[Finding, ...]
    trials: dict[str, pd.DataFrame]

    @property
    def passed(self) -> bool:
        """Whether no target is missed; one without data is not."""
        return all(finding.passed is not False for finding in self.findings)
