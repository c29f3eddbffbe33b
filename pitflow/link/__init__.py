"""Detections to tracks."""

from pitflow.link.tracks import LinkResult, link_detections

__all__ = ["LinkResult", "link_detections"]
