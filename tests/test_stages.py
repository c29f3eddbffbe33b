"""What stages tell their code, which does not see it: frames that were lost, and the drift."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pitflow import schema
from pitflow.compute import Compute, Silent
from pitflow.config import Config
from pitflow.provenance import RunFolder
from pitflow.stages.job import Job
from pitflow.stages.link import link

FRAMES = 30
DRIFT_PX = 40.0
"""The stage jumps so far to the right, after frame 15: further than any link reaches."""


def drift(frame: np.ndarray) -> np.ndarray:
    return np.where(frame > 15, DRIFT_PX, 0.0)


def seen(frames: list[int], score: float = 0.9) -> pd.DataFrame:
    """A particle that moves by 3 px per frame, where the frames show it."""
    frame = np.array(frames, np.int64)
    x = 50 + 3.0 * frame + drift(frame)
    return pd.DataFrame({"frame": frame, "x": x, "y": 50.0, "score": score})


def linked(
    folder: Path, quality: dict[int, str], detections: pd.DataFrame, glimpses: pd.DataFrame
) -> pd.DataFrame:
    """Return what the stage makes of detections and glimpses."""
    frame = np.arange(FRAMES)
    frames = pd.DataFrame(
        {
            "frame": frame,
            "time_s": frame / 15,
            "quality": [quality.get(int(number), "ok") for number in frame],
            "gain": 1.0,
            "n_particles": 0,
            "shift_x_px": drift(frame),
            "shift_y_px": 0.0,
        }
    )
    run = RunFolder(folder)
    for stage in ("acquire", "segment", "link"):
        run.parts(stage).mkdir(parents=True)
    job = Job(None, run, Config(), Compute(1), Silent())
    run.manifest.recording = {"n_frames": FRAMES, "height": 100, "width": 300, "fps": 15.0}
    schema.write_table(frames, schema.FRAMES, job.table("acquire", "frames"))
    detections.to_parquet(job.table("segment", "detections"))
    glimpses.to_parquet(job.table("segment", "glimpses"))
    pixels = schema.empty_table(schema.PIT_PIXELS)
    schema.write_table(pixels, schema.PIT_PIXELS, run.table("pit_pixels"))
    link(job)
    return pd.read_parquet(job.table("link", "particles"))


@pytest.mark.parametrize("quality", ["gap", "damaged", "duplicate"])
def test_frames_in_which_nothing_was_looked_for_are_no_misses(tmp_path: Path, quality: str) -> None:
    """Frames 5 to 7 cost nothing; the three after them are true misses, and more would be a gap."""
    track = seen([*range(5), *range(11, 25)])
    lost = dict.fromkeys((5, 6, 7), quality)
    nothing = seen([])
    assert linked(tmp_path / "lost", lost, track, nothing)["particle"].max() == 0
    assert linked(tmp_path / "seen", {}, track, nothing)["particle"].max() == 1


def test_tracks_and_glimpses_are_freed_of_the_drift_and_get_it_back(tmp_path: Path) -> None:
    """Seen from frame 10 to 28 and glimpsed before that and in frame 20; the stage jumps at 16."""
    at = [frame for frame in range(10, 29) if frame != 20]
    detections, glimpses = seen(at), seen([8, 9, 20], score=0.01)
    particles = linked(tmp_path, {}, detections, glimpses)
    assert particles["particle"].tolist() == [0] * 21
    expected = pd.concat([detections, glimpses]).sort_values("frame")
    found = particles.sort_values("frame")
    assert found["frame"].tolist() == expected["frame"].tolist()
    np.testing.assert_allclose(found["x"], expected["x"])


def test_a_particle_of_the_last_frames_is_kept_though_it_is_in_no_track(tmp_path: Path) -> None:
    """Frames 26 and 27 can be trusted, the last two cannot; another one is seen in frame 20 alone.

    A track takes four detections, so what begins in frame 26 is in none.
    """
    lost = dict.fromkeys((28, 29), "gap")
    particles = linked(tmp_path, lost, seen([20, 26, 27]), seen([]))
    assert particles["frame"].tolist() == [26, 27]
    assert particles["particle"].tolist() == [-1, -1]
    nowhere = dict.fromkeys(range(FRAMES), "gap")
    assert linked(tmp_path / "gap", nowhere, seen([]), seen([])).empty
