"""Scoring a run against known truth: detections, tracks, pits, angles, lag, events and heights.

Truth is written in the tables' own columns, so scoring is a join.
"""

from pitflow.score.against import Score, as_json, render_text, score_run, score_tables
from pitflow.score.tracking import TrackScore, score_tracks
from pitflow.score.truth import Truth, read_tables, read_truth

__all__ = [
    "Score",
    "TrackScore",
    "Truth",
    "as_json",
    "read_tables",
    "read_truth",
    "render_text",
    "score_run",
    "score_tables",
    "score_tracks",
]
