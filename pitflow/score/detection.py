"""Detection scores: recall, precision, F1 and position error, by contrast, size and place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pitflow.score.assignment import Floats, Ints, match_points
from pitflow.score.values import ratio_of

CONTRAST_BINS = (
    ("<0.035", -np.inf, 0.035),
    ("0.035-0.07", 0.035, 0.07),
    ("0.07-0.15", 0.07, 0.15),
    (">=0.15", 0.15, np.inf),
    (">=0.07", 0.07, np.inf),
)
"""Name, lower and upper edge (excluded) of each range of contrast."""

SIZE_BINS = (
    ("<4", -np.inf, 4.0),
    ("4-8", 4.0, 8.0),
    ("8-16", 8.0, 16.0),
    (">=16", 16.0, np.inf),
)
"""Name, lower and upper edge (excluded) of each range of diameter, px."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Found, missed and invented objects, and the scores that follow."""

    found: int
    missed: int
    invented: int

    @property
    def recall(self) -> float:
        """Share of the true objects that were found; NaN if there are none."""
        return ratio_of(self.found, self.found + self.missed)

    @property
    def precision(self) -> float:
        """Share of the detections that are true; NaN if there are none."""
        return ratio_of(self.found, self.found + self.invented)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FN + FP), the harmonic mean of recall and precision."""
        return ratio_of(2 * self.found, 2 * self.found + self.missed + self.invented)

    def as_dict(self) -> dict[str, float]:
        """Return the counts and the scores by name."""
        return {
            "recall": self.recall,
            "precision": self.precision,
            "f1": self.f1,
            "found": self.found,
            "missed": self.missed,
            "invented": self.invented,
        }


@dataclass(frozen=True, slots=True)
class Matches:
    """Row positions of matched truth and detections, and their distance in px."""

    true: Ints
    found: Ints
    distance: Floats


def match_particles(true: pd.DataFrame, found: pd.DataFrame, gate_px: float) -> Matches:
    """Pair truth and detections one to one in each frame, inside the gate, optimally."""
    return Matches(
        *match_points(true["frame"], true[["x", "y"]], found["frame"], found[["x", "y"]], gate_px)
    )


def count_matches(
    matches: Matches,
    true_in: npt.NDArray[np.bool_],
    found_in: npt.NDArray[np.bool_],
) -> Counts:
    """Count within a class of objects.

    A true object belongs to the class by its *true* value, found or missed. A detection that
    matches nothing belongs to it by its own *measured* value. A detection that matches is counted
    where its true object is, so a contrast measured across a bin's edge is no error of detection.

    Parameters
    ----------
    matches:
        From `match_particles`.
    true_in, found_in:
        (n,) and (m,) whether each true object and each detection is in the class.
    """
    hit = np.zeros(len(true_in), dtype=bool)
    hit[matches.true] = True
    spurious = np.ones(len(found_in), dtype=bool)
    spurious[matches.found] = False
    return Counts(
        found=int((hit & true_in).sum()),
        missed=int((~hit & true_in).sum()),
        invented=int((spurious & found_in).sum()),
    )


def count_by_bin(
    matches: Matches,
    true_values: npt.ArrayLike,
    found_values: npt.ArrayLike,
    bins: tuple[tuple[str, float, float], ...],
) -> dict[str, Counts]:
    """Count in each bin of a quantity, as `count_matches` says; NaN is in no bin."""
    true, found = np.asarray(true_values, float), np.asarray(found_values, float)
    return {
        name: count_matches(matches, (true >= low) & (true < high), (found >= low) & (found < high))
        for name, low, high in bins
    }


def position_error(matches: Matches, true: pd.DataFrame, found: pd.DataFrame) -> dict[str, float]:
    """Return the position error of the matches, px: RMSE, median, and bias along x and y."""
    if len(matches.distance) == 0:
        return dict.fromkeys(("rmse_px", "median_px", "bias_x_px", "bias_y_px"), float("nan"))
    offset = (
        found[["x", "y"]].to_numpy(float)[matches.found]
        - true[["x", "y"]].to_numpy(float)[matches.true]
    )
    return {
        "rmse_px": float(np.sqrt(np.mean(matches.distance**2))),
        "median_px": float(np.median(matches.distance)),
        "bias_x_px": float(offset[:, 0].mean()),
        "bias_y_px": float(offset[:, 1].mean()),
    }


def rim_distance(particles: pd.DataFrame, pits: pd.DataFrame, growth: pd.DataFrame) -> Floats:
    """Return each particle's distance from the nearest pit's rim, px, inf without a pit.

    A pit is taken as the circle of its area in that frame (from ``growth``, else its final area)
    about its centre; it exists from its onset on. Inside a pit the distance is negative.
    """
    nearest = np.full(len(particles), np.inf)
    frame = particles["frame"].to_numpy(np.int64)
    xy = particles[["x", "y"]].to_numpy(float)
    onsets = pits["onset_frame"] if "onset_frame" in pits else pd.Series(0, index=pits.index)
    for row, (pit, onset) in enumerate(zip(pits["pit"], onsets, strict=True)):
        centre = pits[["x", "y"]].to_numpy(float)[row]
        history = growth[growth["pit"] == pit].sort_values("frame") if len(growth) else growth
        if len(history):
            area = np.interp(frame, history["frame"], history["area_px"])
        else:
            area = np.full(len(frame), float(pits["area_px"].iloc[row]))
        distance = np.hypot(*(xy - centre).T) - np.sqrt(np.maximum(area, 0.0) / np.pi)
        nearest = np.where(frame >= onset, np.minimum(nearest, distance), nearest)
    return nearest
