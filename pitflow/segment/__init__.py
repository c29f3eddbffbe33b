"""Frames to class maps and detections."""
