"""Print how long a photograph of a coated panel takes, from file to numbers, overlay and page.

    python benchmarks/panels_speed.py --threads 2

By colour, and with each network of paper 000 at the recipes' own size and at that of the photograph
(random weights take as long as trained ones). Seconds on the clock depend on what else the machine
does; CPU seconds hardly do.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import torch

from pitflow.domains.panels.assess import Method, assess_panels, choose_method
from pitflow.domains.panels.assessed import AssessConfig
from pitflow.domains.panels.model import PanelModel
from pitflow.domains.panels.recipes import ARCHITECTURES, SIZE_PX, adapted, panel_recipe, title
from pitflow.domains.training import new_card, new_network
from pitflow.segment.devices import Execution, choose_execution
from pitflow.simulate.panel import PanelConfig, render_panel


def write_photographs(folder: Path, n: int, side: int) -> list[Path]:
    """Render panels of different creep."""
    paths = []
    for number in range(n):
        config = PanelConfig(
            height=side, width=side, creep_left_mm=0.5 + number / 2, spots=4, stains=2, shading=0.3
        )
        path = folder / f"panel-{number}.png"
        cv2.imwrite(str(path), render_panel(config, seed=number).image[..., ::-1])
        paths.append(path)
    return paths


def with_network(name: str, side: int, execution: Execution) -> tuple[str, Method]:
    """Return the method that a network of Table I gives, and what to call it."""
    recipe = adapted(panel_recipe(name), size=side)
    model = PanelModel(new_network(recipe).eval(), new_card(recipe), execution=execution)
    called = f"{title(recipe).removesuffix(' + FTL')}, {side} px"
    return called, Method(name, lambda _, image: model.mask(image))


def seconds(run: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds on the clock and of the processor that a call takes."""
    wall, used = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - used


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--side", type=int, default=640, help="of the photographs, px")
    parser.add_argument("--photographs", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    execution = choose_execution("cpu")
    methods = [("colour", choose_method("colour"))]
    methods.append(("panels (included)", choose_method("panels")))
    for name in ARCHITECTURES:
        # Attention takes the cube of the side: at that of the photograph, nobody would wait for it.
        for side in (SIZE_PX,) if name == "medt" else (SIZE_PX, options.side):
            methods.append(with_network(name, side, execution))
    print(
        f"{options.photographs} photographs of {options.side} px, {options.threads} threads, "
        f"{str(execution.dtype).removeprefix('torch.')}; each, from file to page:"
    )
    print(f"{'':<26}{'s':>7}{'CPU s':>8}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        paths = write_photographs(folder, options.photographs, options.side)
        config = AssessConfig(0.1)
        for number, (name, method) in enumerate(methods):
            # What is loaded on first use is no part of a photograph's time.
            assess_panels(paths[:1], folder / f"first-{number}", config, method)
            out = folder / f"out-{number}"
            wall, used = (
                value / len(paths)
                for value in seconds(lambda m=method, o=out: assess_panels(paths, o, config, m))
            )
            print(f"{name:<26}{wall:>7.2f}{used:>8.2f}", flush=True)


if __name__ == "__main__":
    main()
