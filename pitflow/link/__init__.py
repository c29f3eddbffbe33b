"""Detections to tracks."""

from pitflow.link.settle import drop_settled
from pitflow.link.tracks import LinkResult, link_detections

__all__ = ["LinkResult", "drop_settled", "link_detections"]
