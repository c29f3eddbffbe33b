"""Linking beside plain ``trackpy.link`` on the same detections, against truth.

    python benchmarks/linking.py RUN.pitflow --truth TRUTH   # the detections of a run
    python benchmarks/linking.py --simulate 5                # truth of 5 simulated worlds, spoiled

The baseline is `trackpy.link` as it comes, nearest neighbours with the same memory, at the search
range that suits *it* best: every range from 3 to 20 px is tried and the one with the largest
JSC-theta is shown; from the first range at which it fails (SubnetOversizeException) or takes longer
than 20 s none is tried. Both get the detections as segmented, and of both only what moves is kept,
by the same `drop_settled`.
"""

from __future__ import annotations

import argparse
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import trackpy

from pitflow.config import LinkConfig, load_config
from pitflow.link import drop_settled, link_detections
from pitflow.score import TrackScore, read_truth, score_tracks

SEARCH_RANGES_PX = (3, 4, 5, 6, 8, 10, 12, 15, 20)


LONGEST_S = 20


def _give_up(*_: object) -> None:
    raise TimeoutError


def plain_link(
    detections: pd.DataFrame, search_range_px: float, config: LinkConfig
) -> pd.DataFrame:
    """Link with `trackpy.link` as it is: nearest neighbours and memory, no prediction."""
    trackpy.quiet()
    linked = trackpy.link(detections, search_range_px, pos_columns=["x", "y"], memory=config.memory)
    return drop_settled(linked, config)


def best_plain_link(
    detections: pd.DataFrame, true: pd.DataFrame, config: LinkConfig
) -> tuple[float, TrackScore, float]:
    """Return the search range that suits plain linking best, its score and its CPU time, s."""
    results = []
    for search_range in SEARCH_RANGES_PX:
        start = time.process_time()
        signal.signal(signal.SIGALRM, _give_up)
        signal.alarm(LONGEST_S)
        try:
            linked = plain_link(detections, search_range, config)
        except (trackpy.SubnetOversizeException, TimeoutError):
            break
        finally:
            signal.alarm(0)
        results.append(
            (float(search_range), score_tracks(true, linked), time.process_time() - start)
        )
    return max(results, key=lambda result: result[1].jsc_theta)


def spoil(
    true: pd.DataFrame,
    seed: int,
    *,
    shape: tuple[int, int],
    jitter_px: float = 0.4,
    missed: float = 0.1,
    clutter: float = 0.1,
) -> pd.DataFrame:
    """Return true positions as a detector might see them: inexact, incomplete, with false alarms.

    Half of the false alarms are anywhere, half next to true particles.
    """
    rng = np.random.default_rng(seed)
    seen = true.loc[rng.random(len(true)) >= missed, ["frame", "x", "y"]].copy()
    seen[["x", "y"]] += rng.normal(0, jitter_px, (len(seen), 2))
    n = int(clutter * len(true))
    false = true[["frame", "x", "y"]].sample(n, random_state=seed)
    far = rng.random(n) < 0.5
    false.loc[far, "x"] = rng.uniform(0, shape[1], int(far.sum()))
    false.loc[far, "y"] = rng.uniform(0, shape[0], int(far.sum()))
    false.loc[~far, ["x", "y"]] += rng.normal(0, 15, (int((~far).sum()), 2))
    return pd.concat([seen, false]).sort_values("frame", kind="stable").reset_index(drop=True)


def compare(name: str, detections: pd.DataFrame, true: pd.DataFrame, config: LinkConfig) -> None:
    """Print both linkers' scores."""
    start = time.process_time()
    result = link_detections(detections, config)
    moving = drop_settled(result.particles, config)
    seconds = time.process_time() - start
    lines = [("pitflow", config.search_range_px, score_tracks(true, moving), seconds)]
    lines.append(("trackpy.link", *best_plain_link(detections, true, config)))
    for linker, search_range, score, cpu in lines:
        print(
            f"{name:<24}{linker:<14}{search_range:>6.0f}{score.jsc_theta:>11.3f}{score.jsc:>8.3f}"
            f"{score.alpha:>8.3f}{score.beta:>8.3f}{score.rmse_px:>8.2f}{score.n_found:>8d}"
            f"{score.n_true:>7d}{cpu:>8.1f}"
        )
    for note in result.notes:
        print(f"    {note}")


def worlds(n: int, config: LinkConfig) -> None:
    """Compare on simulated worlds: sparse, dense, fast."""
    from pitflow.simulate.config import MotionConfig, SimulateConfig
    from pitflow.simulate.world import simulate_world

    kinds = {
        "usual": SimulateConfig(frames=200, height=1126, width=1120, pits=5),
        "dense": SimulateConfig(frames=100, height=700, width=700, pits=5, rate=1.5),
        "fast": SimulateConfig(
            frames=200,
            height=1126,
            width=1120,
            pits=5,
            motion=MotionConfig(speed_px=14.0, flight_frames=40.0),
        ),
        "bursts": SimulateConfig(
            frames=200,
            height=1126,
            width=1120,
            pits=5,
            motion=MotionConfig(stray_burst_share=0.3),
        ),
    }
    for kind, simulated in kinds.items():
        for seed in range(n):
            true = simulate_world(simulated, seed).tables["particles"]
            detections = spoil(true, seed, shape=(simulated.height, simulated.width))
            per_frame = len(detections) / simulated.frames
            compare(f"{kind} {seed} ({per_frame:.0f}/frame)", detections, true, config)


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, nargs="?", help="run directory")
    parser.add_argument("--truth", type=Path, help="folder of truth for the run")
    parser.add_argument("--simulate", type=int, metavar="N", help="N worlds of each kind")
    parser.add_argument("--config", type=Path, help="TOML configuration")
    arguments = parser.parse_args()
    config = load_config(arguments.config).link
    print(
        f"{'':<24}{'linker':<14}{'range':>6}{'JSC-theta':>11}{'JSC':>8}{'alpha':>8}{'beta':>8}"
        f"{'RMSE':>8}{'tracks':>8}{'true':>7}{'CPU s':>8}"
    )
    if arguments.simulate:
        worlds(arguments.simulate, config)
    elif arguments.run and arguments.truth:
        detections = pd.read_parquet(arguments.run / "parts" / "segment" / "detections.parquet")
        compare(
            arguments.run.name, detections, read_truth(arguments.truth).tables["particles"], config
        )
    else:
        parser.error("give a run and --truth, or --simulate N")


if __name__ == "__main__":
    main()
