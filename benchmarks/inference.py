"""Print the README's table of the network's speed.

    python benchmarks/inference.py --workdir /tmp/bench

Side by side, on frames of one simulated recording: the published inference (a U-Net with a
timm-efficientnet-b0 encoder on 441 tiles of 200 px, enlarged to 224, one by one), the same network
in batches, and ``unet`` everywhere and with its gate, from frame to measured particles. Times are
CPU seconds of one thread, so that what else the machine does hardly counts; frames per second are
what as many cores as are asked for give by that.
"""

from __future__ import annotations

import argparse
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
import zarr
from command import pitflow

from pitflow.acquire.acquire import acquire_blocks, first_good_frame
from pitflow.acquire.background import StoredScene
from pitflow.acquire.blocks import plan_blocks
from pitflow.acquire.frames import FrameReader
from pitflow.acquire.opening import open_source
from pitflow.acquire.quality import FrameCheck
from pitflow.acquire.registration import Registration
from pitflow.config import AcquireConfig, ChangeConfig, PitConfig, UNetConfig
from pitflow.domains.particles.recipes import PAPER
from pitflow.domains.particles.relative import full_scale
from pitflow.domains.particles.segmenter import UNetSegmenter
from pitflow.frame import Frame
from pitflow.segment.classical.change import ChangeSegmenter
from pitflow.segment.dense import DensePredictor
from pitflow.segment.devices import Execution, choose_execution
from pitflow.segment.gate import gate_loss
from pitflow.segment.networks import build_network
from pitflow.segment.pits import find_pits
from pitflow.segment.protocol import Segmenter

PAPER_STRIDE = 100


def simulate(workdir: Path, frames: int, size: str, seed: int) -> Path:
    """Render a clip unless it is there."""
    video = workdir / f"inference-{frames}.avi"
    if not video.exists():
        options = ("--frames", frames, "--size", size, "--seed", seed)
        subprocess.run(pitflow("simulate", video, *options), check=True)
    return video


def read(video: Path) -> tuple[StoredScene, list[Frame]]:
    """Return the scene and frames of a clip, as a run has them."""
    source, config = open_source(video), AcquireConfig()
    _, reference = first_good_frame(source, 0, source.n_frames)
    blocks = plan_blocks(0, source.n_frames, config.block_frames)
    backgrounds = zarr.zeros((len(blocks), *source.shape), dtype=source.dtype)
    frames = acquire_blocks(
        source, blocks, config, Registration(reference), FrameCheck(reference), None, backgrounds
    )
    scene = StoredScene(backgrounds, frames, reference, config.block_frames)
    return scene, list(FrameReader(source, None, frames).read(0, source.n_frames))


def cpu_seconds(function: Callable[[], object]) -> float:
    """Return the CPU time of a call; the first, which makes code for the processor, is not it."""
    function()
    start = time.process_time()
    function()
    return time.process_time() - start


def paper_tiles(image: np.ndarray) -> list[np.ndarray]:
    """Return the paper's 441 tiles of a frame: 21 x 21, those beyond left out as it did."""
    tile = PAPER.tile_px
    corners = range(0, 21 * PAPER_STRIDE, PAPER_STRIDE)
    return [image[y : y + tile, x : x + tile] for y in corners for x in corners]


def clip_options(description: str, frames: int) -> argparse.ArgumentParser:
    """Return a parser of what is simulated, and of the model that looks at it."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--workdir", type=Path, default=Path("bench"))
    parser.add_argument("--frames", type=int, default=frames)
    parser.add_argument("--size", default="2252x2240")
    parser.add_argument("--seed", type=int, default=303)
    parser.add_argument("--model", default="particles")
    return parser


def main() -> None:
    """Measure and print."""
    parser = clip_options(__doc__.splitlines()[0], frames=16)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument(
        "--tiles", type=int, default=16, help="tiles of a frame that the paper's is timed on"
    )
    options = parser.parse_args()
    options.workdir.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    scene, frames = read(simulate(options.workdir, options.frames, options.size, options.seed))
    image = full_scale(frames[0].image)
    rows: list[tuple[str, float]] = []

    network = build_network(PAPER.network, len(PAPER.channels), len(PAPER.classes)).eval()
    tiles = paper_tiles(image)
    timed = [torch.from_numpy(tile.copy())[None, None] for tile in tiles[: options.tiles]]

    def one_by_one() -> None:
        with torch.inference_mode():
            for tile in timed:
                network(tile).sigmoid()

    seconds = cpu_seconds(one_by_one) * len(tiles) / len(timed)
    rows.append(("the paper's network, 441 tiles one by one", seconds))
    # On processors without instructions for bfloat16 both are the same.
    for execution in dict.fromkeys((Execution(torch.device("cpu")), choose_execution("cpu"))):
        dense = DensePredictor(network, PAPER.tile_px, execution=execution, halo=0)
        kind = str(execution.dtype).removeprefix("torch.")
        plan = list(dense.plan(scene.shape))
        some = plan[: options.tiles]
        seconds = cpu_seconds(lambda dense=dense, some=some: dense.predict(image[None], some))
        seconds *= len(plan) / len(some)
        rows.append((f"the same over the frame in batches, {kind}", seconds))

    pits = find_pits(scene, PitConfig(), frames[-9:])
    gated, whole = UNetConfig(model=options.model, device="cpu"), "`unet` without its gate"
    ours: dict[str, Segmenter] = {
        whole: UNetSegmenter(gated.model_copy(update={"gate": False}), ChangeConfig(), pits),
        "`unet`": UNetSegmenter(gated, ChangeConfig(), pits),
        "`change`, for comparison": ChangeSegmenter(ChangeConfig(), pits),
    }
    taken: dict[str, float] = {}
    searches = []
    for name, segmenter in ours.items():
        # The first frame warms up, for all of them.
        results = segmenter.segment(frames, scene)
        next(results)
        start = time.process_time()
        done = list(results)
        taken[name] = (time.process_time() - start) / len(done)
        if name == "`unet`":
            searches = [result.search for result in done if result.search is not None]
    rows += taken.items()

    print(
        "| | CPU s per frame | frames/s on "
        f"{options.cores} cores | times as fast as the paper's |\n|---|---|---|---|"
    )
    slowest = rows[0][1]
    for name, seconds in rows:
        print(
            f"| {name} | {seconds:.3f} | {options.cores / seconds:.2f} | "
            f"{slowest / seconds:.0f} x |"
        )
    print(f"\n{gate_loss(searches)}")


if __name__ == "__main__":
    main()
