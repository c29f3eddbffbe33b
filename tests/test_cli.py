"""The command line: help, bad input in one line, batches, options, machine-readable output."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pandas as pd
import pytest

from pitflow import __version__, schema
from pitflow.acquire.opening import open_source
from pitflow.cli import main
from pitflow.config import load_config
from pitflow.errors import UserError
from pitflow.results import open_results
from pitflow.simulate.config import SimulateConfig
from pitflow.simulate.simulate import simulate

COMMANDS = (
    "run",
    "simulate",
    "simulate-panels",
    "score",
    "info",
    "report",
    "export",
    "train particles",
    "particle-study",
    "evaluate",
    "segment",
    "validate",
    "panel",
    "panel-study",
    "train panel",
    "annotate",
    "sem",
    "sem-study",
    "train sem",
    "calibrate",
    "compare",
)


@dataclass(frozen=True)
class Outcome:
    """What a call left: its exit code and its lines."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        return self.err.splitlines()


Call = Callable[..., Outcome]


@pytest.fixture
def call(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Call:
    """Run the command line in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Outcome:
        capfd.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = int(stop.code or 0)
        return Outcome(code, *capfd.readouterr())

    return run


@pytest.fixture
def clip(small_clip: Path, tmp_path: Path) -> Path:
    """A sound recording in the working folder."""
    return Path(shutil.copy(small_clip, tmp_path / "clip.avi"))


@pytest.fixture
def quick(tmp_path: Path) -> Path:
    """Parameters that make a run quick: no SVG."""
    path = tmp_path / "quick.toml"
    path.write_text("[report]\nsvg = false\n")
    return path


def assert_refused(outcome: Outcome, *said: str) -> None:
    """It is one clear line, and exit code 2."""
    assert outcome.code == 2
    assert outcome.out == ""
    assert len(outcome.errors) == 1, outcome.err
    assert outcome.err.startswith("pitflow: ")
    for text in said:
        assert text in outcome.err


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(call: Call, command: str) -> None:
    for flag in ("--help", "-h"):
        outcome = call(*command.split(), flag)
        assert outcome.code == 0
        assert f"Example:  pitflow {command} " in outcome.out
        assert outcome.err == ""


def test_help_names_every_command(call: Call) -> None:
    outcome = call("--help")
    assert outcome.code == 0
    assert all(command.split()[0] in outcome.out for command in COMMANDS)
    assert "Example:  pitflow run video.avi" in outcome.out


@pytest.mark.parametrize("command", COMMANDS)
def test_where_results_go_needs_not_be_said(call: Call, command: str) -> None:
    lines = [line.strip(" │") for line in call(*command.split(), "--help").out.splitlines()]
    assert not [line for line in lines if line.startswith("*") and "--output" in line]


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from pitflow.cli import main\n"
        "try:\n"
        f"    main({arguments!r})\n"
        "except SystemExit as stop:\n"
        "    assert not stop.code\n"
        "heavy = {'torch', 'matplotlib', 'pandas', 'numpy', 'cv2', 'scipy', 'dask', 'zarr', 'av'}\n"
        "print('loaded', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded []"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run",), "Missing argument"),
        (("run", "a.avi", "--workers", 0), "--workers"),
        (("run", "a.avi", "--fps", "fast"), "--fps"),
        (("run", "a.avi", "--nonsense"), "No such option: --nonsense"),
        (("analyse", "a.avi"), "No such command 'analyse'"),
        (("train", "particles", "-o"), "-o"),
    ],
)
def test_a_command_line_that_is_wrong_is_one_clear_line(
    call: Call, arguments: tuple[object, ...], said: str
) -> None:
    assert_refused(call(*arguments), said, "--help")


def test_a_command_without_arguments_shows_its_help(call: Call) -> None:
    for arguments in ((), ("train",)):
        shown = call(*arguments)
        assert shown.code == 2
        assert "Usage: pitflow" in shown.err + shown.out
        assert "see pitflow" not in shown.err


def test_the_package_is_the_command_too(tmp_path: Path) -> None:
    def call_package(*arguments: str) -> subprocess.CompletedProcess[str]:
        called = [sys.executable, "-m", "pitflow", *arguments]
        return subprocess.run(called, capture_output=True, text=True, check=False)

    version = call_package("--version")
    assert (version.returncode, version.stdout) == (0, f"pitflow {__version__}\n")
    refused = call_package("info", str(tmp_path / "missing.avi"))
    assert refused.returncode == 2
    assert refused.stderr.startswith("pitflow: ")


def _write_text(path: Path) -> None:
    path.write_text("These are my notes on the recording of Tuesday.\n")


def _write_nothing(path: Path) -> None:
    path.touch()


def _write_no_frames(path: Path) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=15)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        container.start_encoding()


def _write_folder(path: Path) -> None:
    path.mkdir()
    (path / "notes.txt").touch()


def _write_empty_zip(path: Path) -> None:
    zipfile.ZipFile(path, "w").close()


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("missing.avi", None, "no such file or folder"),
        ("notes.avi", _write_text, "not a video that can be read"),
        ("empty.avi", _write_nothing, "the file is empty"),
        ("blank.avi", _write_no_frames, ""),
        ("folder", _write_folder, "no images in it"),
        ("empty.zip", _write_empty_zip, ""),
        ("line\nbreak.avi", _write_text, "line\\nbreak.avi"),
    ],
)
def test_what_is_no_recording_is_refused(
    call: Call,
    tmp_path: Path,
    name: str,
    write: Callable[[Path], None] | None,
    message: str,
) -> None:
    if write is not None:
        write(tmp_path / name)
    shown = name.replace("\n", "\\n")
    assert_refused(call("run", name, "-o", "out"), shown, message)
    assert not (tmp_path / "out").exists()
    assert_refused(call("info", name), shown, message)


@pytest.mark.parametrize("place", ["clip.avi/out", "/proc/out", "clip.avi"])
def test_an_output_that_cannot_be_written_is_refused(call: Call, clip: Path, place: str) -> None:
    before = clip.read_bytes()
    assert_refused(call("run", clip, "-o", place), place, "-o")
    assert clip.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[segment]\nsegmentor = 'change'\n", ("segmentor", "known keys there: segmenter")),
        ("[acquire]\nfps = 'fast'\n", ("acquire.fps", "'fast'")),
        ("[acquire\n", ("not a TOML file",)),
        (None, ("cannot read the configuration",)),
    ],
)
def test_a_configuration_with_a_fault_is_refused(
    call: Call, clip: Path, text: str | None, said: tuple[str, ...]
) -> None:
    if text is not None:
        Path("config.toml").write_text(text)
    assert_refused(call("run", clip, "--config", "config.toml"), "config.toml", *said)
    assert not Path("clip.pitflow").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--frames", "5"], ["--frames", "write A:B"]),
        (["--frames", "9:3"], ["--frames", "empty range"]),
        (["--frames", "0:31"], ["which has 30"]),
        (["--um-per-px", "-0.48"], ["um_per_px", "greater than 0"]),
        (["--um-per-px", "inf"], ["um_per_px", "finite"]),
        (["--fps", "0"], ["fps", "greater than 0"]),
        (["--segmenter", "magic"], ["'magic'", "known: ", "change"]),
        (["--model", "nowhere"], ["nowhere", "no model"]),
        (
            ["--model", "panels"],
            ["is a model for panels, not for particles", "`pitflow panel --model`"],
        ),
        (["--model", "."], ["cannot read the model's card"]),
    ],
)
def test_a_bad_option_of_run_is_refused_before_any_work(
    call: Call, clip: Path, options: list[str], said: list[str]
) -> None:
    assert_refused(call("run", clip, *options), *said)
    assert not Path("clip.pitflow").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--size", "200"], ["--size", "HEIGHTxWIDTH"]),
        (["--size", "0x200"], ["height", "greater than or equal to 16"]),
        (["--law", "chance"], ["law", "'growth', 'vonmises' or 'uniform'"]),
        (["--codec", "divx"], ["codec", "'mjpeg'"]),
        (["--codec", "tiff"], ["codec tiff does not go into .avi"]),
        (["--bits", "12"], ["bits"]),
        (["--frames", "0"], ["frames"]),
        (["--config", "missing.toml"], ["missing.toml"]),
    ],
)
def test_a_bad_option_of_simulate_is_refused(
    call: Call, options: list[str], said: list[str]
) -> None:
    assert_refused(call("simulate", "out.avi", *options), *said)
    assert not list(Path().iterdir())


def test_a_recording_that_is_there_is_not_simulated_over(call: Call, clip: Path) -> None:
    before = clip.read_bytes()
    outcome = call("simulate", clip, "--frames", 1, "--size", "32x32")
    assert_refused(outcome, "is there already", "--overwrite")
    assert clip.read_bytes() == before


def test_a_recording_that_was_cut_short_is_run_as_far_as_it_goes_and_it_says_so(
    call: Call, small_clip: Path, tmp_path: Path
) -> None:
    whole = small_clip.read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[: len(whole) // 2])
    done = call("run", "cut.avi", "--segmenter", "change")
    assert done.code == 0
    assert "the file ends early: " in done.out + done.err
    assert " of its 30 frames can be read" in done.out + done.err


def test_scores_need_a_run_and_a_truth(call: Call, small_clip: Path, small_run: Path) -> None:
    assert_refused(call("score", "nowhere", "--truth", small_clip.parent / "truth"), "no run here")
    assert_refused(call("score", small_run, "--truth", "nowhere"), "nowhere", "no such folder")
    truth, gate = small_clip.parent / "truth", ("--gate", 0)
    assert_refused(call("score", small_run, "--truth", truth, *gate), "gate")


@pytest.mark.parametrize("command", ["report", "info", "export"])
def test_what_is_no_run_is_refused(call: Call, command: str) -> None:
    assert_refused(call(command, "nowhere"), "nowhere")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "clip.avi", "--quick"], "--quick"),
        (["run"], "Missing argument"),
        (["run", "clip.avi", "--workers", "0"], "--workers"),
        (["run", "clip.avi", "--fps", "fast"], "--fps"),
        (["score", "clip.pitflow"], "--truth"),
        (["analyse", "clip.avi"], "analyse"),
    ],
)
def test_usage_errors_say_what_is_wrong(call: Call, arguments: list[str], said: str) -> None:
    outcome = call(*arguments)
    assert outcome.code == 2
    assert said in outcome.err
    assert "Traceback" not in outcome.err


def test_one_bad_recording_does_not_keep_the_others(
    call: Call, clip: Path, quick: Path, tmp_path: Path
) -> None:
    _write_text(tmp_path / "notes.avi")
    shutil.copy(clip, tmp_path / "second [b] ü.avi")
    videos = ("notes.avi", clip, "second [b] ü.avi")
    outcome = call("run", *videos, "-o", "out", "--config", quick, "--frames", "0:12")
    assert outcome.code == 2
    reports = [Path("out/clip.pitflow/report.html"), Path("out/second [b] ü.pitflow/report.html")]
    assert outcome.out.splitlines() == [str(path) for path in reports]
    assert all(path.is_file() for path in reports)
    assert [line for line in outcome.errors if line.startswith("pitflow: ")] == [
        line for line in outcome.errors if "notes.avi" in line
    ]
    assert f"report     {reports[1]}" in outcome.errors


@pytest.mark.skipif(sys.platform != "linux", reason="only here a file may have any bytes as name")
def test_a_name_that_is_no_text(call: Call, clip: Path, quick: Path) -> None:
    strange = clip.rename(clip.with_name("b\udce4nder.avi"))
    assert_refused(call("run", strange, "-o", "b\udce4nder"), "not UTF-8", "-o")
    outcome = call("run", strange, "--config", quick, "--frames", "0:12")
    assert outcome.code == 0
    assert outcome.out == "b?nder.pitflow/report.html\n"
    assert "b?nder.avi" in Path("b?nder.pitflow/report.html").read_text(encoding="utf-8")
    assert call("report", "b?nder.pitflow").code == 0


def test_two_recordings_never_write_to_one_folder(call: Call, clip: Path) -> None:
    shutil.copy(clip, clip.with_suffix(".mov"))
    assert_refused(call("run", clip, clip.with_suffix(".mov")), "clip.pitflow", "-o")


def test_a_part_of_the_frames_without_storing_them(call: Call, clip: Path, quick: Path) -> None:
    outcome = call(
        "run", clip, "--config", quick, "--frames", "9:21", "--no-frames", "--um-per-px", "1.2",
        "--fps", "30", "--segmenter", "clahe", "--workers", "1",
    )  # fmt: skip
    assert outcome.code == 0
    assert outcome.out == "clip.pitflow/report.html\n"
    assert not Path("clip.pitflow/video.zarr").exists()
    frames = open_results("clip.pitflow").table("frames")
    assert frames["frame"].tolist() == list(range(9, 21))
    np.testing.assert_allclose(frames["time_s"], frames["frame"] / 30)
    used = load_config(Path("clip.pitflow/config.toml"))
    assert (used.acquire.um_per_px, used.acquire.fps) == (1.2, 30)
    assert (used.acquire.start, used.acquire.stop) == (9, 21)
    assert used.segment.segmenter == "clahe"


def test_a_mistyped_name_does_not_cost_the_run_that_is_there(call: Call, small_run: Path) -> None:
    shutil.copytree(small_run, "kept.pitflow")
    assert_refused(call("run", "mistyped.avi", "-o", "kept.pitflow", "--overwrite"), "mistyped.avi")
    assert len(open_results("kept.pitflow").table("frames")) == 30


def test_the_run_of_another_recording_is_kept(call: Call, clip: Path, small_run: Path) -> None:
    shutil.copytree(small_run, "kept.pitflow")
    call("simulate", "other.avi", "--frames", 3, "--size", "160x200", "--seed", 9)
    refused = call("run", "other.avi", "-o", "kept.pitflow")
    assert_refused(refused, "another recording (small.avi)", "--overwrite")


def test_info_of_a_run_is_json(call: Call, small_run: Path) -> None:
    facts = json.loads(call("info", small_run, "--json").out)
    assert facts["recording"]["n_frames"] == 30
    assert set(facts["stages"].values()) == {"done"}
    tables = {table["name"]: table for table in facts["tables"]}
    assert set(tables) == set(schema.TABLES)
    speed = next(c for c in tables["particles"]["columns"] if c["name"] == "speed_um_s")
    assert speed == {"name": "speed_um_s", "type": "double", "unit": "um/s", "meaning": "speed"}


def test_info_of_a_recording_is_json(call: Call, small_clip: Path) -> None:
    facts = json.loads(call("info", small_clip, "--json").out)
    assert facts["frames"] == 30
    assert facts["size"] == "200 x 160 px"
    assert facts["quality"] == {"ok": 30}


def test_info_explains_the_columns(call: Call, small_run: Path) -> None:
    outcome = call("info", small_run)
    assert outcome.code == 0
    for table in schema.TABLES.values():
        assert f"{table.name}: " in outcome.out
    assert "um/s" in outcome.out


def test_an_option_that_changes_nothing_is_told(call: Call, clip: Path, quick: Path) -> None:
    options = ("--segmenter", "change", "--no-gate", "--current-offset", 2, "--config", quick)
    outcome = call("run", clip, "-o", "run.pitflow", *options)
    assert outcome.code == 0
    told = [line for line in outcome.errors if line.startswith("pitflow: ")]
    assert [line.split(": ")[1] for line in told] == ["--no-gate", "--current-offset"]


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.ENOSPC, "make room"), (errno.EACCES, "who may read"), (errno.EROFS, "another place")],
)
def test_a_disk_that_refuses_is_one_clear_line(
    call: Call, monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), "clip.avi")

    monkeypatch.setattr("pitflow.console.recordings.print_info", refuse)
    assert_refused(call("info", "clip.avi"), "clip.avi", os.strerror(number), said)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_recording_that_may_not_be_used_does_not_keep_the_others(
    call: Call, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def run(video: Path, folder: Path, *_: object, **__: object) -> Path:
        if video.stem == "locked":
            raise OSError(number, os.strerror(number), str(video))
        return folder / "report.html"

    def may_not_look(path: Path) -> bool:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr("pitflow.run.run", run)
    monkeypatch.setattr(Path, "is_dir", may_not_look)
    outcome = call("run", "locked.avi", "open.avi", "--segmenter", "change")
    assert outcome.code == 2
    assert outcome.out.splitlines() == [str(Path("open.pitflow", "report.html"))]
    assert [line for line in outcome.errors if "locked.avi" in line] == outcome.errors


def test_a_simulation_that_cannot_be_written_is_one_clear_line(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("pitflow.simulate.output._VideoWriter.write", refuse)
    outcome = call("simulate", "locked.avi", "--frames", "1", "--size", "32x32", "--pits", "0")
    assert_refused(outcome, "locked.avi", os.strerror(errno.EACCES))


def test_a_damaged_table_says_what_to_do(call: Call, small_run: Path) -> None:
    shutil.copytree(small_run, "damaged.pitflow")
    Path("damaged.pitflow/tables/pits.parquet").write_bytes(b"PAR1")
    for command in ("info", "report"):
        assert_refused(call(command, "damaged.pitflow"), "pits.parquet", "delete it")


def test_tracks_are_exported(call: Call, small_run: Path) -> None:
    particles = pd.read_parquet(small_run / "tables" / "particles.parquet")
    tracks = particles[particles["particle"] >= 0]
    assert call("export", small_run, "-o", "new/tracks.csv").out == "new/tracks.csv\n"
    assert len(pd.read_csv("new/tracks.csv")) == len(tracks)
    outcome = call("export", small_run)
    assert outcome.out == f"{small_run.stem}-tracks.xml\n"
    spots = list(ElementTree.parse(outcome.out.strip()).iter("Spot"))
    assert len(spots) == len(tracks) > 0
    assert_refused(call("export", small_run, "-o", "tracks.mat"), "--output", ".xml")
    assert_refused(
        call("export", small_run, "-o", "new/tracks.csv/tracks.csv"), "cannot be written"
    )


def test_scores_as_text_and_as_json(call: Call, small_clip: Path, small_run: Path) -> None:
    truth = small_clip.parent / "truth"
    scores = json.loads(call("score", small_run, "--truth", truth, "--json").out)
    assert {"detection", "pits", "ejections"} <= set(scores["sections"])
    assert "DETECTION" in call("score", small_run, "--truth", truth).out


def test_the_report_is_written_again(call: Call, small_run: Path) -> None:
    shutil.copytree(small_run, "again.pitflow")
    Path("again.pitflow/report.html").unlink()
    outcome = call("report", "again.pitflow")
    assert outcome.code == 0
    assert outcome.out == "again.pitflow/report.html\n"
    assert Path("again.pitflow/report.html").is_file()


def test_simulate_writes_the_recording_and_its_truth(call: Call) -> None:
    outcome = call(
        "simulate", "clip.mkv", "--truth", "truth", "--frames", 3, "--size", "40x60", "--pits", 1
    )
    assert outcome.code == 0
    assert json.loads(call("info", "clip.mkv", "--json").out)["size"] == "60 x 40 px"
    assert Path("truth/particles.parquet").is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_says_how_to_go_on(clip: Path, tmp_path: Path) -> None:
    code = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from pitflow.cli import main\n"
        "sys.exit(main())\n"
    )
    stopped = subprocess.Popen(
        [sys.executable, "-c", code, "run", str(clip), "-o", str(tmp_path / "run")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while stopped.poll() is None and not (tmp_path / "run" / "log.jsonl").exists():
        time.sleep(0.02)
    stopped.send_signal(signal.SIGINT)
    _, said = stopped.communicate(timeout=60)
    assert stopped.returncode == 130
    assert said.splitlines()[-1] == (
        "pitflow: stopped; a run, a training or a study goes on with the same command"
    )
    assert "Traceback" not in said


def test_masks_of_tiles_by_a_model_trained_on_them(call: Call, tmp_path: Path) -> None:
    """Train for a moment on drawn discs, score the model and write masks, all by command."""
    rng = np.random.default_rng(0)
    (tmp_path / "tiles").mkdir()
    rows, columns = np.mgrid[:64, :64]
    for part in ("0.2", "0.4", "0.6", "0.8"):
        for index in range(2):
            image, mask = rng.normal(200, 3, (64, 64)), np.zeros((64, 64), np.uint8)
            for y, x in rng.uniform(8, 56, (3, 2)):
                mask[np.hypot(rows - y, columns - x) < 4] = 255
            image[mask > 0] -= 90
            stem = tmp_path / "tiles" / f"a_{part}_{index * 5}"
            cv2.imwrite(f"{stem}.png", image.clip(0, 255).astype(np.uint8))
            cv2.imwrite(f"{stem}_mask.png", mask)
    recipe = tmp_path / "short.toml"
    recipe.write_text(
        'base = "particles-single"\nname = "short"\ncrop_px = 64\ntile_px = 64\n'
        "[network]\nwidths = [4, 8]\n"
        "[training]\nepochs = 2\nsamples_per_epoch = 16\n"
    )
    command = ("train", "particles", "--data", "tiles", "-o", "model", "--recipe", recipe)
    trained = call(*command, "--epochs", 1, "--seed", 7)
    assert trained.code == 0, trained.err
    training = json.loads((tmp_path / "model" / "model.json").read_text())["recipe"]["training"]
    assert (training["epochs"], training["seed"]) == (1, 7)
    scored = call("evaluate", "--model", "model", "--data", "tiles", "--json")
    assert scored.code == 0, scored.err
    assert json.loads(scored.out)
    # Further folders may follow the first, or have an option each.
    (tmp_path / "few").mkdir()
    for path in sorted((tmp_path / "tiles").glob("a_0.2_*.png")):
        shutil.copy(path, tmp_path / "few")
    each = call("evaluate", "--model", "model", "--data", "tiles", "--data", "few", "--json")
    after = call("evaluate", "--model", "model", "--data", "tiles", "few", "--json")
    assert json.loads(after.out) == json.loads(each.out) != json.loads(scored.out)
    assert call("segment", "tiles", "--model", "model", "-o", "masks").code == 0
    assert len(list((tmp_path / "masks").glob("*.png"))) == 8
    # One that cannot be read does not keep the others from it.
    (tmp_path / "tiles" / "a_0.0_0.png").write_bytes(b"no image")
    damaged = call("segment", "tiles", "--model", "model", "-o", "others")
    assert (damaged.code, len(list((tmp_path / "others").glob("*.png")))) == (2, 8)
    assert "a_0.0_0.png" in damaged.err


def test_a_folder_of_videos_or_of_a_run_says_what_to_give(tmp_path):
    (tmp_path / "day").mkdir()
    (tmp_path / "day" / "one.AVI").write_bytes(b"x")
    with pytest.raises(UserError) as refused:
        open_source(tmp_path / "day")
    assert "give the videos themselves, as day/*.AVI" in str(refused.value)
    (tmp_path / "day" / "run.json").write_text("{}")
    with pytest.raises(UserError) as refused:
        open_source(tmp_path / "day")
    assert "it is a run" in str(refused.value)


def test_truth_replaces_neither_a_run_nor_other_truth(tmp_path):
    config, video, truth = SimulateConfig(frames=2, height=64, width=64), "a.avi", tmp_path / "t"
    simulate(tmp_path / video, config, truth, seed=1)
    before = (truth / "particles.parquet").read_bytes()
    with pytest.raises(UserError, match=r"holds the truth of a\.avi"):
        simulate(tmp_path / "b.avi", config, truth, seed=2)
    assert not (tmp_path / "b.avi").exists()
    assert (truth / "particles.parquet").read_bytes() == before
    simulate(tmp_path / "b.avi", config, truth, seed=2, overwrite=True)
    (tmp_path / "a.pitflow" / "tables").mkdir(parents=True)
    (tmp_path / "a.pitflow" / "run.json").write_text("{}")
    for folder in (tmp_path / "a.pitflow", tmp_path / "a.pitflow" / "tables"):
        with pytest.raises(UserError, match="in the folder of a run"):
            simulate(tmp_path / "c.avi", config, folder, seed=2, overwrite=True)
