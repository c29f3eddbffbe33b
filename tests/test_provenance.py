"""Run directories resume, refuse and remember."""

from pathlib import Path

import pytest
from filelock import FileLock

from pitflow.config import Config
from pitflow.errors import UserError
from pitflow.provenance import RunFolder, fingerprint, open_run, select, stage_key


def test_the_key_of_a_stage_follows_parameters_code_and_needs() -> None:
    base = stage_key("link", {"memory": 3}, "code", ["a"])
    assert base == stage_key("link", {"memory": 3}, "code", ["a"])
    changed = [
        stage_key("link", {"memory": 4}, "code", ["a"]),
        stage_key("link", {"memory": 3}, "other", ["a"]),
        stage_key("link", {"memory": 3}, "code", ["b"]),
    ]
    assert len({base, *changed}) == 4


def test_select_returns_sections_and_single_values() -> None:
    config = Config()
    assert select(config, "acquire.um_per_px") == 0.48
    assert select(config, "link") == config.link.model_dump()


def test_a_fingerprint_tells_content_not_name(tmp_path: Path) -> None:
    one, two, three = tmp_path / "a.avi", tmp_path / "b.avi", tmp_path / "c.avi"
    one.write_bytes(b"x" * 1000)
    two.write_bytes(b"x" * 1000)
    three.write_bytes(b"x" * 999 + b"y")
    marks = [fingerprint(path, [path]) for path in (one, two, three)]
    assert marks[0] == marks[1] != marks[2]


def test_the_fingerprint_of_a_folder_covers_its_frames_and_nothing_else(tmp_path: Path) -> None:
    frames = [tmp_path / f"{number}.png" for number in range(3)]
    for frame in frames:
        frame.write_bytes(frame.name.encode())
    mark = fingerprint(tmp_path, frames)
    (tmp_path / "snaps.pitflow").mkdir()
    (tmp_path / "snaps.pitflow" / "figure.png").touch()
    assert fingerprint(tmp_path, reversed(frames)) == mark
    assert fingerprint(tmp_path, frames[:2]) != mark
    changed = frames[1].read_bytes()[::-1]
    frames[1].write_bytes(changed)
    assert fingerprint(tmp_path, frames) != mark


def test_a_run_that_was_opened_earlier_sees_what_was_written_since(tmp_path: Path) -> None:
    early, other = RunFolder(tmp_path), RunFolder(tmp_path)
    with other.open_for_writing():
        other.describe(tmp_path / "a.avi", "one", Config())
    with early.open_for_writing(), pytest.raises(UserError, match=r"another recording \(a.avi\)"):
        early.describe(tmp_path / "b.avi", "two", Config())


def test_a_damaged_run_can_be_overwritten(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.manifest_file.write_text("{")
    with pytest.raises(UserError, match="--overwrite"), run.open_for_writing():
        pass
    with run.open_for_writing(overwrite=True):
        run.clear()
        run.describe(tmp_path / "a.avi", "one", Config())


def test_a_stage_is_done_under_its_key_only_and_parts_of_another_key_are_dropped(
    tmp_path: Path,
) -> None:
    run = RunFolder(tmp_path / "run")
    with run.open_for_writing():
        run.begin("link", "key1")
        part = run.parts("link") / "part"
        part.touch()
        run.begin("link", "key1")
        assert part.exists()
        assert not run.is_done("link", "key1")
        run.end("link", 1.0, ["adapted"], [])
        assert run.is_done("link", "key1")
        assert not run.is_done("link", "key2")
        run.begin("link", "key2")
        assert not part.exists()


def test_the_manifest_survives_the_process(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with run.open_for_writing():
        run.describe(tmp_path / "a.avi", "mark", Config())
        run.begin("link", "key")
        run.end("link", 1.0, ["adapted"], ["careful"])
    again = open_run(tmp_path)
    assert again.is_done("link", "key")
    assert again.manifest.notes == ["adapted"]
    assert again.manifest.warnings == ["careful"]
    assert again.manifest.versions["numpy"]


def test_two_recordings_never_share_a_folder(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with run.open_for_writing():
        run.describe(tmp_path / "a.avi", "one", Config())
        with pytest.raises(UserError, match="run of another recording"):
            run.describe(tmp_path / "b.avi", "two", Config())


def test_a_second_process_is_turned_away(tmp_path: Path) -> None:
    with (
        FileLock(tmp_path / ".lock"),
        pytest.raises(UserError, match="another pitflow is at work"),
        RunFolder(tmp_path).open_for_writing(),
    ):
        pass


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with (
        pytest.raises(UserError, match="holds no run"),
        RunFolder(tmp_path).open_for_writing(),
    ):
        pass
    assert (tmp_path / "thesis.tex").exists()


def test_clearing_removes_a_run_and_nothing_else(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with run.open_for_writing():
        run.describe(tmp_path / "a.avi", "one", Config())
        run.table("pits").parent.mkdir()
        run.table("pits").touch()
        (tmp_path / "my notes.txt").touch()
    again = RunFolder(tmp_path)
    with again.open_for_writing():
        again.clear()
    assert {path.name for path in tmp_path.iterdir()} <= {"my notes.txt", ".lock"}


def test_a_file_as_output_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.touch()
    with (
        pytest.raises(UserError, match="the output is a file"),
        RunFolder(place).open_for_writing(),
    ):
        pass


def test_a_folder_without_a_run_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run here"):
        open_run(tmp_path)
