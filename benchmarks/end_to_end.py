"""Print the README's table of speed, memory and accuracy for a whole run.

    python benchmarks/end_to_end.py --workdir /tmp/bench

Simulates a full-size clip (and a five times longer one), runs ``pitflow run`` on each in a process
of its own, runs ``trackpy.batch`` on frames of the same clip beside it, and scores the run against
the truth. Existing clips in the work folder are used again; runs are always made anew.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import shutil
import subprocess
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from command import pitflow


@dataclass(frozen=True)
class Usage:
    """What a command took: wall seconds, and peak memory in GiB."""

    wall_s: float
    peak_gib: float


def measure(command: list[str]) -> Usage:
    """Run a command in a process of its own and return what it and its helpers took."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    together = 0
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        together = max(together, resident(watched))
        time.sleep(0.2)
    wall = time.perf_counter() - start
    if process.returncode != 0:
        raise SystemExit(f"failed: {' '.join(command)}")
    return Usage(wall, together / 2**30)


def resident(process: psutil.Process) -> int:
    """Bytes that a process and its children hold now."""
    total = 0
    with contextlib.suppress(psutil.Error):
        for one in (process, *process.children(recursive=True)):
            total += one.memory_info().rss
    return total


def simulate(workdir: Path, name: str, frames: int, size: str, seed: int) -> tuple[Path, Path]:
    """Render a clip unless it is there; return it and its truth."""
    video, truth = workdir / f"{name}.avi", workdir / f"{name}-truth"
    if not video.exists():
        options = ("--truth", truth, "--seed", seed, "--frames", frames, "--size", size)
        used = measure(pitflow("simulate", video, *options))
        print(f"simulated {frames} frames of {size}: {frames / used.wall_s:.1f} frames/s")
    return video, truth


def trackpy_fps(video: Path, frames: int, processes: int) -> float:
    """Frames per second of ``trackpy.batch`` on the first frames of the clip."""
    import trackpy

    from pitflow.acquire.opening import open_source

    images = [image for _, image, _ in open_source(video).read(0, frames)]
    stack = np.stack([image for image in images if image is not None])
    trackpy.quiet()
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trackpy.batch(stack, diameter=11, invert=True, processes=processes)
    return len(stack) / (time.perf_counter() - start)


def children_cpu_s() -> float:
    """CPU seconds of all commands so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=Path, default=Path("bench"))
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--long", type=int, default=1500, help="frames of the long clip; 0: none")
    parser.add_argument("--size", default="2252x2240")
    parser.add_argument("--seed", type=int, default=101)
    parser.add_argument("--trackpy-frames", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--segmenter", default="unet")
    options = parser.parse_args()
    options.workdir.mkdir(parents=True, exist_ok=True)

    chosen = ("--segmenter", options.segmenter)
    rows: list[tuple[str, str]] = []
    video, truth = simulate(options.workdir, "clip", options.frames, options.size, options.seed)
    folder = options.workdir / "clip.pitflow"
    shutil.rmtree(folder, ignore_errors=True)
    used = measure(pitflow("run", video, "-o", folder, "--workers", options.workers, *chosen))
    fps = options.frames / used.wall_s
    rows.append((f"whole run, `{options.segmenter}`", f"{fps:.1f} frames/s"))
    rows.append((f"peak memory, {options.frames} frames", f"{used.peak_gib:.2f} GiB"))
    for processes in (1, options.workers):
        baseline = trackpy_fps(video, options.trackpy_frames, processes)
        rows.append((f"`trackpy.batch`, {processes} process(es)", f"{baseline:.2f} frames/s"))
        rows.append(("whole run over that", f"{fps / baseline:.1f} x"))

    if options.long:
        long_video, _ = simulate(
            options.workdir, "long", options.long, options.size, options.seed + 1
        )
        long_folder = options.workdir / "long.pitflow"
        shutil.rmtree(long_folder, ignore_errors=True)
        used = measure(pitflow("run", long_video, "-o", long_folder, "--no-frames", *chosen))
        rows.append((f"peak memory, {options.long} frames", f"{used.peak_gib:.2f} GiB"))

    before = children_cpu_s()
    measure(pitflow("--help"))
    rows.append(("`pitflow --help`", f"{children_cpu_s() - before:.2f} s of CPU time"))
    print()
    for name, value in rows:
        print(f"| {name} | {value} |")
    print()
    score = subprocess.run(
        pitflow("score", folder, "--truth", truth), check=True, capture_output=True, text=True
    )
    print(score.stdout)


if __name__ == "__main__":
    main()
