"""The names by which a user chooses a segmenter."""

from __future__ import annotations

from collections.abc import Callable

from pitflow.config import SegmentConfig
from pitflow.errors import UserError
from pitflow.segment.change import ChangeSegmenter
from pitflow.segment.clahe import ClaheSegmenter
from pitflow.segment.pits import PitMap
from pitflow.segment.protocol import Segmenter
from pitflow.segment.report_chain import ReportSegmenter

SEGMENTERS: dict[str, Callable[[SegmentConfig, PitMap], Segmenter]] = {
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
    check_name(config.segmenter)
    return SEGMENTERS[config.segmenter](config, pits)


def check_name(name: str) -> None:
    """Refuse a name that no segmenter has.

    Raises
    ------
    UserError
        With the names that are known.
    """
    if name not in SEGMENTERS:
        raise UserError(f"unknown segmenter {name!r}", hint=f"known: {', '.join(SEGMENTERS)}")
