"""The names by which a user chooses a segmenter."""

from __future__ import annotations

from collections.abc import Callable

from pitflow.config import SegmentConfig
from pitflow.errors import UserError
from pitflow.segment.classical.change import ChangeSegmenter
from pitflow.segment.classical.clahe import ClaheSegmenter
from pitflow.segment.classical.report_chain import ReportSegmenter
from pitflow.segment.pit_map import PitMap
from pitflow.segment.protocol import Segmenter


def _unet(config: SegmentConfig, pits: PitMap) -> Segmenter:
    # The classical ones must not wait for torch to load.
    from pitflow.domains.particles.segmenter import UNetSegmenter

    return UNetSegmenter(config.unet, config.change, pits)


SEGMENTERS: dict[str, Callable[[SegmentConfig, PitMap], Segmenter]] = {
    "unet": _unet,
    "change": lambda config, pits: ChangeSegmenter(config.change, pits),
    "clahe": lambda config, pits: ClaheSegmenter(config.clahe, pits),
    "report": lambda config, pits: ReportSegmenter(config.report, pits),
}


def create_segmenter(config: SegmentConfig, pits: PitMap) -> Segmenter:
    """Return the segmenter that the configuration names.

    Raises
    ------
    UserError
        If no segmenter has that name.
    """
    _check_name(config.segmenter)
    return SEGMENTERS[config.segmenter](config, pits)


def check_segmenter(config: SegmentConfig) -> None:
    """Refuse a segmenter, model or device that is not there, and a model for something else.

    Raises
    ------
    UserError
        With what there is.
    """
    _check_name(config.segmenter)
    if config.segmenter == "unet":
        from pitflow.domains.particles.model import check_model
        from pitflow.segment.devices import choose_device

        check_model(config.unet.model)
        choose_device(config.unet.device)


def _check_name(name: str) -> None:
    if name not in SEGMENTERS:
        raise UserError(f"unknown segmenter {name!r}", hint=f"known: {', '.join(SEGMENTERS)}")
