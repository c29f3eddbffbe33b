"""Print the README's table of the network's speed on a GPU.

    python benchmarks/inference_gpu.py --workdir /tmp/bench --workers 16

On frames of one simulated recording: the published inference (as in ``benchmarks/inference.py``),
and ``unet`` as a run uses it, from frames to measured particles, on several blocks at a time. Times
are of the clock. How long the GPU had nothing to do is read from its driver (``nvidia-ml-py``).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from inference import clip_options, paper_tiles, read, simulate

from pitflow.acquire.background import StoredScene
from pitflow.compute import Compute
from pitflow.config import ChangeConfig, PitConfig, UNetConfig
from pitflow.domains.particles.model import load_model
from pitflow.domains.particles.recipes import PAPER
from pitflow.domains.particles.relative import full_scale
from pitflow.domains.particles.segmenter import UNetSegmenter, models_on
from pitflow.frame import Frame
from pitflow.segment.classical.change import ChangeSegmenter
from pitflow.segment.dense import DensePredictor
from pitflow.segment.devices import Execution, choose_execution
from pitflow.segment.networks import build_network
from pitflow.segment.pits import find_pits
from pitflow.segment.protocol import Segmenter

_SAMPLE_S = 0.1


@contextmanager
def idle_share(device: torch.device, since: Callable[[], bool]) -> Iterator[list[float]]:
    """Give a list that holds, in the end, the share of the time that the GPU had nothing to do."""
    busy: list[float] = []
    share: list[float] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_SAMPLE_S):
            if since():
                busy.append(torch.cuda.utilization(device) / 100)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield share
    finally:
        over.set()
        watcher.join()
        share.append(1 - float(np.mean(busy)) if busy else float("nan"))


def seconds_per(times: int, function: Callable[[], object]) -> float:
    """Return the time that a call takes on the GPU, when it is warm."""
    function()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(times):
        function()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / times


def segmented(segmenter: Segmenter, frames: list[Frame], scene: StoredScene, _: int) -> int:
    """Segment a block of frames that no other has seen, and return how many they are."""
    fresh = [replace(frame, image=frame.image.copy()) for frame in frames]
    return sum(1 for _ in segmenter.segment(fresh, scene))


def main() -> None:
    """Measure and print."""
    parser = clip_options(__doc__.splitlines()[0], frames=24)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--workers", type=int, default=Compute().workers, help="blocks at a time")
    parser.add_argument("--blocks", type=int, default=3, help="blocks for each of them")
    parser.add_argument(
        "--nth-tile", type=int, default=9, help="the paper's is timed on every nth tile"
    )
    options = parser.parse_args()
    options.workdir.mkdir(parents=True, exist_ok=True)
    scene, frames = read(simulate(options.workdir, options.frames, options.size, options.seed))
    image = full_scale(frames[0].image)
    execution = choose_execution(options.device)
    single = Execution(execution.device)
    print(torch.cuda.get_device_name(execution.device), f"- {options.workers} blocks at a time\n")
    print("| | frames/s | GPU idle |\n|---|---|---|")

    network = build_network(PAPER.network, len(PAPER.channels), len(PAPER.classes)).eval()
    placed = single.place(network)
    every = paper_tiles(image)
    tiles = [torch.from_numpy(tile.copy())[None, None] for tile in every[:: options.nth_tile]]

    def one_by_one() -> None:
        with torch.inference_mode():
            for tile in tiles:
                placed(tile.to(execution.device)).sigmoid().cpu()

    def row(name: str, frames_per_second: float, idle: str = "") -> None:
        print(f"| {name} | {frames_per_second:.1f} | {idle} |", flush=True)

    seconds = seconds_per(2, one_by_one) * len(every) / len(tiles)
    row("the paper's network, 441 tiles one by one", 1 / seconds)
    dense = DensePredictor(network, PAPER.tile_px, execution=execution, halo=0)
    batches = seconds_per(4, lambda: dense.predict(image[None]))
    row("the same over the frame in batches, half precision", 1 / batches)

    loaded = load_model(options.model)
    ours = execution.place(loaded.network)
    height, width = (-(-side // loaded.network.multiple) for side in scene.shape)
    shape = height * loaded.network.multiple, width * loaded.network.multiple
    whole = torch.randn(
        1, len(loaded.card.channels), *shape, device=execution.device, dtype=execution.dtype
    ).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        row("our network alone, whole frames", 1 / seconds_per(20, lambda: ours(whole)))

    pits = find_pits(scene, PitConfig(), frames[-9:])
    config = UNetConfig(model=options.model, device=options.device)
    models_on(config.model, config.device, config.precision)
    compute = Compute(workers=options.workers)

    def measured(segmenter: Segmenter) -> tuple[float, float]:
        """Return the frames per second, and the share of the time in which the GPU is idle.

        From when every worker has done its first block: until then processes start.
        """
        moments: list[float] = []
        with idle_share(execution.device, since=lambda: len(moments) >= options.workers) as idle:
            compute.map(
                partial(segmented, segmenter, frames, scene),
                range(options.workers * (1 + options.blocks)),
                lambda _, n: moments.append(time.perf_counter()),
                in_python=True,
            )
        taken = moments[-1] - moments[options.workers - 1]
        return options.workers * options.blocks * len(frames) / taken, idle[0]

    for name, gate in (("`unet`", config.gate), ("the same with its gate", True)):
        segmenter = UNetSegmenter(config.model_copy(update={"gate": gate}), ChangeConfig(), pits)
        frames_per_second, idle = measured(segmenter)
        row(name, frames_per_second, f"{100 * idle:.0f} %")
    frames_per_second, _ = measured(ChangeSegmenter(ChangeConfig(), pits))
    row("`change`, for comparison", frames_per_second)


if __name__ == "__main__":
    main()
