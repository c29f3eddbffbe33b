"""Print how well particles are found where a recording differs from what the network has learned.

    python benchmarks/particles_conditions.py --workdir /tmp/bench [CONDITION ...]

Small simulated recordings of one seed, which differ in one thing each, are analysed by ``pitflow
run`` and compared with their truth by ``pitflow score``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

from command import pitflow

SEED = 4242
BASE = {"frames": 80, "height": 720, "width": 720, "pits": 3, "rate": 0.4}

CONDITIONS = {
    "as usual": "",
    "stage shakes, 1 px": "camera.shake_px = 1.0",
    "stage drifts, 8 px": "camera.drift_px = 8.0",
    "light flickers, 2 %": "camera.flicker = 0.02",
    "light drifts, 20 %": "camera.gain_drift = 0.2",
    "light falls off by half": "steel.shading = 0.5",
    "H.264": 'codec = "h264"',
    "16 bits": 'codec = "tiff"\nbits = 16',
    "scratches 2.5 times as deep": "steel.scratches = 2.5",
    "5 times as many specks": "steel.specks_per_mpx = 2500.0",
    "noise 6 of 256": "noise = 6.0",
    "steel at a third of the range": "steel.brightness = 0.35",
    "particles transparent": "optics.opacity = [0.15, 0.3]",
    "particles half as wide": "optics.radius_px = 0.9",
    "particles 2.5 times as wide": "optics.radius_px = 4.0",
    "blur in focus, 1.8 px": "optics.sigma0_px = 1.8",
    "three times as high": "motion.height_um = 40.0",
    "fast, 12 px a frame": "motion.speed_px = 12.0",
    "slow, 1 px a frame": "motion.speed_px = 1.0\nmotion.flight_frames = 100.0",
    "very slow, 0.4 px a frame": (
        "frames = 240\nrate = 0.05\nmotion.speed_px = 0.4\nmotion.flight_frames = 150.0"
    ),
    "crowded": "rate = 1.5\npits = 6",
    "discs out of focus": 'optics.defocus = "disc"',
    "rings out of focus": 'optics.defocus = "ring"',
    "rings, three times as high": 'optics.defocus = "ring"\nmotion.height_um = 40.0',
}
"""What differs, by the parameters of ``pitflow simulate``."""

FILES = {"H.264": "clip.mp4", "16 bits": "clip.zip"}
COLUMNS = {
    "F1 >= 0.07": ("contrast >=0.07", "f1"),
    "0.035 to 0.07": ("contrast 0.035-0.07", "f1"),
    "< 0.035": ("contrast <0.035", "f1"),
    "precision": ("all", "precision"),
    "near rims, contrast >= 0.07": ("near rims, contrast >=0.07", "recall"),
}


def printed(*arguments: object) -> str:
    """Run a command of the program and return what it prints."""
    command = pitflow(*arguments)
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def settings(changes: str) -> str:
    """Return the TOML of a recording: what is usual, and what differs."""
    usual = "\n".join(
        f"{name} = {value}" for name, value in BASE.items() if name not in tomllib.loads(changes)
    )
    return f"{usual}\n{changes}\n"


def scores(folder: Path, condition: str, segmenter: str) -> dict[str, Any]:
    """Return the scores of detection of a condition's recording, made unless it is there."""
    folder.mkdir(parents=True, exist_ok=True)
    video, truth, config = (
        folder / FILES.get(condition, "clip.avi"),
        folder / "truth",
        folder / "clip.toml",
    )
    if not truth.exists():
        config.write_text(settings(CONDITIONS[condition]), encoding="utf-8")
        printed("simulate", video, "--truth", truth, "--seed", SEED, "--config", config)
    run = folder / f"{segmenter}.pitflow"
    printed("run", video, "-o", run, "--segmenter", segmenter)
    found: dict[str, Any] = json.loads(printed("score", run, "--truth", truth, "--json"))
    return dict(found["sections"]["detection"])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=Path, default=Path("bench"))
    parser.add_argument("--segmenter", default="unet")
    parser.add_argument("conditions", nargs="*", metavar="CONDITION", help="default: all of them")
    options = parser.parse_args()
    print(f"| {options.segmenter} | {' | '.join(COLUMNS)} |\n|{'---|' * (len(COLUMNS) + 1)}")
    for number, condition in enumerate(CONDITIONS):
        if options.conditions and condition not in options.conditions:
            continue
        found = scores(options.workdir / f"condition-{number}", condition, options.segmenter)
        values = (found[row][column] for row, column in COLUMNS.values())
        print(f"| {condition} | {' | '.join(f'{value:.3f}' for value in values)} |", flush=True)


if __name__ == "__main__":
    main()
