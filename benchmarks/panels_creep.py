"""Print how well creep and rating are measured on rendered panels whose creep is known.

    python benchmarks/panels_creep.py --panels 200

Panels of any coating that is not rust, cut straight or in an X, upright to 30 degrees off, with
wavy fronts that differ on both sides, in uneven light, with spots, blisters and water stains. The
scale is 0.1 mm per px. Measured with the true mask and with the mask by colour (or by a model,
--model), along the true scribe and along the one that is found.

A rating counts as near an edge of its band if the true mean creep is less than 0.1 mm from it.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pitflow.domains.panels.assess import choose_method
from pitflow.domains.panels.measure import measure_panel
from pitflow.measure.rating import CREEP_BANDS_MM, scribe_rating
from pitflow.segment.classical.find_scribe import find_scribes
from pitflow.simulate.panel import RenderedPanel, draw_panel, render_panel, true_creep

Mask = npt.NDArray[np.bool_]

NEAR_MM = 0.1


@dataclass(frozen=True)
class Measured:
    """Errors of one panel, mm, and its rating."""

    mean_mm: float
    worst_side_mm: float
    largest_mm: float
    rating: int | None
    true_rating: int
    near_edge: bool


def a_panel(seed: int, *, crossed: bool) -> RenderedPanel:
    """Render a panel of random coating, cut, creep and light."""
    rng = np.random.default_rng([seed, int(crossed)])
    return render_panel(draw_panel(rng, crossed=crossed), seed)


def measured(panel: RenderedPanel, mask: Mask, *, given: bool) -> Measured:
    """Measure a panel along the true scribes or those found, and compare."""
    scribes = tuple(arm.scribe for arm in panel.arms)
    if not given:
        scribes = find_scribes(panel.image, mask)
    numbers = measure_panel(mask, scribes, 0.1)
    creep = numbers.creep
    true = true_creep(panel)
    mean, largest = true["creep_mean_mm"], true["creep_max_mm"]
    sides = (
        abs(creep.left_mean_mm - true["creep_left_mean_mm"]),
        abs(creep.right_mean_mm - true["creep_right_mean_mm"]),
    )
    near = min(abs(mean - edge) for edge in CREEP_BANDS_MM) < NEAR_MM
    return Measured(
        abs(creep.mean_mm - mean),
        max(sides),
        abs(creep.max_mm - largest),
        numbers.rating,
        scribe_rating(mean),
        near,
    )


def line(name: str, rows: list[Measured]) -> str:
    """Return a row of the table."""
    mean = np.array([row.mean_mm for row in rows])
    side = np.array([row.worst_side_mm for row in rows])
    largest = np.array([row.largest_mm for row in rows])
    away = [row for row in rows if not row.near_edge]
    right = sum(row.rating == row.true_rating for row in away)
    within = np.count_nonzero(mean <= 0.1)
    return (
        f"{name:<34}{np.nanmedian(mean):>8.3f}{np.nanquantile(mean, 0.95):>7.3f}"
        f"{np.nanmax(mean):>7.3f}{within:>7}/{len(rows):<5}"
        f"{np.nanquantile(side, 0.95):>9.3f}{np.nanquantile(largest, 0.95):>9.3f}"
        f"{right:>9}/{len(away)}"
    )


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--panels", type=int, default=200)
    parser.add_argument("--model", help="also by a model: its folder or name")
    options = parser.parse_args()
    masks: dict[str, Callable[[RenderedPanel], Mask]] = {"true mask": lambda panel: panel.mask}
    for name in filter(None, ("colour", options.model)):
        method = choose_method(name)
        masks[name] = lambda panel, m=method: m.mask(Path(), panel.image)
    rows: dict[str, list[Measured]] = defaultdict(list)
    for seed in range(options.panels):
        for crossed in (False, True):
            panel = a_panel(seed, crossed=crossed)
            for name, segment in masks.items():
                mask = segment(panel)
                for given in (True, False):
                    cut = "X-cut" if crossed else "straight"
                    key = f"{cut}, {name}, scribe {'given' if given else 'found'}"
                    rows[key].append(measured(panel, mask, given=given))
    print(f"{'':<34}{'mean creep, error (mm)':>35}{'side':>10}{'largest':>9}{'rating':>10}")
    print(f"{'':<34}{'median':>8}{'95 %':>7}{'worst':>7}{'<= 0.1':>12}{'95 %':>10}{'95 %':>9}")
    for name in sorted(rows):
        print(line(name, rows[name]))


if __name__ == "__main__":
    main()
