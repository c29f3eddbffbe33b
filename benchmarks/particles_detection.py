"""How many particles of simulated recordings the network finds, frame by frame, before linking.

    python benchmarks/particles_detection.py -o WORKDIR [--model particles]

Simulates three recordings (seeds that nothing was trained on), shows the network twelve frames of
each as a run would, and matches the centres that it finds to the truth within 5 px.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from pitflow.domains.particles.channels import make_channels
from pitflow.domains.particles.clips import open_clip, read_clip, signal_to_noise
from pitflow.domains.particles.model import ParticleModel, load_model
from pitflow.score import detection
from pitflow.segment.centres import find_centres
from pitflow.segment.devices import choose_execution
from pitflow.simulate.config import SimulateConfig
from pitflow.simulate.simulate import simulate
from pitflow.simulate.truth import as_seen

SEEDS = (1001, 1002, 1003)
GATE_PX, RIM_PX = 5.0, 40.0
BESIDE_PX = 8.0
N_FRAMES = 12
_CLIP = 100_000


def main() -> None:
    """Simulate what is not there yet, find particles, and print the scores."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("-o", "--output", type=Path, required=True, help="working folder")
    options.add_argument("--model", default="particles")
    given = options.parse_args()
    model = load_model(given.model, execution=choose_execution("auto"))
    config = SimulateConfig(frames=100, height=900, width=900, pits=3)
    given.output.mkdir(parents=True, exist_ok=True)
    true, found = [], []
    for number, seed in enumerate(SEEDS):
        truth = given.output / f"clip-{seed}"
        if not truth.exists():
            simulate(truth.with_suffix(".avi"), config, truth, seed=seed)
        for table, rows in zip((true, found), _clip(model, truth), strict=True):
            table.append(rows.assign(frame=rows["frame"] + number * _CLIP))
    report(pd.concat(true, ignore_index=True), pd.concat(found, ignore_index=True))


def _clip(model: ParticleModel, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the true and the found particles of the frames looked at, with rim distances."""
    world = open_clip(folder).world
    place = model.card.classes.index("centre")
    pictures = read_clip(folder, N_FRAMES)
    numbers = [int(picture.name.split()[-1]) for picture in pictures]
    tables = []
    for number, picture, probability in zip(
        numbers,
        pictures,
        model.probabilities(picture.views for picture in pictures),
        strict=True,
    ):
        centres = find_centres(probability[place], model.card.thresholds[place])
        darker = cv2.GaussianBlur(-make_channels(("background",), picture.views)[0] / 10, (0, 0), 1)
        tables.append(
            pd.DataFrame(
                {
                    "frame": number,
                    "x": centres.place[:, 0].astype(float),
                    "y": centres.place[:, 1].astype(float),
                    "contrast": darker[centres.row, centres.column],
                }
            )
        )
    seen = as_seen(world.tables["particles"], world.tables["frames"])
    seen = seen[seen["frame"].isin(numbers)]
    seen = seen.assign(snr=signal_to_noise(seen, world.config), apart_px=apart(seen))
    pits, growth = world.tables["pits"], world.tables["growth"]
    seen, found = (
        table.assign(rim=detection.rim_distance(table, pits, growth))
        for table in (seen, pd.concat(tables, ignore_index=True))
    )
    return seen, found


def apart(particles: pd.DataFrame) -> np.ndarray:
    """Return how far each particle is from the nearest other one of its frame, px."""
    nearest = pd.Series(np.inf, particles.index)
    for _, of_frame in particles.groupby("frame"):
        if len(of_frame) > 1:
            places = of_frame[["x", "y"]].to_numpy()
            nearest[of_frame.index] = cKDTree(places).query(places, k=2)[0][:, 1]
    return nearest.to_numpy()


def report(true: pd.DataFrame, found: pd.DataFrame) -> None:
    """Print the scores by contrast and near rims."""
    matches = detection.match_particles(true, found, GATE_PX)
    rows = detection.count_by_bin(
        matches, true["contrast"], found["contrast"], detection.CONTRAST_BINS
    )
    near, found_near = ((table["rim"] <= RIM_PX).to_numpy() for table in (true, found))
    clear, found_clear = ((table["contrast"] >= 0.035).to_numpy() for table in (true, found))
    rows["within 40 px of a rim"] = detection.count_matches(matches, near, found_near)
    rows["the same, contrast 0.035 and more"] = detection.count_matches(
        matches, near & clear, found_near & found_clear
    )
    print("| | F1 | recall | precision | n |\n|---|---|---|---|---|")
    for name, row in rows.items():
        cells = (row.f1, row.recall, row.precision)
        print(
            f"| {name} | " + " | ".join(f"{cell:.3f}" for cell in cells),
            f"| {row.found + row.missed} |",
        )
    print(f"\nmedian position error {np.median(matches.distance):.2f} px\n")
    is_found = np.zeros(len(true), bool)
    is_found[matches.true] = True
    alone, snr = (true["apart_px"] >= BESIDE_PX).to_numpy(), true["snr"].to_numpy()
    print("| within 40 px of a rim | recall | n |\n|---|---|---|")
    for name, chosen in (
        (f"another within {BESIDE_PX:g} px", ~alone),
        ("none, stands out by 15 sigma and more", alone & (snr >= 15)),
        ("none, by 8 to 15", alone & (snr >= 8) & (snr < 15)),
        ("none, by less", alone & (snr < 8)),
    ):
        chosen &= near
        print(f"| {name} | {is_found[chosen].mean():.3f} | {chosen.sum()} |")


if __name__ == "__main__":
    main()
