"""Moving particles: blobs that are darker than what lies under them, at any size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pitflow.config import ChangeConfig
from pitflow.frame import Frame
from pitflow.scene import Scene
from pitflow.segment.classical.blobs import find_seeds
from pitflow.segment.classical.darkening import Look, looks
from pitflow.segment.classical.marking import mark_particles, without_particles
from pitflow.segment.classical.window import windows
from pitflow.segment.pit_map import PitMap
from pitflow.segment.protocol import Segmentation


class ChangeSegmenter:
    """Time-local background difference and scale-space blobs.

    Parameters
    ----------
    config:
        Threshold and scales.
    pits:
        The recording's pits.
    """

    name = "change"
    in_order = False

    def __init__(self, config: ChangeConfig, pits: PitMap) -> None:
        self._config = config
        self._pits = pits

    def segment(self, frames: Iterable[Frame], scene: Scene) -> Iterator[Segmentation]:
        """Yield one result per frame."""
        for look in looks(windows(frames, scene), scene, self._pits, self._config):
            yield self._segmented(look)

    def _segmented(self, look: Look) -> Segmentation:
        darkening = look.darkening
        if darkening is None:
            return without_particles(look)
        threshold = self._config.threshold
        seeds = find_seeds(darkening.pyramid, darkening.noise, threshold)
        score = seeds.snr**2 / (seeds.snr**2 + threshold**2)
        return mark_particles(look, darkening, seeds, score)
