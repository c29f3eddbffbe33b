"""Transients of the current found again in simulated ones.

    python benchmarks/transients.py

Each row is four series of 2 min at 20 samples per second: white noise, and transients of about 50
times its deviation (log-normal, sigma 0.7, where they come at random times). One is found if a
found onset lies within 0.25 s of its own; height and charge are medians of found over true.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from pitflow.config import CurrentConfig
from pitflow.measure.transients import find_transients

SERIES, LAST_S, STEP_S = 4, 120.0, 0.05
NOISE_A, HEIGHT = 1e-9, 50.0
NEAR_S = 0.25
FRAMES = pd.DataFrame({"frame": np.arange(1800), "time_s": np.arange(1800) / 15.0})
CASES = ((1, 10, False), (1, 4, False), (1, 2, False), (2, 2, False), (1, 1, False),
         (1, 1, True), (2, 5, True), (0.3, 0.3, True))  # fmt: skip
"""Decay and mean time between transients, s; whether they are regular."""


def score(
    decay_s: float, every_s: float, regular: bool, seed: int
) -> tuple[tuple[int, int, int], np.ndarray]:
    """Return how many there are, are found, are found rightly; (n, 2) heights and charges."""
    rng = np.random.default_rng(seed)
    if regular:
        onset = np.arange(5.0, LAST_S - 5.0, every_s)
        height = np.full(onset.size, HEIGHT)
    else:
        onset = 3.0 + np.cumsum(rng.exponential(every_s, int(2 * LAST_S / every_s)))
        onset = onset[onset < LAST_S - 4.0]
        height = HEIGHT * np.exp(0.7 * rng.normal(size=onset.size))
    time = np.arange(-1.0, LAST_S + 1.0, STEP_S)
    since = time - onset[:, None]
    each = height[:, None] * np.exp(-np.clip(since, 0, None) / decay_s) * (since >= 0)
    current = NOISE_A * (100.0 + each.sum(axis=0) + rng.normal(size=time.size))
    samples = pd.DataFrame({"time_s": time, "current_a": current})
    samples = samples.assign(current_density_a_cm2=np.nan, potential_v=0.3)
    found = find_transients(samples, FRAMES, config=CurrentConfig())
    away = np.abs(onset[:, None] - found["onset_s"].to_numpy())
    one, other = linear_sum_assignment(away > NEAR_S)
    right = away[one, other] <= NEAR_S
    one, other = one[right], other[right]
    heights = found["peak_a"].to_numpy()[other] / (NOISE_A * height[one])
    charges = found["charge_c"].to_numpy()[other] / (NOISE_A * np.trapezoid(each, time)[one])
    return (onset.size, len(found), one.size), np.column_stack([heights, charges])


def main() -> None:
    """Print the table."""
    print("| transients | found, of all | right, of those found | height | charge |")
    print("|---|---|---|---|---|")
    for decay_s, every_s, regular in CASES:
        series = [score(decay_s, every_s, regular, seed) for seed in range(SERIES)]
        true, found, right = np.sum([counts for counts, _ in series], axis=0)
        ratio = np.concatenate([ratios for _, ratios in series])
        height, charge = np.median(ratio, axis=0) if len(ratio) else (np.nan, np.nan)
        ratios = f"{height:.2f} | {charge:.2f}" if found else "– | –"
        precision = f"{right / found:.2f}" if found else "–"
        print(
            f"| decay of {decay_s:g} s, one in {every_s:g} s{', regular' * regular} "
            f"| {right / true:.2f} | {precision} | {ratios} |"
        )


if __name__ == "__main__":
    main()
