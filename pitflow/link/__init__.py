"""Detections to tracks."""

from pitflow.link.glimpses import PitTimes, take_up_glimpses
from pitflow.link.settle import drop_settled
from pitflow.link.tracks import LinkResult, link_detections

__all__ = ["LinkResult", "PitTimes", "drop_settled", "link_detections", "take_up_glimpses"]
