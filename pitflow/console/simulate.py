"""Simulation in the terminal."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pitflow.console.bar import Bar


def simulate_with_progress(
    out: Path,
    truth: Path | None,
    seed: int,
    config: Path | None,
    options: dict[str, Any],
    workers: int | None,
    *,
    overwrite: bool,
) -> None:
    """Render a recording; ``options`` that are not None go over the file's values."""
    from pitflow.config import build, read_toml
    from pitflow.simulate.config import SimulateConfig
    from pitflow.simulate.simulate import simulate

    values = {} if config is None else read_toml(config)
    values |= {name: value for name, value in options.items() if value is not None}
    parameters = build(SimulateConfig, values, where=config or "simulate")
    with Bar() as bar:
        bar.start("simulate", parameters.frames)
        simulate(
            out,
            parameters,
            truth,
            seed=seed,
            workers=workers or os.cpu_count() or 1,
            progress=lambda done, total: bar.advance(),
            overwrite=overwrite,
        )
        bar.finish(str(out))
