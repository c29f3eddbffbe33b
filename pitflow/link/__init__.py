"""Detections to tracks."""
