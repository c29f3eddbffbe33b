"""Calibration in the terminal."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pitflow.console.bar import Bar


def calibrate_with_progress(
    stack: Path,
    output: Path,
    positions: Path | None,
    step_um: float | None,
    focus_um: float | None,
    config: Path | None,
    *,
    as_json: bool,
) -> None:
    """Calibrate, and print the result and where it is."""
    from pitflow.calibration import calibrate, facts, in_words
    from pitflow.config import load_config

    with Bar() as bar:
        calibration = calibrate(
            stack,
            output,
            positions=positions,
            step_um=step_um,
            focus_um=focus_um,
            config=load_config(config).segment.change,
            progress=bar,
        )
    if as_json:
        sys.stdout.write(json.dumps(facts(calibration), indent=2) + "\n")
        return
    sys.stdout.write(f"{in_words(calibration.fit)}\n{calibration.toml}\n{calibration.figure}\n")
