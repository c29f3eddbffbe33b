"""One simulated recording, detected, linked and measured, beside its truth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from pitflow.config import FocusConfig, LinkConfig, MeasureConfig
from pitflow.link.settle import drop_settled
from pitflow.link.tracks import link_detections
from pitflow.measure.measure import measure_all
from pitflow.simulate.config import SimulateConfig
from pitflow.simulate.world import simulate_world
from pitflow.validate.detection import detect_particles, detect_pits

_ROW = "row"
"""Number of a detection before any is dropped."""


@dataclass(frozen=True)
class Recording:
    """What was simulated and what was measured of it.

    Parameters
    ----------
    config, seed:
        What the world was made from.
    truth:
        Its tables by name, in the geometry of the first frame.
    tables:
        The measured tables by name, as a run writes them.
    origin:
        True particle of each row of the measured particles table, -1 none.
    """

    config: SimulateConfig
    seed: int
    truth: dict[str, pd.DataFrame]
    tables: dict[str, pd.DataFrame]
    origin: npt.NDArray[np.int64]

    def particle_of(self) -> pd.Series:
        """Return the true particle behind most detections of each track, by track number."""
        number = self.tables["particles"]["particle"].to_numpy(dtype=np.int64)
        pairs = pd.DataFrame({"track": number, "particle": self.origin})
        pairs = pairs[(pairs["track"] >= 0) & (pairs["particle"] >= 0)]
        counts = pairs.value_counts(["track", "particle"]).reset_index()
        return counts.drop_duplicates("track").set_index("track")["particle"]


def record(config: SimulateConfig, seed: int, measure: MeasureConfig | None = None) -> Recording:
    """Simulate, detect, link and measure one recording; the same for the same seed."""
    world = simulate_world(config, seed)
    rng = np.random.default_rng([seed, 1])
    found, origin = detect_particles(
        world.tables["particles"], world.tables["frames"], world.tables["pits"], rng
    )
    pit_pixels = detect_pits(world.tables["pit_pixels"], rng)
    linking = LinkConfig()
    linked = link_detections(found.assign(**{_ROW: np.arange(len(found))}), linking).particles
    moving = drop_settled(linked, linking)
    row = moving.pop(_ROW).to_numpy(dtype=np.int64)
    tables = measure_all(
        moving,
        pit_pixels,
        world.tables["frames"],
        config=measure or MeasureConfig(),
        um_per_px=config.um_per_px,
        fps=config.fps,
        shape=(config.height, config.width),
        seed=seed,
    )
    return Recording(config, seed, world.tables, tables, origin[row])


GROWTH = SimulateConfig()
"""Ejection follows growth by 10 frames, everything else as `pitflow simulate` has it."""
UNIFORM = SimulateConfig(law="uniform")
"""Particles leave in all directions alike, whatever the growth."""

_OPTICS = FocusConfig(sigma0_px=GROWTH.optics.sigma0_px, k_px_per_um=GROWTH.optics.k_px_per_um)
"""The calibration that a z-stack through these optics would give."""

record_growth = partial(record, GROWTH, measure=MeasureConfig(focus=_OPTICS))
record_uniform = partial(record, UNIFORM)
