"""A recording on disk: its frames survive the codec, its truth lies beside it."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import av
import numpy as np
import pytest
import tifffile

from pitflow import schema
from pitflow.errors import UserError
from pitflow.simulate.config import SimulateConfig
from pitflow.simulate.render import render
from pitflow.simulate.simulate import simulate
from pitflow.simulate.world import simulate_world

TINY = SimulateConfig(frames=5, height=51, width=70, pits=1)
TINY_16 = TINY.model_copy(update={"bits": 16})
EVEN = TINY.model_copy(update={"height": 64, "width": 80})


def _grey(path: Path) -> list[np.ndarray]:
    """Decode the Y plane as it is stored, without any conversion."""
    images = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            plane = frame.planes[0]
            lines = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
            depth = 2 if frame.format.name == "gray16le" else 1
            rows = np.ascontiguousarray(lines[: frame.height, : frame.width * depth])
            images.append(rows.view(np.uint16 if depth == 2 else np.uint8))
    return images


@pytest.mark.parametrize(
    ("name", "codec", "config", "tolerance"),
    [
        ("a.mkv", None, TINY, 0),
        ("b.mkv", None, TINY_16, 0),
        ("c.avi", "ffv1", TINY_16, 0),
        ("d.avi", "raw", TINY, 0),
        ("e.avi", None, TINY, 2.0),
        ("f.mp4", None, EVEN, 2.5),
    ],
)
def test_grey_levels_survive_the_codec(
    tmp_path: Path, name: str, codec: str | None, config: SimulateConfig, tolerance: float
) -> None:
    config = config.model_copy(update={"codec": codec})
    world = simulate(tmp_path / name, config, None, seed=7)
    decoded, drawn = _grey(tmp_path / name), list(render(world))
    assert len(decoded) == config.frames
    for seen, true in zip(decoded, drawn, strict=True):
        assert seen.dtype == true.dtype
        difference = seen.astype(float) - true
        assert np.abs(difference).mean() <= tolerance
        # A limited-range conversion would compress the levels and shift the mean.
        assert abs(difference.mean()) <= 0.2 * tolerance
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_frame_rate_is_kept(tmp_path: Path) -> None:
    config = TINY.model_copy(update={"fps": 12.5})
    simulate(tmp_path / "a.avi", config, None)
    with av.open(str(tmp_path / "a.avi")) as container:
        assert float(container.streams.video[0].average_rate) == 12.5


def test_snapshots_in_a_folder_and_in_a_zip_are_the_frames(tmp_path: Path) -> None:
    world = simulate(tmp_path / "frames", TINY_16, None)
    simulate(tmp_path / "frames.zip", TINY_16, None)
    drawn = list(render(world))
    files = sorted((tmp_path / "frames").iterdir())
    np.testing.assert_array_equal([tifffile.imread(file) for file in files], drawn)
    with zipfile.ZipFile(tmp_path / "frames.zip") as archive:
        members = [
            tifffile.imread(io.BytesIO(archive.read(name))) for name in sorted(archive.namelist())
        ]
    np.testing.assert_array_equal(members, drawn)


def test_truth_is_complete_and_readable(tmp_path: Path) -> None:
    world = simulate(tmp_path / "a.avi", TINY, tmp_path / "truth", seed=9)
    for name, data in world.tables.items():
        read = schema.read_table(tmp_path / "truth" / f"{name}.parquet", schema.TABLES[name])
        assert len(read) == len(data)
    truth = json.loads((tmp_path / "truth" / "truth.json").read_text())
    assert truth["seed"] == 9
    assert truth["shape"] == [51, 70]
    assert truth["lag_frames"] == 10
    assert SimulateConfig.model_validate(truth["config"]) == TINY


def test_true_particles_stand_where_their_frames_show_them(tmp_path: Path) -> None:
    config = TINY.model_copy(update={"camera": TINY.camera.model_copy(update={"drift_px": 9.0})})
    world = simulate(tmp_path / "a.avi", config, tmp_path / "truth", seed=9)
    seen = schema.read_table(tmp_path / "truth" / "particles.parquet", schema.PARTICLES)
    still, frames = world.tables["particles"], world.tables["frames"]
    assert frames["shift_x_px"].abs().max() > 1
    drift = frames.set_index("frame")["shift_x_px"].loc[still["frame"]].to_numpy()
    np.testing.assert_allclose(seen["x"], still["x"] + drift)


def test_the_number_of_workers_changes_nothing(tmp_path: Path) -> None:
    for workers in (1, 3):
        simulate(tmp_path / f"{workers}.mkv", TINY, tmp_path / f"truth{workers}", workers=workers)
    np.testing.assert_array_equal(_grey(tmp_path / "1.mkv"), _grey(tmp_path / "3.mkv"))
    for name in simulate_world(TINY, 0).tables:
        first, second = (tmp_path / f"truth{w}" / f"{name}.parquet" for w in (1, 3))
        assert first.read_bytes() == second.read_bytes()


def test_progress_counts_every_frame(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    simulate(
        tmp_path / "a.mkv", TINY, None, progress=lambda done, total: told.append((done, total))
    )
    assert told == [(count, 5) for count in range(1, 6)]


@pytest.mark.parametrize(
    ("name", "changes", "told"),
    [
        ("a.wmv", {}, "cannot write '.wmv'"),
        ("a.avi", {"bits": 16}, "8 bits, not 16"),
        ("a.avi", {"codec": "h264"}, "does not go into .avi"),
        ("a.mp4", {"height": 51}, "even sides"),
        ("folder", {"codec": "mjpeg"}, "does not go into a folder"),
    ],
)
def test_what_does_not_go_together_is_told_before_any_work(
    tmp_path: Path, name: str, changes: dict[str, object], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        simulate(tmp_path / name, TINY.model_copy(update=changes), None)
    assert not list(tmp_path.iterdir())


def test_an_existing_file_is_kept_unless_told(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    path.write_text("precious")
    with pytest.raises(UserError, match="is there already"):
        simulate(path, TINY, None)
    assert path.read_text() == "precious"
    simulate(path, TINY, None, overwrite=True)
    assert len(_grey(path)) == 5


def test_an_interrupted_recording_leaves_nothing_behind(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(tmp_path / "a.avi", TINY, None, progress=stop)
    assert not list(tmp_path.iterdir())


def test_an_unwritable_place_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        simulate(tmp_path / "file" / "a.avi", TINY, None)
    with pytest.raises(UserError, match="cannot be written"):
        simulate(tmp_path / "a.avi", TINY, tmp_path / "file" / "truth")
